//! Sealing: a complete file of the write-ahead log is copied into segments, a checkpoint is written, and the file is free
//! for its next use.
//!
//! The new state is a fold of the old one with the file, made on a copy: until its checkpoint is durable nothing has
//! happened, so any failure is answered by doing all of it again. Segments are written at the positions that the
//! checkpoint names, so what a failed or interrupted attempt left behind is overwritten by the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    ops::Range,
    sync::{Arc, Condvar, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use millstream_types::Timestamp;
use uuid::Uuid;

use crate::{
    batch::BatchInfo,
    checkpoint,
    disk::{DiskFile, Mode, parent},
    engine::{Engine, lock},
    partition::{PartitionId, PartitionView, topic_dir},
    segment::{SegmentMeta, log_path},
    state::{LogState, PartitionLog},
    wal::{
        WalFile,
        frame::Entry,
        scan::{Ended, Scanned, Scanner},
    },
};

/// Held in memory while it is sorted by partition.
const WINDOW_BYTES: usize = 32 << 20;
/// With more files than that, one sync of everything is cheaper than one per file.
pub(crate) const MAX_SINGLE_SYNCS: usize = 32;

/// The state up to the last sealed file.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) state: LogState,
}

impl Sealer {
    pub(crate) fn new(state: LogState) -> Self {
        Self { state }
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
                return Ok(());
            };
            self.seal(&file)?;
            lock(&self.closed).remove(0);
            self.pool.give_back(file.slot, file.file.clone(), file.capacity)?;
            self.announce_room();
        }
    }

    fn seal(&self, file: &Arc<WalFile>) -> io::Result<()> {
        let mut sealer = lock(&self.sealer);
        let mut copy = Copy::new(self, sealer.state.clone());
        copy.file(file)?;
        copy.sync()?;
        copy.state.wal_from = file.header.sequence + 1;
        let Copy {
            state,
            touched,
            written,
            closed,
            ..
        } = copy;
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

    /// Makes a new state the sealed one, and removes the topics that are gone with it.
    pub(crate) fn save(&self, sealer: &mut Sealer, state: LogState) -> io::Result<()> {
        checkpoint::save(&*self.disk, &state)?;
        self.counters.checkpoints.add(1);
        let old = std::mem::replace(&mut sealer.state, state);
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
                let log = sealer.state.partition(view.id);
                let open = log
                    .and_then(|log| log.segments.last_mut())
                    .filter(|segment| !segment.closed && now.0.saturating_sub(segment.created_ms) >= roll_ms);
                if let Some(segment) = open {
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

/// The copying of one file.
struct Copy<'a> {
    engine: &'a Engine,
    state: LogState,
    window: BTreeMap<PartitionId, Vec<(BatchInfo, Bytes)>>,
    window_bytes: usize,
    touched: BTreeSet<PartitionId>,
    files: BTreeMap<String, Arc<dyn DiskFile>>,
    /// Directories with new names in them.
    dirs: BTreeSet<String>,
    topics: BTreeSet<Uuid>,
    /// What was written where.
    written: Vec<(PartitionId, SegmentMeta, Range<u64>)>,
    closed: Vec<(PartitionId, SegmentMeta)>,
}

impl<'a> Copy<'a> {
    fn new(engine: &'a Engine, state: LogState) -> Self {
        Self {
            engine,
            state,
            window: BTreeMap::new(),
            window_bytes: 0,
            touched: BTreeSet::new(),
            files: BTreeMap::new(),
            dirs: BTreeSet::new(),
            topics: BTreeSet::new(),
            written: Vec::new(),
            closed: Vec::new(),
        }
    }

    fn file(&mut self, file: &Arc<WalFile>) -> io::Result<()> {
        let mut scanner = Scanner::new(file.clone());
        while let Some(entries) = scanner.next_frame()? {
            for Scanned { entry, .. } in entries {
                match entry {
                    Entry::Put(key, value) => self.state.put(key, value).ok_or(io::ErrorKind::InvalidData)?,
                    Entry::Batch(id, bytes) => self.batch(id, bytes)?,
                    Entry::End { .. } => {}
                }
            }
            if self.window_bytes >= WINDOW_BYTES {
                self.flush()?;
            }
        }
        if scanner.ended() != Ended::Properly {
            let at = scanner.position();
            let reason = format!("{} is damaged at byte {at}: it cannot be sealed", file.path());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.flush()
    }

    fn batch(&mut self, id: PartitionId, bytes: Bytes) -> io::Result<()> {
        // of a topic that was deleted earlier in the log there is nothing to keep
        let Some(partition) = self.state.partition(id) else {
            return Ok(());
        };
        let info = BatchInfo::read(bytes.clone()).map_err(io::Error::other)?;
        partition.accept(&info).ok_or(io::ErrorKind::InvalidData)?;
        self.window_bytes += bytes.len();
        self.window.entry(id).or_default().push((info, bytes));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.window_bytes = 0;
        for (id, batches) in std::mem::take(&mut self.window) {
            let mut rest = &batches[..];
            while let Some((first, _)) = rest.first() {
                let Some(count) = self.segment_for(id, first, rest) else {
                    break;
                };
                let (now, later) = rest.split_at(count);
                self.append(id, now)?;
                rest = later;
            }
        }
        Ok(())
    }

    /// Makes the last segment of a partition ready for the batches; answers how many of them it takes.
    fn segment_for(
        &mut self,
        id: PartitionId,
        first: &BatchInfo,
        batches: &[(BatchInfo, Bytes)],
    ) -> Option<usize> {
        let now = self.engine.clock.now().0;
        let topic = self.state.topics.get_mut(&id.topic)?;
        let config = self.engine.config_in_force(&topic.topic);
        let (max_bytes, max_age) = (config.segment_bytes, config.roll_ms());
        let segments = &mut topic.partitions.get_mut(id.index as usize)?.segments;
        let fits = |segment: &SegmentMeta| {
            !segment.closed
                && segment.len + u64::from(first.bytes) <= max_bytes
                && now.saturating_sub(segment.created_ms) < max_age
        };
        if !segments.last().is_some_and(fits) {
            if let Some(full) = segments.last_mut().filter(|segment| !segment.closed) {
                full.closed = true;
                self.closed.push((id, *full));
            }
            segments.push(SegmentMeta {
                base: first.base_offset,
                next: first.base_offset,
                len: 0,
                max_timestamp: i64::MIN,
                created_ms: now,
                closed: false,
                generation: 0,
                horizon_ms: i64::MAX,
            });
        }
        let mut len = segments.last()?.len;
        let fitting = batches.iter().take_while(|(info, _)| {
            len += u64::from(info.bytes);
            len <= max_bytes
        });
        // a batch that is larger than a whole segment gets one of its own
        Some(fitting.count().max(1))
    }

    fn append(&mut self, id: PartitionId, batches: &[(BatchInfo, Bytes)]) -> io::Result<()> {
        let partition = self.state.partition(id).ok_or(io::ErrorKind::NotFound)?;
        let segment = partition.segments.last_mut().expect("was made ready");
        let path = log_path(id, segment);
        let position = segment.len;
        for (info, _) in batches {
            segment.len += u64::from(info.bytes);
            segment.next = info.next_offset();
            segment.max_timestamp = segment.max_timestamp.max(info.max_timestamp);
        }
        self.written.push((id, *segment, position..segment.len));
        let slices: Vec<_> = batches.iter().map(|(_, bytes)| IoSlice::new(bytes)).collect();
        let file = self.open(id, &path, position == 0)?;
        file.write_at(&slices, position)?;
        if self.files.len() < MAX_SINGLE_SYNCS {
            self.files.insert(path, file);
        }
        self.touched.insert(id);
        Ok(())
    }

    fn open(&mut self, id: PartitionId, path: &str, new: bool) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.files.get(path) {
            return Ok(file.clone());
        }
        if !new {
            return self.engine.disk.open(path, Mode::Existing);
        }
        let dir = parent(path).to_owned();
        self.engine.disk.create_dir_all(&dir)?;
        if self.topics.insert(id.topic) {
            self.dirs
                .extend([String::new(), "topics".into(), topic_dir(id.topic)]);
        }
        self.dirs.insert(dir);
        // not emptied: a checkpoint whose rename was not synced may name this very file after a crash, and what is written
        // now is what it holds already
        self.engine.disk.open(path, Mode::Create)
    }

    fn sync(&self) -> io::Result<()> {
        if self.files.len() >= MAX_SINGLE_SYNCS {
            return self.engine.disk.sync_all();
        }
        self.files.values().try_for_each(|file| file.sync())?;
        self.dirs
            .iter()
            .try_for_each(|dir| self.engine.disk.sync_dir(dir))
    }
}
