//! A disk in memory that can do what a real one does at its worst: lose what was not synced, tear it by sectors, forget
//! names, fail with EIO, fill up, and rot. Everything random comes from its seed.
//!
//! It is stricter than most file systems where they differ: a name is lost in a crash unless its directory was synced,
//! and after a failed fsync the dirty bytes are gone even if a later fsync succeeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Disk, DiskFile, DiskLock, LockedBy, Mode, parent};
use crate::codec::crc32c;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// A handle to a simulated disk. Cloning shares the disk: keep one handle to crash it. As a [`Disk`], a handle works in
/// the life of the process in which it was cloned and no longer: threads that outlive a crash must not write on.
#[derive(Debug)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    life: u64,
}

impl Clone for SimDisk {
    fn clone(&self) -> Self {
        let life = self.world().life;
        self.in_life(life)
    }
}

#[derive(Debug)]
struct World {
    random: SmallRng,
    /// Counts crashes: an open file of an earlier life does nothing any more.
    life: u64,
    locked: bool,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    durable_names: Names,
    /// Changes of names that a crash may undo, by directory, oldest first.
    unsynced: BTreeMap<String, Vec<Change>>,
    capacity: Option<u64>,
    syncs_until_failure: Option<u64>,
    writes_until_failure: Option<u64>,
    digest: u32,
    operations: u64,
}

