//! Kafka's per-topic settings: names, defaults, and what each value may be.
//!
//! Deliberately without effect: `compression.lz4.level` (the encoder here has one level), `index.interval.bytes` and the
//! like that describe files which are built otherwise here, and the keys about replicas, which one node has none of.

use std::{collections::BTreeMap, sync::Arc};

use millstream_protocol::batch::Compression;

use crate::{
    error::InvalidConfig,
    record_check::{CheckDepth, OnInvalid, RecordChecks, SchemaCheck, SubjectStrategy},
};

/// A topic's settings: those that were set, over the broker's defaults, over Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    set: BTreeMap<String, String>,
    defaults: Arc<BTreeMap<String, String>>,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<u64>,
    pub segment_bytes: u64,
    pub segment_ms: i64,
    pub max_message_bytes: usize,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub cleanup: Cleanup,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_millionths: u32,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub delete_retention_ms: i64,
    /// What batches are compressed with in the log, and its level; `None` leaves them as they came.
    pub compression: Option<(Compression, Option<i32>)>,
    /// What records are held against; `None` takes them as they come.
    pub checks: Option<Arc<RecordChecks>>,
}

/// Whose timestamps the records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// What may happen to old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    pub delete: bool,
    pub compact: bool,
}

/// What a value must look like.
enum Kind {
    /// A whole number from..=to.
    Int(i64, i64),
    /// The same, or this one number.
    IntOr(i64, i64, i64),
    Ratio,
    Bool,
    OneOf(&'static [&'static str]),
    /// A comma-separated list of these.
    SomeOf(&'static [&'static str]),
    Text,
}

use Kind::{Bool, Int, IntOr, OneOf, Ratio, SomeOf, Text};

const MAX: i64 = i64::MAX;
const MAX_INT: i64 = i32::MAX as i64;

/// The classes that name a subject for Java's serializers, which other clients know by the same names.
const STRATEGIES: &[&str] = &[
    TOPIC_STRATEGY,
    "io.confluent.kafka.serializers.subject.RecordNameStrategy",
    "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
];
const TOPIC_STRATEGY: &str = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
const DEPTHS: &[&str] = &["none", "id", "body"];

/// Kafka 4's topic configuration, that of Confluent about schemas, and what only this broker has; sorted by name.
const KEYS: &[(&str, &str, Kind)] = &[
    ("cleanup.policy", "delete", SomeOf(&["compact", "delete"])),
    ("compression.gzip.level", "-1", IntOr(-1, 1, 9)),
    ("compression.lz4.level", "9", Int(1, 17)),
    (
        "compression.type",
        "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
    ),
    ("compression.zstd.level", "3", Int(-131_072, 22)),
    ("confluent.key.schema.validation", "false", Bool),
    (
        "confluent.key.subject.name.strategy",
        TOPIC_STRATEGY,
        OneOf(STRATEGIES),
    ),
    ("confluent.value.schema.validation", "false", Bool),
    (
        "confluent.value.subject.name.strategy",
        TOPIC_STRATEGY,
        OneOf(STRATEGIES),
    ),
    ("delete.retention.ms", "86400000", Int(0, MAX)),
    ("file.delete.delay.ms", "60000", Int(0, MAX)),
    ("flush.messages", "9223372036854775807", Int(1, MAX)),
    ("flush.ms", "9223372036854775807", Int(0, MAX)),
    ("follower.replication.throttled.replicas", "", Text),
    ("index.interval.bytes", "4096", Int(0, MAX_INT)),
    ("leader.replication.throttled.replicas", "", Text),
    ("local.retention.bytes", "-2", Int(-2, MAX)),
    ("local.retention.ms", "-2", Int(-2, MAX)),
    ("max.compaction.lag.ms", "9223372036854775807", Int(1, MAX)),
    ("max.message.bytes", "1048588", Int(0, MAX_INT)),
    ("message.timestamp.after.max.ms", "3600000", Int(0, MAX)),
    (
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        Int(0, MAX),
    ),
    (
        "message.timestamp.type",
        "CreateTime",
        OneOf(&["CreateTime", "LogAppendTime"]),
    ),
    ("millstream.key.schema.validation", "none", OneOf(DEPTHS)),
    (
        "millstream.schema.on.invalid",
        "reject",
        OneOf(&["reject", "dlq"]),
    ),
    ("millstream.value.schema.validation", "none", OneOf(DEPTHS)),
    ("min.cleanable.dirty.ratio", "0.5", Ratio),
    ("min.compaction.lag.ms", "0", Int(0, MAX)),
    ("min.insync.replicas", "1", Int(1, MAX_INT)),
    ("preallocate", "false", Bool),
    ("remote.storage.enable", "false", OneOf(&["false"])),
    ("retention.bytes", "-1", Int(-1, MAX)),
    ("retention.ms", "604800000", Int(-1, MAX)),
    ("segment.bytes", "1073741824", Int(14, MAX_INT)),
    ("segment.index.bytes", "10485760", Int(4, MAX_INT)),
    ("segment.jitter.ms", "0", Int(0, MAX)),
    ("segment.ms", "604800000", Int(1, MAX)),
    ("unclean.leader.election.enable", "false", Bool),
];

