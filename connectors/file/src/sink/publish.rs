//! Files that appear whole or not at all, and only if nobody was there before: what If-None-Match is to an object store.
//!
//! A file is written under a temporary name, made durable, and given its final name by a hard link, which fails if the
//! name is taken. A reader never sees half a file; a slower twin of a writer changes nothing.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Whether a name was still free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Now,
    Before,
}

/// The folder of temporary files of one sink task, on the same file system as the final ones.
#[derive(Clone, Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

/// A file that has no final name yet; removed when dropped.
pub(crate) struct Staged {
    path: PathBuf,
    pub(crate) file: File,
}

impl Staging {
    /// Removes what former incarnations left. One that still lives finds its file gone and fails, as it should.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        create_folder(&folder)?;
        for entry in fs::read_dir(&folder)? {
            match fs::remove_file(entry?.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(Self { folder })
    }

    pub(crate) fn create(&self) -> io::Result<Staged> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return Ok(Staged { file: result?, path }),
            }
        }
    }
}

impl Staged {
    /// Makes the content durable and gives it its name.
    pub(crate) fn publish(self, name: &Path) -> io::Result<Published> {
        self.file.sync_all()?;
        let folder = name.parent().unwrap_or(Path::new("."));
        create_folder(folder)?;
        let published = match fs::hard_link(&self.path, name) {
            Ok(()) => Published::Now,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Published::Before,
            Err(error) => return Err(error),
        };
        // Also when another one made the name: it may have died before this step.
        sync_above(name)?;
        Ok(published)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Best effort: the next incarnation cleans up.
        let _ = fs::remove_file(&self.path);
    }
}

/// Creates a folder and those above it, durably.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("."));
    create_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        result => result?,
    }
    sync_folder(above)
}

/// Makes the name of a file durable.
pub(crate) fn sync_above(name: &Path) -> io::Result<()> {
    sync_folder(name.parent().unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_first_one_wins_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::open(dir.path().join("tmp")).unwrap();
        let name = dir.path().join("a/b/file");
        for (content, expected) in [("one", Published::Now), ("two", Published::Before)] {
            let mut staged = staging.create().unwrap();
            staged.file.write_all(content.as_bytes()).unwrap();
            assert_eq!(staged.publish(&name).unwrap(), expected);
        }
        assert_eq!(fs::read_to_string(name).unwrap(), "one");
        drop(staging.create().unwrap());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
        fs::write(dir.path().join("tmp/stale"), "").unwrap();
        Staging::open(dir.path().join("tmp")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
