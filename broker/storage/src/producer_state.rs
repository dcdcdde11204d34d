//! What a partition remembers of its idempotent and transactional producers (KIP-98): the last batches of each, so that
//! a batch that is sent again is found, and the open transactions, so that the last stable offset is known.
//!
//! Pure: `check` decides, `apply` records. The same `apply` runs when a batch is accepted, when the write-ahead log is
//! replayed and when it is sealed, so all three hold the same state for the same batches.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::{BufMut, Bytes};
use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId, Timestamp};

use crate::{
    batch::{BatchInfo, ControlKind},
    codec::{take_i16, take_i32, take_i64, take_u8, take_u32},
    error::ProducerError,
};

/// Kafka's `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`: as many requests as a client keeps in flight.
const WINDOW: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    entries: HashMap<i64, Entry>,
    /// First offset and producer of each open transaction.
    open: BTreeSet<(i64, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    epoch: i16,
    window: VecDeque<Sent>,
    /// First offset of its open transaction.
    open: Option<i64>,
    last_seen_ms: i64,
    /// Of the last marker; -1 before the first.
    coordinator_epoch: i32,
}

/// A producer as a partition remembers it, for `DescribeProducers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    pub producer: Producer,
    /// -1 if it has sent nothing in this epoch.
    pub last_sequence: i32,
    pub last_timestamp: Timestamp,
    /// Of the last marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// A batch that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    timestamp: i64,
}

/// What of a producer the log must keep, so that its state can be found in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    /// Of its last batch of records in its present epoch.
    pub(crate) base_offset: Option<i64>,
    pub(crate) epoch: i16,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    /// It was accepted before, at that offset.
    Duplicate {
        base_offset: Offset,
        timestamp: i64,
    },
}

/// A transaction whose records a read-committed reader must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
}

impl Entry {
    fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.open.is_none() && self.last_seen_ms <= now_ms.saturating_sub(expiration_ms)
    }
}

impl Producers {
    /// Whether a batch of records may be appended. Batches without a producer always may.
    pub(crate) fn check(&self, batch: &BatchInfo) -> Result<Verdict, ProducerError> {
        let Some(entry) = self.entries.get(&batch.producer_id) else {
            return Ok(Verdict::New);
        };
        let id = ProducerId(batch.producer_id);
        if batch.producer_epoch < entry.epoch {
            return Err(stale(batch.producer_id, batch.producer_epoch, entry.epoch));
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        let same_epoch = batch.producer_epoch == entry.epoch;
        let duplicate = entry
            .window
            .iter()
            .find(|s| same_epoch && (s.first_sequence, s.last_sequence) == (first, last));
        if let Some(sent) = duplicate {
            return Ok(Verdict::Duplicate {
                base_offset: Offset(sent.base_offset),
                timestamp: sent.timestamp,
            });
        }
        // a new epoch begins at 0, also one that began with the marker of the transaction before (KIP-890)
        let expected = match entry.window.back() {
            Some(previous) if same_epoch => next_sequence(previous.last_sequence),
            Some(_) | None => 0,
        };
        if first != expected {
            return Err(ProducerError::OutOfOrderSequence {
                id,
                expected,
                found: first,
            });
        }
        if entry.open.is_some() && !batch.transactional {
            return Err(ProducerError::InvalidTxnState { id });
        }
        Ok(Verdict::New)
    }

    /// Whether a marker of that producer may be written.
    pub(crate) fn check_marker(&self, producer: Producer) -> Result<(), ProducerError> {
        match self.entries.get(&producer.id.0) {
            Some(entry) if producer.epoch.0 < entry.epoch => {
                Err(stale(producer.id.0, producer.epoch.0, entry.epoch))
            }
            _ => Ok(()),
        }
    }

    /// Records an accepted batch; answers the transaction that it aborted.
    pub(crate) fn apply(&mut self, batch: &BatchInfo) -> Option<AbortedTxn> {
        if batch.producer_id < 0 {
            return None;
        }
        let entry = self.entries.entry(batch.producer_id).or_insert_with(|| Entry {
            epoch: batch.producer_epoch,
            window: VecDeque::new(),
            open: None,
            last_seen_ms: batch.max_timestamp,
            coordinator_epoch: -1,
        });
        if batch.producer_epoch != entry.epoch {
            entry.epoch = batch.producer_epoch;
            entry.window.clear();
        }
        entry.last_seen_ms = entry.last_seen_ms.max(batch.max_timestamp);
        if batch.control.is_some() {
            entry.coordinator_epoch = batch.coordinator_epoch;
            let first = entry.open.take()?;
            self.open.remove(&(first, batch.producer_id));
            return (batch.control == Some(ControlKind::Abort)).then_some(AbortedTxn {
                producer_id: ProducerId(batch.producer_id),
                first_offset: Offset(first),
                last_offset: Offset(batch.base_offset),
            });
        }
        if entry.window.len() == WINDOW {
            entry.window.pop_front();
        }
        entry.window.push_back(Sent {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            timestamp: batch.max_timestamp,
        });
        if batch.transactional && entry.open.is_none() {
            entry.open = Some(batch.base_offset);
            self.open.insert((batch.base_offset, batch.producer_id));
        }
        None
    }

    /// The first offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// The producers with an open transaction and the offset where it began.
    pub(crate) fn open_transactions(&self) -> impl Iterator<Item = (Producer, Offset)> {
        self.open.iter().map(|(offset, id)| {
            let epoch = self.entries.get(id).map_or(-1, |e| e.epoch);
            let producer = Producer {
                id: ProducerId(*id),
                epoch: ProducerEpoch(epoch),
            };
            (producer, Offset(*offset))
        })
    }

    /// The last batch of each producer.
    pub(crate) fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let last = |(id, entry): (&i64, &Entry)| {
            let base_offset = entry.window.back().map(|sent| sent.base_offset);
            let epoch = entry.epoch;
            (*id, LastBatch { base_offset, epoch })
        };
        self.entries.iter().map(last).collect()
    }

