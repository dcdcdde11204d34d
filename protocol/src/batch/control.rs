//! The markers that end a transaction in a partition.
//!
//! ```text
//!  key:   version i16 = 0 | type i16 (0 abort, 1 commit)
//!  value: version i16 = 0 | coordinator epoch i32
//! ```

use bytes::{Buf, Bytes};
use millstream_types::{Producer, Record, Timestamp};

use super::{BatchBuilder, BatchError, Compression, NO_SEQUENCE, RecordBatch};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Abort,
    Commit,
}

/// The one record of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecord {
    pub outcome: Outcome,
    pub coordinator_epoch: i32,
}

impl ControlRecord {
    /// The control batch that ends the transaction of `producer` in one partition.
    pub fn batch(self, producer: Producer, now: Timestamp) -> Bytes {
        let kind = match self.outcome {
            Outcome::Abort => 0_i16,
            Outcome::Commit => 1,
        };
        let version = 0_i16.to_be_bytes();
        let key = [version, kind.to_be_bytes()].concat();
        let value = [version.as_slice(), &self.coordinator_epoch.to_be_bytes()].concat();
        let mut batch = BatchBuilder::new(Compression::None)
            .producer(producer, NO_SEQUENCE)
            .transactional()
            .control();
        batch.push_parts(now, Some(&key), Some(&value), &[]);
        batch.build().expect("a batch of 80 bytes can be built")
    }

    /// Reads the marker of a control batch. `None` if the batch is none, or holds a control record of a kind that is
    /// not about transactions.
    pub fn read(batch: &RecordBatch) -> Result<Option<Self>, BatchError> {
        if !batch.header().attributes.is_control() {
            return Ok(None);
        }
        let records = batch.records()?;
        let [record] = records.as_slice() else {
            return Err(BatchError::InvalidControlRecord);
        };
        Self::from_record(record)
    }

    fn from_record(record: &Record) -> Result<Option<Self>, BatchError> {
        let invalid = BatchError::InvalidControlRecord;
        let mut key = record.key.as_deref().ok_or(invalid.clone())?;
        let mut value = record.value.as_deref().ok_or(invalid.clone())?;
        let _key_version = key.try_get_i16().map_err(|_| invalid.clone())?;
        let outcome = match key.try_get_i16().map_err(|_| invalid.clone())? {
            0 => Outcome::Abort,
            1 => Outcome::Commit,
            _ => return Ok(None),
        };
        let _value_version = value.try_get_i16().map_err(|_| invalid.clone())?;
        let coordinator_epoch = value.try_get_i32().map_err(|_| invalid)?;
        Ok(Some(Self {
            outcome,
            coordinator_epoch,
        }))
    }
}
