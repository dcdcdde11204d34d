//! Topic settings as DescribeConfigs shows them: their types, what they are for, and the broker's settings that give their
//! defaults (Kafka's `ServerTopicConfigSynonyms`). Which keys there are and what their values may be is the storage's.

use super::kind::ConfigType::{self, Boolean, Double, Int, List, Long, String};

#[derive(Debug)]
pub(crate) struct TopicKey {
    pub(crate) name: &'static str,
    pub(crate) config_type: ConfigType,
    /// The first that has a value counts.
    pub(crate) synonyms: &'static [Synonym],
    pub(crate) doc: &'static str,
}

/// A broker setting, and what its unit is in those of the topic's.
#[derive(Debug)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) factor: i64,
}

impl Synonym {
    /// The broker's value in the topic's unit. A negative time is no time in any unit.
    pub(crate) fn convert(&self, value: &str) -> std::string::String {
        match value.parse::<i64>() {
            Ok(number) if self.factor != 1 && number >= 0 => number.saturating_mul(self.factor).to_string(),
            Ok(_) | Err(_) => value.to_owned(),
        }
    }
}

impl TopicKey {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        TOPIC_KEYS.iter().find(|key| key.name == name)
    }
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const fn hours(name: &'static str) -> Synonym {
    Synonym {
        name,
        factor: 3_600_000,
    }
}

const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, factor: 60_000 }
}

