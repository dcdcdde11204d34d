//! What can go wrong, by operation. Every text names the thing and, where a person must act, the cure.

use std::{io, path::PathBuf, sync::Arc};

use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId, TopicName, TopicPartition};

use crate::record_errors::{RecordError, summary};

/// Why a data directory could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("data directory '{dir}' is in use{}: stop that process or choose another directory", by(*.pid))]
    Locked { dir: PathBuf, pid: Option<u32> },
    #[error(
        "data directory '{dir}' has format {found}, this version reads up to {supported}: start the newer millstream \
         that wrote it"
    )]
    NewerFormat {
        dir: PathBuf,
        found: u32,
        supported: u32,
    },
    #[error("'{dir}' is no data directory: check its name")]
    NoDataDirectory { dir: PathBuf },
    #[error(
        "data directory '{dir}' cannot be written: check that it exists and that this user may write there"
    )]
    Unwritable {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no space left for data directory '{dir}': free some and start again")]
    Full { dir: PathBuf },
    #[error("'{file}' is corrupt ({reason}): restore the data directory from a copy")]
    Corrupt { file: PathBuf, reason: String },
    #[error("'{file}' cannot be read: check the disk")]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// Why nothing can be written any more (until a restart), or this one thing could not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The disk refused a write or an fsync: what it holds beyond the last acknowledgement is unknown, so nothing is
    /// acknowledged from here on. Durable data can still be read.
    #[error("storage failed and takes no more writes until it is restarted: {reason}")]
    Failed { reason: Arc<str> },
    #[error("no space left in '{dir}'")]
    DiskFull { dir: PathBuf },
    #[error("storage is closed")]
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} does not exist")]
pub struct UnknownPartition {
    pub partition: TopicPartition,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic '{topic}' does not exist")]
pub struct UnknownTopic {
    pub topic: TopicName,
}

/// A partition whose sealed data is damaged: it takes no reads and no writes, the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} is offline: {reason}")]
pub struct PartitionOffline {
    pub partition: TopicPartition,
    pub reason: Arc<str>,
}

/// What an idempotent or transactional producer did against the rules of KIP-98.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    #[error("producer {id:?} sent sequence {found}, expected {expected}")]
    OutOfOrderSequence {
        id: ProducerId,
        expected: i32,
        found: i32,
    },
    #[error("producer {:?} epoch {:?} is older than {current:?}", producer.id, producer.epoch)]
    InvalidEpoch {
        producer: Producer,
        current: ProducerEpoch,
    },
    #[error("producer {id:?} wrote outside of its open transaction")]
    InvalidTxnState { id: ProducerId },
    /// The coordinator's word: the partition was not added to the producer's transaction, or none is open.
    #[error("producer {id:?} wrote to a partition that is not in its open transaction")]
    NotInTransaction { id: ProducerId },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error(transparent)]
    Offline(#[from] PartitionOffline),
    /// The bytes are not what was sent.
    #[error("record batch is corrupt: {reason}")]
    Corrupt { reason: String },
    /// The bytes are what was sent, but not a valid batch.
    #[error("record batch is invalid: {reason}")]
    Invalid { reason: String },
    #[error("record batch has {size} bytes, '{topic}' accepts {max}")]
    TooLarge {
        topic: TopicName,
        size: usize,
        max: usize,
    },
    /// Some of its records are, and nothing of it was appended.
    #[error("records are invalid: {}", summary(records))]
    InvalidRecords { records: Vec<RecordError> },
    /// The same, and for at least one of them it is the time.
    #[error("records are of a time that is not accepted: {}", summary(records))]
    InvalidTimestamps { records: Vec<RecordError> },
    /// Whether they are cannot be told now, but later.
    #[error("records of '{topic}' cannot be judged now: {reason}")]
    NotJudged { topic: TopicName, reason: String },
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(
        "an atomic group of {size} bytes is larger than the {max} bytes that fit into one write-ahead log file"
    )]
    TooLarge { size: usize, max: usize },
    #[error(transparent)]
    Write(#[from] WriteError),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error(transparent)]
    Offline(#[from] PartitionOffline),
    #[error("offset {offset} of {partition} is out of range: the log holds {start} to {end}")]
    OffsetOutOfRange {
        partition: TopicPartition,
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    #[error("cannot read {partition} at offset {offset}: {reason}")]
    Io {
        partition: TopicPartition,
        offset: Offset,
        reason: String,
    },
}

/// An invalid key or value of a topic's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for '{key}': {message}")]
pub struct InvalidConfig {
    pub key: String,
    pub message: String,
}

/// Why a topic was not created, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("topic '{topic}' already exists")]
    Exists { topic: TopicName },
    #[error(transparent)]
    UnknownTopic(#[from] UnknownTopic),
    #[error("a topic has 1 to {max} partitions and never fewer than before, not {partitions}")]
    InvalidPartitions { partitions: i32, max: i32 },
    #[error(transparent)]
    InvalidConfig(#[from] InvalidConfig),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<CommitError> for TopicError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Write(error) => Self::Write(error),
            CommitError::TooLarge { .. } => Self::InvalidConfig(InvalidConfig {
                key: "*".into(),
                message: error.to_string(),
            }),
            CommitError::UnknownPartition(_) | CommitError::Producer(_) => {
                unreachable!("a change of a topic writes no markers")
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error("offset {offset} of {partition} is out of range: the log holds {start} to {end}")]
    OffsetOutOfRange {
        partition: TopicPartition,
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
}
