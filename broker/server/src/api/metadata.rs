use std::{collections::BTreeMap, sync::Arc};

use millstream_broker_storage::{LEADER_EPOCH, NewTopicSpec, Topic, TopicError};
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, MetadataRequest, MetadataResponse, StrBytes,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
};
use millstream_types::TopicName;
use tracing::info;

use super::{Call, Handle, Node, Reply, errors::ToKafka};

impl Handle for MetadataRequest {
    async fn handle(self, call: Call) -> Reply<MetadataResponse> {
        let node = &*call.node;
        let wants_all = match &self.topics {
            None => true,
            // Version 0 had no null.
            Some(topics) => call.version == 0 && topics.is_empty(),
        };
        let topics = if wants_all {
            node.storage()
                .topics()
                .iter()
                .map(|topic| describe(topic))
                .collect()
        } else {
            let may_create = node.settings().auto_create_topics && self.allow_auto_topic_creation;
            let mut found = Vec::new();
            for wanted in self.topics.unwrap_or_default() {
                found.push(find(node, wanted, may_create).await);
            }
            found
        };
        let broker = MetadataResponseBroker::default()
            .with_node_id(Node::ID)
            .with_host(call.listener.host())
            .with_port(call.listener.port.into());
        Reply::Now(
            MetadataResponse::default()
                .with_brokers(vec![broker])
                .with_cluster_id(Some(node.cluster_id()))
                .with_controller_id(Node::ID)
                .with_topics(topics),
        )
    }
}

/// One topic, by its id or, if there is none, by its name. The Java client gives an empty name beside an id.
async fn find(node: &Node, wanted: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    if wanted.name.is_none() || !wanted.topic_id.is_nil() {
        let found = node.storage().topic_of_id(wanted.topic_id);
        let unknown = || {
            MetadataResponseTopic::default()
                .with_error_code(ErrorCode::UnknownTopicId.code())
                .with_name(None)
                .with_topic_id(wanted.topic_id)
        };
        return found.map_or_else(unknown, |topic| describe(&topic));
    }
    let refused = |code: ErrorCode| {
        MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(wanted.name.clone())
            .with_topic_id(wanted.topic_id)
    };
    let name = wanted.name.as_ref().map_or("", |name| name.as_str());
    let Ok(name) = TopicName::new(name) else {
        return refused(ErrorCode::InvalidTopicException);
    };
    if let Some(topic) = node.storage().topic(&name) {
        return describe(&topic);
    }
    if !may_create {
        return refused(ErrorCode::UnknownTopicOrPartition);
    }
    match create(node, &name).await {
        Ok(topic) => {
            info!(topic = %name, partitions = topic.partitions, "created the topic that a client asked for");
            describe(&topic)
        }
        // Somebody else was faster.
        Err(TopicError::Exists { .. }) => refused(ErrorCode::LeaderNotAvailable),
        Err(error) => refused(error.code()),
    }
}

async fn create(node: &Node, name: &TopicName) -> Result<Arc<Topic>, TopicError> {
    let spec = NewTopicSpec {
        name: name.clone(),
        partitions: node.settings().default_partitions,
        config: BTreeMap::new(),
    };
    node.broker.create_topic(spec).await
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(Node::ID)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![Node::ID])
            .with_isr_nodes(vec![Node::ID])
    };
    MetadataResponseTopic::default()
        .with_name(Some(messages::TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.name.is_internal())
        .with_partitions((0..topic.partitions).map(partition).collect())
}
