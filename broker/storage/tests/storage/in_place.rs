//! Batches that stay in their files until a socket takes them, on the machine's own disk.

use std::{
    fs::OpenOptions,
    io::{Read as _, Write as _},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use millstream_broker_storage::{
    AppendOrigin, Isolation, Read, ReadError, RealDisk, Storage, StorageConfig, Stored,
};
use millstream_types::{Offset, SystemClock};

use crate::kit::{partition, records, spec};

const BATCHES: u64 = 120;

fn open(dir: &Path) -> Storage {
    let config = StorageConfig {
        wal_file_bytes: 256 << 10,
        ring_bytes: 64 << 10,
        ..StorageConfig::default()
    };
    let (storage, _) = Storage::open(Arc::new(RealDisk::new(dir)), Arc::new(SystemClock), config).unwrap();
    storage
}

/// Batches of 100 B to 40 KB in segments of 300 KB.
fn filled(dir: &Path) -> Storage {
    let storage = open(dir);
    let topic = spec("t", 1, &[("segment.bytes", "300000")]);
    storage.create_topic(topic).unwrap().wait().unwrap();
    for tag in 0..BATCHES {
        let bytes = match tag % 5 {
            0 => 40_000,
            1 | 2 => 9_000,
            _ => 100,
        };
        let batch = records(2, tag).at(0).sized(bytes / 2).build();
        let appended = storage.append(&partition("t", 0), batch, AppendOrigin::Client);
        appended.unwrap().wait().unwrap();
    }
    storage
}

fn in_place(storage: &Storage, from: u64, max_bytes: usize) -> Result<Read<Stored>, ReadError> {
    let from = Offset(i64::try_from(from).unwrap());
    storage.read_in_place(&partition("t", 0), from, max_bytes, Isolation::ReadCommitted)
}

fn read(storage: &Storage, from: u64, max_bytes: usize) -> Vec<u8> {
    let from = Offset(i64::try_from(from).unwrap());
    let read = storage.read(&partition("t", 0), from, max_bytes, Isolation::ReadCommitted);
    read.unwrap().batches.concat()
}

fn is_in_file(stored: &Stored) -> bool {
    matches!(stored, Stored::File(_))
}

fn bytes_of(read: &Read<Stored>) -> Vec<u8> {
    let whole = read.batches.iter().flat_map(|stored| match stored {
        Stored::Memory(bytes) => bytes.clone(),
        Stored::File(range) => range.read().unwrap(),
    });
    whole.collect()
}

/// Every batch as the first, with room for one, a few and many: the pieces, and which of them are in files.
fn same_as_read(storage: &Storage) -> (usize, usize) {
    let (mut pieces, mut in_files) = (0, 0);
    for from in 0..BATCHES * 2 {
        for max_bytes in [1, 20_000, 70_000, 1 << 20] {
            let found = in_place(storage, from, max_bytes).unwrap();
            assert!(
                bytes_of(&found) == read(storage, from, max_bytes),
                "from {from}, {max_bytes} bytes"
            );
            pieces += found.batches.len();
            in_files += found.batches.iter().filter(|stored| is_in_file(stored)).count();
        }
    }
    (pieces, in_files)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.join("topics")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn they_are_what_a_read_finds_with_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    same_as_read(&storage);
    storage.seal().unwrap();
    let (pieces, in_files) = same_as_read(&storage);
    assert!(
        in_files > pieces / 3,
        "{in_files} of {pieces}: small ones are read"
    );
}

#[test]
fn after_a_restart_each_is_read_once_before_it_is_sent_unread() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    storage.seal().unwrap();
    drop(storage);
    let storage = open(dir.path());
    let first = in_place(&storage, 0, 200_000).unwrap();
    assert!(
        !first.batches.iter().any(is_in_file),
        "nobody has looked at it yet"
    );
    let second = in_place(&storage, 0, 200_000).unwrap();
    assert!(second.batches.iter().all(is_in_file));
    assert_eq!(bytes_of(&first), bytes_of(&second));
    assert!(
        !in_place(&storage, 100, 200_000)
            .unwrap()
            .batches
            .iter()
            .any(is_in_file)
    );
    same_as_read(&storage);
}

#[test]
fn what_was_damaged_while_nobody_ran_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    storage.seal().unwrap();
    drop(storage);
    let segment = OpenOptions::new()
        .write(true)
        .open(&segments(dir.path())[0])
        .unwrap();
    segment.write_all_at(b"damaged", 30_000).unwrap();
    let error = in_place(&open(dir.path()), 0, 200_000).unwrap_err();
    assert!(matches!(error, ReadError::Offline(_)), "{error}");
}

#[test]
fn a_range_outlives_the_name_of_its_file_and_leaves_in_any_portions() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    storage.seal().unwrap();
    let found = in_place(&storage, 0, 200_000).unwrap();
    let expected = read(&storage, 0, 200_000);
    for path in segments(dir.path()) {
        std::fs::remove_file(path).unwrap();
    }
    let (mut to, mut from) = std::os::unix::net::UnixStream::pair().unwrap();
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        from.read_to_end(&mut received).unwrap();
        received
    });
    let mut sends = 0;
    for stored in found.batches {
        match stored {
            Stored::Memory(bytes) => to.write_all(&bytes).unwrap(),
            Stored::File(mut range) => {
                while !range.is_empty() {
                    assert!(range.send_to(&to).unwrap() > 0);
                    sends += 1;
                }
            }
        }
    }
    drop(to);
    assert!(sends > 0);
    assert_eq!(Bytes::from(reader.join().unwrap()), Bytes::from(expected));
}
