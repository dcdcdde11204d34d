//! Sealing: a complete file of the write-ahead log is copied into segments, a checkpoint is written, and the file is free
//! for its next use.
//!
//! The new state is a fold of the old one with the file, made on a copy: until its checkpoint is durable nothing has
//! happened, so any failure is answered by doing all of it again. Segments are written at the positions that the
//! checkpoint names, so what a failed or interrupted attempt left behind is overwritten by the same bytes.
//!
//! The copying begins while the file is still written, as soon as much of it has gathered in memory: what is copied from
//! there need not be read back. It is given up when the state changes under it.

mod copy;

use std::{
    io,
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
    time::Duration,
};

use millstream_types::Timestamp;

use self::copy::Copy;
use crate::{
    checkpoint,
    engine::{Engine, lock},
    partition::{PartitionId, PartitionView, topic_dir},
    segment::SegmentMeta,
    state::{LogState, PartitionLog},
    wal::WalFile,
};

/// Held in memory while it is sorted by partition.
const WINDOW_BYTES: usize = 32 << 20;
/// With more files than that, one sync of everything is cheaper than one per file.
pub(crate) const MAX_SINGLE_SYNCS: usize = 32;

/// The state up to the last sealed file.
#[derive(Debug)]
pub(crate) struct Sealer {
    state: LogState,
    /// Of the next file, from this state.
    ahead: Option<Box<Copy>>,
}

impl Sealer {
    pub(crate) fn new(state: LogState) -> Self {
        Self { state, ahead: None }
    }

    pub(crate) fn state(&self) -> &LogState {
        &self.state
    }

    /// Gives up what was copied ahead: it began with the state before.
    pub(crate) fn change(&mut self) -> &mut LogState {
        self.ahead = None;
        &mut self.state
    }

    /// The copying of the next file, from the beginning or from where it has come to.
    fn copy_of(&mut self, file: &Arc<WalFile>) -> Box<Copy> {
        match self.ahead.take() {
            Some(copy) if copy.is_of(file) => copy,
            _ => Box::new(Copy::new(file.clone(), self.state.clone())),
        }
    }
}

/// Wakes the sealer's thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    condvar: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *lock(&self.rung) = true;
        self.condvar.notify_all();
    }

    pub(crate) fn wait(&self, at_most: Duration) {
        let rung = lock(&self.rung);
        let waited = self.condvar.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(std::sync::PoisonError::into_inner).0 = false;
    }
}

impl Engine {
    /// Seals all complete files, oldest first.
    pub(crate) fn seal_closed(&self) -> io::Result<()> {
        let sealed = self.seal_all();
        self.sealing_fails.store(sealed.is_err(), Ordering::Relaxed);
        self.announce_room();
        sealed
    }

