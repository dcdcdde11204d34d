//! A partition: its identity, the state that decides about appends, and the view that readers see.
//!
//! [`PartitionState`] is ahead of the disk: it holds what was accepted. [`PartitionView`] is exactly what is durable:
//! the writer moves it forward after each fsync, the sealer replaces its tail by segments.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{BufMut, Bytes};
use millstream_types::{Offset, TopicPartition};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    batch::BatchInfo,
    changes::Waiting,
    codec::{take_i64, take_u32},
    producer_state::{AbortedTxn, Producers},
    segment::SegmentMeta,
    wal::WalFile,
};

/// The identity of a partition on disk: topic names may be used again, topic ids are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PartitionId {
    pub(crate) topic: Uuid,
    pub(crate) index: u32,
}

impl PartitionId {
    /// The directory of its segments.
    pub(crate) fn dir(self) -> String {
        format!("{}/{}", topic_dir(self.topic), self.index)
    }
}

/// The directory of a topic's partitions.
pub(crate) fn topic_dir(topic: Uuid) -> String {
    format!("topics/{topic}")
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// The ends of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the first record that can be read.
    pub log_start: Offset,
    /// Below it every transaction is decided: the end for read-committed readers.
    pub last_stable: Offset,
    /// Everything below it is durable: the end for all readers.
    pub high_watermark: Offset,
}

/// What decides about the next append to a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionState {
    pub(crate) next_offset: i64,
    pub(crate) producers: Producers,
}

/// What an accepted batch changes for readers, once it is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    pub(crate) last_stable: i64,
    pub(crate) next_offset: i64,
    pub(crate) aborted: Option<AbortedTxn>,
    /// A marker, not records.
    pub(crate) control: bool,
}

impl PartitionState {
    /// Records a batch whose base offset is the next offset.
    pub(crate) fn apply(&mut self, batch: &BatchInfo) -> Applied {
        let aborted = self.producers.apply(batch);
        self.next_offset = batch.next_offset();
        Applied {
            last_stable: self.last_stable(),
            next_offset: self.next_offset,
            aborted,
            control: batch.control.is_some(),
        }
    }

    pub(crate) fn last_stable(&self) -> i64 {
        self.producers.first_open().unwrap_or(self.next_offset)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64_le(self.next_offset);
        self.producers.encode(out);
    }

    pub(crate) fn decode(input: &mut Bytes, version: u32) -> Option<Self> {
        Some(Self {
            next_offset: take_i64(input)?,
            producers: Producers::decode(input, version)?,
        })
    }
}

/// A durable batch in the write-ahead log.
#[derive(Clone, Debug)]
pub(crate) struct TailBatch {
    pub(crate) base: i64,
    pub(crate) next: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) file: Arc<WalFile>,
    pub(crate) position: u64,
    pub(crate) len: u32,
    /// As long as the ring holds it.
    pub(crate) bytes: Option<Bytes>,
}

/// What readers see of a partition.
#[derive(Debug)]
pub(crate) struct PartitionView {
    pub(crate) name: TopicPartition,
    pub(crate) id: PartitionId,
    published: Mutex<Published>,
    watermarks: watch::Sender<Watermarks>,
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) watermarks: Watermarks,
    /// Sealed, in offset order, without gaps.
    pub(crate) segments: Vec<SegmentMeta>,
    /// Follows the segments without a gap.
    pub(crate) tail: VecDeque<TailBatch>,
    /// Of the batches in the tail.
    pub(crate) tail_bytes: u64,
    /// By the offset of their markers.
    pub(crate) aborted: Vec<AbortedTxn>,
    /// How often its segments were replaced by compacted ones.
    pub(crate) compactions: u64,
    pub(crate) offline: Option<Arc<str>>,
    pub(crate) deleted: bool,
}

impl PartitionView {
    pub(crate) fn new(name: TopicPartition, id: PartitionId) -> Self {
        Self {
            name,
            id,
            published: Mutex::default(),
            watermarks: watch::Sender::new(Watermarks::default()),
            waiting: Waiting::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watermarks(&self) -> Watermarks {
        self.lock().watermarks
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Watermarks> {
        self.watermarks.subscribe()
    }

    /// A batch became durable.
    pub(crate) fn publish(&self, batch: TailBatch, applied: Applied) {
        let mut published = self.lock();
        published.aborted.extend(applied.aborted);
        published.tail_bytes += u64::from(batch.len);
        published.tail.push_back(batch);
        published.watermarks.high_watermark = Offset(applied.next_offset);
        published.watermarks.last_stable = Offset(applied.last_stable).max(published.watermarks.log_start);
        self.announce(&published);
    }

    /// The log begins later from now on.
    pub(crate) fn advance_log_start(&self, to: Offset) {
        let mut published = self.lock();
        let watermarks = &mut published.watermarks;
        if to <= watermarks.log_start {
            return;
        }
        watermarks.log_start = to;
        watermarks.last_stable = watermarks.last_stable.max(to);
        published.aborted.retain(|txn| txn.last_offset >= to);
        self.announce(&published);
    }

    /// Readers that wait must look again: the partition was deleted or went offline.
    pub(crate) fn wake(&self) {
        self.watermarks.send_modify(|_| {});
        self.waiting.wake();
    }

    pub(crate) fn announce(&self, published: &Published) {
        let now = published.watermarks;
        let moved = self.watermarks.send_if_modified(|before| {
            let moved = *before != now;
            *before = now;
            moved
        });
        if moved {
            self.waiting.wake();
        }
    }
}

pub(crate) fn encode_aborted(aborted: &[AbortedTxn], out: &mut Vec<u8>) {
    out.put_u32_le(u32::try_from(aborted.len()).expect("bounded by memory"));
    for txn in aborted {
        out.put_i64_le(txn.producer_id.0);
        out.put_i64_le(txn.first_offset.0);
        out.put_i64_le(txn.last_offset.0);
    }
}

pub(crate) fn decode_aborted(input: &mut Bytes) -> Option<Vec<AbortedTxn>> {
    let count = take_u32(input)?;
    let mut aborted = Vec::new();
    for _ in 0..count {
        aborted.push(AbortedTxn {
            producer_id: millstream_types::ProducerId(take_i64(input)?),
            first_offset: Offset(take_i64(input)?),
            last_offset: Offset(take_i64(input)?),
        });
    }
    Some(aborted)
}
