use std::collections::BTreeSet;

use millstream_broker_storage::LEADER_EPOCH;
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
};
use millstream_types::TopicName;

use super::{Call, Handle, Node, Reply, transactions::text};

/// The most partitions of one answer (`max.request.partition.size.limit`).
const MAX_PARTITIONS: usize = 2000;

impl Handle for DescribeTopicPartitionsRequest {
    async fn handle(self, call: Call) -> Reply<DescribeTopicPartitionsResponse> {
        let node = &call.node;
        let mut names: BTreeSet<String> = self.topics.iter().map(|topic| topic.name.to_string()).collect();
        let wants_all = names.is_empty();
        if wants_all {
            names.extend(node.storage().topics().iter().map(|topic| topic.name.to_string()));
        }
        let (from, mut first) = match &self.cursor {
            Some(cursor) if cursor.partition_index < 0 => {
                // The one error of the request as a whole; Kafka gives it to each topic.
                let topics = names.iter().map(|name| refused(name, ErrorCode::InvalidRequest));
                return Reply::Now(DescribeTopicPartitionsResponse::default().with_topics(topics.collect()));
            }
            Some(cursor) => (cursor.topic_name.to_string(), cursor.partition_index),
            None => (String::new(), 0),
        };
        let limit = usize::try_from(self.response_partition_limit).unwrap_or(0);
        let mut left = limit.clamp(1, MAX_PARTITIONS);
        let mut topics = Vec::new();
        for name in names.iter().filter(|name| **name >= from) {
            let start = if *name == from {
                std::mem::take(&mut first)
            } else {
                0
            };
            if left == 0 {
                return Reply::Now(page(topics, Some((name, start))));
            }
            let Some(topic) = TopicName::new(name.as_str())
                .ok()
                .and_then(|name| node.storage().topic(&name))
            else {
                topics.push(refused(name, ErrorCode::UnknownTopicOrPartition));
                continue;
            };
            let room = i32::try_from(left).unwrap_or(i32::MAX);
            let end = topic.partitions.min(start.saturating_add(room));
            let partitions: Vec<_> = (start..end).map(partition).collect();
            left -= partitions.len();
            topics.push(
                DescribeTopicPartitionsResponseTopic::default()
                    .with_name(Some(messages::TopicName(text(name))))
                    .with_topic_id(topic.id)
                    .with_is_internal(topic.name.is_internal())
                    .with_partitions(partitions),
            );
            if end < topic.partitions {
                return Reply::Now(page(topics, Some((name, end))));
            }
        }
        Reply::Now(page(topics, None))
    }
}

fn page(
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<(&String, i32)>,
) -> DescribeTopicPartitionsResponse {
    let cursor = next.map(|(name, index)| {
        Cursor::default()
            .with_topic_name(messages::TopicName(text(name)))
            .with_partition_index(index)
    });
    DescribeTopicPartitionsResponse::default()
        .with_topics(topics)
        .with_next_cursor(cursor)
}

fn refused(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(messages::TopicName(text(name))))
}

fn partition(index: i32) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(Node::ID)
        .with_leader_epoch(LEADER_EPOCH)
        .with_replica_nodes(vec![Node::ID])
        .with_isr_nodes(vec![Node::ID])
        // Null is allowed, but the Java client does not expect it.
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}
