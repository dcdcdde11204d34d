"""A member of a consumer group, until SIGTERM.

    member.py BOOTSTRAP TOPIC GROUP PROTOCOL NAME JOURNAL

PROTOCOL is eager, cooperative or consumer (KIP-848). The journal has one line per record as it is processed, before its
offset is committed: partition, offset, generation, name. A member that is killed leaves a journal that ends anywhere.
"""

import signal
import struct
import sys
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from values import PATIENT

CLASSIC = {"session.timeout.ms": 2_000, "heartbeat.interval.ms": 300}
PROTOCOLS = {
    "eager": CLASSIC | {"partition.assignment.strategy": "range"},
    "cooperative": CLASSIC | {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}
# Between two commits.
RECORDS = 50


def generation(consumer):
    """What librdkafka writes about a membership begins with a tag and the generation."""
    return struct.unpack_from("<i", consumer.consumer_group_metadata(), len(b"CGMDv2:"))[0]


def main():
    bootstrap, topic, group, protocol, name, journal = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consumer = Consumer(PATIENT | PROTOCOLS[protocol] | {
        "bootstrap.servers": bootstrap, "group.id": group, "client.id": name, "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
    places, processed = {}, 0

    def commit():
        try:
            consumer.commit(offsets=[TopicPartition(topic, *place) for place in places.items()], asynchronous=False)
        except KafkaException as error:
            print(error, flush=True)
            return
        places.clear()

    def forget(_, partitions):
        """Whoever has them now begins at the last commit; a classic group takes commits for the partitions of others."""
        for partition in partitions:
            places.pop(partition.partition, None)

    def give_back(_, partitions):
        if places:
            commit()
        forget(_, partitions)

    consumer.subscribe([topic], on_revoke=give_back, on_lost=forget)
    print("member", flush=True)
    with open(journal, "a", buffering=1) as file:
        while not stop.is_set():
            record = consumer.poll(0.1)
            if record is not None and record.error() is None:
                file.write(f"{record.partition()} {record.offset()} {generation(consumer)} {name}\n")
                places[record.partition()] = record.offset() + 1
                processed += 1
            if places and (record is None or processed % RECORDS == 0):
                commit()
    consumer.close()


if __name__ == "__main__":
    main()
