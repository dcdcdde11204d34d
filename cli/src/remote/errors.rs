//! What Kafka's error codes mean for a command.

use millstream_client::LogError;
use millstream_protocol::{ErrorCode, messages::StrBytes};
use millstream_types::{Offset, TopicPartition};

/// What was asked when the error came, for the message.
pub(super) struct Asked<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) offset: Offset,
    pub(super) bytes: usize,
    /// What the broker said beside the code.
    pub(super) message: Option<String>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(partition: &'a TopicPartition) -> Self {
        Self {
            partition,
            offset: Offset::ZERO,
            bytes: 0,
            message: None,
        }
    }

    pub(super) fn message(mut self, message: Option<StrBytes>) -> Self {
        self.message = message
            .map(|message| message.to_string())
            .filter(|message| !message.is_empty());
        self
    }
}

pub(super) fn check(code: i16, asked: Asked<'_>) -> Result<(), LogError> {
    if code == 0 {
        return Ok(());
    }
    let known = ErrorCode::from_code(code);
    let name = known.map_or_else(
        || format!("error {code}"),
        |known| format!("{known}: {}", known.message()),
    );
    let message = asked.message.unwrap_or(name);
    let topic = asked.partition.topic.clone();
    let partition = asked.partition.clone();
    Err(match known {
        Some(ErrorCode::UnknownTopicOrPartition) if asked.partition.partition == 0 => {
            LogError::UnknownTopic { topic }
        }
        Some(ErrorCode::UnknownTopicOrPartition) => LogError::UnknownPartition { partition },
        Some(ErrorCode::TopicAlreadyExists) => LogError::TopicExists { topic },
        Some(ErrorCode::OffsetOutOfRange) => LogError::InvalidRecord {
            message: format!("offset {} of {partition} is out of range", asked.offset),
        },
        Some(ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge) => LogError::InvalidRecord {
            message: format!(
                "a batch of {} bytes is larger than '{topic}' accepts",
                asked.bytes
            ),
        },
        Some(ErrorCode::InvalidConfig) => LogError::InvalidConfig {
            key: "the topic".to_owned(),
            message,
        },
        Some(ErrorCode::KafkaStorageError) => LogError::Storage { message },
        Some(ErrorCode::InvalidRecord | ErrorCode::CorruptMessage | ErrorCode::InvalidTimestamp) => {
            LogError::InvalidRecord { message }
        }
        // Kafka has more than a hundred, most of them of APIs that are not used here.
        Some(known) if !known.is_retriable() => LogError::Refused { message },
        _ => LogError::Unavailable { message },
    })
}
