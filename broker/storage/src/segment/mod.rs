//! Sealed data: each partition's batches in files of their own, Kafka's way.

mod files;
mod find;
mod index;
mod scan;

use std::io;

use bytes::{BufMut, Bytes};

use crate::{
    codec::{take_i64, take_u8, take_u32, take_u64},
    disk::DiskFile,
    partition::PartitionId,
};

pub(crate) use files::{SegmentError, SegmentFiles, Span};
pub(crate) use index::Index;
pub(crate) use scan::SegmentScanner;

/// A segment as the checkpoint knows it. Only its first `len` bytes count: what a crash left behind is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    pub(crate) base: i64,
    /// The offset after its last record.
    pub(crate) next: i64,
    pub(crate) len: u64,
    pub(crate) max_timestamp: i64,
    /// When its first batch was sealed.
    pub(crate) created_ms: i64,
    /// Nothing is added to it any more.
    pub(crate) closed: bool,
    /// Part of its name: 0 as it was sealed, another number for every time that compaction wrote it anew.
    pub(crate) generation: u32,
    /// When the first of its tombstones may go; `i64::MAX` if there are none or they were not cleaned yet.
    pub(crate) horizon_ms: i64,
}

impl SegmentMeta {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64_le(self.base);
        out.put_i64_le(self.next);
        out.put_u64_le(self.len);
        out.put_i64_le(self.max_timestamp);
        out.put_i64_le(self.created_ms);
        out.put_u8(u8::from(self.closed));
        out.put_u32_le(self.generation);
        out.put_i64_le(self.horizon_ms);
    }

    pub(crate) fn decode(input: &mut Bytes, version: u32) -> Option<Self> {
        Some(Self {
            base: take_i64(input)?,
            next: take_i64(input)?,
            // `segment.bytes` has 31 bits: with that bound, sums of many cannot overflow.
            len: take_u64(input).filter(|len| *len <= u64::from(u32::MAX))?,
            max_timestamp: take_i64(input)?,
            created_ms: take_i64(input)?,
            closed: take_u8(input)? != 0,
            generation: if version < 2 { 0 } else { take_u32(input)? },
            horizon_ms: if version < 2 { i64::MAX } else { take_i64(input)? },
        })
    }

    /// The name of its files, without the extension: Kafka's, and the generation behind it.
    pub(crate) fn stem(&self) -> String {
        match self.generation {
            0 => format!("{:020}", self.base),
            generation => format!("{:020}-{generation}", self.base),
        }
    }
}

/// Bytes that are asked of a file without a look at its size.
const MODEST_BYTES: usize = 1 << 20;

/// Whether a file may have so many bytes there. What a damaged header or checkpoint claims is held against the file before
/// memory is taken for it.
fn may_have(file: &dyn DiskFile, position: u64, len: usize) -> io::Result<bool> {
    Ok(len <= MODEST_BYTES || file.len()? >= position.saturating_add(len as u64))
}

pub(crate) fn log_path(partition: PartitionId, segment: &SegmentMeta) -> String {
    format!("{}/{}.log", partition.dir(), segment.stem())
}

pub(crate) fn index_path(partition: PartitionId, segment: &SegmentMeta) -> String {
    format!("{}/{}.index", partition.dir(), segment.stem())
}
