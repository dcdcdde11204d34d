use async_trait::async_trait;
use millstream_types::{Offset, Record, Timestamp, TopicPartition};

use crate::{Config, Finding, Problem, Rejected, Spec, StreamSchema, TaskContext, TaskError};

/// The kind of a sink: checks a configuration and types it against its input. Stateless.
#[async_trait]
pub trait SinkFactory: Send + Sync {
    fn spec(&self) -> Spec;

    /// Checks the configuration against the schema of the topic that it reads. Pure; all problems at once.
    fn plan(&self, config: &Config, input: &StreamSchema) -> Result<Box<dyn SinkPlan>, Vec<Problem>>;

    /// Looks at the foreign system: does it exist, may we write there?
    async fn check(&self, config: &Config) -> Vec<Finding>;
}

/// A sink that is known to fit its input.
#[async_trait]
pub trait SinkPlan: Send + Sync {
    /// Opens the sink for one partition.
    async fn open(&self, partition: TopicPartition, context: TaskContext)
    -> Result<Box<dyn Sink>, TaskError>;
}

/// A running sink task for one topic-partition.
///
/// The runtime calls, one at a time: `resume` once; then `write` as records come and `should_roll` on a timer (also
/// when no record comes); when it says so, `prepare`, then `write` until the range it returned is full, `commit`, and
/// only then commits the range's end to the consumer group, together with the dead letters of the range.
/// A crash at any point repeats the range: `prepare` and `commit` must be idempotent for the same start offset.
#[async_trait]
pub trait Sink: Send {
    /// Where to go on. `group`: the next offset by the consumer group. A sink that keeps its offset in the foreign
    /// system answers that one (it is right even if the group commit was lost); others answer `group`.
    async fn resume(&mut self, group: Offset) -> Result<Offset, TaskError>;

    /// Takes records in offset order (offsets may have gaps). Records that can never be written come back.
    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<Rejected>, TaskError>;

    /// Whether what was taken since the last commit should be made durable now.
    fn should_roll(&self, now: Timestamp) -> Option<RollReason>;

    /// Fixes, durably, which offsets belong together: normally from the last commit to `next` (exclusive), the offset
    /// after the last record written. If another incarnation has fixed this start before, its end is adopted: it may
    /// lie before `next` (the sink keeps the surplus for the next range) or after it (the runtime writes on up to it).
    async fn prepare(&mut self, next: Offset) -> Result<Range, TaskError>;

    /// Makes the records of the range durable and visible. Idempotent for the same range.
    async fn commit(&mut self, range: Range) -> Result<(), TaskError>;
}

/// Offsets `start..end` of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: Offset,
    /// Exclusive.
    pub end: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollReason {
    Bytes,
    Records,
    Time,
}
