//! What was accepted: the state that decides about the next call, and the queue to the writer.
//!
//! One lock around it gives all calls one order, and that is the order on disk. Nothing here waits for the disk.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use millstream_types::{Offset, Timestamp, TopicName, TopicPartition};

use crate::{
    disk::Disk,
    error::{UnknownPartition, WriteError},
    partition::{Applied, PartitionState, PartitionView, TailBatch},
    ticket::Done,
    topic::Topic,
    wal::{
        WalFile,
        cursor::{Cursor, Placed},
        frame::Frame,
        pool::Pool,
    },
};

/// A topic with its partitions; shared by everybody who looks at it.
#[derive(Debug)]
pub(crate) struct TopicEntry {
    pub(crate) topic: Arc<Topic>,
    pub(crate) partitions: Vec<Arc<PartitionView>>,
}

#[derive(Debug)]
pub(crate) struct StagedTopic {
    pub(crate) entry: Arc<TopicEntry>,
    /// One per partition.
    pub(crate) states: Vec<PartitionState>,
}

/// What becomes visible when a frame is durable.
#[derive(Debug)]
pub(crate) enum Effect {
    Batch {
        view: Arc<PartitionView>,
        batch: TailBatch,
        applied: Applied,
    },
    /// A user's key, without its tag.
    Put(Bytes, Option<Bytes>),
    Topic(Arc<TopicEntry>),
    TopicGone(Arc<TopicEntry>),
    LogStart(Arc<PartitionView>, Offset),
}

/// A step of the writer. Without bytes it only waits for all that came before.
pub(crate) struct Pending {
    pub(crate) placed: Option<Placed>,
    /// The file is complete after it.
    pub(crate) closes: bool,
    pub(crate) effects: Vec<Effect>,
    pub(crate) done: Option<Done>,
}

pub(crate) struct Stage {
    pub(crate) topics: HashMap<TopicName, StagedTopic>,
    pub(crate) queue: Vec<Pending>,
    pub(crate) queue_bytes: usize,
    /// Why nothing more is accepted.
    pub(crate) refusal: Option<WriteError>,
    cursor: Cursor,
}

/// A frame's place.
pub(crate) struct Place {
    file: Arc<WalFile>,
    position: u64,
}

impl Stage {
    pub(crate) fn new(topics: HashMap<TopicName, StagedTopic>, cursor: Cursor) -> Self {
        Self {
            topics,
            queue: Vec::new(),
            queue_bytes: 0,
            refusal: None,
            cursor,
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), WriteError> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn partition(
        &mut self,
        name: &TopicPartition,
    ) -> Result<(&Arc<PartitionView>, &mut PartitionState), UnknownPartition> {
        let unknown = || UnknownPartition {
            partition: name.clone(),
        };
        let topic = self.topics.get_mut(&name.topic).ok_or_else(unknown)?;
        let index = usize::try_from(name.partition).map_err(|_| unknown())?;
        let state = topic.states.get_mut(index).ok_or_else(unknown)?;
        Ok((&topic.entry.partitions[index], state))
    }

    /// Reserves the place of a frame. On an error nothing changed; afterwards the frame must be pushed.
    pub(crate) fn reserve(
        &mut self,
        pool: &Pool,
        disk: &dyn Disk,
        len: usize,
        now: Timestamp,
    ) -> Result<Place, WriteError> {
        let reserved = self
            .cursor
            .reserve(pool, len, now, self.queue.is_empty())
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => WriteError::DiskFull {
                    dir: disk.describe(""),
                },
                _ => WriteError::Failed {
                    reason: format!("cannot create a write-ahead log file: {error}").into(),
                },
            });
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(error) => {
                if matches!(error, WriteError::Failed { .. }) {
                    self.refusal = Some(error.clone());
                }
                return Err(error);
            }
        };
        for placed in reserved.before {
            self.push_raw(placed);
        }
        Ok(Place {
            file: reserved.file,
            position: reserved.position,
        })
    }

    /// Closes the current file if it was opened before that.
    pub(crate) fn rotate(&mut self, opened_before: Timestamp) {
        if let Some(end) = self.cursor.rotate(opened_before, self.queue.is_empty()) {
            self.push_raw(end);
        }
    }

    fn push_raw(&mut self, placed: Placed) {
        let closes = placed.position > 0;
        self.queue.push(Pending {
            placed: Some(placed),
            closes,
            effects: Vec::new(),
            done: None,
        });
    }

    pub(crate) fn push(&mut self, place: Place, frame: Frame, effects: Vec<Effect>, done: Done) {
        self.queue_bytes += frame.len();
        // The writer takes the whole queue, and comes back when that is on the disk.
        let begins_write = self.queue.is_empty();
        let parts = frame.seal(place.file.header.salt, begins_write);
        let placed = Placed {
            file: place.file,
            position: place.position,
            parts,
        };
        self.queue.push(Pending {
            placed: Some(placed),
            closes: false,
            effects,
            done: Some(done),
        });
    }

    /// What becomes visible when all that was accepted so far is durable.
    pub(crate) fn push_effects(&mut self, effects: Vec<Effect>, done: Done) {
        self.queue.push(Pending {
            placed: None,
            closes: false,
            effects,
            done: Some(done),
        });
    }

    /// Resolves when all that was accepted so far is durable.
    pub(crate) fn push_waiter(&mut self, done: Done) {
        self.push_effects(Vec::new(), done);
    }
}

impl Place {
    /// Where the batch lies that begins `at` bytes into the frame.
    pub(crate) fn batch(&self, at: usize, info: &crate::batch::BatchInfo, bytes: Bytes) -> TailBatch {
        TailBatch {
            base: info.base_offset,
            next: info.next_offset(),
            max_timestamp: info.max_timestamp,
            file: self.file.clone(),
            position: self.position + at as u64,
            len: info.bytes,
            bytes: Some(bytes),
        }
    }
}
