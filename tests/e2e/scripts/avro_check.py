"""Confluent's Avro serializers beside `millstream`: values of every kind, and plain rows to and from a topic.

    avro_check.py everything BOOTSTRAP REGISTRY_URL TOPIC               writes a row of every type
    avro_check.py write BOOTSTRAP REGISTRY_URL TOPIC SCHEMA_FILE        registers the schema, writes rows of JSON from stdin
    avro_check.py headers BOOTSTRAP REGISTRY_URL TOPIC SCHEMA_FILE      the same, with the GUID of the schema in a header
    avro_check.py read BOOTSTRAP REGISTRY_URL TOPIC COUNT [SCHEMA_FILE] prints rows, read with their own schema or that one
"""

import datetime
import decimal
import json
import pathlib
import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

DEADLINE_S = 30

EVERYTHING = json.dumps({"type": "record", "name": "Everything", "namespace": "com.acme", "fields": [
    {"name": "flag", "type": "boolean"},
    {"name": "count", "type": "int"},
    {"name": "big", "type": "long"},
    {"name": "ratio", "type": "double"},
    {"name": "name", "type": "string"},
    {"name": "raw", "type": "bytes"},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["OLD", "NEW"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "note", "type": ["null", "string"]},
    {"name": "either", "type": ["long", "string"]},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "counts", "type": {"type": "map", "values": "int"}},
    {"name": "place", "type": {"type": "record", "name": "Place", "fields": [
        {"name": "city", "type": "string"}, {"name": "next", "type": ["null", "Place"], "default": None}]}},
]})


def everything():
    for n in range(3):
        yield {
            "flag": n == 1, "count": -n, "big": n << 40, "ratio": n / 4, "name": f"n\u00e4me {n}",
            "raw": bytes([n, 255]), "kind": "NEW" if n else "OLD", "price": decimal.Decimal(n) - decimal.Decimal("0.05"),
            "day": datetime.date(2024, 2, 29 - n),
            "at": datetime.datetime(2024, 2, 29, 12, 30, n, 250000, tzinfo=datetime.timezone.utc),
            "key": uuid.UUID(int=n), "note": None if n else "first", "either": n if n else "text",
            "tags": ["t"] * n, "counts": {"k": n}, "place": {"city": "Bonn", "next": {"city": "Ulm", "next": None}},
        }


def write(bootstrap, registry, topic, schema, rows, **conf):
    serialize = AvroSerializer(registry, schema, conf=conf)
    producer = Producer({"bootstrap.servers": bootstrap})
    failed = []
    for row in rows:
        # A serializer that names the schema in a header puts it in there.
        context = SerializationContext(topic, MessageField.VALUE, [])
        value = serialize(row, context)
        producer.produce(topic, value, headers=context.headers,
                         on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(DEADLINE_S) == 0 and not failed, failed[:3]


def read(bootstrap, registry, topic, count, schema=None):
    deserialize = AvroDeserializer(registry, schema)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    for _ in range(count):
        record = consumer.poll(DEADLINE_S)
        assert record is not None and not record.error(), record and record.error()
        context = SerializationContext(topic, MessageField.VALUE, record.headers() or [])
        print(json.dumps(deserialize(record.value(), context), default=str, ensure_ascii=False))
    consumer.close()


def main():
    action, bootstrap, url, topic, *more = sys.argv[1:]
    registry = SchemaRegistryClient({"url": url})
    text = lambda file: pathlib.Path(file).read_text()
    rows = lambda: map(json.loads, sys.stdin)
    if action == "everything":
        write(bootstrap, registry, topic, EVERYTHING, everything())
    elif action == "write":
        write(bootstrap, registry, topic, text(more[0]), rows())
    elif action == "headers":
        write(bootstrap, registry, topic, text(more[0]), rows(), **{"schema.id.serializer": header_schema_id_serializer})
    else:
        read(bootstrap, registry, topic, int(more[0]), *map(text, more[1:]))


if __name__ == "__main__":
    main()
