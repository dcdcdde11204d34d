//! A directory of the machine's file system.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, IoSlice, IoSliceMut, Read, Seek, Write},
    num::NonZeroU64,
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::ReadWriteFlags;

use super::{Disk, DiskFile, DiskLock, LockedBy, Mode, Space};

/// So many bytes at least the kernel reads at once.
const PREFETCH_STEP_BYTES: usize = 64 << 10;
const PAGE_BYTES: u64 = 4 << 10;
/// Less is not worth a call.
const LEAST_BEGUN_BYTES: u64 = 64 << 10;
/// Less is found as quickly page by page.
const LEAST_ROOM_BYTES: u64 = 1 << 20;
/// `IOV_MAX` on Linux.
const MAX_PARTS: usize = 1024;

#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
}

#[derive(Debug)]
struct RealFile(File);

/// The lock ends with the open file, also when the process dies.
#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "held open, never read")] File);

impl DiskLock for RealLock {}

impl RealDisk {
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_path_buf(),
        }
    }
}

impl Disk for RealDisk {
    fn describe(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }

    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.describe(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.describe(path)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, path: &str, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(mode != Mode::Existing)
            .truncate(mode == Mode::Truncate);
        Ok(Arc::new(RealFile(options.open(self.describe(path))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.describe(from), self.describe(to))
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.describe(path))
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.describe(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.describe(path))?.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.root)?)?)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let found = rustix::fs::statvfs(&self.root)?;
        Ok(Some(Space {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            usable_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        }))
    }

    fn lock(&self, path: &str) -> io::Result<Result<Box<dyn DiskLock>, LockedBy>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(self.describe(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Ok(Err(LockedBy {
                    pid: read_pid(&mut file),
                }));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Ok(Box::new(RealLock(file))))
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

impl RealFile {
    fn is_cached(&self, position: u64) -> bool {
        let mut byte = [0; 1];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&self.0, &mut parts, position, ReadWriteFlags::NOWAIT);
        read == Ok(1)
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<usize> {
        let start = buffer.len();
        buffer.reserve_exact(len);
        while buffer.len() < start + len {
            let read_so_far = buffer.len() - start;
            let room = rustix::buffer::spare_capacity(buffer);
            let read = match rustix::io::pread(&self.0, room, position + read_so_far as u64) {
                Err(rustix::io::Errno::INTR) => continue,
                read => read?,
            };
            if read == 0 {
                break;
            }
        }
        // the allocator may have given more room than was asked for
        buffer.truncate(start + len);
        Ok(buffer.len() - start)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], mut position: u64) -> io::Result<()> {
        for chunk in parts.chunks(MAX_PARTS) {
            let mut slices = chunk.to_vec();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.0, rest, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        position += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(())
    }

    fn make_room(&self, part: Range<u64>) {
        let bytes = part.end.saturating_sub(part.start);
        if bytes >= LEAST_ROOM_BYTES {
            let keep_len = rustix::fs::FallocateFlags::KEEP_SIZE;
            // not every file system can, and none has to
            let _ = rustix::fs::fallocate(&self.0, keep_len, part.start, bytes);
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn begin_sync(&self, part: Range<u64>) {
        // Whole pages: the last one will be written again with what follows.
        let (begin, end) = (part.start & !(PAGE_BYTES - 1), part.end & !(PAGE_BYTES - 1));
        if end.saturating_sub(begin) < LEAST_BEGUN_BYTES {
            return;
        }
        #[cfg(target_os = "linux")]
        if let (Ok(begin), Ok(len)) = (i64::try_from(begin), i64::try_from(end - begin)) {
            let file = std::os::fd::AsRawFd::as_raw_fd(&self.0);
            // SAFETY: it takes an open file and numbers, and looks at no memory of ours. What it answers is left to the
            // sync, which fails if writing did.
            unsafe { libc::sync_file_range(file, begin, len, libc::SYNC_FILE_RANGE_WRITE) };
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            // a file system without reservation: the length at least is fixed
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            done => Ok(done?),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn prefetch(&self, position: u64, len: usize) -> io::Result<()> {
        // What is in memory at both ends and in the middle is taken to be there whole.
        let samples = [0, len / 2, len.saturating_sub(1)];
        if samples.iter().all(|at| self.is_cached(position + *at as u64)) {
            return Ok(());
        }
        let all = NonZeroU64::new(len as u64);
        rustix::fs::fadvise(&self.0, position, all, rustix::fs::Advice::WillNeed)?;
        // The advice is taken and not waited for; a byte here and there is.
        for at in (0..len).step_by(PREFETCH_STEP_BYTES) {
            rustix::io::pread(&self.0, &mut [0; 1], position + at as u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_changes_neither_the_length_nor_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk::new(dir.path()).open("f", Mode::Create).unwrap();
        file.write_at(&[IoSlice::new(b"before")], 0).unwrap();
        file.make_room(3..LEAST_ROOM_BYTES * 2);
        assert_eq!(file.len().unwrap(), 6);
        file.write_at(&[IoSlice::new(b"behind")], LEAST_ROOM_BYTES)
            .unwrap();
        assert_eq!(file.len().unwrap(), LEAST_ROOM_BYTES + 6);
        let mut all = Vec::new();
        file.read_at(&mut all, 0, usize::try_from(LEAST_ROOM_BYTES).unwrap() + 100)
            .unwrap();
        assert_eq!(&all[..6], b"before");
        assert!(all.ends_with(b"behind"));
        assert!(all[6..all.len() - 6].iter().all(|byte| *byte == 0));
    }
}
