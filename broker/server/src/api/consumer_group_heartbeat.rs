use futures::FutureExt;
use millstream_broker_coordinator::{ConsumerAnswer, ConsumerHeartbeat, GroupError, Partitions};
use millstream_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    consumer_group_heartbeat_request::TopicPartitions as Owned,
    consumer_group_heartbeat_response::{Assignment, TopicPartitions},
};
use tracing::debug;

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{client, group_id, owned, text},
};

/// From this version on, the member chooses its id, and may subscribe by a regular expression.
const OWN_ID_SINCE: i16 = 1;
/// The epoch with which a member joins.
const JOIN: i32 = 0;

impl Handle for ConsumerGroupHeartbeatRequest {
    async fn handle(self, call: Call) -> Reply<ConsumerGroupHeartbeatResponse> {
        let group = group_id(&self.group_id);
        let request = request(self, &call);
        match call.node.broker.heartbeat_consumer(&group, &request).await {
            Ok(answered) => Reply::Later(answered.map(answer).boxed()),
            Err(error) => {
                debug!(%group, member = request.member, %error, "a heartbeat was refused");
                Reply::Now(answer(Err(error)))
            }
        }
    }
}

fn request(request: ConsumerGroupHeartbeatRequest, call: &Call) -> ConsumerHeartbeat {
    let topics = request
        .subscribed_topic_names
        .map(|topics| topics.iter().map(|topic| topic.to_string()).collect());
    let mut member = request.member_id.to_string();
    if call.version < OWN_ID_SINCE && member.is_empty() && request.member_epoch == JOIN {
        member = call.node.storage().new_id().to_string();
    }
    ConsumerHeartbeat {
        member,
        epoch: request.member_epoch,
        instance: owned(request.instance_id.as_ref()),
        rack: owned(request.rack_id.as_ref()),
        client: client(call),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topics,
        regex: owned(request.subscribed_topic_regex.as_ref()),
        assignor: owned(request.server_assignor.as_ref()),
        owned: request.topic_partitions.map(partitions),
        may_use_regex: call.version >= OWN_ID_SINCE,
    }
}

fn partitions(topics: Vec<Owned>) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in topics {
        partitions
            .entry(topic.topic_id)
            .or_default()
            .extend(topic.partitions);
    }
    partitions
}

fn answer(answered: Result<ConsumerAnswer, GroupError>) -> ConsumerGroupHeartbeatResponse {
    let answer = ConsumerGroupHeartbeatResponse::default();
    match answered {
        Ok(ok) => answer
            .with_error_message(None)
            .with_member_id(Some(text(ok.member)))
            .with_member_epoch(ok.epoch)
            .with_heartbeat_interval_ms(ok.heartbeat_interval_ms)
            .with_assignment(ok.assignment.map(assignment)),
        Err(error) => answer
            .with_error_code(error.code().code())
            .with_error_message(error.text())
            .with_member_id(None)
            .with_assignment(None),
    }
}

fn assignment(partitions: Partitions) -> Assignment {
    let topics = partitions.into_iter().map(|(topic, partitions)| {
        TopicPartitions::default()
            .with_topic_id(topic)
            .with_partitions(partitions.into_iter().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
