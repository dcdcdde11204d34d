//! Reading segments: a bounded set of open files, each with as much of its index as was needed so far.

use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use millstream_protocol::batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use super::{SegmentMeta, index::Index, index_path, log_path, may_have};
use crate::{
    disk::{Disk, DiskFile, Mode},
    engine::lock,
    partition::PartitionId,
    read::Found,
};

/// Far below the usual limit of 1,024 open files of a process.
const MAX_OPEN: usize = 256;
/// Read first while looking for a place: the index leads to within 4 KB of it.
const NEAR_BYTES: usize = 8 << 10;
/// Read at once where there is no index yet.
const SCAN_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    open: Mutex<Open>,
    /// The part of each segment whose checksums this process has held against its bytes.
    checked: Mutex<HashMap<Key, Range<u64>>>,
}

/// Partition, base offset and generation.
type Key = (PartitionId, i64, u32);

#[derive(Debug, Default)]
struct Open {
    segments: HashMap<Key, Arc<OpenSegment>>,
    /// In the order of opening.
    order: VecDeque<Key>,
}

#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) index: Mutex<Index>,
}

/// What is wanted of a segment: batches from the one that holds `from`, those that begin before `limit`, up to `max_bytes`
/// but at least one.
pub(crate) struct Span<'a> {
    pub(crate) partition: PartitionId,
    pub(crate) segment: &'a SegmentMeta,
    pub(crate) from: i64,
    pub(crate) limit: i64,
    pub(crate) max_bytes: usize,
}

/// Why a segment could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("segment {path} is corrupt at byte {position}: {reason}")]
    Corrupt {
        path: String,
        position: u64,
        reason: String,
    },
    #[error("segment {path} cannot be read")]
    Io {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// A header at its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) bytes: usize,
    pub(super) header: BatchHeader,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: Mutex::default(),
            checked: Mutex::default(),
        }
    }

    /// The wanted batches, with their checksums held against their bytes; none if the segment ends before.
    pub(crate) fn read<B: From<Bytes>>(&self, span: &Span<'_>) -> Result<Found<B>, SegmentError> {
        let (segment, max_bytes) = (span.segment, span.max_bytes);
        let reader = self.reader(span.partition, segment)?;
        let begin = reader.seek_offset(span.from)?;
        // compaction may have left nothing there
        if begin >= segment.len {
            return Ok(Found::none());
        }
        let mut position = begin;
        let mut chunk = reader.chunk(position, max_bytes)?;
        let mut batches = Vec::new();
        let mut next = span.from;
        let mut taken = 0;
        while position < segment.len {
            let Some(at) = reader.header(&chunk, position)? else {
                // what is ahead holds no whole header
                chunk = reader.chunk(position, HEADER_BYTES)?;
                continue;
            };
            if at.header.base_offset.0 >= span.limit || (!batches.is_empty() && taken + at.bytes > max_bytes)
            {
                break;
            }
            if chunk.len() < at.bytes {
                if !batches.is_empty() {
                    break;
                }
                chunk = reader.chunk(position, at.bytes)?;
            }
            let batch = RecordBatch::parse_stored(chunk.split_to(at.bytes))
                .map_err(|error| reader.corrupt(position, error.to_string()))?;
            lock(&reader.open.index).note(&at.header, at.bytes, position);
            position += at.bytes as u64;
            taken += at.bytes;
            next = batch.next_offset().0;
            batches.push(batch.into_bytes());
        }
        self.note_checked(span.partition, segment, begin..position);
        if batches.is_empty() {
            return Ok(Found::none());
        }
        Ok(Found::of(batches, next))
    }

    /// The checksums of that part were held against its bytes, or it was written from what they were held against.
    pub(crate) fn note_checked(&self, partition: PartitionId, segment: &SegmentMeta, part: Range<u64>) {
        let mut checked = lock(&self.checked);
        let known = checked.entry(key(partition, segment)).or_default();
        if part.start <= known.end && known.start <= part.end {
            *known = known.start.min(part.start)..known.end.max(part.end);
        } else if part.end - part.start > known.end - known.start {
            *known = part;
        }
    }

    pub(super) fn is_checked(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
        part: &Range<u64>,
    ) -> bool {
        let checked = lock(&self.checked);
        let known = checked.get(&key(partition, segment));
        known.is_some_and(|known| known.start <= part.start && part.end <= known.end)
    }

    /// The first batch with a record of that time or later.
    pub(crate) fn first_at_or_after(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
        timestamp: i64,
        from: i64,
    ) -> Result<Option<RecordBatch>, SegmentError> {
        let reader = self.reader(partition, segment)?;
        let position = reader.seek(
            |index| index.floor_by_time(timestamp),
            |at| at.header.max_timestamp.0 >= timestamp && at.header.last_offset().0 >= from,
        )?;
        if position >= segment.len {
            return Ok(None);
        }
        let chunk = reader.chunk(position, HEADER_BYTES)?;
        let at = reader
            .header(&chunk, position)?
            .ok_or_else(|| reader.corrupt(position, "it is cut off"))?;
        let chunk = reader.chunk(position, at.bytes)?;
        let batch = RecordBatch::parse_stored(chunk).map_err(|e| reader.corrupt(position, e.to_string()))?;
        Ok(Some(batch))
    }

    /// Writes the index of a closed segment beside it, so that the next process need not scan it. Not synced: a torn
    /// index is recognised and built again.
    pub(crate) fn save_index(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
    ) -> Result<(), SegmentError> {
        let reader = self.reader(partition, segment)?;
        reader.seek(|_| None, |_| false)?;
        let content = lock(&reader.open.index).encode(segment.base);
        let path = index_path(partition, segment);
        let written = self
            .disk
            .open(&path, Mode::Truncate)
            .and_then(|file| file.write_at(&[io::IoSlice::new(&content)], 0));
        written.map_err(|source| SegmentError::Io { path, source })
    }

    /// Forgets a file that is about to be removed.
    pub(crate) fn forget(&self, partition: PartitionId, segment: &SegmentMeta) {
        lock(&self.open).segments.remove(&key(partition, segment));
        lock(&self.checked).remove(&key(partition, segment));
    }

    pub(crate) fn forget_topic(&self, topic: uuid::Uuid) {
        lock(&self.open)
            .segments
            .retain(|(partition, ..), _| partition.topic != topic);
        lock(&self.checked).retain(|(partition, ..), _| partition.topic != topic);
    }

    pub(super) fn reader(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
    ) -> Result<Reader, SegmentError> {
        let path = log_path(partition, segment);
        let known = lock(&self.open).segments.get(&key(partition, segment)).cloned();
        let open = match known {
            Some(open) => open,
            None => self
                .open(partition, segment, &path)
                .map_err(|source| SegmentError::Io {
                    path: path.clone(),
                    source,
                })?,
        };
        Ok(Reader {
            open,
            path,
            len: segment.len,
        })
    }

    fn open(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
        path: &str,
    ) -> io::Result<Arc<OpenSegment>> {
        let file = self.disk.open(path, Mode::Existing)?;
        let saved = if segment.closed {
            Index::load(&*self.disk, &index_path(partition, segment), segment)
        } else {
            None
        };
        let index = Mutex::new(saved.unwrap_or_else(|| Index::new(segment.base)));
        let opened = Arc::new(OpenSegment { file, index });
        let mut open = lock(&self.open);
        if open
            .segments
            .insert(key(partition, segment), opened.clone())
            .is_none()
        {
            open.order.push_back(key(partition, segment));
        }
        while open.order.len() > MAX_OPEN {
            if let Some(oldest) = open.order.pop_front() {
                open.segments.remove(&oldest);
            }
        }
        Ok(opened)
    }
}

