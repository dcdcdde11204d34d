"""aiokafka."""

import asyncio
import contextlib
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import for_code
from aiokafka.structs import OffsetAndMetadata

from harness import BOOTSTRAP, CODECS, DEADLINE_S, eq, main, raises, scenario, unique


@contextlib.asynccontextmanager
async def administrator():
    client = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def producer(**config):
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **config) as p:
        yield p


@contextlib.asynccontextmanager
async def consumer(*topics, group=None, **config):
    base = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False, "metadata_max_age_ms": 2000}
    c = AIOKafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, **{**base, **config})
    await c.start()
    try:
        yield c
    finally:
        await c.stop()


def refuse(errors):
    for _, code, *rest in errors:
        if code:
            raise for_code(code)(str(rest))


async def until(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (result := await condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
    return result


async def raises_async(names, awaitable):
    try:
        result = await awaitable
    except Exception as error:
        caught = error
        raises(names, lambda: (_ for _ in ()).throw(caught))
        return
    raise AssertionError(f"no error but {result}, expected {names}")


async def create(name, partitions=1, replicas=1, config=None, validate_only=False):
    async with administrator() as admin:
        answer = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=config)], validate_only=validate_only)
        refuse(answer.topic_errors)


async def topic(name, partitions=1, **config):
    name = unique(f"aio-{name}")
    await create(name, partitions, config={key.replace("_", "."): value for key, value in config.items()})

    async def known():
        async with administrator() as admin:
            return name in await admin.list_topics()

    await until("the topic is known", known)
    return name


async def produce(name, values, partition=0, **config):
    async with producer(**config) as p:
        futures = [await p.send(name, value, partition=partition) for value in values]
        await p.flush()
        return [(await future).offset for future in futures]


async def take(c, count):
    records = []

    async def poll():
        for part in (await c.getmany(timeout_ms=100)).values():
            records.extend(part)
        return len(records) >= count

    await until(f"{count} records", poll)
    return records


async def read(name, partition=0, **config):
    """All records up to the end as this isolation level sees it."""
    part = TopicPartition(name, partition)
    records = []
    async with consumer(**config) as c:
        c.assign([part])
        await c.seek_to_beginning(part)
        end = (await c.end_offsets([part]))[part]

        async def poll():
            for found in (await c.getmany(timeout_ms=100)).values():
                records.extend(found)
            return await c.position(part) >= end

        await until("the end of the partition", poll)
    return records


def values(records):
    return [record.value for record in records]


@scenario("codecs")
async def codecs():
    for codec in CODECS:
        name = await topic(f"codec-{codec}")
        sent = [f"{codec} {n} ".encode() * 20 for n in range(500)]
        await produce(name, sent, compression_type=None if codec == "none" else codec, linger_ms=20)
        eq(values(await read(name)), sent, codec)


@scenario("records")
async def records():
    name = await topic("records")
    async with producer() as p:
        headers = [("a", b"1"), ("a", b"2"), ("empty", b"")]
        await p.send_and_wait(name, b"v", key=b"k", headers=headers, timestamp_ms=1234567890123, partition=0)
        await p.send_and_wait(name, None, key=b"tombstone", partition=0)
        first, tombstone = await read(name)
        eq(list(first.headers), headers, "headers")
        eq((first.timestamp, first.timestamp_type), (1234567890123, 0), "timestamp")
        eq((first.key, first.value), (b"k", b"v"))
        eq((tombstone.key, tombstone.value), (b"tombstone", None))
        appended = await topic("append-time", message_timestamp_type="LogAppendTime")
        await p.send_and_wait(appended, b"v", timestamp_ms=5, partition=0)
        record = (await read(appended))[0]
        eq(record.timestamp_type, 1)
        assert abs(record.timestamp / 1000 - time.time()) < 60, record.timestamp


@scenario("idempotence")
async def idempotence():
    name = await topic("idempotence")
    sent = [str(n).encode() for n in range(1000)]
    eq(await produce(name, sent, enable_idempotence=True, max_batch_size=200), list(range(1000)), "offsets")
    eq(values(await read(name)), sent)


@scenario("large-records")
async def large_records():
    name = await topic("large", max_message_bytes="100000")
    await raises_async("MessageSizeTooLarge", produce(name, [b"x" * 200_000], max_request_size=10_000_000))
    await produce(name, [b"y" * 90_000])
    wide = await topic("wide", max_message_bytes="10000000")
    await produce(wide, [b"z" * 5_000_000], max_request_size=10_000_000)
    eq([len(v) for v in values(await read(wide))], [5_000_000])


