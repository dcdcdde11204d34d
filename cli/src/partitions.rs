//! What several commands ask about the partitions of a topic.

use millstream_client::{Log, LogError, OffsetAt, Topic};
use millstream_types::{Offset, TopicName, TopicPartition};
use serde::Serialize;

/// The offsets that a partition holds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bounds {
    pub(crate) partition: i32,
    pub(crate) log_start: Offset,
    /// The end for readers of committed records.
    pub(crate) last_stable_offset: Offset,
    pub(crate) high_watermark: Offset,
}

impl Bounds {
    pub(crate) fn offsets(&self) -> i64 {
        self.high_watermark - self.log_start
    }
}

/// The topic of that name, or the error that every command gives.
pub(crate) async fn topic(log: &dyn Log, name: &TopicName) -> Result<Topic, LogError> {
    log.topic(name)
        .await?
        .ok_or_else(|| LogError::UnknownTopic { topic: name.clone() })
}

/// All partitions of a topic, or the one that was asked for.
pub(crate) fn chosen(topic: &Topic, partition: Option<i32>) -> Result<Vec<TopicPartition>, LogError> {
    let all = 0..topic.partitions;
    let named = |partition| TopicPartition::new(topic.name.clone(), partition);
    match partition {
        None => Ok(all.map(named).collect()),
        Some(partition) if all.contains(&partition) => Ok(vec![named(partition)]),
        Some(partition) => Err(LogError::UnknownPartition {
            partition: named(partition),
        }),
    }
}

pub(crate) async fn bounds(log: &dyn Log, topic: &Topic) -> Result<Vec<Bounds>, LogError> {
    let mut bounds = Vec::new();
    for partition in chosen(topic, None)? {
        bounds.push(bounds_of(log, &partition).await?);
    }
    Ok(bounds)
}

pub(crate) async fn bounds_of(log: &dyn Log, partition: &TopicPartition) -> Result<Bounds, LogError> {
    Ok(Bounds {
        partition: partition.partition,
        log_start: log.offset(partition, OffsetAt::Earliest).await?,
        last_stable_offset: log.offset(partition, OffsetAt::LatestCommitted).await?,
        high_watermark: log.offset(partition, OffsetAt::Latest).await?,
    })
}
