//! What the log must hold after a sequence of accepted calls: the plainest thing that could be right.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_broker_storage::{Isolation, StateKey, Storage};
use millstream_types::Offset;

use crate::kit::{name, partition, read_all, tag};

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
}

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

pub(crate) fn state_key(key: &str) -> StateKey {
    StateKey(Bytes::copy_from_slice(key.as_bytes()))
}

/// The id of a topic, to tell it from an earlier one of the same name.
pub(crate) fn topic_id(storage: &Storage, topic: &str) -> u128 {
    storage.topic(&name(topic)).map_or(0, |topic| topic.id.as_u128())
}
