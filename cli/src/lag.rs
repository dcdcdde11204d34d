//! How far a group is behind in a partition.

use std::time::Duration;

use millstream_client::{Fetch, Isolation, Log, LogError};
use millstream_types::{Offset, Timestamp, TopicPartition};
use serde::Serialize;

use crate::partitions;

/// Fetches without a record that are stepped over: each answers at least one batch.
const MAX_STEPS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Lag {
    pub(crate) high_watermark: Offset,
    /// Offsets from the next record to the end.
    #[serde(rename = "lag")]
    pub(crate) records: i64,
    /// The age of the next record.
    #[serde(rename = "lag_seconds")]
    pub(crate) seconds: f64,
}

/// The lag of a group that committed that offset; `None` if the partition is gone.
pub(crate) async fn of(
    log: &dyn Log,
    partition: &TopicPartition,
    committed: Offset,
    now: Timestamp,
) -> Result<Option<Lag>, LogError> {
    let bounds = match partitions::bounds_of(log, partition).await {
        Ok(bounds) => bounds,
        Err(LogError::UnknownTopic { .. } | LogError::UnknownPartition { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let end = bounds.high_watermark;
    let next = next_record(log, partition, committed.max(bounds.log_start), end).await?;
    Ok(Some(Lag {
        high_watermark: end,
        records: next.map_or(0, |(offset, _)| end - offset),
        seconds: next.map_or(0.0, |(_, time)| age(now, time)),
    }))
}

/// Where a consumer finds its next record: markers of transactions on the way are no lag.
async fn next_record(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    end: Offset,
) -> Result<Option<(Offset, Timestamp)>, LogError> {
    let mut offset = from;
    for _ in 0..MAX_STEPS {
        if offset >= end {
            break;
        }
        let fetch = Fetch {
            partition: partition.clone(),
            offset,
            max_bytes: 1,
            max_wait: Duration::ZERO,
            isolation: Isolation::ReadUncommitted,
        };
        let fetched = log.fetch(fetch).await?;
        if let Some(record) = fetched.records.first() {
            return Ok(Some((record.offset, record.timestamp)));
        }
        if fetched.next_offset <= offset {
            break;
        }
        offset = fetched.next_offset;
    }
    Ok(None)
}

/// A record from the future, as its producer's clock may have it, is not old.
pub(crate) fn age(now: Timestamp, time: Timestamp) -> f64 {
    now.0.saturating_sub(time.0).max(0) as f64 / 1000.0
}

/// `1.5 s`, `3 min`, `2.0 h`, `4.2 d`
pub(crate) fn readable(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}
