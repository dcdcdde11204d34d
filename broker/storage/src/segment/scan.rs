//! Reads a segment front to back, with bounded memory: for compaction and for verification. Readers of topics want single
//! places instead, see `files.rs`.

use std::{io, sync::Arc};

use bytes::Bytes;
use millstream_protocol::batch::{BatchHeader, HEADER_BYTES, RecordBatch};

use super::{SegmentError, may_have};
use crate::disk::DiskFile;

/// Read at once; a batch that is larger is read as a whole.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct SegmentScanner {
    file: Arc<dyn DiskFile>,
    path: String,
    len: u64,
    /// Of the next batch.
    position: u64,
    /// What was read, beginning at `position`.
    ahead: Bytes,
}

impl SegmentScanner {
    pub(crate) fn new(file: Arc<dyn DiskFile>, path: String, len: u64) -> Self {
        Self {
            file,
            path,
            len,
            position: 0,
            ahead: Bytes::new(),
        }
    }

    /// Where the next batch would begin.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, its checksum checked; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, SegmentError> {
        if self.position >= self.len {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = BatchHeader::read(&self.ahead).ok_or_else(|| self.corrupt("it is cut off"))?;
        let bytes = header.total_bytes().map_err(|error| self.corrupt(error))?;
        if bytes as u64 > self.len - self.position {
            return Err(self.corrupt("a batch is longer than the segment"));
        }
        self.fill(bytes)?;
        // shares the buffer: no copy
        let batch =
            RecordBatch::parse_stored(self.ahead.slice(..bytes)).map_err(|error| self.corrupt(error))?;
        self.ahead = self.ahead.slice(bytes..);
        self.position += bytes as u64;
        Ok(Some(batch))
    }

    /// Reads on until at least `len` bytes are ahead.
    fn fill(&mut self, len: usize) -> Result<(), SegmentError> {
        if self.ahead.len() >= len {
            return Ok(());
        }
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        let whole = len.max(CHUNK_BYTES).min(left);
        if !may_have(&*self.file, self.position, whole).map_err(|source| self.io(source))? {
            return Err(self.corrupt("it is cut off"));
        }
        let mut buffer = Vec::with_capacity(whole);
        buffer.extend_from_slice(&self.ahead);
        let from = self.position + buffer.len() as u64;
        let read = self.file.read_at(&mut buffer, from, whole - self.ahead.len());
        read.map_err(|source| self.io(source))?;
        self.ahead = buffer.into();
        if self.ahead.len() < len {
            return Err(self.corrupt("it is cut off"));
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> SegmentError {
        SegmentError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn corrupt(&self, reason: impl ToString) -> SegmentError {
        SegmentError::Corrupt {
            path: self.path.clone(),
            position: self.position,
            reason: reason.to_string(),
        }
    }
}
