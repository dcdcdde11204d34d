//! The work of the log engine, which counts it itself.

use std::fmt::Error;

use millstream_broker_storage::{Histogram, SYNC_BUCKETS_MICROS, StorageStats};

use super::{name, scrape::Page};

const MICROS: f64 = 1e6;

pub(super) fn encode(stats: &StorageStats, page: &mut Page<'_>) -> Result<(), Error> {
    written(stats, page)?;
    read(stats, page)?;
    compacted(stats, page)?;
    held(stats, page)
}

fn written(stats: &StorageStats, page: &mut Page<'_>) -> Result<(), Error> {
    let counters = [
        (
            name::APPENDED_BYTES,
            "Bytes of batches that became durable",
            stats.appended_bytes,
        ),
        (
            name::APPENDED_RECORDS,
            "Records that became durable",
            stats.appended_records,
        ),
        (
            name::APPENDED_BATCHES,
            "Batches that became durable",
            stats.appended_batches,
        ),
        (
            name::DUPLICATES,
            "Batches that a producer sent again and that were answered with their old offset",
            stats.duplicate_batches,
        ),
        (
            name::WRITTEN_GROUPS,
            "Groups of writes, each with one fsync",
            stats.written_groups,
        ),
        (
            name::WRITTEN_BYTES,
            "Bytes of the write-ahead log",
            stats.written_bytes,
        ),
        (
            name::RECOMPRESSED,
            "Batches that were compressed anew because their topic asks for it",
            stats.recompressed_batches,
        ),
        (
            name::DEAD_LETTERS,
            "Records that became dead letters because their topic does not take them",
            stats.dead_letters,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    syncs(&stats.syncs, page)
}

fn syncs(syncs: &Histogram, page: &mut Page<'_>) -> Result<(), Error> {
    let seconds = |micros: u64| micros as f64 / MICROS;
    let bounds = SYNC_BUCKETS_MICROS.iter().map(|bound| seconds(*bound));
    // The encoder writes the largest number as +Inf.
    let buckets: Vec<_> = bounds.chain([f64::MAX]).zip(syncs.buckets).collect();
    page.histogram(
        name::SYNC_DURATION,
        "How long the disk took for an fsync",
        (seconds(syncs.sum_micros), syncs.count),
        &buckets,
    )
}

fn read(stats: &StorageStats, page: &mut Page<'_>) -> Result<(), Error> {
    let from = |place: &'static str, bytes| ([("from", place)], bytes);
    page.counters(
        name::READ_BYTES,
        "Bytes of batches that readers got, by where they lay",
        [
            from("memory", stats.read_from_memory_bytes),
            from("wal", stats.read_from_wal_bytes),
            from("segment", stats.read_from_segment_bytes),
        ],
    )
}

fn compacted(stats: &StorageStats, page: &mut Page<'_>) -> Result<(), Error> {
    page.counter(name::COMPACTIONS, "Rounds of compaction", stats.compactions)?;
    page.counter(
        name::COMPACTION_READ,
        "Bytes that went into compaction",
        stats.compacted_bytes_before,
    )?;
    page.counter(
        name::COMPACTION_WRITTEN,
        "Bytes that compaction left",
        stats.compacted_bytes_after,
    )?;
    page.gauge(
        name::UNCLEANABLE,
        "Partitions that compaction gave up because their data is damaged",
        gauge(stats.uncleanable_partitions),
    )
}

fn held(stats: &StorageStats, page: &mut Page<'_>) -> Result<(), Error> {
    let gauges = [
        (name::SEGMENTS, "Segment files", stats.segments),
        (name::SEGMENT_BYTES, "Bytes of segment files", stats.segment_bytes),
        (
            name::UNSEALED_BYTES,
            "Bytes of the write-ahead log that a restart would replay",
            stats.unsealed_bytes,
        ),
        (
            name::QUEUED_BYTES,
            "Bytes that were accepted and are not written yet",
            stats.queued_bytes,
        ),
        (
            name::OFFLINE,
            "Partitions that cannot be read or written because a file is damaged",
            stats.offline_partitions,
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, gauge(value))?;
    }
    Ok(())
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
