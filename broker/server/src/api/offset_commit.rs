use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use millstream_broker_coordinator::{CommittedOffset, GroupError};
use millstream_protocol::{
    ErrorCode,
    messages::{
        MalformedMessage, OFFSETS_BY_TOPIC_ID, OffsetCommitRequest, OffsetCommitResponse, decode,
        decode_offset_commit_by_topic_id,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};
use millstream_types::{Offset, TopicName, TopicPartition};

use super::{
    Call, Handle, Node, Reply,
    errors::ToKafka,
    groups::{caller, group_id},
};

/// From this version on, a member of a consumer group can say its epoch.
const MEMBER_EPOCH_SINCE: i16 = 9;

/// `retention_time_ms` of versions 2 to 4 is not looked at: offsets of a group live as long as it is used, and then for
/// `offsets.retention.minutes`.
impl Handle for OffsetCommitRequest {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, MalformedMessage> {
        if version < OFFSETS_BY_TOPIC_ID {
            return decode(body, version);
        }
        decode_offset_commit_by_topic_id(body)
    }

    async fn handle(self, call: Call) -> Reply<OffsetCommitResponse> {
        let group = group_id(&self.group_id);
        let caller = caller(
            &self.member_id,
            self.group_instance_id.as_ref(),
            self.generation_id_or_member_epoch,
        );
        let mut offsets = Vec::new();
        let topics: Vec<_> = self
            .topics
            .into_iter()
            .map(|topic| check_topic(&call, topic, &mut offsets))
            .collect();
        if offsets.is_empty() {
            return Reply::Now(answer(topics, ErrorCode::None));
        }
        match call
            .node
            .broker
            .commit_as(&group, &caller, call.version >= MEMBER_EPOCH_SINCE, &offsets)
            .await
        {
            Ok(durable) => {
                let answer = durable.map(|stored| answer(topics, code(stored)));
                Reply::Later(answer.boxed())
            }
            Err(error) => Reply::Now(answer(topics, error.code())),
        }
    }
}

type Topic = (OffsetCommitRequestTopic, Vec<ErrorCode>);

fn code(stored: Result<(), GroupError>) -> ErrorCode {
    stored.map_or_else(|error| error.code(), |()| ErrorCode::None)
}

/// Finds what can be committed, and why the rest cannot.
fn check_topic(
    call: &Call,
    topic: OffsetCommitRequestTopic,
    offsets: &mut Vec<(TopicPartition, CommittedOffset)>,
) -> Topic {
    let node = &call.node;
    let name = if call.version < OFFSETS_BY_TOPIC_ID {
        TopicName::new(topic.name.as_str()).map_err(|_| ErrorCode::UnknownTopicOrPartition)
    } else {
        node.topic_name(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)
    };
    let check = |p: &OffsetCommitRequestPartition| match check(node, name.as_ref(), p) {
        Ok(offset) => {
            offsets.push(offset);
            ErrorCode::None
        }
        Err(code) => code,
    };
    let codes = topic.partitions.iter().map(check).collect();
    (topic, codes)
}

fn check(
    node: &Node,
    topic: Result<&TopicName, &ErrorCode>,
    wanted: &OffsetCommitRequestPartition,
) -> Result<(TopicPartition, CommittedOffset), ErrorCode> {
    let metadata: &str = wanted.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > node.settings().max_offset_metadata_bytes {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    let topic = topic.map_err(|code| *code)?;
    let partition = TopicPartition::new(topic.clone(), wanted.partition_index);
    if node.storage().offsets(&partition).is_err() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let offset = CommittedOffset {
        offset: Offset(wanted.committed_offset),
        leader_epoch: wanted.committed_leader_epoch,
        metadata: Arc::from(metadata),
        committed_at: node.broker.clock().now(),
    };
    Ok((partition, offset))
}

/// `committed` is the fate of those that had no error of their own.
fn answer(topics: Vec<Topic>, committed: ErrorCode) -> OffsetCommitResponse {
    let topics = topics.into_iter().map(|(topic, codes)| {
        let partitions = topic.partitions.iter().zip(codes).map(|(p, own)| {
            let code = if own == ErrorCode::None { committed } else { own };
            OffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code.code())
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