    fn seal_all(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.sealing);
        loop {
            let Some(file) = lock(&self.closed).first().cloned() else {
                return self.copy_ahead();
            };
            self.seal(&file)?;
            lock(&self.closed).remove(0);
            self.pool.give_back(file.slot, file.file.clone(), file.capacity)?;
            self.announce_room();
        }
    }

    fn seal(&self, file: &Arc<WalFile>) -> io::Result<()> {
        let mut sealer = lock(&self.sealer);
        let mut copy = sealer.copy_of(file);
        copy.finish(self)?;
        copy.sync(self)?;
        copy.state.wal_from = file.header.sequence + 1;
        let Copy {
            state,
            touched,
            written,
            closed,
            ..
        } = *copy;
        self.save(&mut sealer, state)?;
        for (id, segment, part) in written {
            self.segments.note_checked(id, &segment, part);
        }
        for id in touched {
            self.show_sealed(&sealer.state, id);
        }
        for (id, segment) in closed {
            self.save_index(id, &segment);
        }
        Ok(())
    }

    /// Copies what has gathered of the file that is written now, if it is enough.
    fn copy_ahead(&self) -> io::Result<()> {
        let mut sealer = lock(&self.sealer);
        let Some(file) = lock(&self.fresh).much_of() else {
            return Ok(());
        };
        // Frames leave memory when there are too many, so those that are left may be of a file behind complete ones. It was
        // looked at first: a file is among the complete ones before the next one has a frame.
        if lock(&self.closed)
            .first()
            .is_some_and(|first| first.header != file.header)
        {
            return Ok(());
        }
        let mut copy = sealer.copy_of(&file);
        copy.copy_fresh(self)?;
        sealer.ahead = Some(copy);
        Ok(())
    }

    /// Makes a new state the sealed one, and removes the topics that are gone with it.
    pub(crate) fn save(&self, sealer: &mut Sealer, state: LogState) -> io::Result<()> {
        checkpoint::save(&*self.disk, &state)?;
        self.counters.checkpoints.add(1);
        let old = std::mem::replace(sealer.change(), state);
        for id in old
            .topics
            .into_keys()
            .filter(|id| !sealer.state.topics.contains_key(id))
        {
            self.segments.forget_topic(id);
            // the checkpoint is there: an error would have all of it done again, on top of itself
            if let Err(error) = self.disk.remove_dir_all(&topic_dir(id)) {
                tracing::warn!(%error, "files of a deleted topic were not removed; the next start does it");
            }
        }
        Ok(())
    }

    /// Readers find in segments what they found in the write-ahead log before.
    pub(crate) fn show_sealed(&self, state: &LogState, id: PartitionId) {
        let Some((view, log)) = self.sealed_view(state, id) else {
            return;
        };
        let mut published = view.lock();
        published.segments.clone_from(&log.segments);
        while let Some(sealed) = published
            .tail
            .pop_front_if(|batch| batch.next <= log.state.next_offset)
        {
            published.tail_bytes -= u64::from(sealed.len);
        }
    }

    /// What readers see of a partition, and its sealed state; `None` once it is deleted.
    pub(crate) fn sealed_view<'s>(
        &self,
        state: &'s LogState,
        id: PartitionId,
    ) -> Option<(Arc<PartitionView>, &'s PartitionLog)> {
        let topic = state.topics.get(&id.topic)?;
        let log = topic.partitions.get(id.index as usize)?;
        let topics = self.topics();
        let entry = topics.get(&topic.topic.name)?;
        if entry.topic.id != id.topic {
            return None;
        }
        let view = entry.partitions.get(id.index as usize)?;
        Some((view.clone(), log))
    }

    /// How old the first frame of the current file may be: a topic that is compacted soon asks for less than others.
    pub(crate) fn seal_after_ms(&self) -> i64 {
        let most = self.config.seal_after_ms;
        let topics = self.topics();
        let hurried = topics
            .values()
            .filter(|entry| entry.topic.config.cleanup.compact && entry.topic.config.roll_ms() < most)
            .filter(|entry| entry.partitions.iter().any(|view| view.lock().tail_bytes > 0));
        let asked = hurried.map(|entry| entry.topic.config.roll_ms()).min();
        asked.map_or(most, |asked| asked.min(most))
    }

    /// Closes segments of compacted topics whose time is over, though no batch came that would have: compaction takes
    /// closed ones only. Not written down at once: after a crash it is done again.
    pub(crate) fn close_idle(&self, now: Timestamp) {
        let mut sealer = lock(&self.sealer);
        let entries: Vec<_> = self
            .topics()
            .values()
            .filter(|entry| entry.topic.config.cleanup.compact)
            .cloned()
            .collect();
        let mut closed = Vec::new();
        for entry in entries {
            let roll_ms = entry.topic.config.roll_ms();
            for view in &entry.partitions {
                let is_due = |segment: &SegmentMeta| {
                    !segment.closed && now.0.saturating_sub(segment.created_ms) >= roll_ms
                };
                let last = sealer.state.log(view.id).and_then(|log| log.segments.last());
                if last.is_some_and(is_due)
                    && let Some(log) = sealer.change().partition(view.id)
                    && let Some(segment) = log.segments.last_mut()
                {
                    segment.closed = true;
                    closed.push((view.id, *segment));
                }
            }
        }
        for (id, segment) in closed {
            self.show_sealed(&sealer.state, id);
            self.save_index(id, &segment);
        }
    }

    fn save_index(&self, id: PartitionId, segment: &SegmentMeta) {
        if let Err(error) = self.segments.save_index(id, segment) {
            tracing::warn!(%error, "index was not saved; it will be built again when it is needed");
        }
    }
}
