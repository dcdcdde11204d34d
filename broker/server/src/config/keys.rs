//! Kafka's names of broker settings: what this broker knows, one row each, sorted by name.
//!
//! - [`fixed`]: read at the start. [`live`]: may also be altered while the broker runs (AlterConfigs).
//! - [`inert`]: accepted so that a `server.properties` of Apache Kafka can be used as it is, and without effect here: it
//!   is about threads, replicas, the controller, or a directory that is chosen otherwise.
//!
//! Which can be altered live is as in Kafka. Where a default is not Kafka's, the sentence says so.

use super::kind::Kind::{self, Bool, Double, Int, List, ListOf, Long, OneOf, Text};

const MAX: i64 = i64::MAX;
const MAX_INT: i64 = i32::MAX as i64;

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// `None` if it has no value unless one is set.
    pub(crate) default: Option<&'static str>,
    pub(crate) is_live: bool,
    pub(crate) doc: &'static str,
}

impl Key {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let index = KEYS.binary_search_by_key(&name, |key| key.name).ok()?;
        Some(&KEYS[index])
    }
}

const fn fixed(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        is_live: false,
        doc,
    }
}

const fn live(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        is_live: true,
        ..fixed(name, kind, default, doc)
    }
}

const fn inert(name: &'static str, kind: Kind, default: &'static str) -> Key {
    fixed(
        name,
        kind,
        default,
        "Accepted for configurations of Apache Kafka; without effect here.",
    )
}

impl Key {
    const fn unset(mut self) -> Self {
        self.default = None;
        self
    }
}

const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const POLICIES: &[&str] = &["compact", "delete"];
const PROTOCOLS: &[&str] = &["classic", "consumer", "streams", "share"];