const fn key(
    name: &'static str,
    config_type: ConfigType,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> TopicKey {
    TopicKey {
        name,
        config_type,
        synonyms,
        doc,
    }
}

/// All of them, sorted by name.
pub(crate) const TOPIC_KEYS: &[TopicKey] = &[
    key(
        "cleanup.policy",
        List,
        &[same("log.cleanup.policy")],
        "What happens to old records: they are deleted, or compacted to the last one of each key.",
    ),
    key(
        "compression.gzip.level",
        Int,
        &[same("compression.gzip.level")],
        "The level of gzip where batches are recompressed to it.",
    ),
    key(
        "compression.lz4.level",
        Int,
        &[same("compression.lz4.level")],
        "The level of lz4 where batches are recompressed to it.",
    ),
    key(
        "compression.type",
        String,
        &[same("compression.type")],
        "How batches are kept: as the producer compressed them, or recompressed.",
    ),
    key(
        "compression.zstd.level",
        Int,
        &[same("compression.zstd.level")],
        "The level of zstd where batches are recompressed to it.",
    ),
    key(
        "confluent.key.schema.validation",
        Boolean,
        &[],
        "Whether keys must name a schema that is registered under their subject.",
    ),
    key(
        "confluent.key.subject.name.strategy",
        String,
        &[],
        "Which subject the schemas of keys are registered under: by topic, by record, or by both.",
    ),
    key(
        "confluent.value.schema.validation",
        Boolean,
        &[],
        "Whether values must name a schema that is registered under their subject.",
    ),
    key(
        "confluent.value.subject.name.strategy",
        String,
        &[],
        "Which subject the schemas of values are registered under: by topic, by record, or by both.",
    ),
    key(
        "delete.retention.ms",
        Long,
        &[same("log.cleaner.delete.retention.ms")],
        "How long a compacted topic keeps the record that a key was deleted.",
    ),
    key(
        "file.delete.delay.ms",
        Long,
        &[same("log.segment.delete.delay.ms")],
        "How long the files of deleted segments stay.",
    ),
    key(
        "flush.messages",
        Long,
        &[same("log.flush.interval.messages")],
        "Records between two flushes. Without effect: whatever is acknowledged is on disk.",
    ),
    key(
        "flush.ms",
        Long,
        &[
            same("log.flush.interval.ms"),
            same("log.flush.scheduler.interval.ms"),
        ],
        "Time between two flushes. Without effect: whatever is acknowledged is on disk.",
    ),
    key(
        "follower.replication.throttled.replicas",
        List,
        &[],
        "Accepted; there are no followers.",
    ),
    key(
        "index.interval.bytes",
        Int,
        &[same("log.index.interval.bytes")],
        "Bytes of a log between two entries of its index.",
    ),
    key(
        "leader.replication.throttled.replicas",
        List,
        &[],
        "Accepted; there are no followers.",
    ),
    key(
        "local.retention.bytes",
        Long,
        &[same("log.local.retention.bytes")],
        "The local share of a tiered log; there is no other tier.",
    ),
    key(
        "local.retention.ms",
        Long,
        &[same("log.local.retention.ms")],
        "The local time of a tiered log; there is no other tier.",
    ),
    key(
        "max.compaction.lag.ms",
        Long,
        &[same("log.cleaner.max.compaction.lag.ms")],
        "The longest that a record stays uncompacted.",
    ),
    key(
        "max.message.bytes",
        Int,
        &[same("message.max.bytes")],
        "The largest batch that is accepted.",
    ),
    key(
        "message.timestamp.after.max.ms",
        Long,
        &[same("log.message.timestamp.after.max.ms")],
        "How far in the future the time of a record may be.",
    ),
    key(
        "message.timestamp.before.max.ms",
        Long,
        &[same("log.message.timestamp.before.max.ms")],
        "How far in the past the time of a record may be.",
    ),
    key(
        "message.timestamp.type",
        String,
        &[same("log.message.timestamp.type")],
        "Whose time records carry: the producer's or the broker's.",
    ),
    key(
        "millstream.key.schema.validation",
        String,
        &[],
        "How keys are held against their schemas: not (none), by their id (id), or byte by byte (body).",
    ),
    key(
        "millstream.schema.on.invalid",
        String,
        &[],
        "What happens to a record that is not as its schema says: its batch is refused (reject), or it becomes a dead letter and the rest is kept (dlq).",
    ),
    key(
        "millstream.value.schema.validation",
        String,
        &[],
        "How values are held against their schemas: not (none), by their id (id), or byte by byte (body).",
    ),
    key(
        "min.cleanable.dirty.ratio",
        Double,
        &[same("log.cleaner.min.cleanable.ratio")],
        "The share of uncompacted bytes from which a log is compacted.",
    ),
    key(
        "min.compaction.lag.ms",
        Long,
        &[same("log.cleaner.min.compaction.lag.ms")],
        "The shortest that a record stays uncompacted.",
    ),
    key(
        "min.insync.replicas",
        Int,
        &[same("min.insync.replicas")],
        "Accepted; the one replica is always in sync.",
    ),
    key(
        "preallocate",
        Boolean,
        &[same("log.preallocate")],
        "Whether segments are preallocated.",
    ),
    key(
        "remote.storage.enable",
        Boolean,
        &[],
        "Whether old segments go to another tier; there is none.",
    ),
    key(
        "retention.bytes",
        Long,
        &[same("log.retention.bytes")],
        "The size of a partition from which old segments are deleted; -1 for any.",
    ),
    key(
        "retention.ms",
        Long,
        &[
            same("log.retention.ms"),
            minutes("log.retention.minutes"),
            hours("log.retention.hours"),
        ],
        "How long records are kept; -1 for ever.",
    ),
    key(
        "segment.bytes",
        Int,
        &[same("log.segment.bytes")],
        "The size at which a segment is closed.",
    ),
    key(
        "segment.index.bytes",
        Int,
        &[same("log.index.size.max.bytes")],
        "The largest index of a segment.",
    ),
    key(
        "segment.jitter.ms",
        Long,
        &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "The random part of the age at which a segment is closed.",
    ),
    key(
        "segment.ms",
        Long,
        &[same("log.roll.ms"), hours("log.roll.hours")],
        "The age at which a segment is closed.",
    ),
    key(
        "unclean.leader.election.enable",
        Boolean,
        &[same("unclean.leader.election.enable")],
        "Accepted; the one replica is always in sync.",
    ),
];
