//! What the engine counts of its own work: plain atomics, read by whoever shows them. No metrics library here, and nothing
//! that costs more than an addition per group or batch.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::engine::{Engine, lock};

/// Upper bounds of the buckets of [`Histogram`], in microseconds; a last bucket takes what is longer.
pub const SYNC_BUCKETS_MICROS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One more than there are bounds; not cumulative.
    pub buckets: [u64; SYNC_BUCKETS_MICROS.len() + 1],
    pub count: u64,
    pub sum_micros: u64,
}

/// The engine's figures since it was opened, and its size now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// Batches of records that became durable; markers are not counted.
    pub appended_batches: u64,
    pub appended_records: u64,
    pub appended_bytes: u64,
    /// Batches that were sent again and answered with their old offset.
    pub duplicate_batches: u64,
    /// Batches that somebody else still looked at, so that their offsets were written into a copy.
    pub copied_batches: u64,
    /// Groups of writes, each with one sync. Bytes divided by groups is how well the disk is used.
    pub written_groups: u64,
    pub written_bytes: u64,
    pub syncs: Histogram,
    /// Bytes of batches that readers got from memory, the write-ahead log and segments.
    pub read_from_memory_bytes: u64,
    pub read_from_wal_bytes: u64,
    pub read_from_segment_bytes: u64,
    pub recompressed_batches: u64,
    /// Records that became dead letters because their topic does not take them.
    pub dead_letters: u64,
    /// Rounds of compaction, and how many bytes went in and came out.
    pub compactions: u64,
    pub compacted_bytes_before: u64,
    pub compacted_bytes_after: u64,
    /// Partitions that compaction gave up because their data is damaged.
    pub uncleanable_partitions: u64,
    pub checkpoints: u64,
    pub topics: u64,
    pub partitions: u64,
    pub offline_partitions: u64,
    pub segments: u64,
    pub segment_bytes: u64,
    /// What a restart would replay.
    pub unsealed_bytes: u64,
    pub unsealed_files: u64,
    /// Accepted, not yet written.
    pub queued_bytes: u64,
    /// Nothing can be written any more until a restart.
    pub failed: bool,
}

/// The counters behind [`StorageStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended_batches: Counter,
    pub(crate) appended_records: Counter,
    pub(crate) appended_bytes: Counter,
    pub(crate) duplicate_batches: Counter,
    pub(crate) copied_batches: Counter,
    pub(crate) written_groups: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) syncs: Timings,
    pub(crate) read_from_memory: Counter,
    pub(crate) read_from_wal: Counter,
    pub(crate) read_from_segment: Counter,
    pub(crate) recompressed_batches: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) compactions: Counter,
    pub(crate) compacted_bytes_before: Counter,
    pub(crate) compacted_bytes_after: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) uncleanable_partitions: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Timings {
    buckets: [Counter; SYNC_BUCKETS_MICROS.len() + 1],
    sum_micros: Counter,
}

impl Timings {
    pub(crate) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = SYNC_BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add(1);
        self.sum_micros.add(micros);
    }

    fn get(&self) -> Histogram {
        let buckets = std::array::from_fn(|bucket| self.buckets[bucket].get());
        Histogram {
            buckets,
            count: buckets.iter().sum(),
            sum_micros: self.sum_micros.get(),
        }
    }
}

impl Engine {
    pub(crate) fn stats(&self) -> StorageStats {
        let counters = &self.counters;
        let mut stats = StorageStats {
            appended_batches: counters.appended_batches.get(),
            appended_records: counters.appended_records.get(),
            appended_bytes: counters.appended_bytes.get(),
            duplicate_batches: counters.duplicate_batches.get(),
            copied_batches: counters.copied_batches.get(),
            written_groups: counters.written_groups.get(),
            written_bytes: counters.written_bytes.get(),
            syncs: counters.syncs.get(),
            read_from_memory_bytes: counters.read_from_memory.get(),
            read_from_wal_bytes: counters.read_from_wal.get(),
            read_from_segment_bytes: counters.read_from_segment.get(),
            recompressed_batches: counters.recompressed_batches.get(),
            dead_letters: counters.dead_letters.get(),
            compactions: counters.compactions.get(),
            compacted_bytes_before: counters.compacted_bytes_before.get(),
            compacted_bytes_after: counters.compacted_bytes_after.get(),
            checkpoints: counters.checkpoints.get(),
            uncleanable_partitions: counters.uncleanable_partitions.get(),
            unsealed_files: lock(&self.closed).len() as u64,
            ..StorageStats::default()
        };
        {
            let stage = self.stage();
            stats.queued_bytes = stage.queue_bytes as u64;
            stats.failed = stage
                .refusal
                .as_ref()
                .is_some_and(|refusal| !matches!(refusal, crate::WriteError::Closed));
        }
        for entry in self.topics().values() {
            stats.topics += 1;
            stats.partitions += entry.partitions.len() as u64;
            for view in &entry.partitions {
                let published = view.lock();
                stats.offline_partitions += u64::from(published.offline.is_some());
                stats.segments += published.segments.len() as u64;
                stats.segment_bytes += published.segments.iter().map(|segment| segment.len).sum::<u64>();
                stats.unsealed_bytes += published.tail_bytes;
            }
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let timings = Timings::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            timings.note(Duration::from_micros(micros));
        }
        let histogram = timings.get();
        assert_eq!(histogram.buckets[..2], [2, 1]);
        assert_eq!(histogram.buckets[13..], [1, 1]);
        assert_eq!((histogram.count, histogram.sum_micros), (5, 10_000_202));
    }
}
