//! What Kafka's topic settings may hold, as far as a log in memory cares.

use std::collections::BTreeMap;

use crate::LogError;

/// Kafka's default of `max.message.bytes`.
const MAX_MESSAGE_BYTES: usize = 1_048_588;

enum Kind {
    Integer,
    Number,
    Flag,
    OneOf(&'static [&'static str]),
    Text,
}

/// Keys of the same meaning in Kafka 4.x (`org.apache.kafka.common.config.TopicConfig`).
const KEYS: &[(&str, Kind)] = &[
    (
        "cleanup.policy",
        Kind::OneOf(&["delete", "compact", "compact,delete", "delete,compact"]),
    ),
    (
        "compression.type",
        Kind::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
    ),
    ("delete.retention.ms", Kind::Integer),
    ("file.delete.delay.ms", Kind::Integer),
    ("flush.messages", Kind::Integer),
    ("flush.ms", Kind::Integer),
    ("follower.replication.throttled.replicas", Kind::Text),
    ("index.interval.bytes", Kind::Integer),
    ("leader.replication.throttled.replicas", Kind::Text),
    ("max.compaction.lag.ms", Kind::Integer),
    ("max.message.bytes", Kind::Integer),
    ("message.timestamp.after.max.ms", Kind::Integer),
    ("message.timestamp.before.max.ms", Kind::Integer),
    (
        "message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
    ),
    ("min.cleanable.dirty.ratio", Kind::Number),
    ("min.compaction.lag.ms", Kind::Integer),
    ("min.insync.replicas", Kind::Integer),
    ("preallocate", Kind::Flag),
    ("retention.bytes", Kind::Integer),
    ("retention.ms", Kind::Integer),
    ("segment.bytes", Kind::Integer),
    ("segment.index.bytes", Kind::Integer),
    ("segment.jitter.ms", Kind::Integer),
    ("segment.ms", Kind::Integer),
    ("unclean.leader.election.enable", Kind::Flag),
];

pub(super) fn validate(config: &BTreeMap<String, String>) -> Result<(), LogError> {
    for (key, value) in config {
        let invalid = |message: &str| LogError::InvalidConfig {
            key: key.clone(),
            message: message.into(),
        };
        let (_, kind) = KEYS
            .iter()
            .find(|(name, _)| name == key)
            .ok_or_else(|| invalid("there is no such setting"))?;
        let valid = match kind {
            Kind::Integer => value.parse::<i64>().is_ok_and(|n| n >= -1),
            Kind::Number => value.parse::<f64>().is_ok(),
            Kind::Flag => value.parse::<bool>().is_ok(),
            Kind::OneOf(allowed) => allowed.contains(&value.as_str()),
            Kind::Text => true,
        };
        if !valid {
            return Err(invalid(&format!("'{value}' is not allowed")));
        }
    }
    Ok(())
}

pub(super) fn max_message_bytes(config: &BTreeMap<String, String>) -> usize {
    let set = config.get("max.message.bytes").and_then(|v| v.parse().ok());
    set.unwrap_or(MAX_MESSAGE_BYTES)
}

pub(super) fn stamps_on_append(config: &BTreeMap<String, String>) -> bool {
    config
        .get("message.timestamp.type")
        .is_some_and(|t| t == "LogAppendTime")
}
