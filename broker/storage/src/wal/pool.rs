//! The files of the write-ahead log: taken for use, given back when sealed, created when there is none.
//!
//! A file is durable (name, size, reserved space) before it is handed out, so that frames in it need no more than one
//! `fdatasync`, and so that "disk full" shows before a record was accepted.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{DIR, frame::FileHeader};
use crate::disk::{Disk, DiskFile, Mode};

/// More spares than that are deleted.
const MAX_SPARES: usize = 2;

/// One use of a file.
#[derive(Debug)]
pub(crate) struct WalFile {
    pub(crate) slot: u32,
    pub(crate) header: FileHeader,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) capacity: u64,
}

impl WalFile {
    pub(crate) fn path(&self) -> String {
        slot_path(self.slot)
    }
}

/// A file that holds nothing of value.
#[derive(Debug)]
struct Spare {
    slot: u32,
    file: Arc<dyn DiskFile>,
    capacity: u64,
}

#[derive(Debug)]
pub(crate) struct Pool {
    disk: Arc<dyn Disk>,
    file_bytes: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    spares: Vec<Spare>,
    next_slot: u32,
    salts: SmallRng,
}

pub(crate) fn slot_path(slot: u32) -> String {
    format!("{DIR}/{slot}.wal")
}

impl Pool {
    pub(crate) fn new(disk: Arc<dyn Disk>, file_bytes: u64, next_slot: u32, salts: u64) -> Self {
        Self {
            disk,
            file_bytes,
            inner: Mutex::new(Inner {
                spares: Vec::new(),
                next_slot,
                salts: SmallRng::seed_from_u64(salts),
            }),
        }
    }

    /// A file for the next use.
    pub(crate) fn take(&self, sequence: u64, without_fsync: bool) -> io::Result<WalFile> {
        let mut inner = self.lock();
        let spare = match inner.spares.pop() {
            Some(spare) => spare,
            None => self.create(&mut inner)?,
        };
        let salt = inner.salts.random();
        Ok(WalFile {
            slot: spare.slot,
            header: FileHeader {
                sequence,
                salt,
                without_fsync,
            },
            file: spare.file,
            capacity: spare.capacity,
        })
    }

    /// Creates a spare if there is none, so that the next file is there before it is needed.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.spares.is_empty() {
            let spare = self.create(&mut inner)?;
            inner.spares.push(spare);
        }
        Ok(())
    }

    /// Takes a file back whose frames are no longer needed.
    pub(crate) fn give_back(&self, slot: u32, file: Arc<dyn DiskFile>, capacity: u64) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.spares.len() < MAX_SPARES && capacity == self.file_bytes {
            inner.spares.push(Spare { slot, file, capacity });
            return Ok(());
        }
        self.disk.remove_file(&slot_path(slot))
    }

    fn create(&self, inner: &mut Inner) -> io::Result<Spare> {
        let slot = inner.next_slot;
        let path = slot_path(slot);
        let created = self.create_at(&path);
        if created.is_err() {
            // best effort: what is left of it is recognised as unused at the next start
            let _ = self.disk.remove_file(&path);
        } else {
            inner.next_slot += 1;
        }
        Ok(Spare {
            slot,
            file: created?,
            capacity: self.file_bytes,
        })
    }

    fn create_at(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, Mode::Truncate)?;
        file.allocate(self.file_bytes)?;
        file.sync()?;
        self.disk.sync_dir(DIR)?;
        Ok(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
