//! Reads the frames of one use of a file, front to back, with bounded memory.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    WalFile,
    frame::{Entry, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameHeader, read_entries},
};

/// Read ahead; a frame that is larger is read as a whole.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Scanner {
    wal: Arc<WalFile>,
    /// Of the next frame.
    position: u64,
    /// What was read, beginning at `position`.
    ahead: Bytes,
    /// An earlier buffer that nobody looks at any more: fresh memory costs as much as reading it full.
    spare: Vec<u8>,
    ended: Ended,
}

/// Why there is no further frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    NotYet,
    /// With an end frame, as a complete file does.
    Properly,
    /// At bytes that are no frame of this use: the newest file ends so after a crash, if [`super::later`] finds nothing.
    Torn,
}

/// An entry with the position of its batch in the file.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) entry: Entry,
    pub(crate) batch_position: u64,
}

impl Scanner {
    pub(crate) fn new(wal: Arc<WalFile>) -> Self {
        Self::at(wal, FILE_HEADER_BYTES as u64)
    }

    /// From a frame in the middle on.
    pub(crate) fn at(wal: Arc<WalFile>, position: u64) -> Self {
        Self {
            wal,
            position,
            ahead: Bytes::new(),
            spare: Vec::new(),
            ended: Ended::NotYet,
        }
    }

    /// Where the next frame would begin.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn ended(&self) -> Ended {
        self.ended
    }

    /// The entries of the next frame; `None` at the end, see [`Self::ended`].
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<Vec<Scanned>>> {
        if self.ended != Ended::NotYet {
            return Ok(None);
        }
        let Some(payload) = self.next_payload()? else {
            self.ended = Ended::Torn;
            return Ok(None);
        };
        let start = self.position + FRAME_HEADER_BYTES as u64;
        let frame_bytes = FRAME_HEADER_BYTES + payload.len();
        let origin = payload.as_ptr() as usize;
        let Some(entries) = read_entries(payload) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an intact frame holds unknown entries",
            ));
        };
        if matches!(entries[..], [Entry::End { .. }]) {
            self.ended = Ended::Properly;
            return Ok(None);
        }
        self.position += frame_bytes as u64;
        self.ahead = self.ahead.slice(frame_bytes..);
        let placed = entries.into_iter().map(|entry| {
            let batch_position = match &entry {
                Entry::Batch(_, bytes) => start + (bytes.as_ptr() as usize - origin) as u64,
                Entry::Put(..) | Entry::End { .. } => 0,
            };
            Scanned {
                entry,
                batch_position,
            }
        });
        Ok(Some(placed.collect()))
    }

    fn next_payload(&mut self) -> io::Result<Option<Bytes>> {
        if !self.fill(FRAME_HEADER_BYTES)? {
            return Ok(None);
        }
        let Some(header) = FrameHeader::read(&self.ahead) else {
            return Ok(None);
        };
        let room = self.wal.capacity.saturating_sub(self.position);
        let frame_bytes = FRAME_HEADER_BYTES + header.payload_bytes();
        if frame_bytes as u64 > room || !self.fill(frame_bytes)? {
            return Ok(None);
        }
        let payload = self.ahead.slice(FRAME_HEADER_BYTES..frame_bytes);
        Ok(header.is_of(self.wal.header.salt, &payload).then_some(payload))
    }

    /// Reads on until at least `len` bytes are ahead; false if the file is shorter.
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.ahead.len() >= len {
            return Ok(true);
        }
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        buffer.reserve(len.max(CHUNK_BYTES));
        buffer.extend_from_slice(&self.ahead);
        let from = self.position + buffer.len() as u64;
        let want = len.max(CHUNK_BYTES) - buffer.len();
        self.wal.file.read_at(&mut buffer, from, want)?;
        let read = std::mem::replace(&mut self.ahead, buffer.into());
        if read.is_unique() {
            self.spare = read.into();
        }
        Ok(self.ahead.len() >= len)
    }
}
