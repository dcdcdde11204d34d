"""Transactions of one transactional id, each of the same value to all partitions, until SIGTERM or until it is fenced.

    zombie.py BOOTSTRAP TOPIC PARTITIONS RUN NUMBER

NUMBER tells the incarnations of a run apart. Prints a line per transaction, in the end "fenced" or "done".
"""

import signal
import sys
import threading

from confluent_kafka import KafkaException, Producer

from values import PATIENT, leave, value

TIMEOUT_S = 30


def transaction(producer, topic, partitions, data):
    try:
        producer.begin_transaction()
        for partition in range(partitions):
            producer.produce(topic, data, partition=partition)
            producer.flush(0.001)
        producer.commit_transaction(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].txn_requires_abort():
            producer.abort_transaction(TIMEOUT_S)
        raise


def main():
    bootstrap, topic, partitions, run, incarnation = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    producer = Producer(PATIENT | {"bootstrap.servers": bootstrap, "transactional.id": f"zombie-{run}",
                                   "transaction.timeout.ms": 60_000})
    producer.init_transactions(TIMEOUT_S)
    number = 0
    while not stop.is_set():
        try:
            transaction(producer, topic, int(partitions), value(run, int(incarnation), number))
            print(f"committed {number}", flush=True)
        except KafkaException as error:
            if error.args[0].fatal():
                print(f"fenced: {error}", flush=True)
                leave()
            print(error, flush=True)
        number += 1
    print("done", flush=True)


if __name__ == "__main__":
    main()
