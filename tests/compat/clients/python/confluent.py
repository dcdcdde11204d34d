"""confluent-kafka (librdkafka)."""

import time

import confluent_kafka as ck
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka import admin as adm

from harness import BOOTSTRAP, CODECS, DEADLINE_S, eq, main, raises, scenario, unique, until

admin = adm.AdminClient({"bootstrap.servers": BOOTSTRAP})


def done(futures):
    if isinstance(futures, dict):
        return {key: future.result(DEADLINE_S) for key, future in futures.items()}
    return futures.result(DEADLINE_S)


def topic(name, partitions=1, **config):
    name = unique(f"ck-{name}")
    config = {k.replace("_", "."): v for k, v in config.items()}
    done(admin.create_topics([adm.NewTopic(name, partitions, 1, config=config)]))
    until("the topic is known", lambda: name in admin.list_topics(timeout=10).topics)
    return name


def producer(**config):
    return Producer({"bootstrap.servers": BOOTSTRAP, **{k.replace("_", "."): v for k, v in config.items()}})


def produce(name, values, partition=0, **config):
    reports = []
    p = producer(**config)
    for value in values:
        p.produce(name, value, partition=partition, on_delivery=lambda error, record: reports.append((error, record)))
    assert p.flush(DEADLINE_S) == 0, "not all delivered"
    eq([e for e, _ in reports if e], [], "delivery errors")
    return [record.offset() for _, record in reports]


def consumer(group="none", **config):
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({**base, **{k.replace("_", "."): v for k, v in config.items()}})


def take(c, count):
    records = []

    def poll():
        record = c.poll(0.1)
        if record is not None:
            if record.error():
                raise KafkaException(record.error())
            records.append(record)
        return len(records) >= count

    until(f"{count} records", poll)
    return records


def read(name, partition=0, **config):
    """All records up to the end as this isolation level sees it."""
    c = consumer(enable_partition_eof=True, **config)
    c.assign([TopicPartition(name, partition, ck.OFFSET_BEGINNING)])
    records = []

    def poll():
        record = c.poll(0.1)
        if record is None:
            return False
        if record.error():
            assert record.error().code() == ck.KafkaError._PARTITION_EOF, record.error()
            return True
        records.append(record)
        return False

    until("the end of the partition", poll)
    c.close()
    return records


def values(records):
    return [record.value() for record in records]


@scenario("codecs")
def codecs():
    for codec in CODECS:
        name = topic(f"codec-{codec}")
        sent = [f"{codec} {n} ".encode() * 20 for n in range(500)]
        produce(name, sent, compression_type=codec, linger_ms=20)
        eq(values(read(name)), sent, codec)


