//! The names under which a pipeline is known to the log.

use millstream_types::{GroupId, TopicName, TransactionalId};

/// The compacted topic that holds the position of every source task.
pub const POSITIONS_TOPIC: &str = "__millstream_positions";

pub fn positions_topic() -> TopicName {
    TopicName::new(POSITIONS_TOPIC).expect("the constant keeps Kafka's rule for names")
}

/// The consumer group of a processor or sink.
pub fn group(pipeline: &str, node: &str) -> GroupId {
    GroupId::new(format!("ms.{pipeline}.{node}"))
}

/// The transactional id of a task. Task names: of a source, what its plan says; of a processor, the input partition;
/// of a sink, `topic-partition`.
pub fn transactional_id(pipeline: &str, node: &str, task: &str) -> TransactionalId {
    TransactionalId::new(format!("ms.{pipeline}.{node}.{task}"))
}
