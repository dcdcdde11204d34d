//! Verification: reads all of a data directory and says what is wrong with it, changing nothing.
//!
//! Checked are the checkpoint, every batch of every segment (checksum, every record, offsets in order, without gaps where
//! compaction was not at work, against what the checkpoint says of the segment), every saved index against its segment, and
//! every frame of the write-ahead log that a start would replay, with the offsets of its batches. What a crash leaves
//! behind by design (a torn end of the newest file, files of an unfinished seal) is a note, not damage; a frame that cannot
//! be read although a later write follows it is damage ([`crate::wal::later`]).

use std::{path::PathBuf, sync::Arc};

use millstream_protocol::batch::{MAX_DECOMPRESSED_BYTES, RecordBatch};

use crate::{
    batch::BatchInfo,
    checkpoint,
    disk::{Disk, Mode, read_file},
    error::OpenError,
    partition::PartitionId,
    recover::{Found, LOST_HEADER, damage_before, enter_to_read, open_files},
    segment::{Index, SegmentError, SegmentMeta, SegmentScanner, index_path, log_path},
    state::{LogState, PartitionLog},
    wal::{
        WalFile,
        frame::Entry,
        later::later_write,
        pool::slot_path,
        scan::{Ended, Scanner},
    },
};

/// More findings than that are counted, not kept.
const MAX_FINDINGS: usize = 10_000;
/// Larger than the index of any segment.
const MAX_INDEX_BYTES: u64 = 1 << 30;

/// What verification read, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// In the order of the walk: checkpoint, segments by topic and partition, write-ahead log.
    pub findings: Vec<Finding>,
    /// That there was no room for.
    pub more_findings: u64,
    pub topics: u64,
    pub partitions: u64,
    pub segments: u64,
    pub indexes: u64,
    pub batches: u64,
    pub records: u64,
    pub wal_files: u64,
    pub wal_frames: u64,
    pub bytes: u64,
}

/// One thing at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub position: u64,
    /// Topic and partition, if it belongs to one.
    pub partition: Option<String>,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What a crash leaves behind by design; the next start deals with it.
    Note,
    /// Data that was acknowledged cannot be read, or would be read wrongly.
    Damage,
}

impl Verification {
    /// Whether all data that was acknowledged is there.
    pub fn is_sound(&self) -> bool {
        self.more_findings == 0 && self.findings.iter().all(|f| f.severity == Severity::Note)
    }
}

/// Reads a whole data directory and answers what is wrong with it. Takes the directory's lock, so that no broker writes
/// meanwhile, and changes nothing else. An error means that nothing could be checked: the directory is in use, is none, or
/// has a newer format.
///
/// `verify(&(Arc::new(RealDisk::new(dir)) as Arc<dyn Disk>))?` is all that a command needs.
pub fn verify(disk: &Arc<dyn Disk>) -> Result<Verification, OpenError> {
    let _lock = enter_to_read(&**disk)?;
    let mut verifier = Verifier {
        disk,
        found: Verification::default(),
        at: None,
    };
    let state = match checkpoint::load(&**disk) {
        Ok(state) => Some(state),
        Err(error @ (OpenError::Corrupt { .. } | OpenError::Unreadable { .. })) => {
            verifier.damage("checkpoint", 0, error);
            None
        }
        Err(error) => return Err(error),
    };
    if let Some(state) = &state {
        verifier.segments(state);
    }
    verifier.wal(state);
    Ok(verifier.found)
}

struct Verifier<'a> {
    disk: &'a Arc<dyn Disk>,
    found: Verification,
    /// The partition that is looked at.
    at: Option<String>,
}

