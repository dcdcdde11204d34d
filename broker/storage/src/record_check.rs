//! Records that are held against something before they are appended: the seam for schemas, which this crate knows nothing
//! of.
//!
//! A topic asks for it by its configuration ([`crate::TopicConfig::checks`]); others pay nothing. What is judged is a batch
//! whose form and times are right. Bad records refuse their batch, or go to the topic's dead letters while the rest is
//! kept: in one frame, so that after any crash both are there or neither is, and a batch that a producer sends again makes
//! no second letter. What is kept keeps its offsets and sequences, as compaction leaves them; so every record is where its
//! producer is told that it is.

use std::fmt;

use bytes::Bytes;
use millstream_protocol::batch::RecordBatch;
use millstream_types::{TopicName, TopicPartition};

use crate::{error::AppendError, record_errors::RecordError};

/// What a topic asks of its records, and what happens to those that are not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChecks {
    pub key: Option<SchemaCheck>,
    pub value: Option<SchemaCheck>,
    pub on_invalid: OnInvalid,
}

/// How a key or value is held against the schemas of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaCheck {
    pub depth: CheckDepth,
    pub strategy: SubjectStrategy,
}

/// How much of a key or value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckDepth {
    /// That it names a schema, which is registered under its subject.
    Id,
    /// Also that its bytes are what the schema says.
    Body,
}

/// Under which subject a schema has to be registered (`*.subject.name.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectStrategy {
    /// The topic, with `-key` or `-value`.
    Topic,
    /// The name of the record.
    Record,
    /// The topic, with the name of the record.
    TopicRecord,
}

/// What happens to a bad record (`millstream.schema.on.invalid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    Reject,
    DeadLetter,
}

/// Judges batches. Called outside of all locks, by whoever appends.
pub trait RecordCheck: fmt::Debug + Send + Sync {
    /// What is wrong with records of the batch; nothing, most of the time.
    fn check(
        &self,
        topic: &TopicName,
        checks: &RecordChecks,
        batch: &RecordBatch,
    ) -> Result<Vec<RecordError>, AppendError>;

    /// Dead letters of bad records, in batches of at most so many bytes if that is possible. `errors` are in the order of
    /// the records.
    fn letters(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        errors: &[RecordError],
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, AppendError>;
}

/// The dead letters of a topic go to the topic of this name.
pub const DEAD_LETTER_SUFFIX: &str = ".dlq";

pub(crate) fn dead_letter_topic(topic: &TopicName) -> Result<TopicName, AppendError> {
    TopicName::new(format!("{topic}{DEAD_LETTER_SUFFIX}")).map_err(|error| AppendError::Invalid {
        reason: format!("its dead letters have no topic: {error}"),
    })
}
