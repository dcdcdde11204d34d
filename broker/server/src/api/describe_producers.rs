use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DescribeProducersRequest, DescribeProducersResponse, ProducerId,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
    },
};

use super::{Call, Handle, Node, Reply, errors::ToKafka, transactions};

impl Handle for DescribeProducersRequest {
    async fn handle(self, call: Call) -> Reply<DescribeProducersResponse> {
        let topics = self.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter();
            let partitions = partitions
                .map(|index| describe(&call.node, &topic.name, *index))
                .collect();
            TopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        Reply::Now(DescribeProducersResponse::default().with_topics(topics.collect()))
    }
}

fn describe(node: &Node, topic: &messages::TopicName, index: i32) -> PartitionResponse {
    let answer = PartitionResponse::default()
        .with_partition_index(index)
        .with_error_message(None);
    let refused = |code: ErrorCode| answer.clone().with_error_code(code.code());
    let Some(partition) = transactions::partition(node, topic, index) else {
        return refused(ErrorCode::UnknownTopicOrPartition);
    };
    let producers = match node.storage().describe_producers(&partition) {
        Ok(producers) => producers,
        Err(error) => return refused(error.code()),
    };
    let producers = producers.into_iter().map(|producer| {
        ProducerState::default()
            .with_producer_id(ProducerId(producer.producer.id.0))
            .with_producer_epoch(producer.producer.epoch.0.into())
            .with_last_sequence(producer.last_sequence)
            .with_last_timestamp(producer.last_timestamp.0)
            .with_coordinator_epoch(producer.coordinator_epoch)
            .with_current_txn_start_offset(producer.transaction_start.map_or(-1, |offset| offset.0))
    });
    answer.with_active_producers(producers.collect())
}