fn key(partition: PartitionId, segment: &SegmentMeta) -> Key {
    (partition, segment.base, segment.generation)
}

/// One segment, as far as the checkpoint says it goes.
pub(super) struct Reader {
    pub(super) open: Arc<OpenSegment>,
    path: String,
    len: u64,
}

impl Reader {
    /// The position of the batch that holds an offset, or of the first behind it.
    pub(super) fn seek_offset(&self, offset: i64) -> Result<u64, SegmentError> {
        self.seek(
            |index| index.floor(offset),
            |at| at.header.last_offset().0 >= offset,
        )
    }

    /// The position of the first batch that is `wanted`, beginning where the index says; the end if there is none.
    fn seek(
        &self,
        start: impl Fn(&Index) -> Option<u64>,
        wanted: impl Fn(&At) -> bool,
    ) -> Result<u64, SegmentError> {
        let mut position = {
            let index = lock(&self.open.index);
            start(&index).unwrap_or_else(|| index.covered())
        };
        let mut chunk = if position < self.len {
            self.chunk(position, NEAR_BYTES)?
        } else {
            Bytes::new()
        };
        let mut chunk_start = position;
        while position < self.len {
            let ahead = usize::try_from(position - chunk_start)
                .ok()
                .filter(|at| *at <= chunk.len());
            let found = ahead
                .map(|at| self.header(&chunk.slice(at..), position))
                .transpose()?
                .flatten();
            let Some(at) = found else {
                chunk = self.chunk(position, SCAN_BYTES)?;
                chunk_start = position;
                continue;
            };
            lock(&self.open.index).note(&at.header, at.bytes, position);
            if wanted(&at) {
                return Ok(position);
            }
            position += at.bytes as u64;
        }
        Ok(position)
    }

    /// At least a header, at most what the segment still has.
    pub(super) fn chunk(&self, position: u64, len: usize) -> Result<Bytes, SegmentError> {
        let left = usize::try_from(self.len - position).unwrap_or(usize::MAX);
        let len = len.max(HEADER_BYTES).min(left);
        let failed = |source| self.failed(source);
        if !may_have(&*self.open.file, position, len).map_err(failed)? {
            return Err(self.corrupt(position, "it is cut off"));
        }
        let mut buffer = Vec::with_capacity(len);
        let read = self.open.file.read_at(&mut buffer, position, len);
        let read = read.map_err(failed)?;
        if read < len || len < HEADER_BYTES {
            return Err(self.corrupt(position, "it is cut off"));
        }
        Ok(buffer.into())
    }

    /// The header at the front of `chunk`; `None` if the chunk is too short for one.
    pub(super) fn header(&self, chunk: &[u8], position: u64) -> Result<Option<At>, SegmentError> {
        let Some(header) = BatchHeader::read(chunk) else {
            return Ok(None);
        };
        let bytes = header
            .total_bytes()
            .map_err(|error| self.corrupt(position, error.to_string()))?;
        if header.magic != 2 || bytes as u64 > self.len - position {
            return Err(self.corrupt(position, "there is no record batch"));
        }
        Ok(Some(At { bytes, header }))
    }

    pub(super) fn failed(&self, source: io::Error) -> SegmentError {
        SegmentError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn corrupt(&self, position: u64, reason: impl Into<String>) -> SegmentError {
        SegmentError::Corrupt {
            path: self.path.clone(),
            position,
            reason: reason.into(),
        }
    }
}
