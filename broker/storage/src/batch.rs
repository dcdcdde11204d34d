//! The facts of a record batch that the engine decides by.

use bytes::Bytes;
use millstream_protocol::batch::{BatchError, BatchHeader, ControlRecord, Outcome, RecordBatch};

/// A batch without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchInfo {
    pub(crate) base_offset: i64,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    /// Negative if there is none.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) transactional: bool,
    pub(crate) control: Option<ControlKind>,
    /// Of a marker, else -1.
    pub(crate) coordinator_epoch: i32,
    pub(crate) bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlKind {
    Commit,
    Abort,
    /// A kind that a later protocol may add; it ends no transaction.
    Other,
}

impl BatchInfo {
    pub(crate) fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let header: &BatchHeader = batch.header();
        let marker = ControlRecord::read(batch)?;
        let control = match marker {
            Some(marker) if marker.outcome == Outcome::Commit => Some(ControlKind::Commit),
            Some(_) => Some(ControlKind::Abort),
            None => header.attributes.is_control().then_some(ControlKind::Other),
        };
        Ok(Self {
            base_offset: header.base_offset.0,
            last_offset_delta: header.last_offset_delta,
            max_timestamp: header.max_timestamp.0,
            producer_id: header.producer_id.0,
            producer_epoch: header.producer_epoch.0,
            base_sequence: header.base_sequence,
            transactional: header.attributes.is_transactional(),
            control,
            coordinator_epoch: marker.map_or(-1, |marker| marker.coordinator_epoch),
            bytes: u32::try_from(batch.bytes().len()).expect("a batch states its length in 31 bits"),
        })
    }

    /// A batch that lies in the log: its checksum and, if it is a marker, its record are checked.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, BatchError> {
        Self::of(&RecordBatch::parse_stored(bytes)?)
    }

    /// The same of bytes that were verified already: when they were appended, or under the checksum of their frame.
    pub(crate) fn read_verified(bytes: Bytes) -> Result<Self, BatchError> {
        Self::of(&RecordBatch::parse_verified(bytes)?)
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta) + 1
    }

    pub(crate) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }
}
