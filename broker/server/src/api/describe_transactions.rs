use std::collections::BTreeMap;

use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId,
        describe_transactions_response::{TopicData, TransactionState},
    },
};
use millstream_types::{TopicPartition, TransactionalId};

use super::{Call, Handle, Node, Reply, transactions::text};

impl Handle for DescribeTransactionsRequest {
    async fn handle(self, call: Call) -> Reply<DescribeTransactionsResponse> {
        let ids = self.transactional_ids.into_iter();
        let states = ids
            .map(|id| describe(&call.node, &id).with_transactional_id(id))
            .collect();
        Reply::Now(DescribeTransactionsResponse::default().with_transaction_states(states))
    }
}

fn describe(node: &Node, id: &messages::TransactionalId) -> TransactionState {
    if id.is_empty() {
        return TransactionState::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    let Some(found) = node
        .broker
        .describe_transaction(&TransactionalId::new(id.as_str()))
    else {
        return TransactionState::default().with_error_code(ErrorCode::TransactionalIdNotFound.code());
    };
    TransactionState::default()
        .with_transaction_state(text(found.state.name()))
        .with_transaction_timeout_ms(found.timeout_ms)
        .with_transaction_start_time_ms(found.started.map_or(-1, |at| at.0))
        .with_producer_id(ProducerId(found.producer.id.0))
        .with_producer_epoch(found.producer.epoch.0)
        .with_topics(topics(&found.partitions))
}

fn topics(partitions: &[TopicPartition]) -> Vec<TopicData> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(partition.topic.as_str())
            .or_default()
            .push(partition.partition);
    }
    let topic = |(name, partitions)| {
        TopicData::default()
            .with_topic(messages::TopicName(text(name)))
            .with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}
