//! The writer: one gathered write, one fsync, then everything in it becomes visible. While the disk works, the next group
//! forms in the queue; there is no timer.
//!
//! [`Engine::step`] is the whole of it; a thread calls it in a loop (see [`crate::storage`]), a simulation calls it when it
//! likes. After the first write or fsync that fails nothing is written or acknowledged any more: what the disk holds
//! beyond the last acknowledgement is unknown, and trying again would report success for pages the kernel has dropped.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, PoisonError},
    time::Instant,
};

use crate::{
    config::Durability,
    engine::{Engine, lock},
    error::WriteError,
    partition::PartitionView,
    stage::{Effect, Pending},
};

/// The writer's own state: which batches are still in memory for readers, oldest first.
#[derive(Debug)]
pub(crate) struct Writer {
    ring: VecDeque<(Arc<PartitionView>, i64, usize)>,
    ring_used: usize,
    ring_bytes: usize,
}

impl Writer {
    pub(crate) fn new(ring_bytes: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            ring_used: 0,
            ring_bytes,
        }
    }

    fn remember(&mut self, view: Arc<PartitionView>, base: i64, bytes: usize) {
        self.ring.push_back((view, base, bytes));
        self.ring_used += bytes;
        while self.ring_used > self.ring_bytes {
            let Some((view, base, bytes)) = self.ring.pop_front() else {
                return;
            };
            self.ring_used -= bytes;
            let mut published = view.lock();
            // sealed and gone from the tail already, if it is not found
            if let Ok(at) = published.tail.binary_search_by_key(&base, |batch| batch.base) {
                published.tail[at].bytes = None;
            }
        }
    }
}

impl Engine {
    /// Writes all that is queued, makes it durable and visible. Answers whether there was anything.
    pub(crate) fn step(&self) -> bool {
        let mut writer = lock(&self.writer);
        let group = {
            let mut stage = self.stage();
            stage.queue_bytes = 0;
            std::mem::take(&mut stage.queue)
        };
        self.announce_room();
        if group.is_empty() {
            return false;
        }
        let mut rest = VecDeque::from(group);
        while !rest.is_empty() {
            let run = take_run(&mut rest);
            match self.write(&run) {
                Ok(()) => self.publish(&mut writer, run),
                Err(error) => self.fail(&error, run.into_iter().chain(rest.drain(..))),
            }
        }
        true
    }

    /// Blocks until there is something to write; false when nothing will come any more.
    pub(crate) fn wait_for_work(&self) -> bool {
        let mut stage = self.stage();
        while stage.queue.is_empty() {
            if stage.refusal.is_some() {
                return false;
            }
            stage = self.work.wait(stage).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn write(&self, run: &[Pending]) -> io::Result<()> {
        let placed = || run.iter().filter_map(|pending| pending.placed.as_ref());
        let Some(first) = placed().next() else {
            return Ok(());
        };
        if let Some(WriteError::Failed { reason }) = &self.stage().refusal {
            return Err(io::Error::other(reason.to_string()));
        }
        let slices: Vec<_> = placed()
            .flat_map(|p| &p.parts)
            .map(|part| IoSlice::new(part))
            .collect();
        first.file.file.write_at(&slices, first.position)?;
        if self.config.durability == Durability::Fsync {
            let started = Instant::now();
            first.file.file.sync()?;
            self.counters.syncs.note(started.elapsed());
        }
        self.counters.written_groups.add(1);
        let bytes: usize = slices.iter().map(|part| part.len()).sum();
        self.counters.written_bytes.add(bytes as u64);
        Ok(())
    }

    fn publish(&self, writer: &mut Writer, run: Vec<Pending>) {
        for pending in run {
            for effect in pending.effects {
                self.show(writer, effect);
            }
            if let Some(done) = pending.done {
                done(Ok(()));
            }
            if let Some(placed) = pending.placed.filter(|placed| !placed.is_header()) {
                let file = placed.file.clone();
                let is_much = lock(&self.fresh).push(placed);
                if pending.closes {
                    lock(&self.closed).push(file);
                }
                if is_much || pending.closes {
                    self.bell.ring();
                }
            }
        }
    }

    fn show(&self, writer: &mut Writer, effect: Effect) {
        match effect {
            Effect::Batch { view, batch, applied } => {
                let (base, len) = (batch.base, batch.len as usize);
                if !applied.control {
                    self.counters.appended_batches.add(1);
                    self.counters.appended_bytes.add(len as u64);
                    let records = u64::try_from(batch.next - base).unwrap_or(0);
                    self.counters.appended_records.add(records);
                }
                view.publish(batch, applied);
                writer.remember(view, base, len);
            }
            Effect::Put(key, Some(value)) => drop(self.keyed_mut().insert(key, value)),
            Effect::Put(key, None) => drop(self.keyed_mut().remove(&key)),
            Effect::Topic(entry) => self.show_topic(entry),
            Effect::TopicGone(entry) => {
                self.hide_topic(&entry);
                for view in &entry.partitions {
                    view.lock().deleted = true;
                    view.wake();
                }
            }
            Effect::LogStart(view, offset) => view.advance_log_start(offset),
        }
    }

    fn fail(&self, error: &io::Error, lost: impl Iterator<Item = Pending>) {
        let failed = WriteError::Failed {
            reason: format!("write-ahead log: {error}").into(),
        };
        let queued = {
            let mut stage = self.stage();
            if !matches!(stage.refusal, Some(WriteError::Failed { .. })) {
                tracing::error!(%error, "write-ahead log failed: nothing is acknowledged any more");
                stage.refusal = Some(failed.clone());
            }
            std::mem::take(&mut stage.queue)
        };
        for pending in lost.chain(queued) {
            if let Some(done) = pending.done {
                done(Err(failed.clone()));
            }
        }
        self.announce_room();
    }
}

/// The pending writes at the front that go into one file.
fn take_run(rest: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut file = None;
    let mut count = 0;
    for pending in rest.iter() {
        if let Some(placed) = &pending.placed
            && *file.get_or_insert(placed.file.slot) != placed.file.slot
        {
            break;
        }
        count += 1;
    }
    rest.drain(..count).collect()
}
