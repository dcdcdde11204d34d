//! Opening a data directory: lock, format, checkpoint, then the write-ahead log from where the checkpoint ends.
//!
//! The log ends at the first frame that is not intact. In the newest file that is what a crash leaves behind, unless a
//! later write is found behind it ([`crate::wal::later`]); then, and in an earlier file, it is damage of acknowledged data,
//! and the directory is refused: nothing is dropped that was acknowledged (`docs/adr/0011`). Before anything new is written, an end
//! frame closes the newest file at that place: frames of unfinished writes behind it can never come back. And what it
//! holds is written once more and synced: if the last process died of a failed fsync, the frames that were read may be in
//! the page cache only, marked clean, and a later fsync would report success without writing them.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    sync::Arc,
    time::Instant,
};

use millstream_types::{Offset, TopicName};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

use crate::{
    Recovery, StorageConfig,
    batch::BatchInfo,
    checkpoint,
    config::Durability,
    disk::{Disk, DiskLock, Mode, read_exact, read_file, replace_file},
    engine::Recovered,
    error::OpenError,
    partition::{PartitionId, TailBatch, Watermarks, topic_dir},
    sealer::Sealer,
    stage::{Stage, StagedTopic, TopicEntry},
    state::LogState,
    topic_ops::entry_of,
    wal::{
        self, WalFile,
        cursor::Cursor,
        frame::{Damaged, Entry, FILE_HEADER_BYTES, FileHeader, Frame},
        later::later_write,
        pool::{Pool, slot_path},
        scan::{Ended, Scanned, Scanner},
    },
};

/// The format of the data directory that this version writes.
const FORMAT: u32 = 3;
const FORMAT_PATH: &str = "format";
const LOCK_PATH: &str = "lock";
/// Of the newest file, at once.
const REWRITE_BYTES: usize = 4 << 20;
const FORMAT_NAME: &str = "millstream-storage";

/// Takes the directory for this process and checks that it can be read.
pub(crate) fn enter(disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
    let dir = || disk.describe("");
    let cannot_write = |source: io::Error| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { dir: dir() },
        _ => OpenError::Unwritable { dir: dir(), source },
    };
    disk.create_dir_all("").map_err(cannot_write)?;
    let lock = disk
        .lock(LOCK_PATH)
        .map_err(cannot_write)?
        .map_err(|by| OpenError::Locked {
            dir: dir(),
            pid: by.pid,
        })?;
    match read_format(disk)? {
        Some(found) if found > FORMAT => {
            return Err(OpenError::NewerFormat {
                dir: dir(),
                found,
                supported: FORMAT,
            });
        }
        Some(FORMAT) => {}
        // an earlier program must not read what this one is about to write
        Some(_) | None => {
            let text = format!("{FORMAT_NAME} {FORMAT}\n");
            replace_file(disk, FORMAT_PATH, text.as_bytes()).map_err(cannot_write)?;
        }
    }
    disk.create_dir_all(wal::DIR)
        .and_then(|()| disk.sync_dir(""))
        .map_err(cannot_write)?;
    Ok(lock)
}

fn read_format(disk: &dyn Disk) -> Result<Option<u32>, OpenError> {
    let file = disk.describe(FORMAT_PATH);
    let content = match read_file(disk, FORMAT_PATH, 256) {
        Ok(content) => content,
        Err(source) => return Err(OpenError::Unreadable { file, source }),
    };
    let Some(content) = content else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&content);
    let version = text
        .trim()
        .strip_prefix(FORMAT_NAME)
        .and_then(|version| version.trim().parse().ok());
    version.map(Some).ok_or(OpenError::Corrupt {
        file,
        reason: "it names no format".into(),
    })
}

