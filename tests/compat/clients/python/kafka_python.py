"""kafka-python."""

import time
import uuid
from collections import Counter

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import (
    ACL,
    AlterConfigOp,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    KafkaAdminClient,
    OffsetSpec,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.protocol.admin.topics import ElectionType

from harness import BOOTSTRAP, CODECS, DEADLINE_S, eq, main, raises, scenario, unique, until

admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def topic(name, partitions=1, **config):
    name = unique(f"kp-{name}")
    configs = {key.replace("_", "."): value for key, value in config.items()}
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    admin.create_topics({name: options}, wait_for_metadata=True)
    return name


def producer(**config):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, **config)


def produce(name, values, partition=0, **config):
    p = producer(**config)
    futures = [p.send(name, value, partition=partition) for value in values]
    p.flush(DEADLINE_S)
    offsets = [future.get(DEADLINE_S).offset for future in futures]
    p.close()
    return offsets


def consumer(group=None, **config):
    base = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, **{**base, **config})


def polled(c):
    return [record for records in c.poll(100).values() for record in records]


def take(c, count):
    records = []

    def poll():
        records.extend(polled(c))
        return len(records) >= count

    until(f"{count} records", poll)
    return records


def read(name, partition=0, **config):
    """All records up to the end as this isolation level sees it."""
    c = consumer(**config)
    part = TopicPartition(name, partition)
    c.assign([part])
    c.seek_to_beginning(part)
    end = c.end_offsets([part])[part]
    records = []

    def poll():
        records.extend(polled(c))
        return c.position(part) >= end

    until("the end of the partition", poll)
    c.close()
    return records


def values(records):
    return [record.value for record in records]


@scenario("codecs")
def codecs():
    for codec in CODECS:
        name = topic(f"codec-{codec}")
        sent = [f"{codec} {n} ".encode() * 20 for n in range(500)]
        produce(name, sent, compression_type=None if codec == "none" else codec, linger_ms=20)
        eq(values(read(name)), sent, codec)


@scenario("records")
def records():
    name = topic("records")
    p = producer()
    p.send(name, b"v", key=b"k", headers=[("a", b"1"), ("a", b"2"), ("empty", b"")], timestamp_ms=1234567890123, partition=0)
    p.send(name, None, key=b"tombstone", partition=0)
    p.flush(DEADLINE_S)
    first, tombstone = read(name)
    eq(first.headers, [("a", b"1"), ("a", b"2"), ("empty", b"")], "headers")
    eq((first.timestamp, first.timestamp_type), (1234567890123, 0), "timestamp")
    eq((first.key, first.value), (b"k", b"v"))
    eq((tombstone.key, tombstone.value), (b"tombstone", None))
    appended = topic("append-time", message_timestamp_type="LogAppendTime")
    p.send(appended, b"v", timestamp_ms=5, partition=0).get(DEADLINE_S)
    p.close()
    record = read(appended)[0]
    eq(record.timestamp_type, 1)
    assert abs(record.timestamp / 1000 - time.time()) < 60, record.timestamp


@scenario("idempotence")
def idempotence():
    name = topic("idempotence")
    sent = [str(n).encode() for n in range(1000)]
    eq(produce(name, sent, enable_idempotence=True, batch_size=200, acks="all"), list(range(1000)), "offsets")
    eq(values(read(name)), sent)


@scenario("large-records")
def large_records():
    name = topic("large", max_message_bytes="100000")
    raises("MessageSizeTooLarge", lambda: produce(name, [b"x" * 200_000], max_request_size=10_000_000))
    produce(name, [b"y" * 90_000])
    wide = topic("wide", max_message_bytes="10000000")
    produce(wide, [b"z" * 5_000_000], max_request_size=10_000_000)
    eq([len(v) for v in values(read(wide))], [5_000_000])


@scenario("offsets-for-times")
def offsets_for_times():
    name = topic("times")
    part = TopicPartition(name, 0)
    p = producer(linger_ms=100, compression_type="gzip")
    for n in range(10):
        p.send(name, str(n).encode(), timestamp_ms=1_000_000 + n * 1000, partition=0)
    p.flush(DEADLINE_S)
    p.close()
    c = consumer()
    for at, offset in [(0, 0), (1_000_001, 1), (1_005_000, 5), (1_008_999, 9)]:
        eq(c.offsets_for_times({part: at})[part].offset, offset, f"offset for {at}")
    assert c.offsets_for_times({part: 1_009_001})[part] is None
    eq((c.beginning_offsets([part])[part], c.end_offsets([part])[part]), (0, 10))
    c.close()
    found = admin.list_partition_offsets({part: OffsetSpec.MAX_TIMESTAMP})[part]
    eq((found.offset, found.timestamp), (9, 1_009_000), "max timestamp")


