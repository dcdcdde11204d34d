"""Transactions over all partitions of a topic until SIGTERM, each of the same value everywhere; writes the journal.

    transact.py BOOTSTRAP TOPIC PARTITIONS JOURNAL RUN

The journal has one line per transaction: its number and committed, aborted or unknown. Prints a summary.
"""

import json
import signal
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer

from values import FENCED, PATIENT, leave, value

TIMEOUT_S = 30


def new_producer(bootstrap, run):
    """The next incarnation: what the former one left open is aborted."""
    producer = Producer(PATIENT | {"bootstrap.servers": bootstrap, "transactional.id": f"transact-{run}", "linger.ms": 0,
                                   "transaction.timeout.ms": 20_000})
    producer.init_transactions(TIMEOUT_S)
    return producer


def main():
    bootstrap, topic, partitions, journal, run = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    producer, outcomes, restarts = None, [], 0
    print("sending", flush=True)
    while not stop.is_set():
        number = len(outcomes)
        commit, begun = number % 5 != 4, time.monotonic()
        try:
            if producer is None:
                producer = new_producer(bootstrap, run)
            outcomes.append("unknown")
            producer.begin_transaction()
            for partition in range(int(partitions)):
                producer.produce(topic, value(run, 0, number), partition=partition)
            if commit:
                producer.commit_transaction(TIMEOUT_S)
            else:
                producer.flush(TIMEOUT_S)
                producer.abort_transaction(TIMEOUT_S)
            outcomes[number] = "committed" if commit else "aborted"
        except KafkaException as error:
            print(f"{number} after {time.monotonic() - begun:.1f} s: {error}", flush=True)
            FENCED.append(producer)
            producer, restarts = None, restarts + 1
    while producer is None:
        try:
            producer = new_producer(bootstrap, run)
        except KafkaException as error:
            print(error, flush=True)
            restarts += 1
    with open(journal, "w") as file:
        for number, outcome in enumerate(outcomes):
            file.write(f"{number} {outcome}\n")
    print(json.dumps({outcome: outcomes.count(outcome) for outcome in ["committed", "aborted", "unknown"]}
                     | {"restarts": restarts}))
    leave()


if __name__ == "__main__":
    main()