/// Rebuilds all state from what is on disk.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    config: &StorageConfig,
) -> Result<(Recovered, Recovery), OpenError> {
    let started = Instant::now();
    let sealed = checkpoint::load(&**disk)?;
    let files = open_files(&**disk)?;
    if let Some(lost) = files.iter().find(|file| file.is_lost(sealed.wal_from)) {
        return Err(OpenError::Corrupt {
            file: disk.describe(&slot_path(lost.slot)),
            reason: LOST_HEADER.into(),
        });
    }
    let next_slot = files.iter().map(|file| file.slot + 1).max().unwrap_or(0);
    let (mut live, spares): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| file.header.is_some_and(|h| h.sequence >= sealed.wal_from));
    live.sort_by_key(|file| file.header.map(|h| h.sequence));
    let mut replay = Replay::new(disk, sealed.clone());
    let unused = replay.files(live)?;
    let mut random = match config.seed {
        Some(seed) => SmallRng::seed_from_u64(seed),
        None => SmallRng::from_os_rng(),
    };
    let pool = Pool::new(disk.clone(), config.wal_file_bytes, next_slot, random.random());
    for file in spares.into_iter().chain(unused) {
        pool.give_back(file.slot, file.file, file.capacity)
            .map_err(|source| OpenError::Unwritable {
                dir: disk.describe(&slot_path(file.slot)),
                source,
            })?;
    }

    if let Err(error) = sweep(&**disk, [&sealed, &replay.state]) {
        tracing::warn!(%error, "files of deleted topics were not removed; the next start tries again");
    }
    if let Err(error) = sweep_segments(&**disk, &sealed) {
        tracing::warn!(%error, "files of replaced segments were not removed; the next start tries again");
    }
    let recovery = Recovery {
        took: started.elapsed(),
        topics: replay.state.topics.len(),
        partitions: replay.state.topics.values().map(|t| t.partitions.len()).sum(),
        replayed_batches: replay.batches,
        replayed_bytes: replay.bytes,
        torn_tail: replay.torn,
    };
    Ok((replay.into_recovered(sealed, pool, config, random), recovery))
}

/// The same, to look only: nothing is made, and nothing changes but the lock.
pub(crate) fn enter_to_read(disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
    let dir = || disk.describe("");
    match read_format(disk)? {
        Some(found) if found > FORMAT => {
            return Err(OpenError::NewerFormat {
                dir: dir(),
                found,
                supported: FORMAT,
            });
        }
        Some(_) => {}
        None => {
            return Err(OpenError::NoDataDirectory { dir: dir() });
        }
    }
    let lock = disk.lock(LOCK_PATH);
    let lock = lock.map_err(|source| OpenError::Unwritable { dir: dir(), source })?;
    lock.map_err(|by| OpenError::Locked {
        dir: dir(),
        pid: by.pid,
    })
}

/// Removes segments that the checkpoint does not name: what was replaced by it, or what did not get that far. It is
/// durable, so nothing can name them later; `enter` synced its directory.
fn sweep_segments(disk: &dyn Disk, sealed: &LogState) -> io::Result<()> {
    for topic in sealed.topics.values() {
        for (index, log) in (0..).zip(&topic.partitions) {
            let id = PartitionId {
                topic: topic.topic.id,
                index,
            };
            for name in disk.list(&id.dir())? {
                if !log.names_file(&name) {
                    disk.remove_file(&format!("{}/{name}", id.dir()))?;
                }
            }
        }
    }
    Ok(())
}

/// Removes what is left of topics that were deleted right before a crash.
fn sweep(disk: &dyn Disk, known: [&LogState; 2]) -> io::Result<()> {
    let ids = disk
        .list("topics")?
        .into_iter()
        .filter_map(|name| Uuid::parse_str(&name).ok());
    let unknown = ids.filter(|id| known.iter().all(|state| !state.topics.contains_key(id)));
    unknown
        .map(topic_dir)
        .try_for_each(|dir| disk.remove_dir_all(&dir))
}

/// A file of the write-ahead log as it was found.
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) file: Arc<dyn crate::disk::DiskFile>,
    pub(crate) capacity: u64,
    pub(crate) header: Option<FileHeader>,
    /// Set if the header is damaged and frames behind it are not.
    damaged: Option<Damaged>,
}

impl Found {
    /// Whether it may hold records that are in no segment, and cannot be read.
    pub(crate) fn is_lost(&self, wal_from: u64) -> bool {
        let is_sealed = |damaged: Damaged| damaged.is_certain && damaged.was.sequence < wal_from;
        self.damaged.is_some_and(|damaged| !is_sealed(damaged))
    }

    /// What was its header, if that is damaged. A header that a crash cut short has no frames behind it.
    fn look_for_damage(&mut self, head: &[u8]) -> io::Result<()> {
        let Some(damaged) = FileHeader::damaged(head) else {
            return Ok(());
        };
        let wal = Arc::new(WalFile {
            slot: self.slot,
            header: damaged.was,
            file: self.file.clone(),
            capacity: self.capacity,
        });
        let begins = Scanner::new(wal.clone()).next_frame()?.is_some();
        if begins || later_write(&wal, FILE_HEADER_BYTES as u64)?.is_some() {
            self.damaged = Some(damaged);
        }
        Ok(())
    }
}