@scenario("delete-records")
def delete_records():
    name = topic("delete-records")
    part = TopicPartition(name, 0)
    produce(name, [b"x"] * 10)
    eq(admin.delete_records({part: 4})[part]["low_watermark"], 4)
    eq([r.offset for r in read(name)], list(range(4, 10)))
    raises("OffsetOutOfRange", lambda: admin.delete_records({part: 99}))


@scenario("many-partitions")
def many_partitions():
    name = topic("many", 200)
    p = producer(linger_ms=10)
    for n in range(200):
        p.send(name, str(n).encode(), partition=n)
    p.flush(DEADLINE_S)
    p.close()
    c = consumer(unique("kp-many"))
    c.subscribe([name])
    eq(sorted((r.partition, int(r.value)) for r in take(c, 200)), [(n, n) for n in range(200)])
    c.close()


@scenario("topics")
def topics():
    name = topic("topics", 3)
    described = admin.describe_topics([name])[0]
    eq(sorted(p["partition_index"] for p in described["partitions"]), [0, 1, 2])
    raises("TopicAlreadyExists", lambda: admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}))
    raises("InvalidTopic", lambda: admin.create_topics({"bad/name": {"num_partitions": 1, "replication_factor": 1}}))
    many = {unique("kp-replicated"): {"num_partitions": 1, "replication_factor": 3}}
    raises("InvalidReplicationFactor", lambda: admin.create_topics(many))
    bad = {unique("kp-bad"): {"num_partitions": 1, "replication_factor": 1, "configs": {"no.such": "1"}}}
    raises("InvalidConfig", lambda: admin.create_topics(bad))
    dry = unique("kp-dry")
    admin.create_topics({dry: {}}, validate_only=True)
    assert dry not in admin.list_topics()
    admin.delete_topics([name])
    until("the topic is gone", lambda: name not in admin.list_topics())
    raises("UnknownTopicOrPartition", lambda: admin.delete_topics([name]))


@scenario("create-partitions")
def create_partitions():
    name = topic("grow", 2)
    admin.create_partitions({name: 5})
    until("5 partitions", lambda: len(admin.describe_topics([name])[0]["partitions"]) == 5)
    eq(produce(name, [b"x"], partition=4), [0])
    raises("InvalidPartitions", lambda: admin.create_partitions({name: 3}))


@scenario("topic-ids")
def topic_ids():
    name = topic("ids", 2)
    described = admin.describe_topics([name])[0]
    identity = uuid.UUID(str(described["topic_id"]))
    eq(admin.describe_topics([identity])[0]["name"], name, "by its id")
    admin.delete_topics([identity])
    until("the topic is gone", lambda: name not in admin.list_topics())
    admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    assert admin.describe_topics([name])[0]["topic_id"] != described["topic_id"], "a new topic has a new id"


@scenario("configs")
def configs():
    name = topic("configs", retention_ms="1000000")

    def described():
        return admin.describe_configs([ConfigResource("topic", name)], config_filter="all")["topic"][name]

    found = described()
    eq((found["retention.ms"]["value"], found["cleanup.policy"]["value"]), ("1000000", "delete"))
    change = {
        "cleanup.policy": (AlterConfigOp.APPEND, "compact"),
        "retention.ms": (AlterConfigOp.DELETE, None),
        "max.message.bytes": "2000",
    }
    admin.alter_configs([ConfigResource("topic", name, change)])
    until("the change shows", lambda: described()["max.message.bytes"]["value"] == "2000")
    found = described()
    eq((found["cleanup.policy"]["value"], found["retention.ms"]["value"]), ("delete,compact", "604800000"))
    admin.alter_configs([ConfigResource("topic", name, {"segment.ms": "60000"})], incremental=False)
    until("the old call", lambda: described()["segment.ms"]["value"] == "60000")
    assert "num.partitions" in admin.describe_configs([ConfigResource("broker", "1")], config_filter="all")["broker"]["1"]


