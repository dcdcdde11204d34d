//! Which records of a batch stay. Pure: fed with all batches of a partition in offset order, it answers each anew.
//!
//! - Of each key only the last record stays, at its offset. Records without a key go: nothing can ever name them.
//! - A tombstone stays until its batch's delete horizon, which is set when it is compacted for the first time (KIP-534).
//! - Records of aborted transactions go. A marker goes when nothing of its transaction is left and its horizon has passed.
//! - A producer's last batch stays, if need be without records, so that its sequences can be found in the log; and so does
//!   the last batch of a segment, so that after every offset below the end there is a batch for a reader to go on with.

use std::collections::{HashMap, HashSet};

use millstream_protocol::batch::{BatchError, ControlRecord, Outcome, RecordBatch};
use millstream_types::{Record, Timestamp};

use super::keys::Keys;
use crate::producer_state::{AbortedTxn, LastBatch};

/// What the records of a partition are judged by.
pub(super) struct Filter {
    pub(super) keys: Keys,
    /// Nothing at or after this offset is touched: what is there is not in `keys`.
    pub(super) end: i64,
    /// False where only tombstones are to go: then `keys` knows nothing, and not all batches of a transaction are seen.
    pub(super) by_key: bool,
    aborted: HashMap<i64, Vec<(i64, i64)>>,
    last_of_producers: HashMap<i64, LastBatch>,
    /// Producers with records of a committed transaction whose marker was not seen yet.
    committed: HashSet<i64>,
    now_ms: i64,
    delete_retention_ms: i64,
}

/// What stays of a batch.
pub(super) struct Kept {
    pub(super) batch: RecordBatch,
    /// With tombstones, which go at its delete horizon.
    pub(super) tombstones: bool,
}

impl Filter {
    pub(super) fn new(
        keys: Keys,
        aborted: &[AbortedTxn],
        last_of_producers: HashMap<i64, LastBatch>,
        now_ms: i64,
        delete_retention_ms: i64,
    ) -> Self {
        Self {
            keys,
            end: 0,
            by_key: true,
            aborted: ranges(aborted),
            last_of_producers,
            committed: HashSet::new(),
            now_ms,
            delete_retention_ms,
        }
    }

    /// Whether the batch belongs to an aborted transaction.
    pub(super) fn is_aborted(&self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        if !header.attributes.is_transactional() || header.attributes.is_control() {
            return false;
        }
        let base = header.base_offset.0;
        self.aborted.get(&header.producer_id.0).is_some_and(|ranges| {
            let at = ranges.partition_point(|(_, last)| *last <= base);
            ranges.get(at).is_some_and(|(first, _)| *first <= base)
        })
    }

    /// What stays of a batch, `None` if it goes. `is_last`: of its segment.
    pub(super) fn judge(&mut self, batch: RecordBatch, is_last: bool) -> Result<Option<Kept>, BatchError> {
        if batch.base_offset().0 >= self.end {
            return Ok(Some(Kept::whole(batch)));
        }
        if batch.header().attributes.is_control() {
            return Ok(self.judge_marker(batch, is_last)?.map(Kept::whole));
        }
        let kept = self.retain(&batch)?;
        let header = kept.batch.header();
        if header.records_count > 0 {
            if header.attributes.is_transactional() {
                self.committed.insert(header.producer_id.0);
            }
            return Ok(Some(kept));
        }
        Ok((is_last || self.is_last_of_producer(&batch)).then_some(kept))
    }

    fn retain(&self, batch: &RecordBatch) -> Result<Kept, BatchError> {
        if self.by_key && self.is_aborted(batch) {
            return batch.retain(|_| false, None).map(Kept::whole);
        }
        let horizon = batch.delete_horizon();
        let expired = horizon.is_some_and(|horizon| horizon.0 <= self.now_ms);
        let (mut gone, mut tombstones) = (0, false);
        for record in batch.records_within(millstream_protocol::batch::MAX_DECOMPRESSED_BYTES)? {
            let record = record?;
            let stays = self.stays(&record, expired);
            gone += i32::from(!stays);
            tombstones |= stays && record.value.is_none();
        }
        let new_horizon = (self.by_key && tombstones && horizon.is_none()).then_some(self.next_horizon());
        let batch = if gone == 0 && new_horizon.is_none() {
            batch.clone()
        } else {
            batch.retain(|record| self.stays(record, expired), new_horizon)?
        };
        Ok(Kept { batch, tombstones })
    }

    fn stays(&self, record: &Record, expired: bool) -> bool {
        if record.offset.0 >= self.end {
            return true;
        }
        if expired && record.value.is_none() {
            return false;
        }
        if !self.by_key {
            return true;
        }
        record
            .key
            .as_ref()
            .is_some_and(|key| self.keys.last(key).is_none_or(|last| last <= record.offset.0))
    }

    fn judge_marker(&mut self, batch: RecordBatch, is_last: bool) -> Result<Option<RecordBatch>, BatchError> {
        let header = batch.header();
        let id = header.producer_id.0;
        // all of an aborted transaction before its marker is gone by now
        let empty = match ControlRecord::read(&batch)?.map(|marker| marker.outcome) {
            Some(Outcome::Commit) => !self.committed.remove(&id),
            Some(Outcome::Abort) => true,
            None => false,
        };
        if !self.by_key || !empty || is_last || self.is_last_of_producer(&batch) {
            return Ok(Some(batch));
        }
        match batch.delete_horizon() {
            Some(horizon) if horizon.0 <= self.now_ms => Ok(None),
            Some(_) => Ok(Some(batch)),
            None => batch.retain(|_| true, Some(self.next_horizon())).map(Some),
        }
    }

    fn next_horizon(&self) -> Timestamp {
        Timestamp(self.now_ms.saturating_add(self.delete_retention_ms))
    }

    fn is_last_of_producer(&self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        match self.last_of_producers.get(&header.producer_id.0) {
            Some(LastBatch {
                base_offset: Some(base),
                ..
            }) => header.base_offset.0 == *base,
            // its epoch is known from a marker only
            Some(LastBatch {
                base_offset: None,
                epoch,
            }) => header.attributes.is_control() && header.producer_epoch.0 == *epoch,
            None => false,
        }
    }
}

impl Kept {
    fn whole(batch: RecordBatch) -> Self {
        Self {
            batch,
            tombstones: false,
        }
    }
}

/// First and last offsets of the aborted transactions of each producer, in order.
fn ranges(aborted: &[AbortedTxn]) -> HashMap<i64, Vec<(i64, i64)>> {
    let mut by_producer: HashMap<i64, Vec<_>> = HashMap::new();
    for txn in aborted {
        let ranges = by_producer.entry(txn.producer_id.0).or_default();
        ranges.push((txn.first_offset.0, txn.last_offset.0));
    }
    by_producer
}