type Names = BTreeMap<String, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, Node),
    Unlink(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    now: Vec<u8>,
    /// Ranges of `now` that were written since the last sync, oldest first.
    dirty: Vec<(usize, usize)>,
}

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        let names = Names::from([(String::new(), Node::Dir)]);
        let world = World {
            random: SmallRng::seed_from_u64(seed),
            life: 0,
            locked: false,
            inodes: BTreeMap::new(),
            next_inode: 0,
            durable_names: names.clone(),
            names,
            unsynced: BTreeMap::new(),
            capacity: None,
            syncs_until_failure: None,
            writes_until_failure: None,
            digest: 0,
            operations: 0,
        };
        Self {
            world: Arc::new(Mutex::new(world)),
            life: 0,
        }
    }

    fn in_life(&self, life: u64) -> Self {
        Self {
            world: self.world.clone(),
            life,
        }
    }

    /// The disk, if the process of this handle still lives.
    fn alive(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.life == self.life {
            return Ok(world);
        }
        Err(io::Error::other("the process that opened the disk is dead"))
    }

    /// Cuts the power: what was not synced is lost, kept or torn, and every open file and lock is dead.
    pub fn crash(&self) {
        self.world().crash();
    }

    /// Kills the process: what was written stays, every open file and lock is dead.
    pub fn kill(&self) {
        let mut world = self.world();
        world.life += 1;
        world.locked = false;
    }

    /// After that many more syncs, every sync fails with EIO. `None`: none does.
    pub fn fail_syncs_after(&self, syncs: Option<u64>) {
        self.world().syncs_until_failure = syncs;
    }

    /// After that many more writes, every write fails with EIO, having written a part. `None`: none does.
    pub fn fail_writes_after(&self, writes: Option<u64>) {
        self.world().writes_until_failure = writes;
    }

    /// Bytes that fit. `None`: any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    /// Draws everything random from another seed from now on.
    pub fn reseed(&self, seed: u64) {
        self.world().random = SmallRng::seed_from_u64(seed);
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// All files and their sizes.
    pub fn files(&self) -> Vec<(String, u64)> {
        let world = self.world();
        let size = |inode: &u64| world.inodes[inode].now.len() as u64;
        let files = world.names.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((path.clone(), size(inode))),
            Node::Dir => None,
        });
        files.collect()
    }

    /// Bit rot: flips one bit of a file, durably. False if there is no such byte.
    pub fn flip(&self, path: &str, position: usize) -> bool {
        self.world().edit(path, |bytes| {
            bytes.get_mut(position).map(|byte| *byte ^= 1).is_some()
        })
    }

    /// Overwrites a part of a file, durably, behind the back of whoever has it open.
    pub fn overwrite(&self, path: &str, position: usize, with: &[u8]) -> bool {
        self.world().edit(path, |bytes| {
            match bytes.get_mut(position..position + with.len()) {
                Some(range) => {
                    range.copy_from_slice(with);
                    true
                }
                None => false,
            }
        })
    }

    /// A checksum over all operations so far: the same seed and calls give the same.
    pub fn digest(&self) -> u32 {
        self.world().digest
    }

    /// How many operations there were so far.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Every operation passes here.
    fn note(&mut self, operation: &str, path: &str, numbers: [u64; 2]) {
        let [a, b] = numbers.map(u64::to_le_bytes);
        let before = self.digest.to_le_bytes();
        self.digest = crc32c([&before[..], operation.as_bytes(), path.as_bytes(), &a, &b]);
        self.operations += 1;
    }

    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|node| match node {
            Node::File(id) => Some(self.inodes[id].now.len() as u64),
            Node::Dir => None,
        });
        files.sum()
    }

    fn file(&self, path: &str) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, dir: &str, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.entry(dir.to_owned()).or_default().push(change);
        self.drop_unnamed();
    }

    /// Removes files that no name leads to. Whoever has one open finds it gone, which is stricter than POSIX.
    fn drop_unnamed(&mut self) {
        let linked = self
            .unsynced
            .values()
            .flatten()
            .filter_map(|change| match change {
                Change::Link(_, node) => Some(node),
                Change::Unlink(_) | Change::Rename(..) => None,
            });
        let nodes = self
            .names
            .values()
            .chain(self.durable_names.values())
            .chain(linked);
        let named: BTreeSet<u64> = nodes
            .filter_map(|node| match node {
                Node::File(id) => Some(*id),
                Node::Dir => None,
            })
            .collect();
        self.inodes.retain(|id, _| named.contains(id));
    }

    fn edit(&mut self, path: &str, edit: impl Fn(&mut Vec<u8>) -> bool) -> bool {
        let Ok(id) = self.file(path) else {
            return false;
        };
        let inode = self.inodes.get_mut(&id).expect("named files exist");
        let now = edit(&mut inode.now);
        edit(&mut inode.durable);
        now
    }

    fn countdown(counter: &mut Option<u64>) -> io::Result<()> {
        match counter {
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn sync_dir(&mut self, dir: &str) {
        for change in self.unsynced.remove(dir).unwrap_or_default() {
            change.apply(&mut self.durable_names);
        }
    }

    fn crash(&mut self) {
        self.life += 1;
        self.locked = false;
        self.note("crash", "", [0, 0]);
        for (_, changes) in std::mem::take(&mut self.unsynced) {
            let kept = self.random.random_range(0..=changes.len());
            for change in &changes[..kept] {
                change.apply(&mut self.durable_names);
            }
        }
        let survivors = self.durable_names.clone();
        self.durable_names
            .retain(|path, _| path.is_empty() || survivors.contains_key(parent(path)));
        self.names = self.durable_names.clone();
        let luck = self.random.random_range(0.0..=1.0);
        for inode in self.inodes.values_mut() {
            inode.crash(&mut self.random, luck);
        }
        self.drop_unnamed();
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Unlink(path) => {
                let below = format!("{path}/");
                names.retain(|name, _| name != path && !name.starts_with(&below));
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Inode {
    fn write(&mut self, position: usize, bytes: &[u8]) {
        let end = position + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[position..end].copy_from_slice(bytes);
        self.dirty.push((position, end));
    }

    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for (from, to) in self.dirty.drain(..) {
            let to = to.min(self.now.len());
            if from < to {
                self.durable[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
    }

    /// `luck` is the chance of each sector to have reached the disk.
    fn crash(&mut self, random: &mut SmallRng, luck: f64) {
        if random.random_bool(luck) {
            self.durable.resize(self.now.len(), 0);
        }
        for (from, to) in std::mem::take(&mut self.dirty) {
            let mut at = from;
            while at < to {
                let end = to.min((at / SECTOR + 1) * SECTOR);
                if end <= self.durable.len() && end <= self.now.len() && random.random_bool(luck) {
                    self.durable[at..end].copy_from_slice(&self.now[at..end]);
                }
                at = end;
            }
        }
        self.now.clone_from(&self.durable);
    }
}

impl Disk for SimDisk {
    fn describe(&self, path: &str) -> PathBuf {
        PathBuf::from("sim:/").join(path)
    }

    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("create_dir", path, [0, 0]);
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for dir in ends.map(|end| &path[..end]) {
            if !world.names.contains_key(dir) {
                world.change(parent(dir), Change::Link(dir.to_owned(), Node::Dir));
            }
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let world = self.alive()?;
        let children = world
            .names
            .keys()
            .filter(|name| !name.is_empty() && parent(name) == path);
        Ok(children
            .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned())
            .collect())
    }

    fn open(&self, path: &str, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.alive()?;
        world.note("open", path, [mode as u64, 0]);
        if world
            .file(path)
            .is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            && mode != Mode::Existing
        {
            if !world.names.contains_key(parent(path)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let id = world.next_inode;
            world.next_inode += 1;
            world.inodes.insert(id, Inode::default());
            world.change(parent(path), Change::Link(path.to_owned(), Node::File(id)));
        }
        let inode = world.file(path)?;
        if mode == Mode::Truncate {
            let inode = world.inodes.get_mut(&inode).expect("named files exist");
            inode.now.clear();
            inode.dirty.clear();
        }
        Ok(Arc::new(SimFile {
            disk: self.in_life(world.life),
            path: path.to_owned(),
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("rename", from, [0, 0]);
        world.file(from)?;
        world.change(parent(to), Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("remove", path, [0, 0]);
        world.file(path)?;
        world.change(parent(path), Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("remove_dir", path, [0, 0]);
        world.change(parent(path), Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("sync_dir", path, [0, 0]);
        World::countdown(&mut world.syncs_until_failure)?;
        world.sync_dir(path);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut world = self.alive()?;
        world.note("sync_all", "", [0, 0]);
        World::countdown(&mut world.syncs_until_failure)?;
        let dirs: Vec<_> = world.unsynced.keys().cloned().collect();
        for dir in dirs {
            world.sync_dir(&dir);
        }
        world.inodes.values_mut().for_each(Inode::sync);
        Ok(())
    }

    fn lock(&self, _path: &str) -> io::Result<Result<Box<dyn DiskLock>, LockedBy>> {
        let mut world = self.alive()?;
        if world.locked {
            return Ok(Err(LockedBy {
                pid: Some(std::process::id()),
            }));
        }
        world.locked = true;
        Ok(Ok(Box::new(SimLock {
            disk: self.in_life(world.life),
        })))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut world) = self.disk.alive() {
            world.locked = false;
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: String,
    inode: u64,
}

impl SimFile {
    /// The world, if this file still lives in it.
    fn world(&self, operation: &str, numbers: [u64; 2]) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.disk.alive()?;
        world.note(operation, &self.path, numbers);
        if !world.inodes.contains_key(&self.inode) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(world)
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("simulated files are small")
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<usize> {
        let world = self.world("read", [position, len as u64])?;
        let bytes = &world.inodes[&self.inode].now;
        let from = index(position).min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        buffer.extend_from_slice(&bytes[from..to]);
        Ok(to - from)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut world = self.world("write", [position, bytes.len() as u64])?;
        let world = &mut *world;
        let failure = World::countdown(&mut world.writes_until_failure);
        let used = world.used();
        let inode = world.inodes.get_mut(&self.inode).expect("checked above");
        let from = index(position);
        let grows_by = (from + bytes.len()).saturating_sub(inode.now.len()) as u64;
        let full = world
            .capacity
            .is_some_and(|capacity| grows_by > 0 && used + grows_by > capacity);
        if full || failure.is_err() {
            let written = world.random.random_range(0..=bytes.len());
            let room = if full {
                inode.now.len().saturating_sub(from).min(written)
            } else {
                written
            };
            inode.write(from, &bytes[..room]);
            return failure.and(Err(io::ErrorKind::StorageFull.into()));
        }
        inode.write(from, &bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world("sync", [0, 0])?;
        let world = &mut *world;
        let failure = World::countdown(&mut world.syncs_until_failure);
        let inode = world.inodes.get_mut(&self.inode).expect("checked above");
        if failure.is_err() {
            // the kernel marks the pages clean: no later sync writes them
            inode.dirty.clear();
            return failure;
        }
        inode.sync();
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut world = self.world("allocate", [len, 0])?;
        let world = &mut *world;
        let used = world.used();
        let inode = world.inodes.get_mut(&self.inode).expect("checked above");
        let grows_by = len.saturating_sub(inode.now.len() as u64);
        if world
            .capacity
            .is_some_and(|capacity| grows_by > 0 && used + grows_by > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if grows_by > 0 {
            inode.now.resize(index(len), 0);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world("len", [0, 0])?.inodes[&self.inode].now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.world("set_len", [len, 0])?;
        let inode = world.inodes.get_mut(&self.inode).expect("checked above");
        inode.now.resize(index(len), 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = disk.open(path, Mode::Create).unwrap();
        file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
        file
    }

    #[test]
    fn a_crash_keeps_what_was_synced_with_its_name() {
        for seed in 0..32 {
            let disk = SimDisk::new(seed);
            write(&disk, "kept", b"abc").sync().unwrap();
            disk.sync_dir("").unwrap();
            write(&disk, "kept", &[7; 4096]);
            disk.crash();
            let disk = disk.clone();
            let bytes = super::super::read_file(&disk, "kept", 1 << 20).unwrap().unwrap();
            assert!(bytes.len() == 3 || bytes.len() == 4096, "{}", bytes.len());
            assert!(bytes[..3] == *b"abc" || bytes[..3] == [7; 3]);
        }
    }

    #[test]
    fn crashes_lose_and_keep_and_tear() {
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        for seed in 0..64 {
            let disk = SimDisk::new(seed);
            let file = disk.open("f", Mode::Create).unwrap();
            file.allocate(2048).unwrap();
            file.sync().unwrap();
            disk.sync_dir("").unwrap();
            file.write_at(&[IoSlice::new(&[1; 2048])], 0).unwrap();
            disk.crash();
            let disk = disk.clone();
            assert!(file.sync().is_err(), "an open file does not outlive a crash");
            let bytes = super::super::read_file(&disk, "f", 1 << 20).unwrap().unwrap();
            match bytes.iter().filter(|byte| **byte == 1).count() {
                0 => lost += 1,
                2048 => kept += 1,
                part => {
                    assert_eq!(part % SECTOR, 0);
                    torn += 1;
                }
            }
        }
        assert!(lost > 0 && kept > 0 && torn > 0, "{lost} {kept} {torn}");
    }

    #[test]
    fn a_failed_sync_loses_the_bytes_for_good() {
        let disk = SimDisk::new(1);
        let file = write(&disk, "f", b"old");
        file.sync().unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(&[IoSlice::new(b"new")], 0).unwrap();
        disk.fail_syncs_after(Some(0));
        assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
        disk.fail_syncs_after(None);
        file.sync().unwrap();
        disk.crash();
        let disk = disk.clone();
        assert_eq!(super::super::read_file(&disk, "f", 99).unwrap().unwrap(), b"old");
    }
}