    /// All producers that are remembered, by id.
    pub(crate) fn describe(&self) -> Vec<ProducerDescription> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(|(id, entry)| ProducerDescription {
                producer: Producer {
                    id: ProducerId(*id),
                    epoch: ProducerEpoch(entry.epoch),
                },
                last_sequence: entry.window.back().map_or(-1, |sent| sent.last_sequence),
                last_timestamp: Timestamp(entry.last_seen_ms),
                coordinator_epoch: entry.coordinator_epoch,
                transaction_start: entry.open.map(Offset),
            })
            .collect();
        all.sort_unstable_by_key(|described| described.producer.id.0);
        all
    }

    /// Forgets producers that were silent for that long and have nothing open.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries
            .retain(|_, entry| !entry.is_expired(now_ms, expiration_ms));
    }

    /// Whether [`Self::expire`] would forget any.
    pub(crate) fn any_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.is_expired(now_ms, expiration_ms))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut ids: Vec<_> = self.entries.keys().copied().collect();
        ids.sort_unstable();
        out.put_u32_le(u32::try_from(ids.len()).expect("producers of a partition fit into memory"));
        for id in ids {
            let entry = &self.entries[&id];
            out.put_i64_le(id);
            out.put_i16_le(entry.epoch);
            out.put_i64_le(entry.open.unwrap_or(-1));
            out.put_i64_le(entry.last_seen_ms);
            out.put_i32_le(entry.coordinator_epoch);
            out.put_u8(u8::try_from(entry.window.len()).expect("at most 5"));
            for sent in &entry.window {
                out.put_i32_le(sent.first_sequence);
                out.put_i32_le(sent.last_sequence);
                out.put_i64_le(sent.base_offset);
                out.put_i64_le(sent.timestamp);
            }
        }
    }

    pub(crate) fn decode(input: &mut Bytes, version: u32) -> Option<Self> {
        let mut producers = Self::default();
        for _ in 0..take_u32(input)? {
            let id = take_i64(input)?;
            let epoch = take_i16(input)?;
            let open = Some(take_i64(input)?).filter(|offset| *offset >= 0);
            let last_seen_ms = take_i64(input)?;
            let coordinator_epoch = if version < 2 { -1 } else { take_i32(input)? };
            let mut window = VecDeque::new();
            for _ in 0..take_u8(input)? {
                window.push_back(Sent {
                    first_sequence: take_i32(input)?,
                    last_sequence: take_i32(input)?,
                    base_offset: take_i64(input)?,
                    timestamp: take_i64(input)?,
                });
            }
            producers.open.extend(open.map(|offset| (offset, id)));
            producers.entries.insert(
                id,
                Entry {
                    epoch,
                    window,
                    open,
                    last_seen_ms,
                    coordinator_epoch,
                },
            );
        }
        Some(producers)
    }
}

