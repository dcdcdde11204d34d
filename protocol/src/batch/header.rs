use bytes::BufMut;
use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId, Timestamp};

use super::{BatchError, Compression};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Producer id of a batch that was written without idempotence.
pub const NO_PRODUCER_ID: ProducerId = ProducerId(-1);
/// Base sequence of a batch that was written without idempotence, and of control batches.
pub const NO_SEQUENCE: i32 = -1;

/// Base offset and batch length come before what `batch_length` counts.
pub(super) const LENGTH_END: usize = 12;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;

pub(super) const MAGIC: i8 = 2;

/// The fixed fields of a batch, see the drawing in [`super`]. Reading one checks no more than the length of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the batch after this field, at least 49.
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; records may be missing. `None` if there are less than
    /// [`HEADER_BYTES`].
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let at_i16 = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let at_i32 = |at: usize| i32::from_be_bytes(array(bytes, at));
        let at_i64 = |at: usize| i64::from_be_bytes(array(bytes, at));
        Some(Self {
            base_offset: Offset(at_i64(0)),
            batch_length: at_i32(8),
            partition_leader_epoch: at_i32(LEADER_EPOCH_AT),
            magic: bytes[16] as i8,
            crc: u32::from_be_bytes(array(bytes, CRC_AT)),
            attributes: Attributes(at_i16(ATTRIBUTES_AT)),
            last_offset_delta: at_i32(23),
            base_timestamp: Timestamp(at_i64(27)),
            max_timestamp: Timestamp(at_i64(MAX_TIMESTAMP_AT)),
            producer_id: ProducerId(at_i64(43)),
            producer_epoch: ProducerEpoch(at_i16(51)),
            base_sequence: at_i32(53),
            records_count: at_i32(57),
        })
    }

    /// Writes all [`HEADER_BYTES`], the CRC as it stands here.
    pub fn write(&self, out: &mut impl BufMut) {
        out.put_i64(self.base_offset.0);
        out.put_i32(self.batch_length);
        out.put_i32(self.partition_leader_epoch);
        out.put_i8(self.magic);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp.0);
        out.put_i64(self.max_timestamp.0);
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence);
        out.put_i32(self.records_count);
    }

    /// Bytes of the whole batch, if the stated length is possible.
    pub fn total_bytes(&self) -> Result<usize, BatchError> {
        usize::try_from(self.batch_length)
            .ok()
            .map(|length| length + LENGTH_END)
            .filter(|bytes| *bytes >= HEADER_BYTES)
            .ok_or(BatchError::InvalidLength {
                length: self.batch_length,
            })
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The sequence number of the last record; sequences wrap to 0 after `i32::MAX`.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return NO_SEQUENCE;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Who wrote the batch, if it was an idempotent or transactional producer.
    pub fn producer(&self) -> Option<Producer> {
        (self.producer_id.0 >= 0).then_some(Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
        })
    }
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie within the header")
}

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, on append: every record has the batch's max timestamp.
    LogAppendTime,
}

/// The flags of a batch. Unknown bits are kept as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id(self.0 & Self::COMPRESSION)
    }

    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// The batch holds a [`super::ControlRecord`], which consumers never see.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp says when compaction may drop the tombstones of the batch (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Self {
        Self(self.0 & !Self::COMPRESSION | compression.id())
    }

    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, kind == TimestampType::LogAppendTime)
    }

    #[must_use]
    pub fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    #[must_use]
    pub fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    #[must_use]
    pub(super) fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    fn with(self, flag: i16, on: bool) -> Self {
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }
}
