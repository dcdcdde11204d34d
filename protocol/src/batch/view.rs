use std::ops::Range;

use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use millstream_types::{Offset, Record, Timestamp};

use super::{
    BatchError, BatchHeader, HEADER_BYTES, MAX_DECOMPRESSED_BYTES, RecordFacts, RecordTimes, Records,
    TimestampType,
    compression::Pieces,
    header::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, MAGIC, MAX_TIMESTAMP_AT},
    walk,
};

const BASE_OFFSET: Range<usize> = 0..8;
const LEADER_EPOCH: Range<usize> = LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4;
const CRC: Range<usize> = CRC_AT..CRC_AT + 4;
const ATTRIBUTES: Range<usize> = ATTRIBUTES_AT..ATTRIBUTES_AT + 2;
const MAX_TIMESTAMP: Range<usize> = MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8;

/// One whole batch whose header and checksum were verified. Cloning is a reference count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// A batch as a producer writes it: `bytes` is exactly one batch, and its offsets have no gaps. Its records are not
    /// walked yet, see [`Self::validate_records`].
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let batch = Self::parse_stored(bytes)?;
        let header = &batch.header;
        if i64::from(header.records_count) != i64::from(header.last_offset_delta) + 1 {
            return Err(header.invalid_count());
        }
        Ok(batch)
    }

    /// A batch as it may lie in a log: compaction takes records out, and keeps the offsets of the others.
    pub fn parse_stored(bytes: Bytes) -> Result<Self, BatchError> {
        let header = whole_header(&bytes)?;
        let actual = checksum(&bytes);
        if actual != header.crc {
            return Err(BatchError::Corrupt {
                expected: header.crc,
                actual,
            });
        }
        Self::of(header, bytes)
    }

    /// A stored batch whose checksum was verified before, or lies under another: only its header is looked at.
    pub fn parse_verified(bytes: Bytes) -> Result<Self, BatchError> {
        Self::of(whole_header(&bytes)?, bytes)
    }

    fn of(header: BatchHeader, bytes: Bytes) -> Result<Self, BatchError> {
        let most = i64::from(header.last_offset_delta) + 1;
        if !(0..=most).contains(&i64::from(header.records_count)) || most < 1 {
            return Err(header.invalid_count());
        }
        Ok(Self { header, bytes })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset after the last record: where the next batch may begin.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// All records, or the first thing that is wrong with them.
    pub fn records(&self) -> Result<Vec<Record>, BatchError> {
        self.records_within(MAX_DECOMPRESSED_BYTES)?.collect()
    }

    /// The records one by one, decompressed to at most `limit` bytes.
    pub fn records_within(&self, limit: usize) -> Result<Records, BatchError> {
        let packed = self.bytes.slice(HEADER_BYTES..);
        let plain = self.header.attributes.compression()?.decompress(&packed, limit)?;
        Ok(Records::new(self.header, plain))
    }

    /// Walks every record of a batch that a stranger wrote, so that no consumer can meet a malformed one later: each
    /// field within its record, offset deltas 0, 1, 2, …, nothing behind the last record. Answers their times.
    pub fn validate_records(&self) -> Result<RecordTimes, BatchError> {
        self.validate(false)
    }

    /// The same, and each record has a key, as a compacted topic needs it.
    pub fn validate_keyed_records(&self) -> Result<RecordTimes, BatchError> {
        self.validate(true)
    }

    /// Shows every record to `see`, as [`Self::validate_records`] walks them.
    pub fn inspect_records(&self, mut see: impl FnMut(RecordFacts)) -> Result<(), BatchError> {
        walk::walk(&self.header, self.pieces()?, |record| {
            see(record);
            Ok(())
        })
    }

    fn validate(&self, keyed: bool) -> Result<RecordTimes, BatchError> {
        walk::validate(&self.header, self.pieces()?, keyed)
    }

    fn pieces(&self) -> Result<Pieces<'_>, BatchError> {
        let codec = self.header.attributes.compression()?;
        codec.pieces(&self.bytes[HEADER_BYTES..], MAX_DECOMPRESSED_BYTES)
    }

    /// The batch at its place in the log. Rewrites only bytes outside of the CRC; copies the batch once if its buffer is
    /// shared with others.
    #[must_use]
    pub fn assign(self, base_offset: Offset, leader_epoch: i32) -> Self {
        self.edit(|bytes| {
            bytes[BASE_OFFSET].copy_from_slice(&base_offset.0.to_be_bytes());
            bytes[LEADER_EPOCH].copy_from_slice(&leader_epoch.to_be_bytes());
        })
    }

    /// The batch with the broker's time on all its records (`message.timestamp.type=LogAppendTime`). These bytes are
    /// under the CRC, which is computed anew.
    #[must_use]
    pub fn set_log_append_time(self, now: Timestamp) -> Self {
        self.stamp(TimestampType::LogAppendTime, now)
    }

    /// The batch with its records' own times, of which `newest` is the largest, whatever its header said of them.
    #[must_use]
    pub fn set_create_time(self, newest: Timestamp) -> Self {
        let header = &self.header;
        let is_so =
            header.max_timestamp == newest && header.attributes.timestamp_type() == TimestampType::CreateTime;
        if is_so {
            return self;
        }
        self.stamp(TimestampType::CreateTime, newest)
    }

    fn stamp(self, kind: TimestampType, newest: Timestamp) -> Self {
        let attributes = self.header.attributes.with_timestamp_type(kind);
        self.edit(|bytes| {
            bytes[ATTRIBUTES].copy_from_slice(&attributes.0.to_be_bytes());
            bytes[MAX_TIMESTAMP].copy_from_slice(&newest.0.to_be_bytes());
            let crc = checksum(bytes);
            bytes[CRC].copy_from_slice(&crc.to_be_bytes());
        })
    }

    fn edit(self, change: impl FnOnce(&mut BytesMut)) -> Self {
        let mut bytes = self
            .bytes
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        change(&mut bytes);
        let header = BatchHeader::read(&bytes).expect("a batch has a header");
        Self {
            header,
            bytes: bytes.freeze(),
        }
    }
}

