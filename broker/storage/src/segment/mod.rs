//! Sealed data: each partition's batches in files of their own, Kafka's way.

mod files;
mod index;

use bytes::{BufMut, Bytes};

use crate::{
    codec::{take_i64, take_u8, take_u64},
    partition::PartitionId,
};

pub(crate) use files::{SegmentError, SegmentFiles};

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
}

impl SegmentMeta {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64_le(self.base);
        out.put_i64_le(self.next);
        out.put_u64_le(self.len);
        out.put_i64_le(self.max_timestamp);
        out.put_i64_le(self.created_ms);
        out.put_u8(u8::from(self.closed));
    }

    pub(crate) fn decode(input: &mut Bytes) -> Option<Self> {
        Some(Self {
            base: take_i64(input)?,
            next: take_i64(input)?,
            len: take_u64(input)?,
            max_timestamp: take_i64(input)?,
            created_ms: take_i64(input)?,
            closed: take_u8(input)? != 0,
        })
    }
}

/// Kafka's name for the file of a segment.
pub(crate) fn log_path(partition: PartitionId, base: i64) -> String {
    format!("{}/{base:020}.log", partition.dir())
}

pub(crate) fn index_path(partition: PartitionId, base: i64) -> String {
    format!("{}/{base:020}.index", partition.dir())
}