fn stale(id: i64, epoch: i16, current: i16) -> ProducerError {
    ProducerError::InvalidEpoch {
        producer: Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
        },
        current: ProducerEpoch(current),
    }
}

/// Sequences count from 0 again after the largest (`DefaultRecordBatch.incrementSequence`).
pub(crate) fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::VERSION;

    fn batch(epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchInfo {
        BatchInfo {
            base_offset: offset,
            last_offset_delta: count - 1,
            max_timestamp: 1000,
            producer_id: 1,
            producer_epoch: epoch,
            base_sequence: sequence,
            transactional: false,
            control: None,
            coordinator_epoch: -1,
            bytes: 100,
        }
    }

    fn marker(epoch: i16, kind: ControlKind, offset: i64) -> BatchInfo {
        BatchInfo {
            transactional: true,
            control: Some(kind),
            coordinator_epoch: 3,
            base_sequence: -1,
            ..batch(epoch, -1, 1, offset)
        }
    }

    fn check(producers: &Producers, sent: BatchInfo, expected: Result<Verdict, ProducerError>) {
        assert_eq!(producers.check(&sent), expected, "{sent:?}");
    }

    fn gap(expected: i32, found: i32) -> Result<Verdict, ProducerError> {
        Err(ProducerError::OutOfOrderSequence {
            id: ProducerId(1),
            expected,
            found,
        })
    }

    #[test]
    fn an_unknown_producer_may_begin_anywhere() {
        check(&Producers::default(), batch(3, 77, 1, 0), Ok(Verdict::New));
    }

    #[test]
    fn sequences_count_from_zero_again_after_the_largest() {
        let mut producers = Producers::default();
        producers.apply(&batch(0, i32::MAX - 1, 2, 0));
        check(&producers, batch(0, 0, 1, 0), Ok(Verdict::New));
        producers.apply(&batch(0, i32::MAX, 4, 2));
        check(&producers, batch(0, 3, 1, 0), Ok(Verdict::New));
        check(&producers, batch(0, 4, 1, 0), gap(3, 4));
    }

    #[test]
    fn a_newer_epoch_begins_at_zero_and_shuts_out_the_older() {
        let mut producers = Producers::default();
        producers.apply(&batch(1, 0, 5, 0));
        check(&producers, batch(2, 5, 1, 0), gap(0, 5));
        check(&producers, batch(2, 0, 1, 0), Ok(Verdict::New));
        producers.apply(&batch(2, 0, 1, 5));
        let current = ProducerEpoch(2);
        let producer = Producer {
            id: ProducerId(1),
            epoch: ProducerEpoch(1),
        };
        check(
            &producers,
            batch(1, 5, 1, 0),
            Err(ProducerError::InvalidEpoch { producer, current }),
        );
        assert!(producers.check_marker(producer).is_err());
    }

    #[test]
    fn a_duplicate_is_the_same_range_only() {
        let mut producers = Producers::default();
        producers.apply(&batch(0, 0, 5, 40));
        let again = Verdict::Duplicate {
            base_offset: Offset(40),
            timestamp: 1000,
        };
        check(&producers, batch(0, 0, 5, 0), Ok(again));
        check(&producers, batch(0, 0, 4, 0), gap(5, 0));
    }

    #[test]
    fn transactions_open_with_a_record_and_close_with_a_marker() {
        let mut producers = Producers::default();
        let sent = BatchInfo {
            transactional: true,
            ..batch(0, 0, 3, 10)
        };
        assert_eq!(producers.apply(&sent), None);
        assert_eq!(producers.first_open(), Some(10));
        check(
            &producers,
            batch(0, 3, 1, 0),
            Err(ProducerError::InvalidTxnState { id: ProducerId(1) }),
        );
        let aborted = producers.apply(&marker(1, ControlKind::Abort, 13));
        let expected = AbortedTxn {
            producer_id: ProducerId(1),
            first_offset: Offset(10),
            last_offset: Offset(13),
        };
        assert_eq!(aborted, Some(expected));
        assert_eq!(producers.first_open(), None);
        assert_eq!(
            producers.apply(&marker(1, ControlKind::Abort, 14)),
            None,
            "nothing was open"
        );
        check(&producers, batch(1, 0, 1, 0), Ok(Verdict::New));
    }

    #[test]
    fn after_a_marker_of_the_next_epoch_only_that_epoch_goes_on_and_from_zero() {
        let mut producers = Producers::default();
        let sent = BatchInfo {
            transactional: true,
            ..batch(0, 0, 3, 10)
        };
        producers.apply(&sent);
        producers.apply(&marker(1, ControlKind::Commit, 13));
        let delayed = BatchInfo {
            base_sequence: 3,
            ..sent
        };
        let producer = Producer {
            id: ProducerId(1),
            epoch: ProducerEpoch(0),
        };
        let current = ProducerEpoch(1);
        check(
            &producers,
            delayed,
            Err(ProducerError::InvalidEpoch { producer, current }),
        );
        check(&producers, batch(1, 3, 1, 0), gap(0, 3));
        check(&producers, batch(1, 0, 1, 0), Ok(Verdict::New));
    }

    #[test]
    fn a_marker_of_the_same_epoch_lets_the_sequence_go_on() {
        let mut producers = Producers::default();
        producers.apply(&BatchInfo {
            transactional: true,
            ..batch(0, 0, 3, 10)
        });
        producers.apply(&marker(0, ControlKind::Commit, 13));
        check(&producers, batch(0, 0, 1, 0), gap(3, 0));
        check(&producers, batch(0, 3, 1, 0), Ok(Verdict::New));
    }

    #[test]
    fn the_sixth_batch_back_is_no_duplicate_any_more() {
        let mut producers = Producers::default();
        for i in 0..6 {
            producers.apply(&batch(0, i, 1, i64::from(i)));
        }
        check(&producers, batch(0, 0, 1, 0), gap(6, 0));
        let base_offset = Offset(1);
        let timestamp = 1000;
        check(
            &producers,
            batch(0, 1, 1, 0),
            Ok(Verdict::Duplicate {
                base_offset,
                timestamp,
            }),
        );
    }

    #[test]
    fn describes_what_it_remembers() {
        let mut producers = Producers::default();
        producers.apply(&BatchInfo {
            transactional: true,
            ..batch(4, 0, 3, 10)
        });
        let open = ProducerDescription {
            producer: Producer {
                id: ProducerId(1),
                epoch: ProducerEpoch(4),
            },
            last_sequence: 2,
            last_timestamp: Timestamp(1000),
            coordinator_epoch: -1,
            transaction_start: Some(Offset(10)),
        };
        assert_eq!(producers.describe(), [open]);
        producers.apply(&marker(5, ControlKind::Commit, 13));
        let described = producers.describe()[0];
        assert_eq!(described.producer.epoch, ProducerEpoch(5));
        assert_eq!((described.last_sequence, described.coordinator_epoch), (-1, 3));
        assert_eq!(described.transaction_start, None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut producers = Producers::default();
        for i in 0..9 {
            producers.apply(&BatchInfo {
                producer_id: i % 3,
                ..batch(0, i as i32 / 3, 1, i)
            });
        }
        producers.apply(&BatchInfo {
            transactional: true,
            producer_id: 7,
            ..batch(4, 0, 2, 9)
        });
        let mut out = Vec::new();
        producers.encode(&mut out);
        let mut input = Bytes::from(out.clone());
        assert_eq!(Producers::decode(&mut input, VERSION).as_ref(), Some(&producers));
        assert!(input.is_empty());
        for len in 0..out.len() {
            assert_eq!(
                Producers::decode(&mut Bytes::copy_from_slice(&out[..len]), VERSION),
                None,
                "cut at {len}"
            );
        }
    }

    #[test]
    fn silent_producers_are_forgotten_unless_they_have_something_open() {
        let mut producers = Producers::default();
        producers.apply(&batch(0, 0, 1, 0));
        producers.apply(&BatchInfo {
            transactional: true,
            producer_id: 2,
            ..batch(0, 0, 1, 1)
        });
        producers.expire(1000 + 86_400_000, 86_400_000);
        check(&producers, batch(0, 9, 1, 0), Ok(Verdict::New));
        assert_eq!(producers.open_transactions().count(), 1);
    }
}
