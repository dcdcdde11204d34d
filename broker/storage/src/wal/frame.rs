//! ```text
//!  file header, 64 bytes                      frame
//!   0  8  magic "MSTRMWAL"                     0  4  payload length, at least 1; top bit: it begins a write
//!   8  4  format version                       4  4  CRC32C of (salt | these 4 bytes | payload)
//!  12  4  flags: 1 = written without fsync     8  …  entries
//!  16  8  sequence number of this use
//!  24  8  salt of this use                    entry
//!  32 28  zero                                 1 batch  | topic id 16 | partition 4 | length 4 | record batch v2
//!  60  4  CRC32C of bytes 0..60                2 put    | length 4 | key | length 4 | value
//!                                              3 delete | length 4 | key
//!                                              4 end    | sequence number of the next file 8
//! ```
//!
//! The salt is drawn anew for every use of a file, so a frame of an earlier use never passes its checksum.
//!
//! A write is what goes to the disk at once, with one fsync; the next one begins when that has succeeded. So a frame that
//! begins a write proves that everything before it was durable: see [`super::later`].

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::{
    codec::{crc32c, put_bytes, take, take_bytes, take_u8, take_u32, take_u64, take_u128},
    partition::PartitionId,
};

pub(crate) const FILE_HEADER_BYTES: usize = 64;
pub(crate) const FRAME_HEADER_BYTES: usize = 8;
/// Kept free at the end of every file.
pub(crate) const END_FRAME_BYTES: usize = FRAME_HEADER_BYTES + 1 + 8;
/// Of the entry, before the batch itself.
pub(crate) const BATCH_PREFIX_BYTES: usize = 1 + 16 + 4 + 4;

const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMWAL");
const VERSION: u32 = 1;
const WITHOUT_FSYNC: u32 = 1;
/// No log comes so far: what claims more was not written by one, and numbers behind it would overflow.
pub(crate) const MAX_SEQUENCE: u64 = u64::MAX / 2;
/// In the length of a frame. Files are far smaller.
const BEGINS_WRITE: u32 = 1 << 31;

const BATCH: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;
const END: u8 = 4;

/// One use of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
    pub(crate) without_fsync: bool,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.put_u64_le(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(if self.without_fsync { WITHOUT_FSYNC } else { 0 });
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.salt);
        out.resize(FILE_HEADER_BYTES - 4, 0);
        out.put_u32_le(crc32c([&out[..]]));
        out
    }

    /// `None` for a file that was never used, or whose first write did not survive a crash.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_at_checked(FILE_HEADER_BYTES - 4)?;
        if crc != crc32c([body]).to_le_bytes() {
            return None;
        }
        let mut input = Bytes::copy_from_slice(body);
        if take_u64(&mut input)? != MAGIC || take_u32(&mut input)? != VERSION {
            return None;
        }
        let header = Self {
            without_fsync: take_u32(&mut input)? & WITHOUT_FSYNC != 0,
            sequence: take_u64(&mut input)?,
            salt: take_u64(&mut input)?,
        };
        (header.sequence <= MAX_SEQUENCE).then_some(header)
    }

    /// Of bytes that were written and are no header: what it was if one flipped bit tells, and else with the salt that it
    /// says. Whether it ever was one, frames have to show that have this salt.
    pub(crate) fn damaged(bytes: &[u8]) -> Option<Damaged> {
        let written = bytes.get(..FILE_HEADER_BYTES)?;
        if written.iter().all(|byte| *byte == 0) || Self::decode(written).is_some() {
            return None;
        }
        let mut bytes = written.to_vec();
        for bit in 0..8 * FILE_HEADER_BYTES {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some(was) = Self::decode(&bytes) {
                return Some(Damaged {
                    was,
                    is_certain: true,
                });
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let mut salt = Bytes::copy_from_slice(&written[24..32]);
        let was = Self {
            sequence: 0,
            salt: take_u64(&mut salt)?,
            without_fsync: false,
        };
        Some(Damaged {
            was,
            is_certain: false,
        })
    }
}

/// See [`FileHeader::damaged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) was: FileHeader,
    /// All of it; else only the salt counts.
    pub(crate) is_certain: bool,
}

