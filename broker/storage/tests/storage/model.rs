//! What the log must hold after a sequence of accepted calls: the plainest thing that could be right.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_broker_storage::{Isolation, StateKey, Storage};
use millstream_protocol::batch::RecordBatch;
use millstream_types::{Offset, TopicPartition};

use crate::kit::{key_of, name, partition, read_all, tag, value_of};

/// A call that was accepted.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create {
        topic: String,
        partitions: i32,
    },
    Delete {
        topic: String,
    },
    Append {
        topic: String,
        partition: i32,
        batch: Batch,
    },
    Group {
        markers: Vec<MarkerOp>,
        puts: Vec<(String, Option<String>)>,
    },
    DeleteRecords {
        topic: String,
        partition: i32,
        before: i64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) count: i32,
    pub(crate) tag: u64,
    pub(crate) producer: Option<Sender>,
    pub(crate) transactional: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct MarkerOp {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) commit: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) topics: BTreeMap<String, Vec<Part>>,
    pub(crate) keyed: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) log_start: i64,
    pub(crate) next: i64,
    /// First offset, records, tag.
    pub(crate) batches: Vec<(i64, i32, Option<u64>)>,
    pub(crate) producers: BTreeMap<i64, Prod>,
    /// Producer, first offset, offset of the marker.
    pub(crate) aborted: Vec<(i64, i64, i64)>,
    /// The producer of each transactional batch, by first offset.
    pub(crate) in_transaction: BTreeMap<i64, i64>,
}

/// The topic that is compacted.
pub(crate) const COMPACTED: &str = "keyed";

#[derive(Clone, Debug, Default)]
pub(crate) struct Prod {
    pub(crate) epoch: i16,
    pub(crate) next_sequence: i32,
    /// Of this epoch: what was sent and where it went.
    pub(crate) recent: Vec<(Batch, i64)>,
    pub(crate) open: Option<i64>,
}

impl Model {
    pub(crate) fn part(&mut self, topic: &str, partition: i32) -> &mut Part {
        &mut self.topics.get_mut(topic).unwrap()[partition as usize]
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { topic, partitions } => {
                self.topics
                    .insert(topic.clone(), vec![Part::default(); *partitions as usize]);
            }
            Op::Delete { topic } => drop(self.topics.remove(topic)),
            Op::Append {
                topic,
                partition,
                batch,
            } => self.part(topic, *partition).append(*batch),
            Op::Group { markers, puts } => {
                for marker in markers {
                    self.part(&marker.topic, marker.partition).mark(marker);
                }
                for (key, value) in puts {
                    match value {
                        Some(value) => drop(self.keyed.insert(key.clone(), value.clone())),
                        None => drop(self.keyed.remove(key)),
                    }
                }
            }
            Op::DeleteRecords {
                topic,
                partition,
                before,
            } => {
                let part = self.part(topic, *partition);
                part.log_start = part.log_start.max(*before);
            }
        }
    }

    /// The first difference to what a storage answers.
    pub(crate) fn differs(&self, storage: &Storage) -> Option<String> {
        let topics: Vec<_> = storage.topics().iter().map(|t| t.name.to_string()).collect();
        if topics != self.topics.keys().cloned().collect::<Vec<_>>() {
            return Some(format!("topics {topics:?}, expected {:?}", self.topics.keys()));
        }
        let keyed: Vec<_> = storage.scan(b"");
        let expected = self
            .keyed
            .iter()
            .map(|(k, v)| (state_key(k), Bytes::from(v.clone())));
        if keyed != expected.collect::<Vec<_>>() {
            return Some(format!("keyed state {keyed:?}, expected {:?}", self.keyed));
        }
        let parts = self
            .topics
            .iter()
            .flat_map(|(topic, parts)| (0..).zip(parts).map(move |p| (topic, p)));
        for (topic, (index, part)) in parts {
            if let Some(difference) = part.differs(storage, topic, index) {
                return Some(format!("{topic}-{index}: {difference}"));
            }
        }
        None
    }
}

impl Part {
    fn append(&mut self, batch: Batch) {
        let base = self.next;
        self.batches.push((base, batch.count, Some(batch.tag)));
        self.next += i64::from(batch.count);
        let Some(sender) = batch.producer else {
            return;
        };
        let prod = self.producers.entry(sender.id).or_default();
        if sender.epoch != prod.epoch {
            *prod = Prod {
                epoch: sender.epoch,
                open: prod.open,
                ..Prod::default()
            };
        }
        prod.next_sequence = sender.sequence + batch.count;
        prod.recent.push((batch, base));
        if batch.transactional {
            prod.open.get_or_insert(base);
            self.in_transaction.insert(base, sender.id);
        }
    }

    fn mark(&mut self, marker: &MarkerOp) {
        let at = self.next;
        self.batches.push((at, 1, None));
        self.next += 1;
        let prod = self.producers.entry(marker.id).or_default();
        if marker.epoch != prod.epoch {
            *prod = Prod {
                epoch: marker.epoch,
                open: prod.open,
                ..Prod::default()
            };
        }
        if let Some(first) = prod.open.take()
            && !marker.commit
        {
            self.aborted.push((marker.id, first, at));
        }
    }

    pub(crate) fn last_stable(&self) -> i64 {
        self.producers
            .values()
            .filter_map(|p| p.open)
            .min()
            .unwrap_or(self.next)
    }

