"""Confluent's Python client against a broker and its schema registry: serializers with evolution, and what an
administrator asks.

    registry_check.py BOOTSTRAP REGISTRY_URL
"""

import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Metadata, MetadataProperties, Rule, RuleKind, RuleMode, RuleSet
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaReference, SchemaRegistryClient, ServerConfig
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

DEADLINE_S = 30
TOPIC = "orders"


def order(*more):
    fields = [{"name": "id", "type": "string"}, {"name": "cents", "type": "long"}, *more]
    return json.dumps({"type": "record", "name": "Order", "namespace": "com.acme", "fields": fields})


V1 = order()
V2 = order({"name": "city", "type": ["null", "string"], "default": None})
V3 = order({"name": "city", "type": ["null", "string"], "default": None},
           {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0})
BAD = order({"name": "must", "type": "int"})
VALUE = SerializationContext(TOPIC, MessageField.VALUE)


def refused(code, status, ask):
    try:
        answer = ask()
    except SchemaRegistryError as error:
        assert (error.error_code, error.http_status_code) == (code, status), error
        return str(error)
    raise SystemExit(f"was to be refused with {code}: {answer}")


def write(bootstrap, registry, schema, rows, **conf):
    serialize = AvroSerializer(registry, schema, conf={"auto.register.schemas": True, **conf})
    producer = Producer({"bootstrap.servers": bootstrap})
    failed = []
    for row in rows:
        producer.produce(TOPIC, serialize(row, VALUE), on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(DEADLINE_S) == 0 and not failed, failed[:3]


def read(bootstrap, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    values = []
    while len(values) < count:
        record = consumer.poll(DEADLINE_S)
        assert record is not None and not record.error(), record and record.error()
        values.append(record.value())
    consumer.close()
    return values


def serializers(bootstrap, registry):
    write(bootstrap, registry, V1, [{"id": f"a{n}", "cents": n} for n in range(10)])
    write(bootstrap, registry, V2, [{"id": f"b{n}", "cents": n, "city": "Bonn"} for n in range(10)])
    write(bootstrap, registry, V3, [{"id": f"c{n}", "cents": n, "city": None, "at": 1700000000000} for n in range(10)],
          **{"normalize.schemas": True})
    assert registry.get_versions(f"{TOPIC}-value") == [1, 2, 3]
    # Schemas that others have registered.
    write(bootstrap, registry, None, [{"id": "d", "cents": 7, "city": "Ulm", "at": 1}],
          **{"auto.register.schemas": False, "use.latest.version": True})

    values = read(bootstrap, 31)
    ids = [int.from_bytes(value[1:5], "big") for value in values]
    assert [value[0] for value in values] == [0] * 31
    assert sorted(set(ids)) == sorted(registry.get_version(f"{TOPIC}-value", n).schema_id for n in (1, 2, 3)), ids
    newest = AvroDeserializer(registry, V2)
    rows = [newest(value, VALUE) for value in values]
    assert rows[0] == {"id": "a0", "cents": 0, "city": None}, rows[0]
    assert rows[10] == {"id": "b0", "cents": 0, "city": "Bonn"}, rows[10]
    assert rows[30] == {"id": "d", "cents": 7, "city": "Ulm"}, rows[30]
    as_written = AvroDeserializer(registry)
    assert as_written(values[0], VALUE) == {"id": "a0", "cents": 0}
    assert as_written(values[20], VALUE)["at"].year == 2023

    message = refused(40901, 409, lambda: registry.register_schema(f"{TOPIC}-value", Schema(BAD, "AVRO")))
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in message and "must" in message, message


def references(registry, other):
    money = '{"type":"record","name":"Money","namespace":"com.acme","fields":[{"name":"cents","type":"long"}]}'
    bill = '{"type":"record","name":"Bill","namespace":"com.acme","fields":[{"name":"total","type":"com.acme.Money"}]}'
    money_id = registry.register_schema("money", Schema(money, "AVRO"))
    schema = Schema(bill, "AVRO", [SchemaReference("com.acme.Money", "money", 1)])
    bill_id = registry.register_schema("bills-value", schema)
    assert registry.get_referenced_by("money", 1) == [bill_id]
    context = SerializationContext("bills", MessageField.VALUE)
    data = AvroSerializer(registry, schema)({"total": {"cents": 5}}, context)
    assert int.from_bytes(data[1:5], "big") == bill_id != money_id
    assert AvroDeserializer(other)(data, context) == {"total": {"cents": 5}}
    refused(42206, 422, lambda: registry.delete_version("money", 1))


def contracts(registry):
    rule = Rule("positive", None, RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "message.cents > 0", None, None,
                False)
    schema = Schema(V1, "AVRO", [], Metadata(None, MetadataProperties({"team": "billing"}), None),
                    RuleSet(None, [rule]))
    registry.register_schema("contract", schema)
    found = registry.get_latest_with_metadata("contract", {"team": "billing"})
    assert found.version == 1 and found.schema.metadata.properties.properties == {"team": "billing"}, found
    assert found.schema.rule_set.domain_rules[0].expr == "message.cents > 0", found
    refused(40403, 404, lambda: registry.get_latest_with_metadata("contract", {"team": "other"}))


def administration(registry):
    assert registry.get_schema_types() == ["AVRO"], registry.get_schema_types()
    subject = f"{TOPIC}-value"
    first = registry.get_version(subject, 1)
    assert json.loads(first.schema.schema_str) == json.loads(V1)
    assert registry.get_schema_by_guid(first.guid).schema_str == first.schema.schema_str
    assert registry.lookup_schema(subject, Schema(V1, "AVRO")).schema_id == first.schema_id
    refused(40403, 404, lambda: registry.lookup_schema(subject, Schema(BAD, "AVRO")))
    refused(40401, 404, lambda: registry.get_versions("nobody"))
    refused(40402, 404, lambda: registry.get_version(subject, 17))
    refused(40403, 404, lambda: registry.get_schema(1 << 20))
    refused(42201, 422, lambda: registry.register_schema(subject, Schema('{"type":"nothing"}', "AVRO")))
    assert [version.version for version in registry.get_schema_versions(first.schema_id)] == [1]
    assert subject in registry.get_subjects(subject_prefix="orders")

    assert registry.test_compatibility(subject, Schema(V2, "AVRO")) is True
    assert registry.test_compatibility(subject, Schema(BAD, "AVRO"), verbose=True) is False
    assert registry.test_compatibility_all_versions(subject, Schema(V3, "AVRO")) is True
    assert registry.get_compatibility() == "BACKWARD"
    registry.set_compatibility(subject, "FULL_TRANSITIVE")
    assert registry.get_compatibility(subject) == "FULL_TRANSITIVE"
    registry.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.NONE, compatibility_group="major"))
    assert registry.get_config(subject).compatibility_group == "major"
    registry.delete_config(subject)
    refused(40408, 404, lambda: registry.get_config(subject))

    assert registry.get_global_mode() == "READWRITE"
    assert registry.update_mode(subject, "READONLY") == "READONLY"
    refused(42205, 422, lambda: registry.delete_version(subject, 1))
    registry.delete_mode(subject)
    assert registry.get_contexts() == ["."]
    assert registry.delete_version(subject, 1) == 1
    assert registry.get_versions(subject) == [2, 3]
    assert registry.delete_subject(subject) == [2, 3]
    assert registry.delete_subject(subject, permanent=True) == [1, 2, 3]
    assert subject not in registry.get_subjects()


def main():
    bootstrap, url = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, num_partitions=1)])[TOPIC].result(DEADLINE_S)
    registry = SchemaRegistryClient({"url": url})
    serializers(bootstrap, registry)
    references(registry, SchemaRegistryClient({"url": url}))
    contracts(registry)
    administration(SchemaRegistryClient({"url": url}))
    print("all of it holds")


if __name__ == "__main__":
    main()
