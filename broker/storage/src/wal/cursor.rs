//! Where the next frame goes. A place is given only when its space is reserved; from then on nothing but a failing disk
//! keeps the frame from being written there.

use std::{io, sync::Arc};

use bytes::Bytes;
use millstream_types::Timestamp;

use super::{
    WalFile,
    frame::{END_FRAME_BYTES, FILE_HEADER_BYTES, Frame},
    pool::Pool,
};

#[derive(Debug)]
pub(crate) struct Cursor {
    current: Option<Current>,
    next_sequence: u64,
    without_fsync: bool,
}

#[derive(Debug)]
struct Current {
    file: Arc<WalFile>,
    position: u64,
    opened: Timestamp,
}

/// Bytes with their place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) file: Arc<WalFile>,
    pub(crate) position: u64,
    pub(crate) parts: Vec<Bytes>,
}

impl Placed {
    /// Of a file, not a frame.
    pub(crate) fn is_header(&self) -> bool {
        self.position == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

/// Room for a frame, and what has to be written before it.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) file: Arc<WalFile>,
    pub(crate) position: u64,
    /// The end of the file before and the header of a new one.
    pub(crate) before: Vec<Placed>,
}

impl Cursor {
    pub(crate) fn new(next_sequence: u64, without_fsync: bool) -> Self {
        Self {
            current: None,
            next_sequence,
            without_fsync,
        }
    }

    /// Reserves room for a frame of `len` bytes, which must fit into an empty file. On an error nothing changed.
    /// `begins_write`: nothing is queued before it.
    pub(crate) fn reserve(
        &mut self,
        pool: &Pool,
        len: usize,
        now: Timestamp,
        begins_write: bool,
    ) -> io::Result<Reserved> {
        let needed = (len + END_FRAME_BYTES) as u64;
        let fits = |current: &Current| current.position + needed <= current.file.capacity;
        let mut before = Vec::new();
        if !self.current.as_ref().is_some_and(fits) {
            let file = Arc::new(pool.take(self.next_sequence, self.without_fsync)?);
            before.extend(self.end(begins_write));
            self.next_sequence += 1;
            before.push(Placed {
                file: file.clone(),
                position: 0,
                parts: vec![file.header.encode().into()],
            });
            self.current = Some(Current {
                file,
                position: FILE_HEADER_BYTES as u64,
                opened: now,
            });
        }
        let current = self.current.as_mut().expect("was just opened");
        let position = current.position;
        current.position += len as u64;
        Ok(Reserved {
            file: current.file.clone(),
            position,
            before,
        })
    }

    /// Closes the current file early if it was opened before `opened_before`, so that it can be sealed.
    pub(crate) fn rotate(&mut self, opened_before: Timestamp, begins_write: bool) -> Option<Placed> {
        let due = |current: &Current| current.opened <= opened_before;
        if self.current.as_ref().is_some_and(due) {
            self.end(begins_write)
        } else {
            None
        }
    }

    fn end(&mut self, begins_write: bool) -> Option<Placed> {
        let Current { file, position, .. } = self.current.take()?;
        let parts = Frame::end(self.next_sequence).seal(file.header.salt, begins_write);
        Some(Placed {
            file,
            position,
            parts,
        })
    }

    /// The largest frame that fits into an empty file of that size.
    pub(crate) fn max_frame_bytes(file_bytes: u64) -> usize {
        let room = file_bytes.saturating_sub((FILE_HEADER_BYTES + END_FRAME_BYTES) as u64);
        usize::try_from(room).unwrap_or(usize::MAX)
    }
}
