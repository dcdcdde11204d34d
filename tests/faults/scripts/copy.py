"""Copies a topic into another, partition by partition, each batch of records and its place in one transaction, until
SIGTERM.

    copy.py BOOTSTRAP FROM TO GROUP NAME

Several of them share the partitions by their group. Each has a transactional id of its own name, so that its next
incarnation ends what the last one left open. Prints what happened, in the end a summary.
"""

import json
import signal
import sys
import threading

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from values import FENCED, PATIENT, leave

TIMEOUT_S = 10
RECORDS = 100
# By default librdkafka forgets all brokers when the last one is away, and a send_offsets_to_transaction that was under way
# waits for one of them for ever (librdkafka#5511, in 2.16 still).
LASTING = PATIENT | {"metadata.recovery.strategy": "none"}


class Copier:
    def __init__(self, bootstrap, source, target, group, name):
        self.source, self.target, self.group, self.name = source, target, group, name
        self.bootstrap, self.copied, self.aborted, self.incarnations = bootstrap, 0, 0, 0
        self.consumer = self.producer = None

    def begin(self):
        """A new incarnation: whoever had this name before is fenced, and what it left open is aborted."""
        self.incarnations += 1
        self.producer = Producer(LASTING | {
            "bootstrap.servers": self.bootstrap, "transactional.id": f"copy-{self.name}", "linger.ms": 0,
            "transaction.timeout.ms": 10_000})
        self.producer.init_transactions(TIMEOUT_S)
        self.consumer = Consumer(LASTING | {
            "bootstrap.servers": self.bootstrap, "group.id": self.group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "isolation.level": "read_committed", "session.timeout.ms": 2_000,
            "heartbeat.interval.ms": 300, "fetch.wait.max.ms": 50})
        self.consumer.subscribe([self.source])

    def step(self):
        records = [record for record in self.consumer.consume(RECORDS, 0.1) if record.error() is None]
        if not records:
            return
        places = {}
        self.producer.begin_transaction()
        for record in records:
            self.producer.produce(self.target, record.value(), partition=record.partition())
            places[record.partition()] = record.offset() + 1
        places = [TopicPartition(self.source, partition, offset) for partition, offset in places.items()]
        self.producer.send_offsets_to_transaction(places, self.consumer.consumer_group_metadata(), TIMEOUT_S)
        self.producer.commit_transaction(TIMEOUT_S)
        self.copied += len(records)

    def give_up(self):
        """Nobody knows how the transaction ended: the next incarnation begins where the log says."""
        self.aborted += 1
        if self.consumer is not None:
            self.consumer.close()
        FENCED.append(self.producer)
        self.consumer = self.producer = None


def main():
    copier = Copier(*sys.argv[1:])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("copying", flush=True)
    while not stop.is_set():
        try:
            if copier.consumer is None:
                copier.begin()
            copier.step()
        except KafkaException as error:
            print(error, flush=True)
            copier.give_up()
    if copier.consumer is not None:
        copier.consumer.close()
    print(json.dumps({"copied": copier.copied, "aborted": copier.aborted, "incarnations": copier.incarnations}))
    leave()


if __name__ == "__main__":
    main()
