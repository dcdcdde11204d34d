use millstream_protocol::{
    ErrorCode,
    messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_request::OffsetDeleteRequestTopic,
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
};
use millstream_types::{TopicName, TopicPartition};

use super::{Call, Handle, Node, Reply, errors::ToKafka, groups::group_id};

impl Handle for OffsetDeleteRequest {
    async fn handle(self, call: Call) -> Reply<OffsetDeleteResponse> {
        let named: Vec<_> = self.topics.iter().flat_map(|t| existing(&call.node, t)).collect();
        let deleted = call
            .node
            .broker
            .delete_offsets(&group_id(&self.group_id), &named)
            .await;
        let results = match deleted {
            Ok(results) => results,
            Err(error) => {
                return Reply::Now(OffsetDeleteResponse::default().with_error_code(error.code().code()));
            }
        };
        let code_of = |topic: &str, index: i32| {
            let at = named
                .iter()
                .position(|p| p.topic.as_str() == topic && p.partition == index);
            match at.map(|at| &results[at]) {
                Some(Ok(())) => ErrorCode::None,
                Some(Err(error)) => error.code(),
                None => ErrorCode::UnknownTopicOrPartition,
            }
        };
        let topics = self.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let code = code_of(&topic.name, p.partition_index);
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(code.code())
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        Reply::Now(OffsetDeleteResponse::default().with_topics(topics.collect()))
    }
}

fn existing(node: &Node, topic: &OffsetDeleteRequestTopic) -> Vec<TopicPartition> {
    let Ok(name) = TopicName::new(topic.name.as_str()) else {
        return Vec::new();
    };
    let partitions = topic
        .partitions
        .iter()
        .map(|p| TopicPartition::new(name.clone(), p.partition_index));
    partitions.filter(|p| node.storage().offsets(p).is_ok()).collect()
}
