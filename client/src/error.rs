use millstream_types::{GroupId, InvalidTopicName, Offset, TopicName, TopicPartition, TransactionalId};

/// Why a log did not do what it was asked. Named after what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("topic '{topic}' does not exist")]
    UnknownTopic { topic: TopicName },
    #[error("partition {partition} does not exist")]
    UnknownPartition { partition: TopicPartition },
    #[error("topic '{topic}' already exists")]
    TopicExists { topic: TopicName },
    #[error(transparent)]
    InvalidTopic(#[from] InvalidTopicName),
    #[error("invalid value for '{key}': {message}")]
    InvalidConfig { key: String, message: String },
    #[error("offset {offset} of {partition} is out of range: the log holds {start} to {end}")]
    OffsetOutOfRange {
        partition: TopicPartition,
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    /// A newer producer of the same transactional id took over: this one must end.
    #[error("producer '{id}' was fenced by a newer one")]
    Fenced { id: TransactionalId },
    /// The member was removed from its group, or a rebalance took its partitions.
    #[error("not a member of group '{group}' any more")]
    NotAMember { group: GroupId },
    #[error("a record batch of {size} bytes is larger than the {max} bytes that '{topic}' accepts")]
    TooLarge {
        topic: TopicName,
        size: usize,
        max: usize,
    },
    #[error("invalid record: {message}")]
    InvalidRecord { message: String },
    /// What was asked is against a rule of the broker; the message says which.
    #[error("{message}")]
    Refused { message: String },
    /// May pass by itself: try again with back-off.
    #[error("the log is not available: {message}")]
    Unavailable { message: String },
    /// The disk under an embedded log is full; writing works again when there is space.
    #[error("no space left for the log: {message}")]
    DiskFull { message: String },
    /// The storage can no longer be trusted (a failed fsync, a corrupt segment): a human is needed.
    #[error("storage failed: {message}")]
    Storage { message: String },
}

impl LogError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::DiskFull { .. } | Self::NotAMember { .. } => true,
            Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::TopicExists { .. }
            | Self::InvalidTopic(_)
            | Self::InvalidConfig { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::Fenced { .. }
            | Self::TooLarge { .. }
            | Self::InvalidRecord { .. }
            | Self::Refused { .. }
            | Self::Storage { .. } => false,
        }
    }
}