/// A part of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The bytes of one record batch, offsets assigned.
    Batch(PartitionId, Bytes),
    /// A key of the durable state; `None` removes it.
    Put(Bytes, Option<Bytes>),
    End {
        next: u64,
    },
}

/// A frame without its header, ready to be gathered into one write.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Alternating: what surrounds batches, and the batches.
    parts: Vec<Bytes>,
    pending: BytesMut,
    len: usize,
    /// Where each batch begins, from the start of the frame.
    pub(crate) batch_positions: Vec<usize>,
}

impl Frame {
    /// Room for the header, which is only known when the file is.
    pub(crate) fn new() -> Self {
        Self {
            pending: BytesMut::zeroed(FRAME_HEADER_BYTES),
            len: FRAME_HEADER_BYTES,
            ..Self::default()
        }
    }

    /// Header included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn batch(&mut self, partition: PartitionId, batch: Bytes) {
        self.pending.put_u8(BATCH);
        self.pending.put_u128_le(partition.topic.as_u128());
        self.pending.put_u32_le(partition.index);
        self.pending
            .put_u32_le(u32::try_from(batch.len()).expect("a batch states its length in 31 bits"));
        self.len += BATCH_PREFIX_BYTES;
        self.batch_positions.push(self.len);
        self.len += batch.len();
        self.parts.push(self.pending.split().freeze());
        self.parts.push(batch);
    }

    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        let mut entry = vec![if value.is_some() { PUT } else { DELETE }];
        put_bytes(&mut entry, key);
        if let Some(value) = value {
            put_bytes(&mut entry, value);
        }
        self.len += entry.len();
        self.pending.put_slice(&entry);
    }

    pub(crate) fn end(next: u64) -> Self {
        let mut frame = Self::new();
        frame.pending.put_u8(END);
        frame.pending.put_u64_le(next);
        frame.len = END_FRAME_BYTES;
        frame
    }

    /// The bytes to write, in order; `begins_write`: whatever was queued before it is on the disk when it gets there.
    pub(crate) fn seal(mut self, salt: u64, begins_write: bool) -> Vec<Bytes> {
        if !self.pending.is_empty() {
            self.parts.push(self.pending.freeze());
        }
        let first = self.parts.first_mut().expect("a frame has a header");
        let mut head = BytesMut::from(std::mem::take(first));
        let length = u32::try_from(self.len - FRAME_HEADER_BYTES).expect("a frame fits into a file");
        let length = if begins_write {
            length | BEGINS_WRITE
        } else {
            length
        };
        let prefix = prefix(salt, length);
        let rest = self.parts[1..].iter().map(Bytes::as_ref);
        let crc = crc32c([&prefix[..], &head[FRAME_HEADER_BYTES..]].into_iter().chain(rest));
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        self.parts[0] = head.freeze();
        self.parts
    }
}

/// What the checksum covers besides the payload.
fn prefix(salt: u64, length: u32) -> [u8; 12] {
    let mut prefix = [0; 12];
    prefix[..8].copy_from_slice(&salt.to_le_bytes());
    prefix[8..].copy_from_slice(&length.to_le_bytes());
    prefix
}

/// What a frame says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// As it is written.
    length: u32,
    crc: u32,
}

impl FrameHeader {
    /// `None` if there is no frame.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Bytes::copy_from_slice(bytes.get(..FRAME_HEADER_BYTES)?);
        let header = Self {
            length: take_u32(&mut input)?,
            crc: take_u32(&mut input)?,
        };
        (header.payload_bytes() > 0).then_some(header)
    }

    pub(crate) fn payload_bytes(self) -> usize {
        (self.length & !BEGINS_WRITE) as usize
    }

    pub(crate) fn begins_write(self) -> bool {
        self.length & BEGINS_WRITE != 0
    }

    /// Whether a payload is what was written in this use of the file.
    pub(crate) fn is_of(self, salt: u64, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes() && crc32c([&prefix(salt, self.length)[..], payload]) == self.crc
    }
}

