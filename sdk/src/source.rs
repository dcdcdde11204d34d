use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{Clock, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Config, Output, Problem, Rejected, Spec, StreamSchema, TaskError};

/// How far a source task has come: opaque to the runtime, committed in the log together with the records it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Version of the encoding in `bytes`; a source refuses versions it does not know with [`TaskError::Lost`].
    pub version: u16,
    pub bytes: Bytes,
}

/// One unit of parallel work of a source: named within its node, stable over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTask {
    pub name: String,
    /// The connector's own description of the work.
    pub work: Value,
}

/// One output stream of a source.
#[derive(Clone, Debug)]
pub struct StreamDesc {
    /// For `{table}`-like patterns in `into:`; the node's name where there is only one.
    pub name: String,
    pub schema: StreamSchema,
}

/// What `check` found in the foreign system; shown by `validate` and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub problem: Problem,
    /// `false`: a warning.
    pub fatal: bool,
}

/// What the runtime gives to a task when it opens it.
#[derive(Clone, Debug)]
pub struct TaskContext {
    pub pipeline: String,
    pub node: String,
    pub clock: Arc<dyn Clock>,
    /// True when the pipeline should end when all data there is has been read: do not wait for more.
    pub until_end: bool,
}

/// The kind of a source: checks, types and plans a configuration, and opens its tasks. Stateless.
#[async_trait]
pub trait SourceFactory: Send + Sync {
    fn spec(&self) -> Spec;

    /// Whether the configuration is right by itself. No I/O; all problems at once.
    fn validate(&self, config: &Config) -> Vec<Problem>;

    /// Looks at the foreign system: does it exist, may we read it? Called by `validate` and before a start.
    async fn check(&self, config: &Config) -> Vec<Finding>;

    /// The streams that this source will write, typed. Called after `validate` found nothing, before anything starts.
    async fn discover(&self, config: &Config) -> Result<Vec<StreamDesc>, Vec<Problem>>;

    /// Cuts the work into at most `max_tasks` tasks. The same configuration must give the same names after a restart.
    async fn plan(&self, config: &Config, max_tasks: usize) -> Result<Vec<SourceTask>, Vec<Problem>>;

    /// Starts a task where `resume` says, or at the beginning. Called again after every failure, with the position
    /// that the log holds by then.
    async fn open(
        &self,
        config: &Config,
        task: SourceTask,
        output: Output,
        resume: Option<Position>,
        context: TaskContext,
    ) -> Result<Box<dyn Source>, TaskError>;
}

/// A running source task. One owner calls it, one call at a time:
/// `next` … `next` (the runtime commits at a boundary) `on_durable` … until `Done`, an error, or drop.
#[async_trait]
pub trait Source: Send {
    /// The next thing that happened. Cancel-safe: a dropped call loses nothing. Waits when there is nothing to read.
    async fn next(&mut self) -> Result<SourceEvent, TaskError>;

    /// The log holds, durably, everything up to `position`: now the upstream may be told. May be skipped over:
    /// a later position implies all earlier ones. Never called with a position that was not yielded.
    async fn on_durable(&mut self, position: &Position) -> Result<(), TaskError>;

    /// A position to commit while nothing is pending, so that the upstream can let go of what concerns nobody.
    fn idle_position(&self) -> Option<Position> {
        None
    }
}

/// What a source yields.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// Records of the stream with that index in `discover`'s answer, in order; keys and timestamps are set.
    /// Not committed before a boundary has followed. Bounded: at most a few thousand records or about 1 MB.
    Records {
        stream: usize,
        records: Vec<Record>,
        rejected: Vec<Rejected>,
    },
    /// Everything yielded so far may be committed together with this position.
    Boundary(Position),
    /// All was read and, by configuration or `until_end`, no more will come. Acts as a boundary.
    Done(Position),
}