/// What is said of such a file.
pub(crate) const LOST_HEADER: &str = "its header is damaged, and its records may be in no segment yet";

pub(crate) fn open_files(disk: &dyn Disk) -> Result<Vec<Found>, OpenError> {
    let unreadable = |path: &str, source| OpenError::Unreadable {
        file: disk.describe(path),
        source,
    };
    let names = disk.list(wal::DIR).map_err(|e| unreadable(wal::DIR, e))?;
    let mut slots: Vec<u32> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".wal")?.parse().ok())
        .collect();
    slots.sort_unstable();
    let open = |slot| {
        let file = disk.open(&slot_path(slot), Mode::Existing)?;
        let mut head = Vec::new();
        file.read_at(&mut head, 0, FILE_HEADER_BYTES)?;
        let mut found = Found {
            slot,
            capacity: file.len()?,
            file,
            header: FileHeader::decode(&head),
            damaged: None,
        };
        found.look_for_damage(&head)?;
        Ok(found)
    };
    slots
        .into_iter()
        .map(|slot| open(slot).map_err(|e| unreadable(&slot_path(slot), e)))
        .collect()
}

/// What is said of bytes that are no frame although a later write follows them.
pub(crate) fn damage_before(position: u64, next: u64) -> String {
    format!(
        "the frame at byte {position} is damaged: records that were acknowledged are in it, and later ones follow at byte {next}"
    )
}

struct Replay<'a> {
    disk: &'a Arc<dyn Disk>,
    state: LogState,
    tails: HashMap<PartitionId, Vec<TailBatch>>,
    files: Vec<Arc<WalFile>>,
    next_sequence: u64,
    batches: u64,
    bytes: u64,
    torn: bool,
}

impl<'a> Replay<'a> {
    fn new(disk: &'a Arc<dyn Disk>, state: LogState) -> Self {
        Self {
            disk,
            next_sequence: state.wal_from,
            state,
            tails: HashMap::new(),
            files: Vec::new(),
            batches: 0,
            bytes: 0,
            torn: false,
        }
    }

    /// Replays the files in order; answers those that hold nothing.
    fn files(&mut self, live: Vec<Found>) -> Result<Vec<Found>, OpenError> {
        let mut unused = Vec::new();
        let mut torn: Option<(Arc<WalFile>, u64)> = None;
        let mut newest = None;
        for found in live {
            let header = found.header.expect("live files have a header");
            let wal = Arc::new(WalFile {
                slot: found.slot,
                header,
                file: found.file.clone(),
                capacity: found.capacity,
            });
            let follows = header.sequence == self.next_sequence && torn.is_none();
            if !follows {
                self.refuse_if_it_holds_frames(&wal, torn.as_ref())?;
                unused.push(found);
                continue;
            }
            let mut scanner = Scanner::new(wal.clone());
            self.file(&wal, &mut scanner)
                .map_err(|source| self.bad(&wal, source))?;
            self.bytes += scanner.position();
            self.next_sequence = header.sequence + 1;
            newest = Some((wal.clone(), scanner.position()));
            if scanner.ended() == Ended::Torn {
                torn.clone_from(&newest);
            }
            self.files.push(wal);
        }
        if let Some((wal, position)) = &torn {
            self.refuse_if_a_write_follows(wal, *position)?;
        }
        self.torn = torn.is_some();
        if let Some((wal, position)) = newest {
            self.close(&wal, position)
                .map_err(|source| OpenError::Unwritable {
                    dir: self.disk.describe(&wal.path()),
                    source,
                })?;
        }
        Ok(unused)
    }

    /// A file behind the end of the log: harmless if its first write never became durable.
    fn refuse_if_it_holds_frames(
        &self,
        wal: &Arc<WalFile>,
        torn: Option<&(Arc<WalFile>, u64)>,
    ) -> Result<(), OpenError> {
        let first = Scanner::new(wal.clone())
            .next_frame()
            .map_err(|source| self.bad(wal, source))?;
        if first.is_none() || wal.header.without_fsync {
            return Ok(());
        }
        let (file, reason) = match torn {
            Some((torn, position)) => (
                torn.path(),
                format!("its frames end at byte {position}, but a later file goes on"),
            ),
            None => (
                wal.path(),
                format!("the file before it, number {}, is missing", self.next_sequence),
            ),
        };
        Err(OpenError::Corrupt {
            file: self.disk.describe(&file),
            reason,
        })
    }