def rebalance(assignor):
    """A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way."""
    name = topic(f"group-{assignor.name}", 4)
    group = unique(f"kp-{assignor.name}")
    for n in range(4):
        produce(name, [f"{n}".encode()], partition=n)
    options = {"partition_assignment_strategy": [assignor], "heartbeat_interval_ms": 500}
    first = consumer(group, **options)
    first.subscribe([name])
    eq(sorted(values(take(first, 4))), [b"0", b"1", b"2", b"3"])
    first.commit()
    second = consumer(group, **options)
    second.subscribe([name])

    def both(expected):
        first.poll(50)
        second.poll(50)
        return (len(first.assignment()), len(second.assignment())) == expected

    until("two partitions each", lambda: both((2, 2)))
    assert not first.assignment() & second.assignment()
    second.close()

    def alone():
        first.poll(50)
        return len(first.assignment()) == 4

    until("all partitions again", alone)
    for n in range(4):
        produce(name, [f"{n + 4}".encode()], partition=n)
    eq(sorted(values(take(first, 4))), [b"4", b"5", b"6", b"7"], "after the rebalance")
    first.close()


@scenario("group-range")
def group_range():
    rebalance(RangePartitionAssignor)


@scenario("group-cooperative")
def group_cooperative():
    rebalance(CooperativeStickyAssignor)


@scenario("static-member")
def static_member():
    name = topic("static", 2)
    group = unique("kp-static")
    for _ in range(2):
        c = consumer(group, group_instance_id="one")
        c.subscribe([name])
        until("an assignment", lambda: (c.poll(100), len(c.assignment()) == 2)[1])
        c.close()
    described = admin.describe_groups([group])[group]
    eq([m["group_instance_id"] for m in described["members"]], ["one"], "a static member stays when it closes")


@scenario("commits")
def commits():
    name = topic("commits")
    part = TopicPartition(name, 0)
    group = unique("kp-commits")
    produce(name, [str(n).encode() for n in range(10)])
    c = consumer(group, max_poll_records=4)
    assert c.committed(part) is None, "before the first commit"
    c.subscribe([name])
    take(c, 4)
    c.commit({part: OffsetAndMetadata(4, "note", -1)})
    c.close(autocommit=False)
    c = consumer(group)
    found = c.committed(part, metadata=True)
    eq((found.offset, found.metadata), (4, "note"))
    c.subscribe([name])
    eq(values(take(c, 6)), [str(n).encode() for n in range(4, 10)], "after resuming")
    c.close()


@scenario("transactions")
def transactions():
    name = topic("tx", 2)
    p = producer(transactional_id=unique("kp-tx"))
    p.init_transactions()
    for outcome in ("commit", "abort", "commit"):
        p.begin_transaction()
        for partition in (0, 1):
            p.send(name, outcome.encode(), partition=partition)
        p.flush(DEADLINE_S)
        p.commit_transaction() if outcome == "commit" else p.abort_transaction()
    for partition in (0, 1):
        eq(values(read(name, partition, isolation_level="read_committed")), [b"commit", b"commit"])
        eq(values(read(name, partition)), [b"commit", b"abort", b"commit"])
    p.begin_transaction()
    p.send(name, b"open", partition=0).get(DEADLINE_S)
    produce(name, [b"behind"])
    eq(values(read(name, isolation_level="read_committed")), [b"commit", b"commit"], "an open transaction hides what follows")
    p.commit_transaction()
    eq(values(read(name, isolation_level="read_committed")), [b"commit", b"commit", b"open", b"behind"])
    p.close()


@scenario("fencing")
def fencing():
    name = topic("fencing")
    identity = unique("kp-fenced")
    old, new = producer(transactional_id=identity), producer(transactional_id=identity)
    old.init_transactions()
    old.begin_transaction()
    old.send(name, b"old", partition=0).get(DEADLINE_S)
    new.init_transactions()
    raises("Fenced|InvalidProducerEpoch", old.commit_transaction)
    new.begin_transaction()
    new.send(name, b"new", partition=0)
    new.commit_transaction()
    eq(values(read(name, isolation_level="read_committed")), [b"new"])
    new.close()


@scenario("exactly-once")
def exactly_once():
    source, target = topic("eo-in"), topic("eo-out")
    part = TopicPartition(source, 0)
    produce(source, [str(n).encode() for n in range(100)])
    p = producer(transactional_id=unique("kp-eo"))
    p.init_transactions()
    for attempt in range(4):
        c = consumer(unique("kp-eo"), isolation_level="read_committed", max_poll_records=25)
        c.subscribe([source])
        batch = take(c, 25)[:25]
        p.begin_transaction()
        for record in batch:
            p.send(target, b"copy " + record.value, partition=0)
        p.send_offsets_to_transaction({part: OffsetAndMetadata(batch[-1].offset + 1, "", -1)}, c.group_metadata())
        p.abort_transaction() if attempt == 1 else p.commit_transaction()
        c.close(autocommit=False)
    p.close()
    copied = values(read(target, isolation_level="read_committed"))
    eq(copied, [f"copy {n}".encode() for n in range(75)], "each input once, in order")


