use std::collections::HashMap;

use millstream_broker_storage::{MAX_PARTITIONS, TopicError, UnknownTopic};
use millstream_protocol::{
    ErrorCode,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
};
use millstream_types::TopicName;

use super::{
    Call, Handle, Node, Reply,
    mutations::Mutations,
    refusal::{Refusal, outcome},
};

/// From this version on, clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 3;

impl Handle for CreatePartitionsRequest {
    async fn handle(self, call: Call) -> Reply<CreatePartitionsResponse> {
        let mut named: HashMap<_, usize> = HashMap::new();
        for topic in &self.topics {
            *named.entry(topic.name.clone()).or_default() += 1;
        }
        let mut mutations = Mutations::new(&call, STRICT_SINCE);
        let mut results = Vec::new();
        for topic in self.topics {
            let result = if named[&topic.name] > 1 {
                Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    "the request names the topic twice",
                ))
            } else {
                create(&mut mutations, &topic, self.validate_only).await
            };
            let (code, text) = outcome(result);
            let result = CreatePartitionsTopicResult::default().with_name(topic.name);
            results.push(result.with_error_code(code).with_error_message(text));
        }
        mutations.reply(CreatePartitionsResponse::default().with_results(results))
    }
}

async fn create(
    mutations: &mut Mutations<'_>,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let node = mutations.node();
    let unknown = || Refusal::of(ErrorCode::UnknownTopicOrPartition);
    let name = TopicName::new(wanted.name.as_str()).map_err(|_| unknown())?;
    let topic = node.storage().topic(&name);
    let topic = topic.ok_or_else(|| TopicError::from(UnknownTopic { topic: name.clone() }))?;
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidPartitions, text);
    if wanted.count == topic.partitions {
        return Err(invalid(format!(
            "topic '{name}' has {} partitions already",
            topic.partitions
        )));
    }
    if wanted.count < topic.partitions || wanted.count > MAX_PARTITIONS {
        let (partitions, max) = (wanted.count, MAX_PARTITIONS);
        return Err(TopicError::InvalidPartitions { partitions, max }.into());
    }
    if let Some(assignments) = &wanted.assignments {
        let new = usize::try_from(wanted.count - topic.partitions).unwrap_or(usize::MAX);
        if assignments.len() != new || assignments.iter().any(|a| a.broker_ids != [Node::ID]) {
            let text = format!(
                "each of the {new} new partitions is to be assigned to broker {}",
                Node::ID.0
            );
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
        }
    }
    if !validate_only {
        mutations.count(wanted.count - topic.partitions)?;
        node.broker.create_partitions(&name, wanted.count).await?;
    }
    Ok(())
}
