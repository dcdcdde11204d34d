//! The storage engine's errors as Kafka's. Exhaustive on purpose: a new error asks here what clients are told.

use millstream_broker_storage::{AppendError, ProducerError, ReadError, TopicError, WriteError};
use millstream_protocol::{ErrorCode, messages::StrBytes};

/// The code for an error, and its text for the person behind the client.
pub(super) trait ToKafka: std::error::Error {
    fn code(&self) -> ErrorCode;

    fn text(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.to_string()))
    }
}

impl ToKafka for WriteError {
    fn code(&self) -> ErrorCode {
        match self {
            // Retriable: a restart, or space, can cure it.
            Self::Failed { .. } | Self::DiskFull { .. } => ErrorCode::KafkaStorageError,
            // The broker is stopping; clients look for the leader again.
            Self::Closed => ErrorCode::NotLeaderOrFollower,
        }
    }
}

impl ToKafka for ProducerError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        }
    }
}

impl ToKafka for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition(_) => ErrorCode::UnknownTopicOrPartition,
            Self::Offline(_) => ErrorCode::KafkaStorageError,
            Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::Invalid { .. } => ErrorCode::InvalidRecord,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
            Self::Producer(error) => error.code(),
            Self::Write(error) => error.code(),
        }
    }
}

impl ToKafka for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition(_) => ErrorCode::UnknownTopicOrPartition,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Offline(_) | Self::Io { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

impl ToKafka for TopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Exists { .. } => ErrorCode::TopicAlreadyExists,
            Self::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
            Self::InvalidPartitions { .. } => ErrorCode::InvalidPartitions,
            Self::InvalidConfig(_) => ErrorCode::InvalidConfig,
            Self::Write(error) => error.code(),
        }
    }
}
