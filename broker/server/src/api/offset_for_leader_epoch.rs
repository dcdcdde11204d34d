use millstream_broker_storage::LEADER_EPOCH;
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};

use super::{Call, Handle, Node, Reply, transactions};

/// No epoch, or no offset.
const UNDEFINED: i32 = -1;

impl Handle for OffsetForLeaderEpochRequest {
    async fn handle(self, call: Call) -> Reply<OffsetForLeaderEpochResponse> {
        let topics = self.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions
                .map(|wanted| find(&call.node, &topic.topic, wanted))
                .collect();
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions)
        });
        Reply::Now(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }
}

fn find(node: &Node, topic: &messages::TopicName, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default()
        .with_partition(wanted.partition)
        .with_leader_epoch(UNDEFINED)
        .with_end_offset(UNDEFINED.into());
    let refused = |code: ErrorCode| answer.clone().with_error_code(code.code());
    let Some(partition) = transactions::partition(node, topic, wanted.partition) else {
        return refused(ErrorCode::UnknownTopicOrPartition);
    };
    if wanted.current_leader_epoch > LEADER_EPOCH {
        return refused(ErrorCode::UnknownLeaderEpoch);
    }
    match node.storage().offsets(&partition) {
        Ok(ends) if wanted.leader_epoch == LEADER_EPOCH => answer
            .with_leader_epoch(LEADER_EPOCH)
            .with_end_offset(ends.high_watermark.0),
        Ok(_) => answer,
        Err(_) => refused(ErrorCode::UnknownTopicOrPartition),
    }
}