    /// What looks like a torn end is damage if a write follows it that began when it was durable.
    fn refuse_if_a_write_follows(&self, wal: &WalFile, position: u64) -> Result<(), OpenError> {
        match later_write(wal, position).map_err(|source| self.bad(wal, source))? {
            None => Ok(()),
            Some(next) => Err(OpenError::Corrupt {
                file: self.disk.describe(&wal.path()),
                reason: damage_before(position, next),
            }),
        }
    }

    fn file(&mut self, wal: &Arc<WalFile>, scanner: &mut Scanner) -> io::Result<()> {
        while let Some(entries) = scanner.next_frame()? {
            for Scanned {
                entry,
                batch_position,
            } in entries
            {
                match entry {
                    Entry::Put(key, value) => self.state.put(key, value).ok_or_else(|| invalid("a put"))?,
                    Entry::Batch(id, bytes) => {
                        let info = BatchInfo::read(bytes).map_err(io::Error::other)?;
                        self.batch(wal, id, &info, batch_position)?;
                    }
                    Entry::End { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn batch(
        &mut self,
        wal: &Arc<WalFile>,
        id: PartitionId,
        info: &BatchInfo,
        position: u64,
    ) -> io::Result<()> {
        let Some(partition) = self.state.partition(id) else {
            return Ok(());
        };
        partition
            .accept(info)
            .ok_or_else(|| invalid("the offset of a batch"))?;
        self.batches += 1;
        self.tails.entry(id).or_default().push(TailBatch {
            base: info.base_offset,
            next: info.next_offset(),
            max_timestamp: info.max_timestamp,
            file: wal.clone(),
            position,
            len: info.bytes,
            bytes: None,
        });
        Ok(())
    }

    /// Makes all frames before `position` durable, whatever the last process left, and ends the file there.
    fn close(&self, wal: &WalFile, position: u64) -> io::Result<()> {
        let mut at = 0;
        while at < position {
            let len = usize::try_from(position - at)
                .unwrap_or(usize::MAX)
                .min(REWRITE_BYTES);
            let chunk = read_exact(&*wal.file, at, len)?;
            wal.file.write_at(&[IoSlice::new(&chunk)], at)?;
            at += len as u64;
        }
        let parts = Frame::end(self.next_sequence).seal(wal.header.salt, false);
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        wal.file.write_at(&slices, position)?;
        wal.file.sync()
    }

    fn bad(&self, wal: &WalFile, source: io::Error) -> OpenError {
        let file = self.disk.describe(&wal.path());
        match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Other => OpenError::Corrupt {
                file,
                reason: source.to_string(),
            },
            _ => OpenError::Unreadable { file, source },
        }
    }

    fn into_recovered(
        mut self,
        sealed: LogState,
        pool: Pool,
        config: &StorageConfig,
        random: SmallRng,
    ) -> Recovered {
        let mut topics: BTreeMap<TopicName, Arc<TopicEntry>> = BTreeMap::new();
        let mut staged = HashMap::new();
        for (id, topic) in std::mem::take(&mut self.state.topics) {
            let entry = Arc::new(entry_of(topic.topic, Vec::new()));
            let mut states = Vec::with_capacity(topic.partitions.len());
            for (view, log) in entry.partitions.iter().zip(topic.partitions) {
                debug_assert_eq!(view.id.topic, id);
                let mut published = view.lock();
                published.watermarks = Watermarks {
                    log_start: Offset(log.log_start),
                    last_stable: Offset(log.state.last_stable().max(log.log_start)),
                    high_watermark: Offset(log.state.next_offset),
                };
                published.segments = log.segments;
                published.aborted = log.aborted;
                published.tail = self.tails.remove(&view.id).unwrap_or_default().into();
                published.tail_bytes = published.tail.iter().map(|batch| u64::from(batch.len)).sum();
                view.announce(&published);
                states.push(log.state);
            }
            topics.insert(entry.topic.name.clone(), entry.clone());
            staged.insert(entry.topic.name.clone(), StagedTopic { entry, states });
        }
        let cursor = Cursor::new(self.next_sequence, config.durability == Durability::Os);
        Recovered {
            pool,
            stage: Stage::new(staged, cursor),
            closed: self.files,
            sealer: Sealer::new(sealed),
            topics,
            keyed: self.state.keyed,
            random,
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is invalid although its frame is intact"),
    )
}
