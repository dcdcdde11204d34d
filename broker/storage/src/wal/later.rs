//! Where the frames of a file stop without an end: is that the end of the log, or damage within it?
//!
//! A power cut may leave any part of the last write, so bytes that are no frame, and even intact frames behind them, are
//! what a crash looks like. But a write begins only when the one before it is on the disk, and its first frame says so. An
//! intact frame that begins a write, behind bytes that are none, proves that those bytes were acknowledged once: they are
//! damaged now, and to end the log there would drop what came after them without a word.
//!
//! The frames behind the damage are found wherever they begin, since the length of the damaged one may be what is damaged.
//! A place is looked at closer if it claims to begin a write and its entries fill its payload exactly; only then its
//! checksum is computed. Records may imitate frames, but not the salt of the file; what checksums may cost is bounded.

use std::io;

use bytes::Bytes;

use super::{
    WalFile,
    frame::{ENTRY_HEAD_BYTES, FRAME_HEADER_BYTES, FrameHeader, entry_bytes, is_entry_kind},
};
use crate::disk::read_exact;

/// Read at once.
const CHUNK_BYTES: usize = 4 << 20;
/// What a place must have to be looked at: a header and the kind of an entry.
const LOOK_BYTES: usize = FRAME_HEADER_BYTES + 1;
/// Checksums are computed over that much at the most, in sizes of the file. True frames do not overlap, so one is enough
/// for them.
const MAX_FILES_CHECKED: u64 = 16;

/// The place of the first intact frame at or behind `from` that begins a write. `None` in a file that was written without
/// fsync, where such a frame proves nothing.
pub(crate) fn later_write(wal: &WalFile, from: u64) -> io::Result<Option<u64>> {
    if wal.header.without_fsync {
        return Ok(None);
    }
    let mut search = Search {
        wal,
        checked_bytes: 0,
    };
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut begin = from;
    loop {
        chunk.clear();
        wal.file.read_at(&mut chunk, begin, CHUNK_BYTES)?;
        if chunk.len() < LOOK_BYTES {
            return Ok(None);
        }
        for (at, place) in chunk.windows(LOOK_BYTES).enumerate() {
            // The top bit of a length, and the kind of its first entry: most places fail here.
            if place[3] & 0x80 == 0 || !is_entry_kind(place[FRAME_HEADER_BYTES]) {
                continue;
            }
            let at = begin + at as u64;
            if search.is_intact(at, place)? {
                return Ok(Some(at));
            }
        }
        begin += (chunk.len() - LOOK_BYTES + 1) as u64;
    }
}

struct Search<'a> {
    wal: &'a WalFile,
    checked_bytes: u64,
}