@scenario("groups-admin")
def groups_admin():
    name = topic("ga", 2)
    group = unique("kp-ga")
    produce(name, [b"x"])
    c = consumer(group, client_id="who")
    c.subscribe([name])
    take(c, 1)
    c.commit()
    listed = {g["group_id"]: g for g in admin.list_groups()}
    eq((listed[group]["group_state"], listed[group]["group_type"]), ("Stable", "classic"))
    assert group not in {g["group_id"] for g in admin.list_groups(states_filter=["Empty"])}
    described = admin.describe_groups([group])[group]
    eq((described["group_state"], described["protocol_data"]), ("Stable", "range"))
    eq([m["client_id"] for m in described["members"]], ["who"])
    raises("NonEmptyGroup", lambda: check_deleted(group))
    c.close(autocommit=False)
    check_deleted(group)
    assert group not in {g["group_id"] for g in admin.list_groups()}
    raises("GroupIdNotFound", lambda: check_deleted(group))


def check_deleted(group):
    for error in admin.delete_groups([group]).values():
        if error not in ("OK", "NoError"):
            raise AssertionError(f"answer: {error}")


@scenario("group-offsets-admin")
def group_offsets_admin():
    name = topic("goa", 2)
    group = unique("kp-goa")
    parts = [TopicPartition(name, 0), TopicPartition(name, 1)]
    admin.alter_group_offsets(group, {parts[0]: OffsetAndMetadata(3, "", -1), parts[1]: OffsetAndMetadata(7, "", -1)})
    found = admin.list_group_offsets(group)[group]
    eq([found[p].offset for p in parts], [3, 7])
    admin.delete_group_offsets(group, [parts[0]])
    eq(list(admin.list_group_offsets(group)[group]), [parts[1]])
    eq(admin.list_group_offsets(unique("kp-nobody")), {unique("kp-nobody"): {}}, "a group that nobody knows")


@scenario("cluster")
def cluster():
    described = admin.describe_cluster()
    eq([f"{b['host']}:{b['port']}" for b in described["brokers"]], [BOOTSTRAP])
    assert described["cluster_id"]


@scenario("log-dirs")
def log_dirs():
    name = topic("log-dirs")
    produce(name, [b"x" * 1000])
    sizes = Counter()
    for broker in admin.describe_log_dirs():
        for log_dir in broker["log_dirs"] if "log_dirs" in broker else broker["results"]:
            for found in log_dir["topics"]:
                sizes[found["name"]] += sum(p["partition_size"] for p in found["partitions"])
    assert sizes[name] > 1000, sizes[name]


@scenario("producers-admin")
def producers_admin():
    name = topic("producers")
    identity = unique("kp-described")
    p = producer(transactional_id=identity)
    p.init_transactions()
    p.begin_transaction()
    p.send(name, b"x", partition=0).get(DEADLINE_S)
    described = admin.describe_transactions([identity])[identity]
    eq((str(described.state).split(".")[-1].upper(), set(described.topic_partitions)), ("ONGOING", {TopicPartition(name, 0)}))
    listed = admin.list_transactions()
    listed = [t for ts in listed.values() for t in ts] if isinstance(listed, dict) else listed
    assert identity in [t.transactional_id for t in listed]
    state = admin.describe_producers([TopicPartition(name, 0)])[TopicPartition(name, 0)]
    active = (state.active_producers if hasattr(state, "active_producers") else state)[0]
    eq((active.producer_id, active.current_transaction_start_offset), (described.producer_id, 0))
    p.abort_transaction()
    p.close()


@scenario("acls")
def acls():
    pattern = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    everything = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, pattern)
    raises("SecurityDisabled", lambda: answer_of(admin.describe_acls(everything)))
    one = ACL("User:a", "*", ACLOperation.READ, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, "t"))
    raises("SecurityDisabled", lambda: answer_of(admin.create_acls([one])))


def answer_of(result):
    raise AssertionError(f"answer: {result}")


@scenario("elect-leaders")
def elect_leaders():
    name = topic("elect")
    answer = admin.elect_leaders(ElectionType.PREFERRED, {name: [0]})
    codes = [p.error_code for t in answer.replica_election_results for p in t.partition_result]
    eq(codes, [84], "ELECTION_NOT_NEEDED")


main()