@scenario("offsets-for-times")
async def offsets_for_times():
    name = await topic("times")
    part = TopicPartition(name, 0)
    async with producer(linger_ms=100, compression_type="gzip") as p:
        for n in range(10):
            await p.send(name, str(n).encode(), timestamp_ms=1_000_000 + n * 1000, partition=0)
        await p.flush()
    async with consumer() as c:
        c.assign([part])
        for at, offset in [(0, 0), (1_000_001, 1), (1_005_000, 5), (1_008_999, 9)]:
            eq((await c.offsets_for_times({part: at}))[part].offset, offset, f"offset for {at}")
        assert (await c.offsets_for_times({part: 1_009_001}))[part] is None
        eq(((await c.beginning_offsets([part]))[part], (await c.end_offsets([part]))[part]), (0, 10))


@scenario("delete-records")
async def delete_records():
    name = await topic("delete-records")
    part = TopicPartition(name, 0)
    await produce(name, [b"x"] * 10)
    async with administrator() as admin:
        eq((await admin.delete_records({part: RecordsToDelete(4)}))[part], 4)
        await raises_async("OffsetOutOfRange", admin.delete_records({part: RecordsToDelete(99)}))
    eq([r.offset for r in await read(name)], list(range(4, 10)))


@scenario("many-partitions")
async def many_partitions():
    name = await topic("many", 200)
    async with producer(linger_ms=10) as p:
        for n in range(200):
            await p.send(name, str(n).encode(), partition=n)
        await p.flush()
    async with consumer(name, group=unique("aio-many")) as c:
        found = await take(c, 200)
    eq(sorted((r.partition, int(r.value)) for r in found), [(n, n) for n in range(200)])


@scenario("topics")
async def topics():
    name = await topic("topics", 3)
    async with administrator() as admin:
        described = (await admin.describe_topics([name]))[0]
        eq(sorted(p["partition"] for p in described["partitions"]), [0, 1, 2])
        await raises_async("TopicAlreadyExists", create(name))
        await raises_async("InvalidTopic", create("bad/name"))
        await raises_async("InvalidReplicationFactor", create(unique("aio-r"), replicas=3))
        await raises_async("InvalidConfig", create(unique("aio-c"), config={"no.such": "1"}))
        dry = unique("aio-dry")
        await create(dry, validate_only=True)
        assert dry not in await admin.list_topics()
        refuse((await admin.delete_topics([name])).topic_error_codes)

        async def gone():
            return name not in await admin.list_topics()

        await until("the topic is gone", gone)
        again = await admin.delete_topics([name])
        raises("UnknownTopicOrPartition", lambda: refuse(again.topic_error_codes))


@scenario("create-partitions")
async def create_partitions():
    name = await topic("grow", 2)
    async with administrator() as admin:
        await admin.create_partitions({name: NewPartitions(5)})

        async def grown():
            return len((await admin.describe_topics([name]))[0]["partitions"]) == 5

        await until("5 partitions", grown)
        await raises_async("InvalidPartitions", admin.create_partitions({name: NewPartitions(3)}))
    eq(await produce(name, [b"x"], partition=4), [0])


@scenario("configs")
async def configs():
    name = await topic("configs", retention_ms="1000000")
    async with administrator() as admin:

        async def described():
            answer = (await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)]))[0]
            eq(answer.resources[0][0], 0, "error code")
            return {key: value for key, value, *_ in answer.resources[0][4]}

        found = await described()
        eq((found["retention.ms"], found["cleanup.policy"]), ("1000000", "delete"))
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"segment.ms": "60000"})])

        async def changed():
            return (await described())["segment.ms"] == "60000"

        await until("the change shows", changed)
        eq((await described())["retention.ms"], "604800000", "the old call replaces all")


async def rebalance(assignor):
    """A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way."""
    name = await topic(f"group-{assignor.name}", 4)
    for n in range(4):
        await produce(name, [f"{n}".encode()], partition=n)
    options = {
        "group": unique(f"aio-{assignor.name}"),
        "partition_assignment_strategy": [assignor],
        "heartbeat_interval_ms": 500,
    }
    async with consumer(name, **options) as first:
        eq(sorted(values(await take(first, 4))), [b"0", b"1", b"2", b"3"])
        await first.commit()
        async with consumer(name, **options) as second:

            async def shared():
                await asyncio.gather(first.getmany(timeout_ms=50), second.getmany(timeout_ms=50))
                return (len(first.assignment()), len(second.assignment())) == (2, 2)

            await until("two partitions each", shared)
            assert not first.assignment() & second.assignment()

        async def alone():
            await first.getmany(timeout_ms=50)
            return len(first.assignment()) == 4

        await until("all partitions again", alone)
        for n in range(4):
            await produce(name, [f"{n + 4}".encode()], partition=n)
        eq(sorted(values(await take(first, 4))), [b"4", b"5", b"6", b"7"], "after the rebalance")


@scenario("group-range")
async def group_range():
    await rebalance(RangePartitionAssignor)