/// The batches that lie one after the other in `bytes`, as in a fetch answer or a segment. A batch that is cut off at
/// the end is left out; see [`Split::rest`].
pub fn split(bytes: Bytes) -> Split {
    Split { rest: bytes }
}

/// See [`split`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Split {
    rest: Bytes,
}

impl Split {
    /// What was not read yet; at the end, the batch that is cut off.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Split {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let total = match checked_header(&self.rest).and_then(|header| header.total_bytes()) {
            Ok(total) if total <= self.rest.len() => total,
            Ok(_) | Err(BatchError::Truncated { .. }) => return None,
            Err(error) => {
                self.rest.clear();
                return Some(Err(error));
            }
        };
        let batch = RecordBatch::parse_stored(self.rest.split_to(total));
        if batch.is_err() {
            self.rest.clear();
        }
        Some(batch)
    }
}

impl BatchHeader {
    fn invalid_count(&self) -> BatchError {
        BatchError::InvalidCount {
            records: self.records_count,
            last_offset_delta: self.last_offset_delta,
        }
    }
}

fn checked_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::read(bytes).ok_or(BatchError::Truncated {
        expected: HEADER_BYTES,
        actual: bytes.len(),
    })?;
    if header.magic != MAGIC {
        return Err(BatchError::UnsupportedMagic { magic: header.magic });
    }
    Ok(header)
}

/// The header of bytes that are exactly one batch.
fn whole_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = checked_header(bytes)?;
    let expected = header.total_bytes()?;
    if bytes.len() < expected {
        return Err(BatchError::Truncated {
            expected,
            actual: bytes.len(),
        });
    }
    if bytes.len() > expected {
        return Err(BatchError::InvalidLength {
            length: header.batch_length,
        });
    }
    Ok(header)
}

/// CRC32C of a whole batch, over everything from the attributes on.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &batch[ATTRIBUTES_AT..]) as u32
}