impl Search<'_> {
    fn is_intact(&mut self, at: u64, place: &[u8]) -> io::Result<bool> {
        let Some(header) = FrameHeader::read(place).filter(|header| header.begins_write()) else {
            return Ok(false);
        };
        let payload_at = at + FRAME_HEADER_BYTES as u64;
        let bytes = header.payload_bytes();
        let room = self.wal.capacity.saturating_sub(payload_at);
        if bytes as u64 > room || !self.is_filled(payload_at, bytes)? {
            return Ok(false);
        }
        self.checked_bytes += bytes as u64;
        if self.checked_bytes > self.wal.capacity * MAX_FILES_CHECKED {
            return Ok(false);
        }
        let payload = read_exact(&*self.wal.file, payload_at, bytes)?;
        Ok(header.is_of(self.wal.header.salt, &payload))
    }

    /// Whether entries fill those bytes to the last one.
    fn is_filled(&self, from: u64, bytes: usize) -> io::Result<bool> {
        let mut at = 0;
        while at < bytes {
            let place = from + at as u64;
            let mut head = Vec::with_capacity(ENTRY_HEAD_BYTES);
            let want = ENTRY_HEAD_BYTES.min(bytes - at);
            self.wal.file.read_at(&mut head, place, want)?;
            let value_length = |value_at: usize| {
                let inside = at.checked_add(value_at)?.checked_add(4)? <= bytes;
                let length = inside.then(|| read_exact(&*self.wal.file, place + value_at as u64, 4));
                let mut length = Bytes::from(length?.ok()?);
                crate::codec::take_u32(&mut length)
            };
            match entry_bytes(&head, value_length) {
                Some(entry) => at += entry,
                None => return Ok(false),
            }
        }
        Ok(at == bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::{
        disk::{Disk, Mode, sim::SimDisk},
        wal::frame::{FILE_HEADER_BYTES, FileHeader, Frame},
    };

    const SALT: u64 = 77;

    fn file(content: &[u8], without_fsync: bool) -> WalFile {
        let disk = SimDisk::new(1);
        let file = disk.open("0.wal", Mode::Create).unwrap();
        file.write_at(&[IoSlice::new(content)], 0).unwrap();
        WalFile {
            slot: 0,
            header: FileHeader {
                sequence: 0,
                salt: SALT,
                without_fsync,
            },
            file,
            capacity: content.len() as u64,
        }
    }

    fn frame(salt: u64, begins: bool, value: &[u8]) -> Vec<u8> {
        let mut frame = Frame::new();
        frame.put(b"key", Some(value));
        frame.put(b"gone", None);
        frame.batch(
            crate::partition::PartitionId {
                topic: uuid::Uuid::from_u128(5),
                index: 1,
            },
            Bytes::copy_from_slice(value),
        );
        frame.seal(salt, begins).concat()
    }

    fn check(parts: &[Vec<u8>], expected: Option<usize>) {
        let content = [vec![0; FILE_HEADER_BYTES], parts.concat()].concat();
        let expected = expected.map(|part| FILE_HEADER_BYTES + parts[..part].concat().len());
        let found = later_write(&file(&content, false), FILE_HEADER_BYTES as u64).unwrap();
        assert_eq!(found, expected.map(|at| at as u64));
        assert_eq!(
            later_write(&file(&content, true), FILE_HEADER_BYTES as u64).unwrap(),
            None
        );
    }

    #[test]
    fn only_an_intact_frame_that_begins_a_write_counts() {
        let garbage = vec![0xa5; 1000];
        check(std::slice::from_ref(&garbage), None);
        check(&[garbage.clone(), frame(SALT, true, b"v")], Some(1));
        check(&[garbage.clone(), frame(SALT, false, b"v")], None);
        check(&[garbage.clone(), frame(SALT + 1, true, b"v")], None);
        check(
            &[garbage.clone(), frame(SALT, false, b"v"), frame(SALT, true, b"w")],
            Some(2),
        );
        let mut flipped = frame(SALT, true, b"value");
        *flipped.last_mut().unwrap() ^= 1;
        check(&[garbage.clone(), flipped], None);
        let cut = frame(SALT, true, b"value");
        check(&[garbage, cut[..cut.len() - 1].to_vec()], None);
    }

    #[test]
    fn it_is_found_wherever_it_lies_also_across_chunks() {
        let mut random = SmallRng::seed_from_u64(9);
        for _ in 0..20 {
            let before = CHUNK_BYTES - 60 + random.random_range(0..120);
            let mut garbage = vec![0; before];
            random.fill_bytes(&mut garbage);
            let value = vec![7; random.random_range(0..300)];
            check(&[garbage, frame(SALT, true, &value)], Some(1));
        }
    }

    #[test]
    fn frames_within_records_of_a_damaged_frame_do_not_count() {
        // A record may hold a copy of a write-ahead log, of another file.
        let copy = frame(SALT + 1, true, &[1; 100]).repeat(500);
        let mut damaged = frame(SALT, true, &copy);
        damaged[20] ^= 1;
        check(std::slice::from_ref(&damaged), None);
        check(&[damaged, frame(SALT, true, b"after")], Some(1));
    }
}
