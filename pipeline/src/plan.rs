use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use arrow_schema::SchemaRef;
use millstream_sdk::{
    AvroFormat, Config, ConfigPath, Output, ProcessorPlan, SinkPlan, SourceFactory, StreamSchema,
};
use millstream_types::TopicName;

/// A pipeline that is known to fit together: every edge is a topic with a type, every node fits its edges.
/// The runtime can run it without asking anything more.
pub struct Plan {
    /// `pipeline:` of the file; names groups, transactional ids and positions.
    pub name: String,
    pub log: LogChoice,
    /// Every topic that a node reads or writes, dead letter topics included. Missing ones are created.
    pub topics: Vec<PlannedTopic>,
    /// The topics that nodes write as Avro: their schemas must be registered before the first record is written.
    pub avro: Vec<AvroTopic>,
    pub sources: Vec<SourceNode>,
    pub processors: Vec<ProcessorNode>,
    pub sinks: Vec<SinkNode>,
}

/// Which log the pipeline runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogChoice {
    /// In this process, with its data in `dir`; the Kafka port is opened on `listen` (`None`: not at all).
    Embedded { dir: PathBuf, listen: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTopic {
    pub name: TopicName,
    /// At least 1. An existing topic keeps its own number.
    pub partitions: i32,
    /// Kafka's own keys.
    pub config: BTreeMap<String, String>,
}

/// A topic that nodes of the pipeline write as Avro.
#[derive(Clone, Debug, PartialEq)]
pub struct AvroTopic {
    pub name: TopicName,
    pub format: AvroFormat,
    /// Of which the schema is made.
    pub columns: SchemaRef,
    /// The node that writes it, for messages.
    pub path: ConfigPath,
}

/// What becomes of the values of a source's stream on their way into the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    pub from: StreamSchema,
    pub to: StreamSchema,
}

pub struct SourceNode {
    pub name: String,
    pub factory: Arc<dyn SourceFactory>,
    pub config: Config,
    /// The topic of each stream, in the order of `discover`'s answer.
    pub topics: Vec<TopicName>,
    /// For each topic how values are rewritten; `None`: they stay as the source yields them.
    pub conversions: Vec<Option<Conversion>>,
    pub output: Output,
    pub max_tasks: usize,
    pub on_error: ErrorPolicy,
}

pub struct ProcessorNode {
    pub name: String,
    pub from: TopicName,
    pub plan: Arc<dyn ProcessorPlan>,
    pub into: TopicName,
    pub on_error: ErrorPolicy,
}

pub struct SinkNode {
    pub name: String,
    /// One plan for each topic that it reads: their types differ.
    pub inputs: Vec<(TopicName, Arc<dyn SinkPlan>)>,
    pub on_error: ErrorPolicy,
}

/// What becomes of errors of a node (`on_error:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Restarts after retriable errors before the task is given up; `None`: for ever.
    pub max_retries: Option<u32>,
    /// First and longest wait between restarts; it doubles in between, with jitter.
    pub backoff: (Duration, Duration),
    pub bad_records: BadRecords,
}

/// What becomes of a record that cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRecords {
    /// Written to this topic with the reason as headers.
    DeadLetter(TopicName),
    /// Counted and dropped.
    Skip,
    /// Stops the task.
    Fail,
}
