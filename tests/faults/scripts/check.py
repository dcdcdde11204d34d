"""Reads a topic to its end and holds it against the journal of load.py.

    check.py BOOTSTRAP TOPIC PARTITIONS JOURNAL RUN

Prints: records read and acknowledged; lost (acknowledged, absent), moved (at an acknowledged offset is something else),
dup, phantom (never sent), reorder (before an earlier one of its producer), corrupt; cut: lost, but nothing is left in
that partition beyond the first of them, as after a tail was destroyed.
"""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from values import parse

DEADLINE_S = 30


def read(bootstrap, topic, partitions):
    """All records as (partition, offset, value), up to the ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "checker", "enable.auto.commit": False,
                         "enable.partition.eof": True, "check.crcs": True, "auto.offset.reset": "error",
                         "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    ended, last = set(), time.monotonic()
    while len(ended) < partitions:
        # waits for that many, or that long
        records = consumer.consume(10_000, 0.1)
        if records:
            last = time.monotonic()
        elif time.monotonic() - last > DEADLINE_S:
            raise SystemExit(f"{topic}: nothing within {DEADLINE_S} s, at the end of {sorted(ended)}")
        for record in records:
            if record.error() is None:
                yield record.partition(), record.offset(), record.value()
            elif record.error().code() == KafkaError._PARTITION_EOF:
                ended.add(record.partition())
            else:
                raise KafkaException(record.error())
    consumer.close()


def main():
    bootstrap, topic, partitions, journal, run = sys.argv[1:]
    sent = {}
    with open(journal) as file:
        for line in file:
            producer, sequence, partition, offset = map(int, line.split())
            sent[producer, sequence] = (partition, offset)
    counts = dict.fromkeys(["read", "acked", "lost", "cut", "moved", "dup", "phantom", "reorder", "corrupt"], 0)
    seen, last, ends = {}, {}, {}
    for partition, offset, data in read(bootstrap, topic, int(partitions)):
        counts["read"] += 1
        ends[partition] = offset
        identity = parse(run, data)
        if identity is None:
            counts["corrupt"] += 1
            continue
        if identity not in sent or sent[identity][0] != partition:
            counts["phantom"] += 1
            continue
        if identity in seen:
            counts["dup"] += 1
            continue
        seen[identity] = offset
        producer, sequence = identity
        if last.get((producer, partition), -1) > sequence:
            counts["reorder"] += 1
        last[producer, partition] = sequence
    for identity, (partition, offset) in sent.items():
        if offset < 0:
            continue
        counts["acked"] += 1
        if identity not in seen:
            counts["cut" if offset > ends.get(partition, -1) else "lost"] += 1
        elif seen[identity] != offset:
            counts["moved"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