impl TopicConfig {
    /// Checks names and values of what was set.
    pub fn parse(set: BTreeMap<String, String>) -> Result<Self, InvalidConfig> {
        Self::parse_over(set, Arc::default())
    }

    /// The same, where the broker has defaults of its own.
    pub fn parse_over(
        set: BTreeMap<String, String>,
        defaults: Arc<BTreeMap<String, String>>,
    ) -> Result<Self, InvalidConfig> {
        for (key, value) in set.iter().chain(&*defaults) {
            let Some((_, _, kind)) = KEYS.iter().find(|(name, _, _)| name == key) else {
                return Err(InvalidConfig {
                    key: key.clone(),
                    message: "there is no such topic configuration".into(),
                });
            };
            if let Some(message) = kind.refuses(value.trim()) {
                return Err(InvalidConfig {
                    key: key.clone(),
                    message,
                });
            }
        }
        Ok(Self::over_defaults(set, defaults))
    }

    fn over_defaults(set: BTreeMap<String, String>, defaults: Arc<BTreeMap<String, String>>) -> Self {
        let lookup = |key| lookup(&set, &defaults, key);
        let number = |key| lookup(key).parse::<i64>().expect("checked by its kind");
        let at_least_zero = |n: i64| u64::try_from(n).ok();
        let policy = lookup("cleanup.policy");
        Self {
            retention_ms: (number("retention.ms") >= 0).then(|| number("retention.ms")),
            retention_bytes: at_least_zero(number("retention.bytes")),
            segment_bytes: at_least_zero(number("segment.bytes")).unwrap_or(u64::MAX),
            segment_ms: number("segment.ms"),
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX),
            timestamp_type: match lookup("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            cleanup: Cleanup {
                delete: policy.contains("delete"),
                compact: policy.contains("compact"),
            },
            min_cleanable_dirty_millionths: millionths(lookup("min.cleanable.dirty.ratio")),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            delete_retention_ms: number("delete.retention.ms"),
            compression: compression(lookup("compression.type"), number),
            checks: checks(lookup),
            set,
            defaults,
        }
    }

    /// How long a segment takes batches: in a compacted topic no longer than its records may wait for compaction
    /// (KIP-354).
    pub fn roll_ms(&self) -> i64 {
        if self.cleanup.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }

    /// Only what was set.
    pub fn as_set(&self) -> &BTreeMap<String, String> {
        &self.set
    }

    /// The value in force; `None` for a key that Kafka does not have.
    pub fn get(&self, key: &str) -> Option<&str> {
        KEYS.iter()
            .any(|(name, _, _)| *name == key)
            .then(|| lookup(&self.set, &self.defaults, key))
    }

    /// All keys with Kafka's default values, sorted.
    pub fn defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
        KEYS.iter().map(|(name, default, _)| (*name, *default))
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::over_defaults(BTreeMap::new(), Arc::default())
    }
}

fn lookup<'a>(
    set: &'a BTreeMap<String, String>,
    defaults: &'a BTreeMap<String, String>,
    key: &str,
) -> &'a str {
    let kafkas = || {
        KEYS.iter()
            .find(|(name, _, _)| *name == key)
            .map_or("", |(_, default, _)| *default)
    };
    set.get(key)
        .or_else(|| defaults.get(key))
        .map_or_else(kafkas, |value| value.trim())
}

fn millionths(ratio: &str) -> u32 {
    let ratio: f64 = ratio.parse().expect("checked by its kind");
    (ratio * 1e6).round() as u32
}

fn compression(name: &str, number: impl Fn(&'static str) -> i64) -> Option<(Compression, Option<i32>)> {
    let level = |key| i32::try_from(number(key)).ok();
    match name {
        "uncompressed" => Some((Compression::None, None)),
        // -1 is "the codec's own default"
        "gzip" => Some((
            Compression::Gzip,
            level("compression.gzip.level").filter(|level| *level >= 0),
        )),
        "snappy" => Some((Compression::Snappy, None)),
        "lz4" => Some((Compression::Lz4, level("compression.lz4.level"))),
        "zstd" => Some((Compression::Zstd, level("compression.zstd.level"))),
        _ => None,
    }
}

/// Confluent's key asks for the schema's id, ours says how deep to look.
fn checks<'a>(lookup: impl Fn(&'static str) -> &'a str) -> Option<Arc<RecordChecks>> {
    let check = |ours, theirs, strategy| {
        let depth = match (lookup(ours), lookup(theirs)) {
            ("body", _) => CheckDepth::Body,
            ("id", _) | (_, "true") => CheckDepth::Id,
            _ => return None,
        };
        let strategy = match lookup(strategy) {
            TOPIC_STRATEGY => SubjectStrategy::Topic,
            name if name.ends_with(".TopicRecordNameStrategy") => SubjectStrategy::TopicRecord,
            _ => SubjectStrategy::Record,
        };
        Some(SchemaCheck { depth, strategy })
    };
    let key = check(
        "millstream.key.schema.validation",
        "confluent.key.schema.validation",
        "confluent.key.subject.name.strategy",
    );
    let value = check(
        "millstream.value.schema.validation",
        "confluent.value.schema.validation",
        "confluent.value.subject.name.strategy",
    );
    let on_invalid = match lookup("millstream.schema.on.invalid") {
        "dlq" => OnInvalid::DeadLetter,
        _ => OnInvalid::Reject,
    };
    let is_asked = key.is_some() || value.is_some();
    is_asked.then(|| {
        Arc::new(RecordChecks {
            key,
            value,
            on_invalid,
        })
    })
}

