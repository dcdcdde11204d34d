//! Record batches v2 (magic 2, KIP-98), read and written without copying records.
//!
//! ```text
//!  offset  size  field
//!       0     8  base offset                  ┐ the broker assigns these on append:
//!       8     4  batch length (bytes after it)│ outside of the CRC, so that nothing
//!      12     4  partition leader epoch       ┘ has to be recomputed
//!      16     1  magic = 2
//!      17     4  CRC32C of everything below
//!      21     2  attributes: 0..2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//!      23     4  last offset delta
//!      27     8  base timestamp
//!      35     8  max timestamp
//!      43     8  producer id (-1: none)
//!      51     2  producer epoch
//!      53     4  base sequence
//!      57     4  records count
//!      61     …  records; one compressed blob if the attributes name a codec
//!
//!  a record (all integers are zigzag varints):
//!      length | attributes (1 byte, 0) | timestamp delta | offset delta
//!      | key length (-1: null) | key | value length (-1: null) | value | header count
//!      | { name length | name | value length (-1: null) | value } …
//! ```
//!
//! Invariants: a [`RecordBatch`] that exists has magic 2, the length its header states, a matching CRC and a plausible
//! record count. Records are proven only by walking them: [`RecordBatch::validate_records`] for a stranger's batch,
//! [`RecordBatch::records`] when reading. Decompression is bounded by [`MAX_DECOMPRESSED_BYTES`].
//!
//! Deliberately absent: magic 0 and 1, and any record type of our own: records are [`millstream_types::Record`].

mod builder;
mod compression;
mod control;
mod header;
mod records;
mod rewrite;
#[cfg(test)]
mod tests;
mod varint;
mod view;
mod walk;

pub use builder::BatchBuilder;
pub use compression::{Compression, MAX_DECOMPRESSED_BYTES};
pub use control::{ControlRecord, Outcome};
pub use header::{Attributes, BatchHeader, HEADER_BYTES, NO_PRODUCER_ID, NO_SEQUENCE, TimestampType};
pub use records::Records;
pub use view::{RecordBatch, Split, split};
pub use walk::{RecordFacts, RecordTimes};

/// Why bytes are not a record batch, or not one that may be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("batch is cut off: {actual} of {expected} bytes")]
    Truncated { expected: usize, actual: usize },
    #[error("batch length {length} is impossible")]
    InvalidLength { length: i32 },
    #[error("batch has magic {magic}, only 2 is supported")]
    UnsupportedMagic { magic: i8 },
    #[error("batch checksum is {actual:#010x}, its header says {expected:#010x}")]
    Corrupt { expected: u32, actual: u32 },
    #[error("batch of {records} records ends at offset delta {last_offset_delta}")]
    InvalidCount { records: i32, last_offset_delta: i32 },
    #[error("compression codec {id} is unknown")]
    UnknownCompression { id: i16 },
    #[error("batch does not decompress with {codec}: {reason}")]
    Decompress { codec: Compression, reason: String },
    #[error("batch does not compress with {codec}: {reason}")]
    Compress { codec: Compression, reason: String },
    #[error("batch decompresses to more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("record {index} is malformed: {reason}")]
    InvalidRecord { index: i32, reason: &'static str },
    #[error("record {index} has no key, but the topic is compacted by key")]
    MissingKey { index: i32 },
    #[error("control record is malformed")]
    InvalidControlRecord,
    #[error("{bytes} bytes of records do not fit into one batch")]
    TooManyBytes { bytes: usize },
}
