use std::collections::{BTreeMap, HashSet};

use millstream_broker_storage::{MAX_PARTITIONS, NewTopicSpec, TopicConfig, TopicError};
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, CreateTopicsRequest, CreateTopicsResponse, StrBytes,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
};
use millstream_types::TopicName;

use super::{Call, Handle, Node, Reply, describe_configs, mutations::Mutations, refusal::Refusal};

/// From this version on, clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 6;
/// One node keeps one copy.
const REPLICATION_FACTOR: i16 = 1;
/// The client leaves the choice to the broker (KIP-464).
const UNSET: i32 = -1;

impl Handle for CreateTopicsRequest {
    async fn handle(self, call: Call) -> Reply<CreateTopicsResponse> {
        let mut seen = HashSet::new();
        let twice: HashSet<messages::TopicName> = self
            .topics
            .iter()
            .filter(|topic| !seen.insert(topic.name.clone()))
            .map(|topic| topic.name.clone())
            .collect();
        let mut mutations = Mutations::new(&call, STRICT_SINCE);
        let mut results = Vec::new();
        for topic in self.topics {
            let name = topic.name.clone();
            let result = if twice.contains(&name) {
                Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    "the request names the topic twice",
                ))
            } else {
                create(&mut mutations, topic, self.validate_only).await
            };
            results.push(result.unwrap_or_else(refused).with_name(name));
        }
        mutations.reply(CreateTopicsResponse::default().with_topics(results))
    }
}

fn refused(refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_error_code(refusal.code.code())
        .with_error_message(refusal.text)
}

async fn create(
    mutations: &mut Mutations<'_>,
    topic: CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let node = mutations.node();
    let spec = checked(&node, topic)?;
    if validate_only {
        if node.storage().topic(&spec.name).is_some() {
            return Err(TopicError::Exists { topic: spec.name }.into());
        }
        let config = TopicConfig::parse(spec.config).map_err(TopicError::from)?;
        return Ok(describe(&node, spec.partitions, &config));
    }
    mutations.count(spec.partitions)?;
    let topic = node.broker.create_topic(spec).await?;
    Ok(describe(&node, topic.partitions, &topic.config).with_topic_id(topic.id))
}

fn checked(node: &Node, topic: CreatableTopic) -> Result<NewTopicSpec, Refusal> {
    let name = TopicName::new(topic.name.as_str())
        .map_err(|error| Refusal::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    if ![UNSET, REPLICATION_FACTOR.into()].contains(&topic.replication_factor.into()) {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "replication factor {} is not 1: there is one broker",
                topic.replication_factor
            ),
        ));
    }
    let partitions = if topic.assignments.is_empty() {
        match topic.num_partitions {
            UNSET => node.settings().default_partitions,
            partitions => partitions,
        }
    } else {
        assigned_partitions(&topic)?
    };
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        return Err(TopicError::InvalidPartitions {
            partitions,
            max: MAX_PARTITIONS,
        }
        .into());
    }
    let mut config = BTreeMap::new();
    for entry in topic.configs {
        let value = entry.value.ok_or_else(|| {
            Refusal::new(
                ErrorCode::InvalidConfig,
                format!("'{}' has no value", &*entry.name),
            )
        })?;
        config.insert(entry.name.to_string(), value.to_string());
    }
    Ok(NewTopicSpec {
        name,
        partitions,
        config,
    })
}

/// How many partitions an assignment by hand names: each once, from 0 on, and on this node.
fn assigned_partitions(topic: &CreatableTopic) -> Result<i32, Refusal> {
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
    indexes.sort_unstable();
    let is_dense = (0..).zip(&indexes).all(|(expected, index)| expected == *index);
    let is_here = topic.assignments.iter().all(|a| a.broker_ids == [Node::ID]);
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    if is_dense && is_here {
        return Ok(count);
    }
    Err(Refusal::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "partitions are to be numbered from 0 and assigned to broker {}",
            Node::ID.0
        ),
    ))
}

fn describe(node: &Node, partitions: i32, config: &TopicConfig) -> CreatableTopicResult {
    let entries = describe_configs::of_topic_config(config, &node.settings());
    let configs = entries.into_iter().map(|entry| {
        let (source, _, value) = entry
            .values
            .into_iter()
            .next()
            .expect("a topic's key has a value");
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(entry.name.into_owned()))
            .with_value(Some(StrBytes::from_string(value)))
            .with_config_source(source)
    });
    CreatableTopicResult::default()
        .with_error_message(None)
        .with_num_partitions(partitions)
        .with_replication_factor(REPLICATION_FACTOR)
        .with_configs(Some(configs.collect()))
}