@scenario("records")
def records():
    name = topic("records")
    p = producer()
    p.produce(name, b"v", key=b"k", headers=[("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)], timestamp=1234567890123)
    p.produce(name, None, key=b"tombstone", timestamp=1234567890124)
    p.produce(name, b"", key=None)
    p.flush(DEADLINE_S)
    first, tombstone, empty = read(name)
    eq(first.headers(), [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)], "headers")
    eq(first.timestamp(), (ck.TIMESTAMP_CREATE_TIME, 1234567890123), "timestamp")
    eq((first.key(), first.value()), (b"k", b"v"))
    eq((tombstone.key(), tombstone.value()), (b"tombstone", None))
    eq((empty.key(), empty.value()), (None, b""))
    appended = topic("append-time", message_timestamp_type="LogAppendTime")
    p.produce(appended, b"v", timestamp=5)
    p.flush(DEADLINE_S)
    kind, at = read(appended)[0].timestamp()
    eq(kind, ck.TIMESTAMP_LOG_APPEND_TIME)
    assert abs(at / 1000 - time.time()) < 60, at


@scenario("idempotence")
def idempotence():
    name = topic("idempotence")
    sent = [str(n).encode() for n in range(2000)]
    eq(produce(name, sent, enable_idempotence=True, linger_ms=0, batch_num_messages=10), list(range(2000)), "offsets")
    eq(values(read(name)), sent)


@scenario("large-records")
def large_records():
    name = topic("large", max_message_bytes="100000")
    errors = []
    p = producer(message_max_bytes=10_000_000)
    p.produce(name, b"x" * 200_000, on_delivery=lambda error, _: errors.append(error))
    p.flush(DEADLINE_S)
    eq(errors[0].code() if errors[0] else None, ck.KafkaError.MSG_SIZE_TOO_LARGE)
    produce(name, [b"y" * 90_000])
    wide = topic("wide", max_message_bytes="10000000")
    produce(wide, [b"z" * 5_000_000], message_max_bytes=10_000_000)
    eq([len(v) for v in values(read(wide))], [5_000_000])


@scenario("offsets-for-times")
def offsets_for_times():
    name = topic("times")
    p = producer(linger_ms=100, compression_type="gzip")
    for n in range(10):
        p.produce(name, str(n).encode(), timestamp=1_000_000 + n * 1000)
    p.flush(DEADLINE_S)
    c = consumer()
    for at, offset in [(0, 0), (1_000_001, 1), (1_005_000, 5), (1_008_999, 9), (1_009_001, -1)]:
        eq(c.offsets_for_times([TopicPartition(name, 0, at)], 10)[0].offset, offset, f"offset for {at}")
    eq(c.get_watermark_offsets(TopicPartition(name, 0), 10), (0, 10))
    c.close()
    part = TopicPartition(name, 0)
    found = done(admin.list_offsets({part: adm.OffsetSpec.max_timestamp()}))[part]
    eq((found.offset, found.timestamp), (9, 1_009_000), "max timestamp")


@scenario("delete-records")
def delete_records():
    name = topic("delete-records")
    produce(name, [b"x"] * 10)
    part = TopicPartition(name, 0, 4)
    eq(done(admin.delete_records([part]))[part].low_watermark, 4)
    eq([r.offset() for r in read(name)], list(range(4, 10)))
    raises("OFFSET_OUT_OF_RANGE", lambda: done(admin.delete_records([TopicPartition(name, 0, 99)])))


@scenario("many-partitions")
def many_partitions():
    name = topic("many", 200)
    p = producer(linger_ms=10)
    for n in range(200):
        p.produce(name, str(n).encode(), partition=n)
    assert p.flush(DEADLINE_S) == 0
    c = consumer(unique("ck-many"))
    c.subscribe([name])
    eq(sorted((r.partition(), int(r.value())) for r in take(c, 200)), [(n, n) for n in range(200)])
    c.close()


@scenario("topics")
def topics():
    name = topic("topics", 3)
    meta = admin.list_topics(timeout=10).topics[name]
    eq(sorted(meta.partitions), [0, 1, 2])
    eq(meta.partitions[0].replicas, meta.partitions[0].isrs)
    raises("TOPIC_ALREADY_EXISTS", lambda: done(admin.create_topics([adm.NewTopic(name, 1, 1)])))
    raises("TOPIC_EXCEPTION", lambda: done(admin.create_topics([adm.NewTopic("bad/name", 1, 1)])))
    raises("INVALID_PARTITIONS", lambda: done(admin.create_topics([adm.NewTopic(unique("ck-none"), 0, 1)])))
    raises("INVALID_REPLICATION_FACTOR", lambda: done(admin.create_topics([adm.NewTopic(unique("ck-r"), 1, 3)])))
    raises("INVALID_CONFIG", lambda: done(admin.create_topics([adm.NewTopic(unique("ck-c"), 1, 1, config={"no.such": "1"})])))
    dry = unique("ck-dry")
    done(admin.create_topics([adm.NewTopic(dry, 1, 1)], validate_only=True))
    assert dry not in admin.list_topics(timeout=10).topics
    done(admin.delete_topics([name]))
    until("the topic is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    raises("UNKNOWN_TOPIC_OR_PART", lambda: done(admin.delete_topics([name])))


@scenario("create-partitions")
def create_partitions():
    name = topic("grow", 2)
    done(admin.create_partitions([adm.NewPartitions(name, 5)]))
    until("5 partitions", lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5)
    eq(produce(name, [b"x"], partition=4), [0])
    raises("INVALID_PARTITIONS", lambda: done(admin.create_partitions([adm.NewPartitions(name, 3)])))


@scenario("topic-ids")
def topic_ids():
    name = topic("ids", 2)
    described = done(admin.describe_topics(ck.TopicCollection([name])))[name]
    eq([p.id for p in described.partitions], [0, 1])
    assert str(described.topic_id) not in ("", "AAAAAAAAAAAAAAAAAAAAAA"), described.topic_id
    before = str(described.topic_id)
    done(admin.delete_topics([name]))
    until("the topic is gone", lambda: name not in admin.list_topics(timeout=10).topics)
    done(admin.create_topics([adm.NewTopic(name, 1, 1)]))
    until("the topic is known", lambda: name in admin.list_topics(timeout=10).topics)
    after = done(admin.describe_topics(ck.TopicCollection([name])))[name]
    assert str(after.topic_id) != before, "a new topic has a new id"


@scenario("configs")
def configs():
    name = topic("configs", retention_ms="1000000")
    resource = adm.ConfigResource(adm.ConfigResource.Type.TOPIC, name)

    def described():
        return done(admin.describe_configs([resource]))[resource]

    found = described()
    eq(found["retention.ms"].value, "1000000")
    eq(found["retention.ms"].source, adm.ConfigSource.DYNAMIC_TOPIC_CONFIG.value)
    eq(found["cleanup.policy"].value, "delete")
    eq(found["cleanup.policy"].is_default, True)
    change = adm.ConfigResource(
        adm.ConfigResource.Type.TOPIC,
        name,
        incremental_configs=[
            adm.ConfigEntry("cleanup.policy", "compact", incremental_operation=adm.AlterConfigOpType.APPEND),
            adm.ConfigEntry("retention.ms", None, incremental_operation=adm.AlterConfigOpType.DELETE),
            adm.ConfigEntry("max.message.bytes", "2000", incremental_operation=adm.AlterConfigOpType.SET),
        ],
    )
    done(admin.incremental_alter_configs([change]))
    until("the change shows", lambda: described()["max.message.bytes"].value == "2000")
    found = described()
    eq(found["cleanup.policy"].value, "delete,compact")
    eq(found["retention.ms"].value, "604800000")
    bad = adm.ConfigResource(
        adm.ConfigResource.Type.TOPIC,
        name,
        incremental_configs=[adm.ConfigEntry("no.such.key", "1", incremental_operation=adm.AlterConfigOpType.SET)],
    )
    raises("INVALID_CONFIG", lambda: done(admin.incremental_alter_configs([bad])))
    old = adm.ConfigResource(adm.ConfigResource.Type.TOPIC, name, set_config={"segment.ms": "60000"})
    done(admin.alter_configs([old]))
    until("the old call replaces all", lambda: described()["cleanup.policy"].value == "delete")
    eq(described()["segment.ms"].value, "60000")
    missing = adm.ConfigResource(adm.ConfigResource.Type.TOPIC, unique("ck-missing"))
    raises("UNKNOWN_TOPIC_OR_PART", lambda: done(admin.describe_configs([missing])))
    node = str(next(iter(admin.list_topics(timeout=10).brokers)))
    broker = adm.ConfigResource(adm.ConfigResource.Type.BROKER, node)
    assert "log.retention.ms" in done(admin.describe_configs([broker]))[broker]


def rebalance(**config):
    """A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way."""
    name = topic("-".join(config.values()), 4)
    group = unique("ck-" + "-".join(config.values()))
    for n in range(4):
        produce(name, [f"{n}".encode()], partition=n)
    first = consumer(group, **config)
    first.subscribe([name])
    eq(sorted(values(take(first, 4))), [b"0", b"1", b"2", b"3"])
    first.commit(asynchronous=False)
    second = consumer(group, **config)
    second.subscribe([name])

    def both(expected):
        first.poll(0.05)
        second.poll(0.05)
        return (len(first.assignment()), len(second.assignment())) == expected

    until("two partitions each", lambda: both((2, 2)))
    assert not {p.partition for p in first.assignment()} & {p.partition for p in second.assignment()}
    second.close()

    def alone():
        first.poll(0.05)
        return len(first.assignment()) == 4

    until("all partitions again", alone)
    for n in range(4):
        produce(name, [f"{n + 4}".encode()], partition=n)
    eq(sorted(values(take(first, 4))), [b"4", b"5", b"6", b"7"], "after the rebalance")
    first.close()


@scenario("group-range")
def group_range():
    rebalance(partition_assignment_strategy="range")


@scenario("group-cooperative")
def group_cooperative():
    rebalance(partition_assignment_strategy="cooperative-sticky")


@scenario("group-consumer-protocol")
def group_consumer_protocol():
    rebalance(group_protocol="consumer")
    rebalance(group_protocol="consumer", group_remote_assignor="range")


@scenario("group-migration")
def group_migration():
    """Each member is replaced by one of the other protocol, without a pause, and back; nothing is lost on the way."""
    name, group = topic("migration", 4), unique("ck-migration")
    former, count = None, 0
    for protocol in ["classic", "consumer", "classic"]:
        next_one = consumer(group, group_protocol=protocol)
        next_one.subscribe([name])
        if former is not None:

            def both():
                former.poll(0.05)
                next_one.poll(0.05)
                return (len(former.assignment()), len(next_one.assignment())) == (2, 2)

            until(f"two partitions each, {protocol} the newer one", both)
            former.close()

        def alone():
            next_one.poll(0.05)
            return len(next_one.assignment()) == 4

        until(f"all partitions, {protocol}", alone)
        for n in range(4):
            produce(name, [f"{count + n}".encode()], partition=n)
        eq(sorted(values(take(next_one, 4))), sorted(f"{count + n}".encode() for n in range(4)), protocol)
        next_one.commit(asynchronous=False)
        former, count = next_one, count + 4
    former.close()


@scenario("static-member")
def static_member():
    name = topic("static", 2)
    group = unique("ck-static")
    produce(name, [b"a"])
    generations = []
    for _ in range(2):
        c = consumer(group, group_instance_id="one", session_timeout_ms=45000)
        c.subscribe([name], on_assign=lambda c, parts: generations.append(len(parts)))
        until("an assignment", lambda: c.poll(0.1) is not None or c.assignment())
        eq(len(c.assignment()), 2)
        c.close()
    eq(generations, [2, 2])
    described = done(admin.describe_consumer_groups([group]))[group]
    eq([m.group_instance_id for m in described.members], ["one"], "a static member stays when it closes")


@scenario("commits")
def commits():
    name = topic("commits")
    group = unique("ck-commits")
    produce(name, [str(n).encode() for n in range(10)])
    c = consumer(group)
    eq([p.offset for p in c.committed([TopicPartition(name, 0)], 10)], [ck.OFFSET_INVALID], "before the first commit")
    c.subscribe([name])
    last = take(c, 4)[3]
    c.commit(offsets=[TopicPartition(name, 0, last.offset() + 1, "note")], asynchronous=False)
    c.close()
    c = consumer(group)
    found = c.committed([TopicPartition(name, 0)], 10)[0]
    eq((found.offset, found.metadata), (4, "note"))
    c.subscribe([name])
    eq(values(take(c, 6)), [str(n).encode() for n in range(4, 10)], "after resuming")
    c.close()


@scenario("transactions")
def transactions():
    name = topic("tx", 2)
    p = producer(transactional_id=unique("ck-tx"))
    p.init_transactions(DEADLINE_S)
    for outcome in ("commit", "abort", "commit"):
        p.begin_transaction()
        for partition in (0, 1):
            p.produce(name, outcome.encode(), partition=partition)
        p.flush(DEADLINE_S)
        p.commit_transaction(DEADLINE_S) if outcome == "commit" else p.abort_transaction(DEADLINE_S)
    for partition in (0, 1):
        eq(values(read(name, partition, isolation_level="read_committed")), [b"commit", b"commit"])
        eq(values(read(name, partition, isolation_level="read_uncommitted")), [b"commit", b"abort", b"commit"])
    p.begin_transaction()
    p.produce(name, b"open", partition=0)
    p.flush(DEADLINE_S)
    produce(name, [b"behind"])
    eq(values(read(name, isolation_level="read_committed")), [b"commit", b"commit"], "an open transaction hides what follows")
    p.commit_transaction(DEADLINE_S)
    eq(values(read(name, isolation_level="read_committed")), [b"commit", b"commit", b"open", b"behind"])


@scenario("fencing")
def fencing():
    name = topic("fencing")
    identity = unique("ck-fenced")
    old, new = producer(transactional_id=identity), producer(transactional_id=identity)
    old.init_transactions(DEADLINE_S)
    old.begin_transaction()
    old.produce(name, b"old")
    old.flush(DEADLINE_S)
    new.init_transactions(DEADLINE_S)
    raises("_FENCED", lambda: old.commit_transaction(DEADLINE_S))
    new.begin_transaction()
    new.produce(name, b"new")
    new.commit_transaction(DEADLINE_S)
    eq(values(read(name, isolation_level="read_committed")), [b"new"])


@scenario("exactly-once")
def exactly_once():
    source, target = topic("eo-in"), topic("eo-out")
    group = unique("ck-eo")
    produce(source, [str(n).encode() for n in range(100)])
    p = producer(transactional_id=unique("ck-eo"))
    p.init_transactions(DEADLINE_S)
    for attempt in range(4):
        c = consumer(group, isolation_level="read_committed")
        c.subscribe([source])
        batch = take(c, 25)[:25]
        p.begin_transaction()
        for record in batch:
            p.produce(target, b"copy " + record.value())
        p.send_offsets_to_transaction(
            [TopicPartition(source, 0, batch[-1].offset() + 1)], c.consumer_group_metadata(), DEADLINE_S
        )
        if attempt == 1:
            p.abort_transaction(DEADLINE_S)
        else:
            p.commit_transaction(DEADLINE_S)
        c.close()
    copied = values(read(target, isolation_level="read_committed"))
    eq(copied, [f"copy {n}".encode() for n in range(75)], "each input once, in order")


@scenario("groups-admin")
def groups_admin():
    name = topic("ga", 2)
    group = unique("ck-ga")
    produce(name, [b"x"])
    c = consumer(group, client_id="who")
    c.subscribe([name])
    take(c, 1)
    c.commit(asynchronous=False)
    listed = {g.group_id: g for g in done(admin.list_consumer_groups()).valid}
    eq((listed[group].state, listed[group].type), (ck.ConsumerGroupState.STABLE, ck.ConsumerGroupType.CLASSIC))
    empty = done(admin.list_consumer_groups(states={ck.ConsumerGroupState.EMPTY})).valid
    assert group not in {g.group_id for g in empty}
    described = done(admin.describe_consumer_groups([group]))[group]
    eq([m.client_id for m in described.members], ["who"])
    eq(len(described.members[0].assignment.topic_partitions), 2)
    eq((described.partition_assignor, described.state), ("range", ck.ConsumerGroupState.STABLE))
    raises("NON_EMPTY_GROUP", lambda: done(admin.delete_consumer_groups([group])))
    c.close()
    done(admin.delete_consumer_groups([group]))
    assert group not in {g.group_id for g in done(admin.list_consumer_groups()).valid}
    raises("GROUP_ID_NOT_FOUND", lambda: done(admin.delete_consumer_groups([group])))


@scenario("group-offsets-admin")
def group_offsets_admin():
    name = topic("goa", 2)
    group = unique("ck-goa")
    wanted = [TopicPartition(name, 0, 3), TopicPartition(name, 1, 7)]
    done(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))
    found = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))[group]
    eq(sorted((p.partition, p.offset) for p in found.topic_partitions), [(0, 3), (1, 7)])
    unknown = done(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(unique("ck-nobody"))]))
    eq([list(g.topic_partitions) for g in unknown.values()], [[]], "a group that nobody knows")


@scenario("cluster")
def cluster():
    described = done(admin.describe_cluster(include_authorized_operations=True))
    eq(len(described.nodes), 1)
    eq(f"{described.nodes[0].host}:{described.nodes[0].port}", BOOTSTRAP)
    assert described.cluster_id and described.controller is not None


@scenario("acls")
def acls():
    # Not describe_acls: this client drops the error of its answer.
    one = adm.AclBinding(
        adm.ResourceType.TOPIC,
        "t",
        adm.ResourcePatternType.LITERAL,
        "User:a",
        "*",
        adm.AclOperation.READ,
        adm.AclPermissionType.ALLOW,
    )
    raises("SECURITY_DISABLED", lambda: done(admin.create_acls([one])))


@scenario("elect-leaders")
def elect_leaders():
    name = topic("elect")
    part = TopicPartition(name, 0)
    result = done(admin.elect_leaders(ck.ElectionType.PREFERRED, [part]))
    error = result[part]
    assert error is None or error.code() == ck.KafkaError.ELECTION_NOT_NEEDED, error


main()
