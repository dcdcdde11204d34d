//! What is wrong with the records of a batch that its topic does not take, record by record (KIP-467).
//!
//! Appending looks at a batch as a whole and as fast as it can; only when it must refuse one, the records are walked
//! once more for what to say of each.

use std::fmt;

use millstream_protocol::batch::{RecordBatch, RecordFacts, RecordTimes};
use millstream_types::{Timestamp, TopicPartition};

use crate::{TopicConfig, error::AppendError, topic_config::TimestampType};

/// What one refusal names at most: a batch may have a hundred thousand records, and all of them may be wrong.
pub const MAX_RECORD_ERRORS: usize = 1_000;
/// What its text names.
const MAX_IN_TEXT: usize = 3;

/// A record that its topic does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub index: i32,
    pub reason: String,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.index, self.reason)
    }
}

/// The text of all of them: the first few.
pub(crate) fn summary(errors: &[RecordError]) -> String {
    let first: Vec<_> = errors.iter().take(MAX_IN_TEXT).map(ToString::to_string).collect();
    let more = match errors.len().saturating_sub(MAX_IN_TEXT) {
        0 => String::new(),
        more if errors.len() >= MAX_RECORD_ERRORS => format!("; and at least {more} more"),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", first.join("; "))
}

/// What a topic asks of each record.
pub(crate) struct RecordRules {
    keyed: bool,
    /// The earliest and the latest time; records without a time are of any.
    window: Option<(i64, i64)>,
}

impl RecordRules {
    pub(crate) fn of(config: &TopicConfig, now: Timestamp) -> Self {
        let earliest = now.0.saturating_sub(config.timestamp_before_max_ms);
        let latest = now.0.saturating_add(config.timestamp_after_max_ms);
        let by_producers = config.timestamp_type == TimestampType::CreateTime;
        Self {
            keyed: config.cleanup.compact,
            window: by_producers.then_some((earliest, latest)),
        }
    }

    /// Whether all records of a batch are in time.
    pub(crate) fn allow(&self, times: RecordTimes) -> bool {
        self.window.is_none_or(|(earliest, latest)| {
            times.oldest.is_none_or(|time| time.0 >= earliest)
                && times.newest.is_none_or(|time| time.0 <= latest)
        })
    }

    /// Why a batch is refused that breaks them.
    pub(crate) fn refusal(&self, partition: &TopicPartition, batch: &RecordBatch) -> AppendError {
        let mut records = Vec::new();
        let mut is_time = false;
        let walked = batch.inspect_records(|record| {
            let wrong = self.wrong(partition, record);
            is_time |= wrong.as_ref().is_some_and(|wrong| wrong.is_time);
            let room = records.len() < MAX_RECORD_ERRORS;
            records.extend(wrong.filter(|_| room).map(|Wrong { reason, .. }| RecordError {
                index: record.index,
                reason,
            }));
        });
        match walked {
            Err(error) => error.into(),
            Ok(()) if is_time => AppendError::InvalidTimestamps { records },
            Ok(()) => AppendError::InvalidRecords { records },
        }
    }

    fn wrong(&self, partition: &TopicPartition, record: RecordFacts) -> Option<Wrong> {
        if self.keyed && !record.has_key {
            return Some(Wrong {
                is_time: false,
                reason: format!("it has no key, but {partition} is compacted by key"),
            });
        }
        let (earliest, latest) = self.window?;
        let time = record.timestamp.0;
        let in_time = time == RecordTimes::NONE.0 || (earliest..=latest).contains(&time);
        (!in_time).then(|| Wrong {
            is_time: true,
            reason: format!(
                "its timestamp {time} is not within {earliest} and {latest}, which {partition} accepts"
            ),
        })
    }
}

struct Wrong {
    is_time: bool,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_the_first_few() {
        let errors = |count: i32| {
            let error = |index| RecordError {
                index,
                reason: "bad".into(),
            };
            summary(&(0..count).map(error).collect::<Vec<_>>())
        };
        assert_eq!(errors(1), "record 0: bad");
        assert_eq!(
            errors(5),
            "record 0: bad; record 1: bad; record 2: bad; and 2 more"
        );
    }
}