/// The first byte of an entry.
pub(crate) fn is_entry_kind(byte: u8) -> bool {
    (BATCH..=END).contains(&byte)
}

/// The bytes of the entry that begins so, itself included; `None` if it is none. At most [`ENTRY_HEAD_BYTES`] of it are
/// looked at, and for a put the length of its value, which `read_u32` answers by its place in the entry.
pub(crate) fn entry_bytes(head: &[u8], read_u32: impl FnOnce(usize) -> Option<u32>) -> Option<usize> {
    let length_at = |at: usize| {
        let bytes = head.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    match *head.first()? {
        BATCH => Some(BATCH_PREFIX_BYTES + length_at(BATCH_PREFIX_BYTES - 4)?),
        PUT => {
            let value_at = 1 + 4 + length_at(1)?;
            Some(value_at + 4 + read_u32(value_at)? as usize)
        }
        DELETE => Some(1 + 4 + length_at(1)?),
        END => Some(1 + 8),
        _ => None,
    }
}

/// See [`entry_bytes`].
pub(crate) const ENTRY_HEAD_BYTES: usize = BATCH_PREFIX_BYTES;

/// The entries of an intact payload; `None` if they are malformed, which only a bug could have written.
pub(crate) fn read_entries(mut payload: Bytes) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity(1);
    while !payload.is_empty() {
        entries.push(take_entry(&mut payload, take)?);
    }
    Some(entries)
}

/// The entries of a frame in the parts that [`Frame::seal`] made of it. Nothing is copied: batches are parts themselves.
pub(crate) fn entries_of_parts(parts: &[Bytes]) -> Option<Vec<Entry>> {
    let mut parts = parts.iter().cloned();
    let mut around = parts.next().filter(|part| part.len() >= FRAME_HEADER_BYTES)?;
    let _header = around.split_to(FRAME_HEADER_BYTES);
    let mut entries = Vec::with_capacity(1);
    while !around.is_empty() {
        entries.push(take_entry(&mut around, |around, len| {
            let batch = parts
                .next()
                .filter(|batch| batch.len() == len && around.is_empty())?;
            *around = parts.next().unwrap_or_default();
            Some(batch)
        })?);
    }
    Some(entries)
}

