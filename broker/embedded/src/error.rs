//! The broker's errors as those of a log. Exhaustive, so that a new error asks here what its reader should do.

use millstream_broker_server::{
    CommitOffsetsError, InitError, InitProducerError, JoinError, TransactionError, TransactionRequestError,
    UnknownMember,
};
use millstream_broker_storage::{
    AppendError, CommitError, PartitionOffline, ProducerError, ReadError, Storage, TopicError,
    UnknownPartition, WriteError,
};
use millstream_client::LogError;
use millstream_types::TransactionalId;

/// Translates errors whose meaning depends on what topics there are.
#[derive(Clone, Copy)]
pub(crate) struct Translate<'a>(pub(crate) &'a Storage);

impl Translate<'_> {
    pub(crate) fn unknown(self, UnknownPartition { partition }: UnknownPartition) -> LogError {
        match self.0.topic(&partition.topic) {
            Some(_) => LogError::UnknownPartition { partition },
            None => LogError::UnknownTopic {
                topic: partition.topic,
            },
        }
    }

    pub(crate) fn append(self, error: AppendError, producer: Option<&TransactionalId>) -> LogError {
        match error {
            AppendError::UnknownPartition(error) => self.unknown(error),
            AppendError::Offline(error) => offline(&error),
            AppendError::TooLarge { topic, size, max } => LogError::TooLarge { topic, size, max },
            AppendError::Producer(error) => producer_error(&error, producer),
            AppendError::Write(error) => write(error),
            AppendError::NotJudged { .. } => LogError::Unavailable {
                message: error.to_string(),
            },
            AppendError::Corrupt { .. }
            | AppendError::Invalid { .. }
            | AppendError::InvalidRecords { .. }
            | AppendError::InvalidTimestamps { .. } => LogError::InvalidRecord {
                message: error.to_string(),
            },
        }
    }

    pub(crate) fn read(self, error: ReadError) -> LogError {
        match error {
            ReadError::UnknownPartition(error) => self.unknown(error),
            ReadError::Offline(error) => offline(&error),
            ReadError::OffsetOutOfRange {
                partition,
                offset,
                start,
                end,
            } => LogError::OffsetOutOfRange {
                partition,
                offset,
                start,
                end,
            },
            ReadError::Io { .. } => LogError::Storage {
                message: error.to_string(),
            },
        }
    }

    pub(crate) fn commit_offsets(self, error: CommitOffsetsError) -> LogError {
        match error {
            CommitOffsetsError::UnknownPartition(error) => self.unknown(error),
            CommitOffsetsError::Metadata(error) => LogError::InvalidRecord {
                message: error.to_string(),
            },
            CommitOffsetsError::Commit(error) => self.commit(error),
        }
    }

    pub(crate) fn init(self, error: InitError) -> LogError {
        match error {
            InitError::Refused(InitProducerError::Fenced { id }) => LogError::Fenced { id },
            InitError::Refused(InitProducerError::InvalidTimeout(error)) => LogError::InvalidConfig {
                key: "transaction.timeout.ms".into(),
                message: error.to_string(),
            },
            InitError::Commit(error) => self.commit(error),
        }
    }

    pub(crate) fn transaction(self, error: TransactionRequestError) -> LogError {
        match error {
            // All three mean that this incarnation's transaction is over, and not by its own doing.
            TransactionRequestError::Refused(
                TransactionError::Fenced { id }
                | TransactionError::UnknownProducer { id }
                | TransactionError::InvalidState { id },
            ) => LogError::Fenced { id },
            TransactionRequestError::Group(error) => LogError::Unavailable {
                message: error.to_string(),
            },
            TransactionRequestError::UnknownPartition(error) => self.unknown(error),
            TransactionRequestError::Metadata(error) => LogError::InvalidRecord {
                message: error.to_string(),
            },
            TransactionRequestError::Commit(error) => self.commit(error),
        }
    }

    fn commit(self, error: CommitError) -> LogError {
        match error {
            CommitError::UnknownPartition(error) => self.unknown(error),
            CommitError::Producer(error) => producer_error(&error, None),
            CommitError::Write(error) => write(error),
            CommitError::TooLarge { .. } => LogError::InvalidRecord {
                message: error.to_string(),
            },
        }
    }
}

pub(crate) fn write(error: WriteError) -> LogError {
    let message = error.to_string();
    match error {
        WriteError::Failed { .. } => LogError::Storage { message },
        WriteError::DiskFull { .. } => LogError::DiskFull { message },
        WriteError::Closed => LogError::Unavailable { message },
    }
}

pub(crate) fn topic(error: TopicError) -> LogError {
    match error {
        TopicError::Exists { topic } => LogError::TopicExists { topic },
        TopicError::UnknownTopic(error) => LogError::UnknownTopic { topic: error.topic },
        TopicError::InvalidPartitions { .. } => LogError::InvalidConfig {
            key: "partitions".into(),
            message: error.to_string(),
        },
        TopicError::InvalidConfig(error) => LogError::InvalidConfig {
            key: error.key,
            message: error.message,
        },
        TopicError::Write(error) => write(error),
    }
}

pub(crate) fn join(error: JoinError) -> LogError {
    match error {
        JoinError::UnknownTopic(error) => LogError::UnknownTopic { topic: error.topic },
        JoinError::Group(error) => LogError::Unavailable {
            message: error.to_string(),
        },
        JoinError::Write(error) => write(error),
    }
}

pub(crate) fn member(error: UnknownMember) -> LogError {
    LogError::NotAMember { group: error.group }
}

fn offline(error: &PartitionOffline) -> LogError {
    LogError::Storage {
        message: error.to_string(),
    }
}

fn producer_error(error: &ProducerError, producer: Option<&TransactionalId>) -> LogError {
    match (error, producer) {
        (
            ProducerError::InvalidEpoch { .. }
            | ProducerError::InvalidTxnState { .. }
            | ProducerError::NotInTransaction { .. },
            Some(id),
        ) => LogError::Fenced { id: id.clone() },
        // Sequences are counted here: a gap is a defect of ours, or of the stored state.
        (ProducerError::OutOfOrderSequence { .. }, _)
        | (
            ProducerError::InvalidEpoch { .. }
            | ProducerError::InvalidTxnState { .. }
            | ProducerError::NotInTransaction { .. },
            None,
        ) => LogError::Storage {
            message: error.to_string(),
        },
    }
}