impl Kind {
    /// What is wrong with a value, if anything.
    fn refuses(&self, value: &str) -> Option<String> {
        let (good, wanted) = match self {
            Int(from, to) => (
                value.parse().is_ok_and(|n: i64| (*from..=*to).contains(&n)),
                format!("a whole number from {from} to {to}"),
            ),
            IntOr(special, from, to) => (
                value
                    .parse()
                    .is_ok_and(|n: i64| n == *special || (*from..=*to).contains(&n)),
                format!("{special} or a whole number from {from} to {to}"),
            ),
            Ratio => (
                value.parse().is_ok_and(|n: f64| (0.0..=1.0).contains(&n)),
                "a number from 0 to 1".into(),
            ),
            Bool => (["true", "false"].contains(&value), "true or false".into()),
            OneOf(names) => (names.contains(&value), format!("one of {}", names.join(", "))),
            SomeOf(names) => (
                value.split(',').all(|part| names.contains(&part.trim())),
                format!("a list of {}", names.join(", ")),
            ),
            Text => (true, String::new()),
        };
        (!good).then(|| format!("'{value}' is not {wanted}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<TopicConfig, InvalidConfig> {
        TopicConfig::parse(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn keeps_what_was_set_over_kafkas_defaults() {
        let config = parse(&[("retention.ms", "-1"), ("cleanup.policy", "compact,delete")]).unwrap();
        assert_eq!(config.retention_ms, None);
        assert_eq!(
            config.cleanup,
            Cleanup {
                delete: true,
                compact: true
            }
        );
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.get("segment.bytes"), Some("1073741824"));
        assert_eq!(config.get("segment.byte"), None);
        assert_eq!(config.as_set().len(), 2);
    }

    #[test]
    fn checks_of_schemas_have_confluents_names_and_ours() {
        assert_eq!(parse(&[]).unwrap().checks, None);
        let strategies = [
            ("Topic", SubjectStrategy::Topic),
            ("Record", SubjectStrategy::Record),
        ];
        for (name, strategy) in strategies {
            let class = format!("io.confluent.kafka.serializers.subject.{name}NameStrategy");
            let config = parse(&[
                ("confluent.value.schema.validation", "true"),
                ("confluent.value.subject.name.strategy", &class),
            ]);
            let depth = CheckDepth::Id;
            let value = Some(SchemaCheck { depth, strategy });
            let checks = config.unwrap().checks.unwrap();
            assert_eq!((checks.key, checks.value), (None, value));
            assert_eq!(checks.on_invalid, OnInvalid::Reject);
        }
        let config = parse(&[
            ("millstream.key.schema.validation", "body"),
            ("millstream.schema.on.invalid", "dlq"),
        ]);
        let checks = config.unwrap().checks.unwrap();
        assert_eq!(checks.key.unwrap().depth, CheckDepth::Body);
        assert_eq!(checks.on_invalid, OnInvalid::DeadLetter);
    }

    #[test]
    fn every_default_is_a_valid_value() {
        let all = TopicConfig::defaults()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        assert!(TopicConfig::parse(all).is_ok());
    }

    #[test]
    fn refuses_unknown_keys_and_wrong_values() {
        for (key, value) in [
            ("retention", "1"),
            ("retention.ms", "-2"),
            ("retention.ms", "1h"),
            ("cleanup.policy", "shred"),
            ("message.timestamp.type", "createtime"),
            ("preallocate", "yes"),
            ("segment.bytes", "2147483648"),
            ("min.cleanable.dirty.ratio", "1.1"),
            ("compression.type", "none"),
            ("compression.gzip.level", "0"),
            ("confluent.value.subject.name.strategy", "TopicNameStrategy"),
            ("millstream.value.schema.validation", "true"),
        ] {
            assert_eq!(parse(&[(key, value)]).unwrap_err().key, key, "{key}={value}");
        }
    }
}
