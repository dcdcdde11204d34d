//! Batches that are handed on without being read: they stay in their file until a socket takes them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use bytes::Bytes;

use crate::disk::{DiskFile, read_exact};

/// Whole batches, one after the other, where they lie.
#[derive(Clone, Debug)]
pub enum Stored {
    Memory(Bytes),
    File(FileRange),
}

impl Stored {
    /// Of all its batches.
    #[expect(clippy::len_without_is_empty, reason = "there is always a batch in it")]
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(range) => range.len(),
        }
    }
}

impl From<Bytes> for Stored {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}

/// A part of a file that nobody changes. The file stays as long as this does, also when its name is gone.
#[derive(Clone, Debug)]
pub struct FileRange {
    file: Arc<dyn DiskFile>,
    position: u64,
    len: usize,
}

impl FileRange {
    /// `None` if the file is none of this machine's.
    pub(crate) fn new(file: Arc<dyn DiskFile>, position: u64, len: usize) -> Option<Self> {
        file.descriptor()?;
        Some(Self { file, position, len })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sends some of it to a socket (`sendfile(2)`), says how much, and is what is left of it.
    pub fn send_to(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let sent = send(&*self.file, socket.as_fd(), self.position, self.len)?;
        if sent == 0 && self.len > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += sent as u64;
        self.len -= sent;
        Ok(sent)
    }

    /// All of it.
    pub fn read(&self) -> io::Result<Bytes> {
        read_exact(&*self.file, self.position, self.len).map(Bytes::from)
    }
}

fn send(file: &dyn DiskFile, socket: BorrowedFd<'_>, mut position: u64, len: usize) -> io::Result<usize> {
    let file = file.descriptor().ok_or(io::ErrorKind::Unsupported)?;
    Ok(rustix::fs::sendfile(socket, file, Some(&mut position), len)?)
}
