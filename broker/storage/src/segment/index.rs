//! The sparse index of a segment: one entry per 4 KB. It is only ever a shortcut: it is built while reading, saved when
//! the segment is closed, and built again when what was saved is missing or damaged. So it needs no fsync, and one entry
//! serves offsets and times (where Kafka keeps `.index` and `.timeindex`).
//!
//! ```text
//!  <base>.index
//!   0  8  magic "MSTRMIDX"        per entry, 24 bytes
//!   8  8  base offset              0 8  offset of a batch
//!  16  8  bytes of the segment     8 8  its position in the segment
//!  24  4  CRC32C of all the rest  16 8  largest timestamp of all batches before it
//!  28  …  entries
//! ```

use bytes::{BufMut, Bytes};
use millstream_protocol::batch::BatchHeader;

use super::SegmentMeta;
use crate::{
    codec::{crc32c, take_i64, take_u32, take_u64},
    disk::{Disk, read_file},
};

/// Kafka's default of `index.interval.bytes`.
const INTERVAL_BYTES: u64 = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMIDX");
const ENTRY_BYTES: u64 = 24;
const HEADER_BYTES: u64 = 28;

#[derive(Debug)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// Everything before this position is indexed.
    covered: u64,
    next_offset: i64,
    max_timestamp: i64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: i64,
    position: u64,
    max_timestamp_before: i64,
}

impl Index {
    pub(crate) fn new(base: i64) -> Self {
        Self {
            entries: Vec::new(),
            covered: 0,
            next_offset: base,
            max_timestamp: i64::MIN,
        }
    }

    /// Everything before this position is indexed.
    pub(crate) fn covered(&self) -> u64 {
        self.covered
    }

    /// A position at or before the batch that holds `offset`, if the index reaches that far.
    pub(crate) fn floor(&self, offset: i64) -> Option<u64> {
        if offset >= self.next_offset {
            return None;
        }
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        Some(after.checked_sub(1).map_or(0, |at| self.entries[at].position))
    }

    /// A position at or before the first batch with a record of that time or later, if the index reaches that far.
    pub(crate) fn floor_by_time(&self, timestamp: i64) -> Option<u64> {
        if timestamp > self.max_timestamp {
            return None;
        }
        let after = self
            .entries
            .partition_point(|entry| entry.max_timestamp_before < timestamp);
        Some(after.checked_sub(1).map_or(0, |at| self.entries[at].position))
    }

    /// The last batch the index knows that begins at or before a position, has a smaller offset than `limit` and lies
    /// behind `after`: its position and offset.
    pub(crate) fn last_before(&self, position: u64, limit: i64, after: u64) -> Option<(u64, i64)> {
        let behind = self
            .entries
            .partition_point(|entry| entry.position <= position && entry.offset < limit);
        let last = self.entries[..behind].last()?;
        (last.position > after).then_some((last.position, last.offset))
    }

    /// A batch was seen there. Batches that are not the next one are known already, or will be seen again.
    pub(crate) fn note(&mut self, header: &BatchHeader, bytes: usize, position: u64) {
        if position != self.covered {
            return;
        }
        let last = self.entries.last().map(|entry| entry.position);
        if last.is_none_or(|last| position - last >= INTERVAL_BYTES) {
            self.entries.push(Entry {
                offset: header.base_offset.0,
                position,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.covered += bytes as u64;
        self.next_offset = header.last_offset().0 + 1;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp.0);
    }

    pub(crate) fn encode(&self, base: i64) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_i64_le(base);
        body.put_u64_le(self.covered);
        let mut entries = Vec::new();
        for entry in &self.entries {
            entries.put_i64_le(entry.offset);
            entries.put_u64_le(entry.position);
            entries.put_i64_le(entry.max_timestamp_before);
        }
        let mut out = Vec::new();
        out.put_u64_le(MAGIC);
        out.put_slice(&body);
        out.put_u32_le(crc32c([&body[..], &entries[..]]));
        out.put_slice(&entries);
        out
    }

    /// A saved index, if it is whole and belongs to that segment.
    pub(crate) fn load(disk: &dyn Disk, path: &str, segment: &SegmentMeta) -> Option<Self> {
        let most = HEADER_BYTES + ENTRY_BYTES * (segment.len / INTERVAL_BYTES + 1);
        let mut input = Bytes::from(read_file(disk, path, most).ok()??);
        let whole = input.clone();
        let magic = take_u64(&mut input)?;
        let base = take_i64(&mut input)?;
        let covered = take_u64(&mut input)?;
        let crc = take_u32(&mut input)?;
        let sound = crc32c([&whole[8..24], &input[..]]) == crc;
        if magic != MAGIC || base != segment.base || covered != segment.len || !sound {
            return None;
        }
        let mut entries = Vec::new();
        while !input.is_empty() {
            entries.push(Entry {
                offset: take_i64(&mut input)?,
                position: take_u64(&mut input)?,
                max_timestamp_before: take_i64(&mut input)?,
            });
        }
        Some(Self {
            entries,
            covered,
            next_offset: segment.next,
            max_timestamp: segment.max_timestamp,
        })
    }
}
