use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_broker_coordinator::{Caller, CommittedOffset};
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, MalformedMessage, OFFSETS_BY_TOPIC_ID, OffsetFetchRequest, OffsetFetchResponse, StrBytes,
        decode, decode_offset_fetch_by_topic_id,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
};
use millstream_types::{GroupId, TopicName, TopicPartition};

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{NONE, group_id, text},
};

/// From this version on, a request asks for many groups.
const MANY_GROUPS_SINCE: i16 = 8;
/// Nothing was committed.
const NO_OFFSET: i64 = -1;

impl Handle for OffsetFetchRequest {
    fn read(body: &mut Bytes, version: i16) -> Result<Self, MalformedMessage> {
        if version < OFFSETS_BY_TOPIC_ID {
            return decode(body, version);
        }
        decode_offset_fetch_by_topic_id(body)
    }

    async fn handle(self, call: Call) -> Reply<OffsetFetchResponse> {
        let stable = self.require_stable;
        if call.version >= MANY_GROUPS_SINCE {
            let groups = self.groups.into_iter().map(|group| fetch(&call, group, stable));
            return Reply::Now(OffsetFetchResponse::default().with_groups(groups.collect()));
        }
        let topics = self.topics.map(|topics| {
            let topic = |t: messages::offset_fetch_request::OffsetFetchRequestTopic| {
                OffsetFetchRequestTopics::default()
                    .with_name(t.name)
                    .with_partition_indexes(t.partition_indexes)
            };
            topics.into_iter().map(topic).collect()
        });
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(self.group_id)
            .with_member_epoch(NONE)
            .with_topics(topics);
        Reply::Now(single(fetch(&call, group, stable)))
    }
}

/// The answer for one group, in the words of the versions that ask for one.
fn single(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |p: OffsetFetchResponsePartitions| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(p.partition_index)
            .with_committed_offset(p.committed_offset)
            .with_committed_leader_epoch(p.committed_leader_epoch)
            .with_metadata(p.metadata)
            .with_error_code(p.error_code)
    };
    let topic = |t: OffsetFetchResponseTopics| {
        OffsetFetchResponseTopic::default()
            .with_name(t.name)
            .with_partitions(t.partitions.into_iter().map(partition).collect())
    };
    OffsetFetchResponse::default()
        .with_error_code(group.error_code)
        .with_topics(group.topics.into_iter().map(topic).collect())
}

fn fetch(call: &Call, request: OffsetFetchRequestGroup, stable: bool) -> OffsetFetchResponseGroup {
    let node = &call.node;
    let group = group_id(&request.group_id);
    let caller = Caller {
        member: request
            .member_id
            .as_ref()
            .map(StrBytes::to_string)
            .unwrap_or_default(),
        instance: None,
        generation: request.member_epoch,
    };
    let answer = OffsetFetchResponseGroup::default().with_group_id(request.group_id);
    if let Err(error) = node.broker.check_offset_fetch(&group, &caller) {
        let code = error.code();
        let topics = request.topics.unwrap_or_default();
        let topics = topics.into_iter().map(|t| answer_topic(call, t, |_| Err(code)));
        return answer.with_error_code(code.code()).with_topics(topics.collect());
    }
    let look_up = |partition: &TopicPartition| {
        if stable && node.broker.has_pending_offset(&group, partition) {
            return Err(ErrorCode::UnstableOffsetCommit);
        }
        Ok(node.broker.committed(&group, partition))
    };
    let topics = request.topics.unwrap_or_else(|| all_topics(call, &group));
    let topics = topics.into_iter().map(|t| answer_topic(call, t, look_up));
    answer.with_topics(topics.collect())
}

/// All that the group has committed; where topics go by their ids, of those that there are.
fn all_topics(call: &Call, group: &GroupId) -> Vec<OffsetFetchRequestTopics> {
    let committed = call
        .node
        .broker
        .all_committed(Some(group))
        .remove(group)
        .unwrap_or_default();
    let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in committed.into_keys() {
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (TopicName, Vec<i32>)| {
        let topic = OffsetFetchRequestTopics::default().with_partition_indexes(partitions);
        if call.version < OFFSETS_BY_TOPIC_ID {
            return Some(topic.with_name(messages::TopicName(text(name.as_str()))));
        }
        let found = call.node.storage().topic(&name)?;
        Some(topic.with_topic_id(found.id))
    };
    topics.into_iter().filter_map(topic).collect()
}

fn answer_topic(
    call: &Call,
    topic: OffsetFetchRequestTopics,
    look_up: impl Fn(&TopicPartition) -> Result<Option<CommittedOffset>, ErrorCode>,
) -> OffsetFetchResponseTopics {
    let name = if call.version < OFFSETS_BY_TOPIC_ID {
        TopicName::new(topic.name.as_str()).map_err(|_| None)
    } else {
        let known = call.node.topic_name(topic.topic_id);
        known.ok_or(Some(ErrorCode::UnknownTopicId))
    };
    let partitions = topic.partition_indexes.into_iter().map(|index| {
        let found = match &name {
            Ok(name) => look_up(&TopicPartition::new(name.clone(), index)),
            Err(None) => Ok(None),
            Err(Some(code)) => Err(*code),
        };
        let answer = OffsetFetchResponsePartitions::default().with_partition_index(index);
        match found {
            Ok(Some(committed)) => answer
                .with_committed_offset(committed.offset.0)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_metadata(Some(text(&*committed.metadata))),
            Ok(None) => nothing(answer),
            Err(code) => nothing(answer).with_error_code(code.code()),
        }
    });
    let partitions = partitions.collect();
    OffsetFetchResponseTopics::default()
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
        .with_partitions(partitions)
}

fn nothing(answer: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartitions {
    answer
        .with_committed_offset(NO_OFFSET)
        .with_committed_leader_epoch(NONE)
        .with_metadata(Some(StrBytes::default()))
}