    fn differs(&self, storage: &Storage, topic: &str, index: i32) -> Option<String> {
        let at = partition(topic, index);
        let Ok(ends) = storage.offsets(&at) else {
            return Some("does not exist".into());
        };
        let start = ends.log_start.0;
        let stable = self.last_stable().max(start);
        if ends.high_watermark.0 != self.next || ends.last_stable.0 != stable || start < self.log_start {
            let expected = (self.log_start, stable, self.next);
            return Some(format!("{ends:?}, expected {expected:?}"));
        }
        let found = read_all(storage, &at, start, Isolation::ReadUncommitted);
        if topic == COMPACTED {
            return self.compacted_differs(storage, &at, &found, start, stable);
        }
        let found: Vec<_> = found
            .iter()
            .map(|b| (b.base_offset().0, b.header().records_count, tag(b)))
            .collect();
        let kept = |(base, count, _): &&(i64, i32, Option<u64>)| base + i64::from(*count) > start;
        let expected: Vec<_> = self.batches.iter().filter(kept).copied().collect();
        if found != expected {
            return Some(format!("batches {found:?}, expected {expected:?}"));
        }
        let read = storage
            .read(&at, Offset(start), usize::MAX, Isolation::ReadCommitted)
            .unwrap();
        let aborted: Vec<_> = read
            .aborted
            .iter()
            .map(|t| (t.producer_id.0, t.first_offset.0, t.last_offset.0))
            .collect();
        let overlaps = |(_, first, last): &&(i64, i64, i64)| *last >= start && *first < stable;
        let expected: Vec<_> = self.aborted.iter().filter(overlaps).copied().collect();
        (aborted != expected).then(|| format!("aborted {aborted:?}, expected {expected:?}"))
    }
}

impl Part {
    fn is_aborted(&self, base: i64) -> bool {
        self.in_transaction.get(&base).is_some_and(|id| {
            self.aborted
                .iter()
                .any(|(by, first, last)| by == id && (first..last).contains(&&base))
        })
    }

    /// Of a compacted topic some records may be missing, but only such that a later one of their key stands for, or
    /// nothing does because it was a tombstone, or that were aborted.
    fn compacted_differs(
        &self,
        storage: &Storage,
        at: &TopicPartition,
        found: &[RecordBatch],
        start: i64,
        stable: i64,
    ) -> Option<String> {
        let mut present = BTreeMap::new();
        for batch in found
            .iter()
            .filter(|batch| !batch.header().attributes.is_control())
        {
            for record in batch.records().unwrap() {
                present.insert(record.offset.0, (record.key.unwrap(), record.value));
            }
        }
        let offsets = found.iter().map(|batch| batch.base_offset().0);
        if !offsets.clone().is_sorted()
            || found
                .last()
                .is_some_and(|batch| batch.next_offset().0 != self.next)
        {
            let offsets: Vec<_> = offsets.collect();
            return Some(format!("batches at {offsets:?}, the end is {}", self.next));
        }
        // by key: offset, whether it is there, whether it is a tombstone
        let mut keys: BTreeMap<Bytes, Vec<(i64, bool, bool)>> = BTreeMap::new();
        let mut aborted_seen = Vec::new();
        for (base, count, tag) in &self.batches {
            let Some(tag) = tag else { continue };
            for index in 0..*count {
                let offset = base + i64::from(index);
                let (key, value) = (key_of(*tag, index), value_of(*tag, index));
                let there = present.remove(&offset);
                if there
                    .as_ref()
                    .is_some_and(|there| *there != (key.clone(), value.clone()))
                {
                    return Some(format!("{there:?} at {offset}, expected {key:?} {value:?}"));
                }
                if self.is_aborted(*base) {
                    aborted_seen.extend(there.map(|_| *base).filter(|_| offset >= start));
                } else if offset >= start {
                    keys.entry(key)
                        .or_default()
                        .push((offset, there.is_some(), value.is_none()));
                }
            }
        }
        if !present.is_empty() {
            return Some(format!("{present:?} were never written"));
        }
        for (key, records) in keys {
            let first = records
                .iter()
                .position(|(_, there, _)| *there)
                .unwrap_or(records.len());
            let whole = records[first..].iter().all(|(_, there, _)| *there);
            let deleted =
                first == records.len() && records.last().is_some_and(|(_, _, tombstone)| *tombstone);
            if !whole || (first == records.len() && !deleted) {
                return Some(format!("of {key:?} there is {records:?}"));
            }
        }
        let read = storage
            .read(at, Offset(start), usize::MAX, Isolation::ReadCommitted)
            .unwrap();
        let answered: Vec<_> = read
            .aborted
            .iter()
            .map(|t| (t.producer_id.0, t.first_offset.0, t.last_offset.0))
            .collect();
        let unknown = answered.iter().any(|txn| !self.aborted.contains(txn));
        let hidden = |base: &i64| {
            let id = self.in_transaction[base];
            answered
                .iter()
                .any(|(by, first, last)| *by == id && (first..last).contains(&base))
        };
        let shown = aborted_seen.iter().find(|base| **base < stable && !hidden(base));
        (unknown || shown.is_some())
            .then(|| format!("aborted {answered:?} of {:?}, {shown:?} shows", self.aborted))
    }
}

pub(crate) fn state_key(key: &str) -> StateKey {
    StateKey(Bytes::copy_from_slice(key.as_bytes()))
}

/// The id of a topic, to tell it from an earlier one of the same name.
pub(crate) fn topic_id(storage: &Storage, topic: &str) -> u128 {
    storage.topic(&name(topic)).map_or(0, |topic| topic.id.as_u128())
}
