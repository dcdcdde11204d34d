//! The disk, injected: what the engine needs of a file system, and nothing else.
//!
//! Rules that every implementation keeps and every caller relies on: a write is durable after a successful
//! [`DiskFile::sync`] of that file; a new, renamed or removed name is durable after [`Disk::sync_dir`] of its directory;
//! before that a crash may keep, drop or (for data, by sectors) tear it. Space that [`DiskFile::allocate`] reserved
//! does not run out later. Paths are relative to the data directory, with `/` between the parts.
//!
//! Deliberately absent: async (the engine owns its threads) and memory maps (a failing disk would be a signal, not an error).

mod real;
pub mod sim;

use std::{fmt, io, io::IoSlice, ops::Range, os::fd::BorrowedFd, path::PathBuf, sync::Arc};

pub use real::RealDisk;

/// A directory tree on a file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Where this is, for people.
    fn describe(&self, path: &str) -> PathBuf;
    fn create_dir_all(&self, path: &str) -> io::Result<()>;
    /// Names of the entries of a directory, in no order; empty if it does not exist.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Opens for reading and writing.
    fn open(&self, path: &str, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes a directory with all it holds; it is no error if there is none.
    fn remove_dir_all(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Makes everything written so far durable, names too: cheaper than one call per file when there are many.
    fn sync_all(&self) -> io::Result<()>;
    /// Room on the file system, if it is known.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }
    /// Takes the exclusive lock of the directory for this process, or says who has it.
    fn lock(&self, path: &str) -> io::Result<Result<Box<dyn DiskLock>, LockedBy>>;
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    /// What this user may still write.
    pub usable_bytes: u64,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Existing,
    /// Creates it if there is none; keeps what is in it.
    Create,
    /// Empty afterwards, whatever there was.
    Truncate,
}

/// An open file. All access is positional, so any number of threads may use one.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Appends up to `len` bytes from `position` to `buffer`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<usize>;
    /// Writes all parts one after the other, beginning at `position`.
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Has the file system look for room for a part that is about to be written, at once instead of page by page. The file is
    /// no longer for it, and if there is no room, the write says so.
    fn make_room(&self, _part: Range<u64>) {}
    fn sync(&self) -> io::Result<()>;
    /// Has the disk begin with a part that was written, so that the next [`Self::sync`] waits for little. Not waited for,
    /// and not durable before that.
    fn begin_sync(&self, _part: Range<u64>) {}
    /// Reserves space; the file is at least that long afterwards, new bytes read as zero.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn set_len(&self, len: u64) -> io::Result<()>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The file as the machine knows it, if it does.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Brings a part into memory, so that who needs it next does not wait for the disk.
    fn prefetch(&self, _position: u64, _len: usize) -> io::Result<()> {
        Ok(())
    }
}

/// Held as long as it lives.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// The process that holds the lock of a data directory, as far as it said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedBy {
    pub pid: Option<u32>,
}

/// Reads exactly `len` bytes; a shorter file is `UnexpectedEof`.
pub(crate) fn read_exact(file: &dyn DiskFile, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::with_capacity(len);
    if file.read_at(&mut buffer, position, len)? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(buffer)
}

/// A whole file, if there is one and it is not longer than `max`.
pub(crate) fn read_file(disk: &dyn Disk, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Mode::Existing) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = file.len()?;
    if len > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    read_exact(&*file, 0, usize::try_from(len).map_err(io::Error::other)?).map(Some)
}

/// Replaces a file as a whole: after a crash it is the old one or the new one, never a mixture.
pub(crate) fn replace_file(disk: &dyn Disk, path: &str, content: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}.tmp");
    let file = disk.open(&temporary, Mode::Truncate)?;
    file.write_at(&[IoSlice::new(content)], 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent(path))
}

/// The directory that holds a path; the data directory itself is "".
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
