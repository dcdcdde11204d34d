//! Reading segments: a bounded set of open files, each with as much of its index as was needed so far.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use millstream_protocol::batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use super::{SegmentMeta, index::Index, index_path, log_path, may_have};
use crate::{
    disk::{Disk, DiskFile, Mode},
    engine::lock,
    partition::PartitionId,
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
struct OpenSegment {
    file: Arc<dyn DiskFile>,
    index: Mutex<Index>,
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
struct At {
    bytes: usize,
    header: BatchHeader,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: Mutex::default(),
        }
    }

    /// Batches from the one that holds `from`, up to `max_bytes` but at least one; empty if the segment ends before.
    pub(crate) fn read(
        &self,
        partition: PartitionId,
        segment: &SegmentMeta,
        from: i64,
        limit: i64,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, SegmentError> {
        let reader = self.reader(partition, segment)?;
        let mut position = reader.seek(|index| index.floor(from), |at| at.header.last_offset().0 >= from)?;
        // compaction may have left nothing there
        if position >= segment.len {
            return Ok(Vec::new());
        }
        let mut chunk = reader.chunk(position, max_bytes)?;
        let mut batches = Vec::new();
        let mut taken = 0;
        while position < segment.len {
            let Some(at) = reader.header(&chunk, position)? else {
                // what is ahead holds no whole header
                chunk = reader.chunk(position, HEADER_BYTES)?;
                continue;
            };
            if at.header.base_offset.0 >= limit || (!batches.is_empty() && taken + at.bytes > max_bytes) {
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
            batches.push(batch);
        }
        Ok(batches)
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
    }

    pub(crate) fn forget_topic(&self, topic: uuid::Uuid) {
        lock(&self.open)
            .segments
            .retain(|(partition, ..), _| partition.topic != topic);
    }

    fn reader(&self, partition: PartitionId, segment: &SegmentMeta) -> Result<Reader, SegmentError> {
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
struct Reader {
    open: Arc<OpenSegment>,
    path: String,
    len: u64,
}

impl Reader {
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
    fn chunk(&self, position: u64, len: usize) -> Result<Bytes, SegmentError> {
        let left = usize::try_from(self.len - position).unwrap_or(usize::MAX);
        let len = len.max(HEADER_BYTES).min(left);
        let failed = |source| SegmentError::Io {
            path: self.path.clone(),
            source,
        };
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
    fn header(&self, chunk: &[u8], position: u64) -> Result<Option<At>, SegmentError> {
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

    fn corrupt(&self, position: u64, reason: impl Into<String>) -> SegmentError {
        SegmentError::Corrupt {
            path: self.path.clone(),
            position,
            reason: reason.into(),
        }
    }
}
