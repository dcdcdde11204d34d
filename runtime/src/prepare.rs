//! Creates what is missing before the first task starts, and learns how many partitions each topic has.

use std::collections::{BTreeMap, HashMap};

use millstream_client::{Log, LogError, NewTopic};
use millstream_pipeline::{Plan, PlannedTopic};
use millstream_types::TopicName;

use crate::{names::positions_topic, run::RunError};

/// The number of partitions of every topic of the plan, `__millstream_positions` included.
pub(crate) type Partitions = HashMap<TopicName, i32>;

pub(crate) async fn topics(plan: &Plan, log: &dyn Log) -> Result<Partitions, RunError> {
    let positions = PlannedTopic {
        name: positions_topic(),
        partitions: 1,
        config: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
    };
    let mut partitions = Partitions::new();
    for topic in plan.topics.iter().chain([&positions]) {
        let count = ensure(topic, log).await.map_err(|source| RunError::Topic {
            topic: topic.name.clone(),
            source,
        })?;
        partitions.insert(topic.name.clone(), count);
    }
    match inputs(plan).find(|topic| !partitions.contains_key(*topic)) {
        None => Ok(partitions),
        // A node without input partitions would have no task and look done.
        Some(topic) => Err(RunError::Topic {
            topic: topic.clone(),
            source: LogError::UnknownTopic { topic: topic.clone() },
        }),
    }
}

fn inputs(plan: &Plan) -> impl Iterator<Item = &TopicName> {
    let of_processors = plan.processors.iter().map(|node| &node.from);
    let of_sinks = plan
        .sinks
        .iter()
        .flat_map(|node| node.inputs.iter().map(|(topic, _)| topic));
    of_processors.chain(of_sinks)
}

async fn ensure(topic: &PlannedTopic, log: &dyn Log) -> Result<i32, LogError> {
    if let Some(existing) = log.topic(&topic.name).await? {
        return Ok(existing.partitions);
    }
    let new = NewTopic {
        name: topic.name.clone(),
        partitions: topic.partitions,
        config: topic.config.clone(),
    };
    match log.create_topic(new).await {
        Ok(()) => {
            tracing::info!(topic = %topic.name, partitions = topic.partitions, "created topic");
            Ok(topic.partitions)
        }
        // Somebody else was quicker: theirs counts.
        Err(LogError::TopicExists { .. }) => match log.topic(&topic.name).await? {
            Some(existing) => Ok(existing.partitions),
            None => Err(LogError::UnknownTopic {
                topic: topic.name.clone(),
            }),
        },
        Err(error) => Err(error),
    }
}
