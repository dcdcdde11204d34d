use std::collections::BTreeMap;

use millstream_types::Record;

use crate::{Config, Output, Problem, Rejected, Spec, StreamSchema, TaskError};

/// The kind of a processor: reads a configuration and types it against its inputs. Stateless.
pub trait ProcessorFactory: Send + Sync {
    fn spec(&self) -> Spec;

    /// The names (topics or `streams:` entries) that the configuration itself reads, for example those in FROM.
    /// Empty when the node says it by `from:`. No I/O; all problems at once.
    fn inputs(&self, config: &Config) -> Result<Vec<String>, Vec<Problem>>;

    /// Checks the configuration against the schemas of its inputs, by name. Pure: called by `validate` too.
    fn plan(
        &self,
        config: &Config,
        inputs: &BTreeMap<String, StreamSchema>,
        output: &Output,
    ) -> Result<Box<dyn ProcessorPlan>, Vec<Problem>>;
}

/// A processor that is known to fit its inputs.
pub trait ProcessorPlan: Send + Sync {
    /// The type of the records that it will emit.
    fn output(&self) -> &StreamSchema;

    /// What it does and which columns it decodes, for people.
    fn explain(&self) -> String;

    /// A fresh processor for one task (one input partition).
    fn open(&self) -> Result<Box<dyn Processor>, TaskError>;
}

/// A running processor task. Owned by one task, which commits its outputs together with the offsets of its inputs;
/// after a failure the task opens a new one and feeds it again from the last commit.
pub trait Processor: Send {
    /// Handles a micro-batch of one partition, in offset order. Every input record must be accounted for:
    /// each yields one or more outputs, or counts as filtered, or is rejected.
    fn process(&mut self, input: &[Record]) -> Result<Processed, TaskError>;
}

/// What became of a micro-batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Processed {
    /// Records to emit, in order, with keys and timestamps set.
    pub records: Vec<Record>,
    /// Input records that led to at least one output.
    pub passed: u64,
    /// Input records that were dropped on purpose.
    pub filtered: u64,
    pub rejected: Vec<Rejected>,
}
