//! How far consumer groups are behind: in records, and in seconds.
//!
//! The lag of a group in a partition begins at the next record that it will read. A marker of a transaction on the way
//! is none, so a group that has read all has the lag 0, whatever stands at the end of the log. The lag in seconds is the
//! age of that record: how long the oldest record that nobody of the group has seen waits.
//!
//! Finding that record reads a batch, for each partition whose committed offset has moved since the last scrape.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use millstream_broker_storage::{Isolation, Storage, Watermarks};
use millstream_protocol::batch::{MAX_DECOMPRESSED_BYTES, RecordBatch};
use millstream_types::{GroupId, Offset, Timestamp, TopicPartition};

use crate::Broker;

/// Batches without a record that are stepped over in search of the next one.
const MAX_STEPS: usize = 64;

/// Where each group goes on, kept from one scrape to the next.
#[derive(Debug, Default)]
pub(super) struct Lags {
    found: Mutex<HashMap<(GroupId, TopicPartition), Next>>,
}

/// The next record of a group in a partition, as it was looked up.
#[derive(Clone, Copy, Debug)]
struct Next {
    /// What was asked.
    from: Offset,
    end: Offset,
    record: Option<(Offset, Timestamp)>,
}

/// One group in one partition.
#[derive(Debug, PartialEq)]
pub(super) struct Lag {
    pub(super) group: GroupId,
    pub(super) partition: TopicPartition,
    pub(super) committed: Offset,
    pub(super) records: i64,
    pub(super) seconds: f64,
}

impl Lags {
    pub(super) fn read(&self, broker: &Broker) -> Vec<Lag> {
        let storage = broker.storage();
        let now = broker.clock().now();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::new();
        let mut lags = Vec::new();
        for (group, offsets) in broker.all_committed(None) {
            for (partition, committed) in offsets {
                // A topic that was just deleted.
                let Ok(ends) = storage.offsets(&partition) else {
                    continue;
                };
                let key = (group.clone(), partition.clone());
                let from = committed.offset.max(ends.log_start);
                let next = found
                    .remove(&key)
                    .filter(|next| next.holds(from, ends))
                    .unwrap_or_else(|| Next::look_up(storage, &partition, from, ends));
                kept.insert(key, next);
                lags.push(Lag {
                    group: group.clone(),
                    partition,
                    committed: committed.offset,
                    records: next.record.map_or(0, |(at, _)| ends.high_watermark - at),
                    seconds: next.record.map_or(0.0, |(_, time)| age(now, time)),
                });
            }
        }
        *found = kept;
        lags
    }
}

impl Next {
    /// Whether looking again would find the same.
    fn holds(&self, from: Offset, ends: Watermarks) -> bool {
        self.from == from && (self.record.is_some() || self.end == ends.high_watermark)
    }

    fn look_up(storage: &Storage, partition: &TopicPartition, from: Offset, ends: Watermarks) -> Self {
        let end = ends.high_watermark;
        let mut at = from;
        for _ in 0..MAX_STEPS {
            if at >= end {
                break;
            }
            // At least one batch is answered, however small the limit.
            let Ok(read) = storage.read(partition, at, 1, Isolation::ReadUncommitted) else {
                break;
            };
            let Some(batch) = read.batches.into_iter().next() else {
                break;
            };
            let Ok(batch) = RecordBatch::parse_stored(batch) else {
                break;
            };
            if !batch.header().attributes.is_control()
                && let Ok(mut records) = batch.records_within(MAX_DECOMPRESSED_BYTES)
                && let Some(Ok(record)) =
                    records.find(|record| record.as_ref().is_ok_and(|record| record.offset >= at))
            {
                let record = Some((record.offset, record.timestamp));
                return Self { from, end, record };
            }
            at = batch.next_offset();
        }
        Self {
            from,
            end,
            record: None,
        }
    }
}

/// A record from the future, as its producer's clock may have it, is not old.
fn age(now: Timestamp, time: Timestamp) -> f64 {
    now.0.saturating_sub(time.0).max(0) as f64 / 1000.0
}
