//! The one translation of what the log says into what the supervisor does.

use millstream_client::LogError;
use millstream_sdk::TaskError;

pub(crate) fn from_log(error: LogError) -> TaskError {
    match error {
        LogError::Fenced { .. } => TaskError::Fenced,
        LogError::Unavailable { .. } | LogError::DiskFull { .. } | LogError::NotAMember { .. } => {
            TaskError::retry(error)
        }
        LogError::OffsetOutOfRange {
            ref partition,
            offset,
            ..
        } => TaskError::Lost {
            what: format!("{partition}@{offset}"),
            message: error.to_string(),
        },
        LogError::UnknownTopic { .. }
        | LogError::UnknownPartition { .. }
        | LogError::TopicExists { .. }
        | LogError::InvalidTopic(_)
        | LogError::InvalidConfig { .. }
        | LogError::TooLarge { .. }
        | LogError::InvalidRecord { .. }
        | LogError::Refused { .. }
        | LogError::Storage { .. } => TaskError::fatal(error),
    }
}