impl Verifier<'_> {
    fn damage(&mut self, path: &str, position: u64, reason: impl ToString) {
        self.note(Severity::Damage, path, position, reason);
    }

    fn note(&mut self, severity: Severity, path: &str, position: u64, reason: impl ToString) {
        if self.found.findings.len() >= MAX_FINDINGS {
            self.found.more_findings += 1;
            return;
        }
        self.found.findings.push(Finding {
            severity,
            file: self.disk.describe(path),
            position,
            partition: self.at.clone(),
            reason: reason.to_string(),
        });
    }

    fn segments(&mut self, state: &LogState) {
        for topic in state.topics.values() {
            self.found.topics += 1;
            for (index, log) in (0..).zip(&topic.partitions) {
                self.found.partitions += 1;
                self.at = Some(format!("{}-{index}", topic.topic.name));
                let id = PartitionId {
                    topic: topic.topic.id,
                    index,
                };
                self.partition(id, log);
            }
        }
        self.at = None;
    }

    fn partition(&mut self, id: PartitionId, log: &PartitionLog) {
        let mut next = None;
        for segment in &log.segments {
            self.found.segments += 1;
            let path = log_path(id, segment);
            if next.is_some_and(|next| next != segment.base) {
                self.damage(&path, 0, "it does not begin where the segment before it ends");
            }
            next = Some(segment.next);
            self.segment(id, segment);
        }
        if next.is_some_and(|next| next != log.state.next_offset) {
            let reason = format!(
                "the segments do not end at offset {}, as they should",
                log.state.next_offset
            );
            self.damage(&id.dir(), 0, reason);
        }
        self.unknown_files(id, log);
    }

    /// What an unfinished seal or compaction left.
    fn unknown_files(&mut self, id: PartitionId, log: &PartitionLog) {
        let names = match self.disk.list(&id.dir()) {
            Ok(names) => names,
            Err(error) => return self.damage(&id.dir(), 0, error),
        };
        for name in names {
            if !log.names_file(&name) {
                let path = format!("{}/{name}", id.dir());
                self.note(
                    Severity::Note,
                    &path,
                    0,
                    "no checkpoint names this file; the next start removes it",
                );
            }
        }
    }

    fn segment(&mut self, id: PartitionId, segment: &SegmentMeta) {
        let path = log_path(id, segment);
        let file = match self.disk.open(&path, Mode::Existing) {
            Ok(file) => file,
            Err(error) => return self.damage(&path, 0, format!("it cannot be opened: {error}")),
        };
        let mut scanner = SegmentScanner::new(file, path.clone(), segment.len);
        let mut index = Index::new(segment.base);
        let (mut next, mut newest) = (segment.base, i64::MIN);
        loop {
            let position = scanner.position();
            let batch = match scanner.next_batch() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(SegmentError::Corrupt { position, reason, .. }) => {
                    return self.damage(&path, position, reason);
                }
                Err(SegmentError::Io { source, .. }) => return self.damage(&path, position, source),
            };
            let base = batch.base_offset().0;
            let compacted = segment.generation > 0;
            if base < next || (base > next && !compacted) {
                self.damage(
                    &path,
                    position,
                    format!("offset {base} follows where {next} should"),
                );
            }
            self.batch(&path, position, &batch);
            index.note(batch.header(), batch.bytes().len(), position);
            next = batch.next_offset().0;
            newest = newest.max(batch.header().max_timestamp.0);
        }
        if next != segment.next {
            let reason = format!("it ends at offset {next}, the checkpoint says {}", segment.next);
            self.damage(&path, segment.len, reason);
        }
        if newest != segment.max_timestamp {
            let reason = format!(
                "its newest record is of {newest}, the checkpoint says {}",
                segment.max_timestamp
            );
            self.damage(&path, segment.len, reason);
        }
        self.index(id, segment, &index);
    }

    /// A damaged index is recognised and built again, a wrong one is not.
    fn index(&mut self, id: PartitionId, segment: &SegmentMeta, built: &Index) {
        if !segment.closed {
            return;
        }
        let path = index_path(id, segment);
        match read_file(&**self.disk, &path, MAX_INDEX_BYTES) {
            Ok(None) => {}
            Ok(Some(saved)) => {
                self.found.indexes += 1;
                self.found.bytes += saved.len() as u64;
                let is_whole = Index::load(&**self.disk, &path, segment).is_some();
                if is_whole && saved != built.encode(segment.base) {
                    self.damage(
                        &path,
                        0,
                        "it does not belong to its segment: remove it, it is built again",
                    );
                } else if !is_whole {
                    self.note(
                        Severity::Note,
                        &path,
                        0,
                        "it is incomplete; it is built again when it is needed",
                    );
                }
            }
            Err(error) => self.damage(&path, 0, error),
        }
    }

    fn batch(&mut self, path: &str, position: u64, batch: &RecordBatch) {
        self.found.batches += 1;
        self.found.bytes += batch.bytes().len() as u64;
        let mut last = -1;
        let records = match batch.records_within(MAX_DECOMPRESSED_BYTES) {
            Ok(records) => records,
            Err(error) => return self.damage(path, position, error),
        };
        for record in records {
            match record {
                Ok(record) if record.offset.0 > last => {
                    last = record.offset.0;
                    self.found.records += 1;
                }
                Ok(record) => {
                    let reason = format!("record {} follows record {last} in a batch", record.offset.0);
                    return self.damage(path, position, reason);
                }
                Err(error) => return self.damage(path, position, error),
            }
        }
    }

    fn wal(&mut self, state: Option<LogState>) {
        let files = match open_files(&**self.disk) {
            Ok(files) => files,
            Err(error) => return self.damage(crate::wal::DIR, 0, error),
        };
        let from = state.as_ref().map_or(0, |state| state.wal_from);
        for lost in files.iter().filter(|file| file.is_lost(from)) {
            self.damage(&slot_path(lost.slot), 0, LOST_HEADER);
        }
        let mut live: Vec<Found> = files
            .into_iter()
            .filter(|file| file.header.is_some_and(|header| header.sequence >= from))
            .collect();
        live.sort_by_key(|file| file.header.map(|header| header.sequence));
        let mut expected = state.as_ref().map(|state| state.wal_from);
        let mut folded = state.unwrap_or_default();
        let known = expected.is_some();
        // of the file before: where its frames stopped without an end
        let mut torn: Option<(Arc<WalFile>, u64)> = None;
        for found in live {
            let header = found.header.expect("was asked for");
            let wal = Arc::new(WalFile {
                slot: found.slot,
                header,
                file: found.file,
                capacity: found.capacity,
            });
            let mut scanner = Scanner::new(wal.clone());
            let frames = self.frames(&wal, &mut scanner, known.then_some(&mut folded));
            // the first write to a file that a crash interrupted
            if frames == 0
                && scanner.ended() == Ended::Torn
                && (torn.is_some() || expected.is_some_and(|e| e != header.sequence))
            {
                continue;
            }
            if let Some((wal, position)) = torn.take() {
                self.damage(
                    &wal.path(),
                    position,
                    "its frames end here, but a later file goes on",
                );
            }
            if let Some(expected) = expected.filter(|expected| *expected != header.sequence) {
                let reason = format!("the file before it, number {expected}, is missing");
                self.damage(&wal.path(), 0, reason);
            }
            expected = Some(header.sequence + 1);
            if scanner.ended() == Ended::Torn {
                torn = Some((wal, scanner.position()));
            }
        }
        if let Some((wal, position)) = torn {
            self.torn_end(&wal, position);
        }
        self.starts(&folded);
    }

    fn torn_end(&mut self, wal: &WalFile, position: u64) {
        match later_write(wal, position) {
            Ok(Some(next)) => self.damage(&wal.path(), position, damage_before(position, next)),
            Ok(None) => self.note(
                Severity::Note,
                &wal.path(),
                position,
                "the log ends here without an end frame, as after a crash",
            ),
            Err(error) => self.damage(&wal.path(), position, error),
        }
    }

    /// Where the partitions begin in the end: a log start comes in a put of its own.
    fn starts(&mut self, state: &LogState) {
        for topic in state.topics.values() {
            for (index, log) in (0..).zip(&topic.partitions) {
                let (start, end) = (log.log_start, log.state.next_offset);
                if !(0..=end).contains(&start) {
                    let id = PartitionId {
                        topic: topic.topic.id,
                        index,
                    };
                    self.at = Some(format!("{}-{index}", topic.topic.name));
                    let reason = format!("it begins at offset {start}, but its records end at {end}");
                    self.damage(&id.dir(), 0, reason);
                }
            }
        }
        self.at = None;
    }

    /// Walks the frames of one file; answers how many there are.
    fn frames(&mut self, wal: &Arc<WalFile>, scanner: &mut Scanner, mut state: Option<&mut LogState>) -> u64 {
        self.found.wal_files += 1;
        let mut frames = 0;
        loop {
            let position = scanner.position();
            let entries = match scanner.next_frame() {
                Ok(Some(entries)) => entries,
                Ok(None) => break,
                Err(error) => {
                    self.damage(&wal.path(), position, error);
                    break;
                }
            };
            frames += 1;
            for scanned in entries {
                let at = scanned.batch_position;
                match scanned.entry {
                    Entry::Put(key, value) => {
                        if let Some(state) = state.as_deref_mut()
                            && state.put(key, value).is_none()
                        {
                            self.damage(
                                &wal.path(),
                                position,
                                "a put is malformed although its frame is intact",
                            );
                        }
                    }
                    Entry::Batch(id, bytes) => {
                        if let Err(reason) = fold(state.as_deref_mut(), id, &bytes) {
                            self.damage(&wal.path(), at, reason);
                        } else if let Ok(batch) = RecordBatch::parse_stored(bytes) {
                            self.batch(&wal.path(), at, &batch);
                        }
                    }
                    Entry::End { .. } => {}
                }
            }
        }
        self.found.wal_frames += frames;
        self.found.bytes += scanner.position();
        frames
    }
}

/// A batch must be whole and, where the state before it is known, the next one of its partition.
fn fold(state: Option<&mut LogState>, id: PartitionId, bytes: &bytes::Bytes) -> Result<(), String> {
    let info = BatchInfo::read(bytes.clone()).map_err(|error| error.to_string())?;
    let Some(partition) = state.and_then(|state| state.partition(id)) else {
        return Ok(());
    };
    let expected = partition.state.next_offset;
    partition
        .accept(&info)
        .ok_or_else(|| format!("offset {} follows where {expected} should", info.base_offset))
}
