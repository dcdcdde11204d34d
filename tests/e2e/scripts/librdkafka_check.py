"""librdkafka against the Kafka port of a running pipeline: list, create, write (all codecs), read back, delete.

    librdkafka_check.py BOOTSTRAP TOPIC_OF_THE_PIPELINE
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

DEADLINE_S = 20


def write(bootstrap, topic, codec, count):
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 5,
                         "enable.idempotence": True})
    failed = []
    for n in range(count):
        producer.produce(topic, key=f"{codec}-{n}", value=f"value {n} of {codec} " * 8, partition=n % 3,
                         headers={"codec": codec}, on_delivery=lambda error, _: error and failed.append(error))
        producer.poll(0)
    if producer.flush(DEADLINE_S) or failed:
        raise SystemExit(f"{codec}: not delivered: {failed[:3]}")


def read(bootstrap, topic, partitions):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": True, "check.crcs": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    records, ended = [], set()
    while len(ended) < partitions:
        record = consumer.poll(DEADLINE_S)
        if record is None:
            raise SystemExit(f"{topic}: nothing within {DEADLINE_S} s")
        if record.error():
            if record.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(record.error())
            ended.add(record.partition())
        else:
            records.append(record)
    consumer.close()
    return records


def main():
    bootstrap, pipeline_topic = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = admin.list_topics(timeout=DEADLINE_S).topics
    assert pipeline_topic in topics, sorted(topics)

    admin.create_topics([NewTopic("from-librdkafka", num_partitions=3)])["from-librdkafka"].result(DEADLINE_S)
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for codec in codecs:
        write(bootstrap, "from-librdkafka", codec, 300)
    records = read(bootstrap, "from-librdkafka", 3)
    keys = {record.key().decode() for record in records}
    assert len(records) == len(keys) == 300 * len(codecs), (len(records), len(keys))
    for record in records:
        codec, n = record.key().decode().split("-")
        assert record.value().decode() == f"value {n} of {codec} " * 8
        assert dict(record.headers()) == {"codec": codec.encode()}

    delays = read(bootstrap, pipeline_topic, len(topics[pipeline_topic].partitions))
    assert all(json.loads(record.value())["departure_delay_minutes"] > 15 for record in delays)
    admin.delete_topics(["from-librdkafka"])["from-librdkafka"].result(DEADLINE_S)
    assert "from-librdkafka" not in admin.list_topics(timeout=DEADLINE_S).topics
    print(json.dumps({"written": len(records), "delays": len(delays)}))


if __name__ == "__main__":
    main()