@scenario("group-sticky")
async def group_sticky():
    await rebalance(StickyPartitionAssignor)


@scenario("static-member")
async def static_member():
    name = await topic("static", 2)
    group = unique("aio-static")
    members = []
    for _ in range(2):
        async with consumer(name, group=group, group_instance_id="one") as c:

            async def assigned():
                await c.getmany(timeout_ms=100)
                return len(c.assignment()) == 2

            await until("an assignment", assigned)
        async with administrator() as admin:
            answer = (await admin.describe_consumer_groups([group]))[0]
            members.append(len(answer.groups[0][5]))
    eq(members, [1, 1], "a static member stays when it closes")


@scenario("commits")
async def commits():
    name = await topic("commits")
    part = TopicPartition(name, 0)
    group = unique("aio-commits")
    await produce(name, [str(n).encode() for n in range(10)])
    async with consumer(name, group=group, max_poll_records=4) as c:
        assert await c.committed(part) is None, "before the first commit"
        await take(c, 4)
        await c.commit({part: (4, "note")})
    async with consumer(name, group=group) as c:
        eq(await c.committed(part), 4)
        eq(values(await take(c, 6)), [str(n).encode() for n in range(4, 10)], "after resuming")
    async with administrator() as admin:
        eq(await admin.list_consumer_group_offsets(group), {part: OffsetAndMetadata(4, "note")})


@scenario("transactions")
async def transactions():
    name = await topic("tx", 2)
    async with producer(transactional_id=unique("aio-tx")) as p:
        for outcome in ("commit", "abort", "commit"):
            await p.begin_transaction()
            for partition in (0, 1):
                await p.send(name, outcome.encode(), partition=partition)
            await p.flush()
            await (p.commit_transaction() if outcome == "commit" else p.abort_transaction())
        for partition in (0, 1):
            eq(values(await read(name, partition, isolation_level="read_committed")), [b"commit", b"commit"])
            eq(values(await read(name, partition)), [b"commit", b"abort", b"commit"])
        await p.begin_transaction()
        await p.send_and_wait(name, b"open", partition=0)
        await produce(name, [b"behind"])
        eq(values(await read(name, isolation_level="read_committed")), [b"commit", b"commit"], "behind an open transaction")
        await p.commit_transaction()
        eq(values(await read(name, isolation_level="read_committed")), [b"commit", b"commit", b"open", b"behind"])


@scenario("fencing")
async def fencing():
    name = await topic("fencing")
    identity = unique("aio-fenced")
    async with producer(transactional_id=identity) as old:
        await old.begin_transaction()
        await old.send_and_wait(name, b"old", partition=0)
        async with producer(transactional_id=identity) as new:
            await raises_async("ProducerFenced|InvalidProducerEpoch", old.commit_transaction())
            await new.begin_transaction()
            await new.send_and_wait(name, b"new", partition=0)
            await new.commit_transaction()
    eq(values(await read(name, isolation_level="read_committed")), [b"new"])


@scenario("exactly-once")
async def exactly_once():
    source, target = await topic("eo-in"), await topic("eo-out")
    part = TopicPartition(source, 0)
    group = unique("aio-eo")
    await produce(source, [str(n).encode() for n in range(100)])
    async with producer(transactional_id=unique("aio-eo")) as p:
        for attempt in range(4):
            async with consumer(source, group=group, isolation_level="read_committed", max_poll_records=25) as c:
                batch = (await take(c, 25))[:25]
                await p.begin_transaction()
                for record in batch:
                    await p.send(target, b"copy " + record.value, partition=0)
                await p.send_offsets_to_transaction({part: batch[-1].offset + 1}, group)
                await (p.abort_transaction() if attempt == 1 else p.commit_transaction())
    copied = values(await read(target, isolation_level="read_committed"))
    eq(copied, [f"copy {n}".encode() for n in range(75)], "each input once, in order")


@scenario("groups-admin")
async def groups_admin():
    name = await topic("ga", 2)
    group = unique("aio-ga")
    async with consumer(name, group=group, client_id="who") as c, administrator() as admin:

        async def assigned():
            await c.getmany(timeout_ms=100)
            return len(c.assignment()) == 2

        await until("an assignment", assigned)
        assert group in [g[0] for g in await admin.list_consumer_groups()]
        code, found, state, kind, _, members, *_ = (await admin.describe_consumer_groups([group]))[0].groups[0]
        eq((code, found, state, kind), (0, group, "Stable", "consumer"))
        eq([member[-4] if len(member) > 5 else member[1] for member in members], ["who"])


@scenario("cluster")
async def cluster():
    async with administrator() as admin:
        described = await admin.describe_cluster()
        eq([f"{b['host']}:{b['port']}" for b in described["brokers"]], [BOOTSTRAP])
        assert described["cluster_id"]


main()