/// The first entry of `input`; `take_batch` takes the bytes of a batch, whose length it is told.
fn take_entry(
    input: &mut Bytes,
    take_batch: impl FnOnce(&mut Bytes, usize) -> Option<Bytes>,
) -> Option<Entry> {
    Some(match take_u8(input)? {
        BATCH => {
            let topic = Uuid::from_u128(take_u128(input)?);
            let index = take_u32(input)?;
            let len = take_u32(input)? as usize;
            Entry::Batch(PartitionId { topic, index }, take_batch(input, len)?)
        }
        PUT => {
            let key = take_bytes(input)?;
            Entry::Put(key, Some(take_bytes(input)?))
        }
        DELETE => Entry::Put(take_bytes(input)?, None),
        END => Entry::End {
            next: take_u64(input)?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(frame: Frame, salt: u64) -> Bytes {
        Bytes::from(frame.seal(salt, false).concat())
    }

    #[test]
    fn a_file_with_a_number_that_no_log_reaches_is_damaged() {
        let header = |sequence| FileHeader {
            sequence,
            salt: 7,
            without_fsync: false,
        };
        let last = header(MAX_SEQUENCE).encode();
        assert_eq!(FileHeader::decode(&last), Some(header(MAX_SEQUENCE)));
        for sequence in [MAX_SEQUENCE + 1, u64::MAX] {
            let beyond = header(sequence).encode();
            assert_eq!(FileHeader::decode(&beyond), None);
            let damaged = FileHeader::damaged(&beyond).expect("it is not an unused file");
            assert_eq!((damaged.was.salt, damaged.is_certain), (7, false));
        }
    }

    #[test]
    fn a_frame_reads_back_with_its_salt_only() {
        let partition = PartitionId {
            topic: Uuid::from_u128(7),
            index: 3,
        };
        let mut frame = Frame::new();
        frame.batch(partition, Bytes::from_static(b"first"));
        frame.put(b"k", Some(b"v"));
        frame.batch(partition, Bytes::from_static(b"second"));
        frame.put(b"gone", None);
        let (len, positions) = (frame.len(), frame.batch_positions.clone());
        let parts = frame.seal(42, false);
        let bytes = Bytes::from(parts.concat());
        assert_eq!(
            entries_of_parts(&parts),
            read_entries(bytes.slice(FRAME_HEADER_BYTES..)),
            "the same, however it is read"
        );
        assert_eq!(
            entries_of_parts(&parts[..parts.len() - 2]),
            None,
            "its last batch is missing"
        );
        assert_eq!(bytes.len(), len);
        assert_eq!(&bytes[positions[1]..positions[1] + 6], b"second");
        let header = FrameHeader::read(&bytes).unwrap();
        let payload = bytes.slice(FRAME_HEADER_BYTES..);
        assert!(!header.begins_write());
        assert!(header.is_of(42, &payload));
        assert!(!header.is_of(43, &payload));
        assert_eq!(
            read_entries(payload).unwrap(),
            [
                Entry::Batch(partition, Bytes::from_static(b"first")),
                Entry::Put(Bytes::from_static(b"k"), Some(Bytes::from_static(b"v"))),
                Entry::Batch(partition, Bytes::from_static(b"second")),
                Entry::Put(Bytes::from_static(b"gone"), None),
            ]
        );
    }

    #[test]
    fn what_begins_a_write_is_under_the_checksum() {
        for begins in [false, true] {
            let mut bytes = Frame::end(3).seal(42, begins).concat();
            let intact = |bytes: &[u8]| {
                let header = FrameHeader::read(bytes).unwrap();
                (
                    header.begins_write(),
                    header.is_of(42, &bytes[FRAME_HEADER_BYTES..]),
                )
            };
            assert_eq!(intact(&bytes), (begins, true));
            bytes[3] ^= 0x80;
            assert_eq!(intact(&bytes), (!begins, false));
        }
    }

    #[test]
    fn an_end_frame_has_the_size_that_is_kept_free() {
        assert_eq!(flat(Frame::end(9), 1).len(), END_FRAME_BYTES);
    }

    #[test]
    fn a_file_header_reads_back_and_notices_a_flip() {
        let header = FileHeader {
            sequence: 5,
            salt: 6,
            without_fsync: true,
        };
        let mut bytes = header.encode();
        assert_eq!(bytes.len(), FILE_HEADER_BYTES);
        assert_eq!(FileHeader::decode(&bytes), Some(header));
        assert_eq!(FileHeader::damaged(&bytes), None);
        bytes[17] ^= 1;
        assert_eq!(FileHeader::decode(&bytes), None);
        let known = Damaged {
            was: header,
            is_certain: true,
        };
        assert_eq!(
            FileHeader::damaged(&bytes),
            Some(known),
            "which bit it was is known"
        );
        bytes[18] ^= 1;
        let guessed = FileHeader::damaged(&bytes).unwrap();
        assert_eq!((guessed.was.salt, guessed.is_certain), (6, false));
        assert_eq!(FileHeader::decode(&[0; FILE_HEADER_BYTES]), None);
        assert_eq!(FileHeader::damaged(&[0; FILE_HEADER_BYTES]), None);
    }
}
