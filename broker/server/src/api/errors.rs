//! The storage engine's errors as Kafka's. Exhaustive on purpose: a new error asks here what clients are told.

use millstream_broker_coordinator::{GroupError, InitProducerError, TransactionError};
use millstream_broker_storage::{
    AppendError, CommitError, DeleteRecordsError, InvalidConfig, ProducerError, ReadError, RecordError,
    TopicError, UnknownPartition, WriteError,
};
use millstream_protocol::{ErrorCode, messages::StrBytes};

use crate::{AlterSettingsError, InitError, InvalidSettings, ProduceError, TransactionRequestError};

/// The code for an error, and its text for the person behind the client.
pub(super) trait ToKafka: std::error::Error {
    fn code(&self) -> ErrorCode;

    fn text(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.to_string()))
    }

    /// The records of a batch that it is about, if it is about some.
    fn records(&self) -> &[RecordError] {
        &[]
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
            // Clients that know TRANSACTION_ABORTABLE are told that instead of the second.
            Self::InvalidTxnState { .. } | Self::NotInTransaction { .. } => ErrorCode::InvalidTxnState,
        }
    }
}

impl ToKafka for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition(_) => ErrorCode::UnknownTopicOrPartition,
            Self::Offline(_) => ErrorCode::KafkaStorageError,
            Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::Invalid { .. } | Self::InvalidRecords { .. } => ErrorCode::InvalidRecord,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::InvalidTimestamps { .. } => ErrorCode::InvalidTimestamp,
            // The one by which every client knows that nothing was written, and tries again.
            Self::NotJudged { .. } => ErrorCode::NotEnoughReplicas,
            Self::Producer(error) => error.code(),
            Self::Write(error) => error.code(),
        }
    }

    fn records(&self) -> &[RecordError] {
        match self {
            Self::InvalidRecords { records } | Self::InvalidTimestamps { records } => records,
            Self::UnknownPartition(_)
            | Self::Offline(_)
            | Self::Corrupt { .. }
            | Self::Invalid { .. }
            | Self::TooLarge { .. }
            | Self::NotJudged { .. }
            | Self::Producer(_)
            | Self::Write(_) => &[],
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

impl ToKafka for UnknownPartition {
    fn code(&self) -> ErrorCode {
        ErrorCode::UnknownTopicOrPartition
    }
}

impl ToKafka for CommitError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition(error) => error.code(),
            Self::Producer(error) => error.code(),
            Self::Write(error) => error.code(),
            Self::TooLarge { .. } => ErrorCode::InvalidRequest,
        }
    }
}

impl ToKafka for TransactionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownProducer { .. } => ErrorCode::InvalidProducerIdMapping,
            Self::Fenced { .. } => ErrorCode::ProducerFenced,
            Self::InvalidState { .. } => ErrorCode::InvalidTxnState,
        }
    }
}

impl ToKafka for InitError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(InitProducerError::InvalidTimeout(_)) => ErrorCode::InvalidTransactionTimeout,
            Self::Refused(InitProducerError::Fenced { .. }) => ErrorCode::ProducerFenced,
            Self::Commit(error) => error.code(),
        }
    }
}

impl ToKafka for TransactionRequestError {
    fn code(&self) -> ErrorCode {
        match self {
            // As in Kafka: clients of transactions know generations only.
            Self::Group(GroupError::StaleEpoch { .. }) => ErrorCode::IllegalGeneration,
            Self::Group(error) => error.code(),
            Self::Refused(error) => error.code(),
            Self::UnknownPartition(error) => error.code(),
            Self::Metadata(_) => ErrorCode::OffsetMetadataTooLarge,
            Self::Commit(error) => error.code(),
        }
    }
}

impl ToKafka for ProduceError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Append(error) => error.code(),
            // As Kafka answers a batch: the partition knows epochs, fences are the coordinator's word.
            Self::Transaction(TransactionError::Fenced { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::Transaction(error) => error.code(),
            Self::Commit(error) => error.code(),
        }
    }

    fn records(&self) -> &[RecordError] {
        match self {
            Self::Append(error) => error.records(),
            Self::Transaction(_) | Self::Commit(_) => &[],
        }
    }
}

impl ToKafka for DeleteRecordsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition(error) => error.code(),
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Write(error) => error.code(),
        }
    }
}

impl ToKafka for InvalidConfig {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

impl ToKafka for InvalidSettings {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

impl ToKafka for AlterSettingsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Topics(error) => error.code(),
            Self::Write(error) => error.code(),
        }
    }
}

impl ToKafka for GroupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoGroupId => ErrorCode::InvalidGroupId,
            Self::InvalidSessionTimeout { .. } => ErrorCode::InvalidSessionTimeout,
            Self::UnknownGroup { .. } | Self::OtherType { .. } => ErrorCode::GroupIdNotFound,
            Self::UnknownMember { .. } => ErrorCode::UnknownMemberId,
            Self::MemberIdRequired { .. } => ErrorCode::MemberIdRequired,
            Self::FencedInstance { .. } => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
            Self::InconsistentProtocol { .. } => ErrorCode::InconsistentGroupProtocol,
            Self::RebalanceInProgress { .. } => ErrorCode::RebalanceInProgress,
            Self::Full { .. } => ErrorCode::GroupMaxSizeReached,
            Self::NotEmpty { .. } => ErrorCode::NonEmptyGroup,
            Self::Subscribed { .. } => ErrorCode::GroupSubscribedToTopic,
            Self::FencedEpoch { .. } => ErrorCode::FencedMemberEpoch,
            Self::StaleEpoch { .. } => ErrorCode::StaleMemberEpoch,
            Self::UnreleasedInstance { .. } => ErrorCode::UnreleasedInstanceId,
            Self::UnsupportedAssignor { .. } => ErrorCode::UnsupportedAssignor,
            Self::InvalidRegex { .. } => ErrorCode::InvalidRegularExpression,
            Self::InvalidRequest { .. } => ErrorCode::InvalidRequest,
            Self::UnsupportedVersion { .. } => ErrorCode::UnsupportedVersion,
            // The client looks for the coordinator again, and finds it when it can write.
            Self::NotStored => ErrorCode::CoordinatorNotAvailable,
        }
    }
}
