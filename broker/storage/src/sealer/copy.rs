//! The copying of one file of the write-ahead log into segments, frame by frame: from memory while its frames are there,
//! from the file where they are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use uuid::Uuid;

use super::{MAX_SINGLE_SYNCS, WINDOW_BYTES};
use crate::{
    batch::BatchInfo,
    disk::{DiskFile, Mode, parent},
    engine::{Engine, lock},
    partition::{PartitionId, topic_dir},
    segment::{SegmentMeta, log_path},
    state::LogState,
    wal::{
        WalFile,
        frame::{Entry, FILE_HEADER_BYTES, entries_of_parts},
        scan::{Ended, Scanner},
    },
};

/// The copying of one file, as far as it has come.
#[derive(Debug)]
pub(super) struct Copy {
    file: Arc<WalFile>,
    /// Of the next frame.
    position: u64,
    /// Its end frame was met.
    is_whole: bool,
    pub(super) state: LogState,
    window: BTreeMap<PartitionId, Vec<(BatchInfo, Bytes)>>,
    window_bytes: usize,
    pub(super) touched: BTreeSet<PartitionId>,
    files: BTreeMap<String, Arc<dyn DiskFile>>,
    /// Directories with new names in them.
    dirs: BTreeSet<String>,
    topics: BTreeSet<Uuid>,
    /// What was written where.
    pub(super) written: Vec<(PartitionId, SegmentMeta, Range<u64>)>,
    pub(super) closed: Vec<(PartitionId, SegmentMeta)>,
}

impl Copy {
    pub(super) fn new(file: Arc<WalFile>, state: LogState) -> Self {
        Self {
            file,
            position: FILE_HEADER_BYTES as u64,
            is_whole: false,
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

    pub(super) fn is_of(&self, file: &WalFile) -> bool {
        self.file.header == file.header
    }

    /// The frames that follow in memory.
    pub(super) fn copy_fresh(&mut self, engine: &Engine) -> io::Result<()> {
        while self.next_in_memory(engine)? {}
        self.flush(engine)
    }

    /// All the rest of a complete file.
    pub(super) fn finish(&mut self, engine: &Engine) -> io::Result<()> {
        while !self.is_whole {
            if !self.next_in_memory(engine)? {
                self.copy_read(engine)?;
            }
        }
        self.flush(engine)
    }

    fn next_in_memory(&mut self, engine: &Engine) -> io::Result<bool> {
        let next = lock(&engine.fresh).take(&self.file, self.position);
        let Some(parts) = next else {
            return Ok(false);
        };
        let entries = entries_of_parts(&parts).ok_or(io::ErrorKind::InvalidData)?;
        self.position += parts.iter().map(Bytes::len).sum::<usize>() as u64;
        self.frame(engine, entries)?;
        Ok(true)
    }

    /// Frames up to the first one that is in memory.
    fn copy_read(&mut self, engine: &Engine) -> io::Result<()> {
        let mut scanner = Scanner::at(self.file.clone(), self.position);
        while let Some(entries) = scanner.next_frame()? {
            self.position = scanner.position();
            self.frame(engine, entries.into_iter().map(|scanned| scanned.entry))?;
            if lock(&engine.fresh).has(&self.file, self.position) {
                return Ok(());
            }
        }
        if scanner.ended() != Ended::Properly {
            let at = scanner.position();
            let reason = format!(
                "{} is damaged at byte {at}: it cannot be sealed",
                self.file.path()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.is_whole = true;
        Ok(())
    }

    fn frame(&mut self, engine: &Engine, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        for entry in entries {
            match entry {
                Entry::Put(key, value) => self.state.put(key, value).ok_or(io::ErrorKind::InvalidData)?,
                Entry::Batch(id, bytes) => self.batch(id, bytes)?,
                Entry::End { .. } => self.is_whole = true,
            }
        }
        if self.window_bytes >= WINDOW_BYTES {
            self.flush(engine)?;
        }
        Ok(())
    }

    fn batch(&mut self, id: PartitionId, bytes: Bytes) -> io::Result<()> {
        // of a topic that was deleted earlier in the log there is nothing to keep
        let Some(partition) = self.state.partition(id) else {
            return Ok(());
        };
        let info = BatchInfo::read_verified(bytes.clone()).map_err(io::Error::other)?;
        partition.accept(&info).ok_or(io::ErrorKind::InvalidData)?;
        self.window_bytes += bytes.len();
        self.window.entry(id).or_default().push((info, bytes));
        Ok(())
    }

    fn flush(&mut self, engine: &Engine) -> io::Result<()> {
        self.window_bytes = 0;
        for (id, batches) in std::mem::take(&mut self.window) {
            let mut rest = &batches[..];
            while let Some((first, _)) = rest.first() {
                let Some(count) = self.segment_for(engine, id, first, rest) else {
                    break;
                };
                let (now, later) = rest.split_at(count);
                self.append(engine, id, now)?;
                rest = later;
            }
        }
        Ok(())
    }

    /// Makes the last segment of a partition ready for the batches; answers how many of them it takes.
    fn segment_for(
        &mut self,
        engine: &Engine,
        id: PartitionId,
        first: &BatchInfo,
        batches: &[(BatchInfo, Bytes)],
    ) -> Option<usize> {
        let now = engine.clock.now().0;
        let topic = self.state.topics.get_mut(&id.topic)?;
        let config = engine.config_in_force(&topic.topic);
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

    fn append(&mut self, engine: &Engine, id: PartitionId, batches: &[(BatchInfo, Bytes)]) -> io::Result<()> {
        let partition = self.state.partition(id).ok_or(io::ErrorKind::NotFound)?;
        let segment = partition.segments.last_mut().expect("was made ready");
        let path = log_path(id, segment);
        let position = segment.len;
        for (info, _) in batches {
            segment.len += u64::from(info.bytes);
            segment.next = info.next_offset();
            segment.max_timestamp = segment.max_timestamp.max(info.max_timestamp);
        }
        let end = segment.len;
        self.written.push((id, *segment, position..end));
        let slices: Vec<_> = batches.iter().map(|(_, bytes)| IoSlice::new(bytes)).collect();
        let file = self.open(engine, id, &path, position == 0)?;
        file.make_room(position..end);
        file.write_at(&slices, position)?;
        file.begin_sync(position..end);
        if self.files.len() < MAX_SINGLE_SYNCS {
            self.files.insert(path, file);
        }
        self.touched.insert(id);
        Ok(())
    }

    fn open(
        &mut self,
        engine: &Engine,
        id: PartitionId,
        path: &str,
        new: bool,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.files.get(path) {
            return Ok(file.clone());
        }
        if !new {
            return engine.disk.open(path, Mode::Existing);
        }
        let dir = parent(path).to_owned();
        engine.disk.create_dir_all(&dir)?;
        if self.topics.insert(id.topic) {
            self.dirs
                .extend([String::new(), "topics".into(), topic_dir(id.topic)]);
        }
        self.dirs.insert(dir);
        // not emptied: a checkpoint whose rename was not synced may name this very file after a crash, and what is written
        // now is what it holds already
        engine.disk.open(path, Mode::Create)
    }

    pub(super) fn sync(&self, engine: &Engine) -> io::Result<()> {
        if self.files.len() >= MAX_SINGLE_SYNCS {
            return engine.disk.sync_all();
        }
        self.files.values().try_for_each(|file| file.sync())?;
        self.dirs.iter().try_for_each(|dir| engine.disk.sync_dir(dir))
    }
}
