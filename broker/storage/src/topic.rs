//! Topics: what they are, how a new one is asked for, and how they are written down.

use std::collections::BTreeMap;

use millstream_types::TopicName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TopicConfig;

/// A topic as it is at this moment; a change makes a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Never used again, unlike the name.
    pub id: Uuid,
    pub name: TopicName,
    pub partitions: i32,
    pub config: TopicConfig,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopicSpec {
    pub name: TopicName,
    /// At least 1.
    pub partitions: i32,
    /// Kafka's own keys; unknown ones are refused.
    pub config: BTreeMap<String, String>,
}

/// How a topic is written to disk, as JSON so that later versions can add to it.
#[derive(Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    name: TopicName,
    partitions: i32,
    config: BTreeMap<String, String>,
}

impl Topic {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let record = TopicRecord {
            name: self.name.clone(),
            partitions: self.partitions,
            config: self.config.as_set().clone(),
        };
        serde_json::to_vec(&record).expect("strings and numbers are always JSON")
    }

    pub(crate) fn decode(id: Uuid, json: &[u8]) -> Option<Self> {
        let record: TopicRecord = serde_json::from_slice(json).ok()?;
        let config = TopicConfig::parse(record.config).ok()?;
        (1..=MAX_PARTITIONS).contains(&record.partitions).then_some(Self {
            id,
            name: record.name,
            partitions: record.partitions,
            config,
        })
    }
}

/// Of one topic: far beyond what one machine serves well, far below what would exhaust memory.
pub const MAX_PARTITIONS: i32 = 100_000;