/// All of them.
pub(crate) const KEYS: &[Key] = &[
    fixed(
        "advertised.listeners",
        List,
        "",
        "Where clients are told to connect to, as NAME://host:port; by default where the broker listens.",
    )
    .unset(),
    fixed(
        "auto.create.topics.enable",
        Bool,
        "true",
        "Whether asking for, or writing to, a topic that does not exist creates it.",
    ),
    inert("auto.leader.rebalance.enable", Bool, "true"),
    inert("background.threads", Int(1, MAX_INT), "10"),
    fixed(
        "broker.id",
        Int(1, 1),
        "1",
        "The id of the one node, which is always 1.",
    ),
    inert("broker.rack", Text, "").unset(),
    live(
        "compression.gzip.level",
        Int(-1, 9),
        "-1",
        "The level of topics that recompress to gzip; -1 is the codec's own default.",
    ),
    live(
        "compression.lz4.level",
        Int(1, 17),
        "9",
        "The level of topics that recompress to lz4.",
    ),
    live(
        "compression.type",
        OneOf(CODECS),
        "producer",
        "How topics keep their batches: as the producer compressed them, or recompressed.",
    ),
    live(
        "compression.zstd.level",
        Int(-131_072, 22),
        "3",
        "The level of topics that recompress to zstd.",
    ),
    fixed(
        "connections.max.idle.ms",
        Long(1, MAX_INT),
        "600000",
        "A connection without a request for this long is closed.",
    ),
    inert("controlled.shutdown.enable", Bool, "true"),
    fixed(
        "controller.listener.names",
        List,
        "",
        "Listeners that are left out: the controller has no port of its own here.",
    )
    .unset(),
    inert("controller.quorum.bootstrap.servers", List, ""),
    inert("controller.quorum.voters", List, ""),
    fixed(
        "default.replication.factor",
        Int(1, 1),
        "1",
        "How many copies of a partition there are: one node keeps one.",
    ),
    fixed(
        "delete.topic.enable",
        Bool,
        "true",
        "Whether topics may be deleted.",
    ),
    fixed(
        "fetch.max.bytes",
        Int(1024, MAX_INT),
        "57671680",
        "The most that one answer to a fetch holds, but for its first batch.",
    ),
    fixed(
        "group.consumer.assignors",
        List,
        "uniform,range",
        "The assignors of the server for the consumer protocol, the default one first.",
    ),
    fixed(
        "group.consumer.heartbeat.interval.ms",
        Int(1, MAX_INT),
        "5000",
        "How often members of the consumer protocol are told to heartbeat.",
    ),
    fixed(
        "group.consumer.max.heartbeat.interval.ms",
        Int(1, MAX_INT),
        "15000",
        "The longest heartbeat interval that a group may ask for.",
    ),
    fixed(
        "group.consumer.max.session.timeout.ms",
        Int(1, MAX_INT),
        "60000",
        "The longest session timeout that a group may ask for.",
    ),
    fixed(
        "group.consumer.max.size",
        Int(1, MAX_INT),
        "2147483647",
        "The most members of a group of the consumer protocol.",
    ),
    fixed(
        "group.consumer.migration.policy",
        OneOf(&["disabled", "bidirectional", "upgrade", "downgrade"]),
        "bidirectional",
        "Whether a group with members may change from the classic to the consumer protocol (upgrade) and back (downgrade).",
    ),
    fixed(
        "group.consumer.min.heartbeat.interval.ms",
        Int(1, MAX_INT),
        "5000",
        "The shortest heartbeat interval that a group may ask for.",
    ),
    fixed(
        "group.consumer.min.session.timeout.ms",
        Int(1, MAX_INT),
        "45000",
        "The shortest session timeout that a group may ask for.",
    ),
    fixed(
        "group.consumer.session.timeout.ms",
        Int(1, MAX_INT),
        "45000",
        "A member of the consumer protocol that is silent for this long is removed.",
    ),
    fixed(
        "group.coordinator.rebalance.protocols",
        ListOf(PROTOCOLS),
        "classic,consumer",
        "The group protocols that are served.",
    ),
    fixed(
        "group.initial.rebalance.delay.ms",
        Int(0, MAX_INT),
        "100",
        "How long the first rebalance of an empty group waits for more members. Kafka waits 3000.",
    ),
    fixed(
        "group.max.session.timeout.ms",
        Int(1, MAX_INT),
        "1800000",
        "The longest session timeout of the classic protocol.",
    ),
    fixed(
        "group.max.size",
        Int(1, MAX_INT),
        "2147483647",
        "The most members of a group of the classic protocol.",
    ),
    fixed(
        "group.min.session.timeout.ms",
        Int(1, MAX_INT),
        "6000",
        "The shortest session timeout of the classic protocol.",
    ),
    inert("inter.broker.listener.name", Text, "").unset(),
    fixed(
        "listener.security.protocol.map",
        List,
        "PLAINTEXT:PLAINTEXT",
        "The security protocol of each listener's name.",
    ),
    fixed(
        "listeners",
        List,
        "PLAINTEXT://127.0.0.1:9092",
        "Where to listen, as NAME://host:port. Kafka listens on all interfaces, this broker on loopback.",
    ),
    inert("log.cleaner.backoff.ms", Long(0, MAX), "15000"),
    inert("log.cleaner.dedupe.buffer.size", Long(1, MAX), "134217728"),
    live(
        "log.cleaner.delete.retention.ms",
        Long(0, MAX),
        "86400000",
        "How long a compacted topic keeps the record that a key was deleted.",
    ),
    fixed(
        "log.cleaner.enable",
        OneOf(&["true"]),
        "true",
        "Whether compacted topics are compacted.",
    ),
    live(
        "log.cleaner.max.compaction.lag.ms",
        Long(1, MAX),
        "9223372036854775807",
        "The longest that a record stays uncompacted.",
    ),
    live(
        "log.cleaner.min.cleanable.ratio",
        Double(0.0, 1.0),
        "0.5",
        "The share of uncompacted bytes from which a log is compacted.",
    ),
    live(
        "log.cleaner.min.compaction.lag.ms",
        Long(0, MAX),
        "0",
        "The shortest that a record stays uncompacted.",
    ),
    inert("log.cleaner.threads", Int(0, MAX_INT), "1"),
    live(
        "log.cleanup.policy",
        ListOf(POLICIES),
        "delete",
        "What happens to old records of topics.",
    ),
    inert("log.dir", Text, "/tmp/kafka-logs"),
    inert("log.dirs", List, "").unset(),
    live(
        "log.flush.interval.messages",
        Long(1, MAX),
        "9223372036854775807",
        "Records between two flushes. Without effect: whatever is acknowledged is on disk.",
    ),
    live(
        "log.flush.interval.ms",
        Long(0, MAX),
        "",
        "Time between two flushes. Without effect: whatever is acknowledged is on disk.",
    )
    .unset(),
    inert(
        "log.flush.offset.checkpoint.interval.ms",
        Int(0, MAX_INT),
        "60000",
    ),
    inert(
        "log.flush.scheduler.interval.ms",
        Long(0, MAX),
        "9223372036854775807",
    ),
    live(
        "log.index.interval.bytes",
        Int(0, MAX_INT),
        "4096",
        "Bytes of a log between two entries of its index.",
    ),
    live(
        "log.index.size.max.bytes",
        Int(4, MAX_INT),
        "10485760",
        "The largest index of a segment.",
    ),
    live(
        "log.local.retention.bytes",
        Long(-2, MAX),
        "-2",
        "The local share of a tiered log; there is no other tier.",
    ),
    live(
        "log.local.retention.ms",
        Long(-2, MAX),
        "-2",
        "The local time of a tiered log; there is no other tier.",
    ),
    live(
        "log.message.timestamp.after.max.ms",
        Long(0, MAX),
        "3600000",
        "How far in the future the time of a record may be.",
    ),
    live(
        "log.message.timestamp.before.max.ms",
        Long(0, MAX),
        "9223372036854775807",
        "How far in the past the time of a record may be.",
    ),
    live(
        "log.message.timestamp.type",
        OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whose time records carry: the producer's or the broker's.",
    ),
    live(
        "log.preallocate",
        Bool,
        "false",
        "Whether segments are preallocated.",
    ),
    live(
        "log.retention.bytes",
        Long(-1, MAX),
        "-1",
        "The size of a partition from which old segments are deleted; -1 for any.",
    ),
    inert("log.retention.check.interval.ms", Long(1, MAX), "300000"),
    fixed(
        "log.retention.hours",
        Int(-1, MAX_INT),
        "168",
        "How long records are kept; -1 for ever.",
    ),
    fixed(
        "log.retention.minutes",
        Int(-1, MAX_INT),
        "",
        "How long records are kept; before log.retention.hours.",
    )
    .unset(),
    live(
        "log.retention.ms",
        Long(-1, MAX),
        "",
        "How long records are kept; before log.retention.minutes.",
    )
    .unset(),
    fixed(
        "log.roll.hours",
        Int(1, MAX_INT),
        "168",
        "The age at which a segment is closed.",
    ),
    fixed(
        "log.roll.jitter.hours",
        Int(0, MAX_INT),
        "0",
        "The random part of that age.",
    ),
    live(
        "log.roll.jitter.ms",
        Long(0, MAX),
        "",
        "The random part of that age; before log.roll.jitter.hours.",
    )
    .unset(),
    live(
        "log.roll.ms",
        Long(1, MAX),
        "",
        "The age at which a segment is closed; before log.roll.hours.",
    )
    .unset(),
    live(
        "log.segment.bytes",
        Int(14, MAX_INT),
        "1073741824",
        "The size at which a segment is closed.",
    ),
    live(
        "log.segment.delete.delay.ms",
        Long(0, MAX),
        "60000",
        "How long the files of deleted segments stay.",
    ),
    live(
        "max.connection.creation.rate",
        Int(0, MAX_INT),
        "2147483647",
        "New connections per second.",
    ),
    live(
        "max.connections",
        Int(0, MAX_INT),
        "10000",
        "Connections at the same time; more are closed at once. Kafka allows any number.",
    ),
    live(
        "max.connections.per.ip",
        Int(0, MAX_INT),
        "2147483647",
        "Connections of one address at the same time.",
    ),
    fixed(
        "max.incremental.fetch.session.cache.slots",
        Int(0, MAX_INT),
        "1000",
        "Fetch sessions that are remembered.",
    ),
    live(
        "message.max.bytes",
        Int(0, MAX_INT),
        "1048588",
        "The largest batch that topics accept.",
    ),
    inert("metadata.log.dir", Text, "").unset(),
    live(
        "min.insync.replicas",
        Int(1, MAX_INT),
        "1",
        "Accepted as Kafka accepts it; the one replica is always in sync.",
    ),
    fixed(
        "node.id",
        Int(1, 1),
        "1",
        "The id of the one node, which is always 1.",
    ),
    inert("num.io.threads", Int(1, MAX_INT), "8"),
    inert("num.network.threads", Int(1, MAX_INT), "3"),
    fixed(
        "num.partitions",
        Int(1, 100_000),
        "1",
        "Partitions of a topic that is created without saying how many.",
    ),
    inert("num.recovery.threads.per.data.dir", Int(1, MAX_INT), "2"),
    inert("num.replica.fetchers", Int(1, MAX_INT), "1"),
    fixed(
        "offset.metadata.max.bytes",
        Int(0, MAX_INT),
        "4096",
        "The most text that a client may commit with an offset.",
    ),
    fixed(
        "offsets.retention.check.interval.ms",
        Long(1, MAX),
        "600000",
        "How often expired offsets are looked for.",
    ),
    fixed(
        "offsets.retention.minutes",
        Int(1, MAX_INT),
        "10080",
        "How long the offsets of a group without members are kept.",
    ),
    inert("offsets.topic.num.partitions", Int(1, MAX_INT), "50"),
    inert("offsets.topic.replication.factor", Int(1, 32_767), "1"),
    inert(
        "process.roles",
        ListOf(&["broker", "controller"]),
        "broker,controller",
    ),
    fixed(
        "producer.id.expiration.ms",
        Int(1, MAX_INT),
        "86400000",
        "How long a partition remembers a producer that is silent.",
    ),
    fixed(
        "queued.max.request.bytes",
        Long(-1, MAX),
        "-1",
        "The memory of all requests that are being read or worked on; -1 for the broker's own choice.",
    ),
    fixed(
        "queued.max.requests",
        Int(1, MAX_INT),
        "500",
        "Requests of all connections that may wait to be worked on.",
    ),
    fixed(
        "quota.window.num",
        Int(1, MAX_INT),
        "11",
        "Windows over which rates are averaged for quotas.",
    ),
    fixed(
        "quota.window.size.seconds",
        Int(1, MAX_INT),
        "1",
        "The length of such a window.",
    ),
    inert("replica.lag.time.max.ms", Long(1, MAX), "30000"),
    inert("replica.selector.class", Text, "").unset(),
    inert("request.timeout.ms", Int(1, MAX_INT), "30000"),
    inert("share.coordinator.state.topic.min.isr", Int(1, 32_767), "1"),
    inert(
        "share.coordinator.state.topic.replication.factor",
        Int(1, 32_767),
        "1",
    ),
    inert("socket.listen.backlog.size", Int(1, MAX_INT), "50"),
    inert("socket.receive.buffer.bytes", Int(-1, MAX_INT), "102400"),
    fixed(
        "socket.request.max.bytes",
        Int(1, 100 << 20),
        "104857600",
        "The largest request.",
    ),
    inert("socket.send.buffer.bytes", Int(-1, MAX_INT), "102400"),
    fixed(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Int(1, MAX_INT),
        "10000",
        "How often transactions that took too long are looked for at the latest; they are aborted sooner here.",
    ),
    fixed(
        "transaction.max.timeout.ms",
        Int(1, MAX_INT),
        "900000",
        "The longest transaction.timeout.ms that a producer may ask for.",
    ),
    inert(
        "transaction.partition.verification.enable",
        OneOf(&["true"]),
        "true",
    ),
    inert("transaction.state.log.min.isr", Int(1, 32_767), "1"),
    inert("transaction.state.log.num.partitions", Int(1, MAX_INT), "50"),
    inert("transaction.state.log.replication.factor", Int(1, 32_767), "1"),
    fixed(
        "transactional.id.expiration.ms",
        Int(1, MAX_INT),
        "604800000",
        "How long a transactional id without a transaction is remembered.",
    ),
    live(
        "unclean.leader.election.enable",
        Bool,
        "false",
        "Accepted as Kafka accepts it; the one replica is always in sync.",
    ),
];
