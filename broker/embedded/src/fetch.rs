//! From stored batches to records: what a reader may not see is left out, and stepped over.

use millstream_broker_storage::{AbortedTxn, Isolation, Read, Storage};
use millstream_client::{Fetch, Fetched, LogError};
use millstream_protocol::batch::{BatchError, BatchHeader, MAX_DECOMPRESSED_BYTES, RecordBatch};
use millstream_types::{Offset, Record, TopicPartition};
use tokio::time::Instant;

use crate::error::Translate;

/// Waits until there is a record to answer, or until the time is up. Batches without a visible record are stepped over
/// meanwhile, and stay so: the answer goes on behind them.
pub(crate) async fn fetch(storage: &Storage, fetch: Fetch) -> Result<Fetched, LogError> {
    let translate = Translate(storage);
    let isolation = isolation(fetch.isolation);
    let deadline = Instant::now() + fetch.max_wait;
    let mut grown = storage
        .watch(&fetch.partition)
        .map_err(|e| translate.unknown(e))?;
    let mut offset = fetch.offset;
    loop {
        grown.mark_unchanged();
        let read = storage
            .read(&fetch.partition, offset, fetch.max_bytes, isolation)
            .map_err(|e| translate.read(e))?;
        let found = !read.batches.is_empty();
        let fetched = decode(&fetch.partition, offset, read)?;
        offset = fetched.next_offset;
        if !fetched.records.is_empty() {
            return Ok(fetched);
        }
        if found {
            continue;
        }
        if fetch.max_wait.is_zero() || tokio::time::timeout_at(deadline, grown.changed()).await.is_err() {
            return Ok(fetched);
        }
    }
}

fn isolation(isolation: millstream_client::Isolation) -> Isolation {
    match isolation {
        millstream_client::Isolation::ReadUncommitted => Isolation::ReadUncommitted,
        millstream_client::Isolation::ReadCommitted => Isolation::ReadCommitted,
    }
}

fn decode(partition: &TopicPartition, from: Offset, read: Read) -> Result<Fetched, LogError> {
    let mut records = Vec::new();
    let mut next_offset = from;
    for bytes in read.batches {
        let batch = RecordBatch::parse_stored(bytes).map_err(|e| damaged(partition, next_offset, &e))?;
        if is_visible(batch.header(), &read.aborted) {
            take(&batch, from, &mut records).map_err(|e| damaged(partition, batch.base_offset(), &e))?;
        }
        next_offset = batch.next_offset();
    }
    Ok(Fetched {
        records,
        next_offset,
        high_watermark: read.high_watermark,
        last_stable_offset: read.last_stable_offset,
        log_start: read.log_start,
    })
}

fn take(batch: &RecordBatch, from: Offset, records: &mut Vec<Record>) -> Result<(), BatchError> {
    let count = usize::try_from(batch.header().records_count).unwrap_or(0);
    records.reserve(count);
    for record in batch.records_within(MAX_DECOMPRESSED_BYTES)? {
        let record = record?;
        if record.offset >= from {
            records.push(record);
        }
    }
    Ok(())
}

fn is_visible(batch: &BatchHeader, aborted: &[AbortedTxn]) -> bool {
    let is_aborted = |txn: &AbortedTxn| {
        txn.producer_id == batch.producer_id
            && (txn.first_offset..txn.last_offset).contains(&batch.base_offset)
    };
    let aborted = batch.attributes.is_transactional() && aborted.iter().any(is_aborted);
    !batch.attributes.is_control() && !aborted
}

fn damaged(partition: &TopicPartition, offset: Offset, error: &BatchError) -> LogError {
    LogError::Storage {
        message: format!("cannot decode {partition} at offset {offset}: {error}"),
    }
}
