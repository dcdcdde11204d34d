use bytes::Bytes;
use millstream_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, GroupId,
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest, StrBytes, SyncGroupRequest,
    consumer_group_heartbeat_request::TopicPartitions,
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    sync_group_request::SyncGroupRequestAssignment,
};

use super::{TOPIC, Talk, text, topic_name};
use crate::port::Step;

fn group() -> GroupId {
    GroupId(text("g"))
}

fn join(member: StrBytes, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = |name| {
        JoinGroupRequestProtocol::default()
            .with_name(text(name))
            .with_metadata(Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff"))
    };
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(20_000)
        .with_member_id(member)
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol("range"), protocol("cooperative-sticky")])
}

fn sync(member: &StrBytes, generation: i32, leads: bool) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(member.clone())
        .with_assignment(Bytes::from_static(b"assignment"));
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(generation)
        .with_member_id(member.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(if leads { vec![assignment] } else { Vec::new() })
}

fn commit(member: StrBytes, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(member)
        .with_topics(vec![topic])
}

/// JoinGroup and SyncGroup: one member, a second and static one, and all they may do.
pub(super) async fn classic(talk: &mut Talk) {
    let refused = talk.ask(&join(StrBytes::default(), None), 5).await;
    let first = refused.member_id;
    let joined = talk.ask(&join(first.clone(), None), 5).await;
    talk.ask(&sync(&first, joined.generation_id, true), 5).await;
    let second = talk.tell(1, &join(StrBytes::default(), Some("static")), 9).await;
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(first.clone());
    talk.ask(&heartbeat, 4).await;
    let joined = talk.ask(&join(first.clone(), None), 9).await;
    let follows = talk.hear::<JoinGroupRequest>(second).await.expect("it joins");
    let waits = talk
        .tell(1, &sync(&follows.member_id, follows.generation_id, false), 5)
        .await;
    talk.ask(&sync(&first, joined.generation_id, true), 5).await;
    talk.hear::<SyncGroupRequest>(waits).await;
    talk.ask(&commit(first.clone(), joined.generation_id, 1), 8).await;
    talk.perform(Step::Restart { power: true }).await;
    talk.ask(&commit(first.clone(), joined.generation_id, 2), 2).await;
    let groups = vec![OffsetFetchRequestGroup::default().with_group_id(group())];
    talk.ask(&OffsetFetchRequest::default().with_groups(groups), 9)
        .await;
    talk.ask(&DescribeGroupsRequest::default().with_groups(vec![group()]), 5)
        .await;
    let leaves = |member: StrBytes| MemberIdentity::default().with_member_id(member);
    let leave = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![leaves(first), leaves(text("nobody"))]);
    talk.ask(&leave, 5).await;
    // the static one is not heard of any more
    talk.perform(Step::Pass { ms: 60_000 }).await;
    talk.ask(&ListGroupsRequest::default(), 4).await;
}

fn heartbeat(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
}

fn subscribes(member: &str) -> ConsumerGroupHeartbeatRequest {
    heartbeat(member, 0)
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name(TOPIC)]))
        .with_topic_partitions(Some(Vec::new()))
}

/// KIP-848: the broker assigns.
pub(super) async fn consumer(talk: &mut Talk) {
    let (one, two) = ("AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg");
    let joined = talk.ask(&subscribes(one), 1).await;
    talk.ask(&subscribes(two), 1).await;
    let given = joined
        .assignment
        .map(|given| given.topic_partitions)
        .unwrap_or_default();
    let owned =
        |topics: &[millstream_protocol::messages::consumer_group_heartbeat_response::TopicPartitions]| {
            let of = |topic: &millstream_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
            TopicPartitions::default()
                .with_topic_id(topic.topic_id)
                .with_partitions(topic.partitions.clone())
        };
            topics.iter().map(of).collect::<Vec<_>>()
        };
    let mut epoch = joined.member_epoch;
    let mut owns = owned(&given);
    for _ in 0..3 {
        let beat = heartbeat(one, epoch).with_topic_partitions(Some(owns.clone()));
        let answer = talk.ask(&beat, 1).await;
        epoch = answer.member_epoch;
        if let Some(given) = answer.assignment {
            owns = owned(&given.topic_partitions);
        }
        talk.pause().await;
    }
    talk.ask(&commit(text(one), epoch, 1), 9).await;
    let asks = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_member_id(Some(text(one)))
        .with_member_epoch(epoch)
        .with_topics(Some(vec![
            OffsetFetchRequestTopics::default()
                .with_name(topic_name(TOPIC))
                .with_partition_indexes(vec![0, 1]),
        ]));
    talk.ask(
        &OffsetFetchRequest::default()
            .with_groups(vec![asks])
            .with_require_stable(true),
        9,
    )
    .await;
    talk.ask(
        &ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]),
        1,
    )
    .await;
    let pattern = subscribes("AAAAAAAAAAAAAAAAAAAAAw")
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(Some(text("t.*")));
    talk.ask(&pattern, 1).await;
    talk.perform(Step::Restart { power: false }).await;
    talk.ask(&heartbeat(two, -1), 1).await;
    talk.perform(Step::Pass { ms: 120_000 }).await;
    talk.ask(&ListGroupsRequest::default(), 5).await;
}

/// A consumer of the classic protocol, then one of KIP-848 beside it: the broker reads what classic members say to each
/// other, and answers in their words.
pub(super) async fn of_both_protocols(talk: &mut Talk) {
    // version 1: topics, no user data, what it owns
    let subscription =
        Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0");
    let assignment =
        Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\xff\xff\xff\xff");
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("cooperative-sticky"))
        .with_metadata(subscription);
    let join = |member: StrBytes| join(member, None).with_protocols(vec![protocol.clone()]);
    let member = talk.ask(&join(StrBytes::default()), 5).await.member_id;
    let joined = talk.ask(&join(member.clone()), 9).await;
    let assigned = SyncGroupRequestAssignment::default()
        .with_member_id(member.clone())
        .with_assignment(assignment);
    let sync = |generation, assignments| {
        sync(&member, generation, false)
            .with_protocol_name(Some(text("cooperative-sticky")))
            .with_assignments(assignments)
    };
    talk.ask(&sync(joined.generation_id, vec![assigned]), 5).await;
    let newer = "AAAAAAAAAAAAAAAAAAAABA";
    let upgraded = talk.ask(&subscribes(newer), 1).await;
    for _ in 0..3 {
        let beat = HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(upgraded.member_epoch)
            .with_member_id(member.clone());
        talk.ask(&beat, 4).await;
        let joined = talk.ask(&join(member.clone()), 9).await;
        talk.ask(&sync(joined.generation_id, Vec::new()), 5).await;
        talk.ask(&heartbeat(newer, upgraded.member_epoch), 1).await;
        talk.pause().await;
    }
    talk.ask(
        &ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]),
        1,
    )
    .await;
    talk.perform(Step::Restart { power: true }).await;
    // the newer one leaves, and the group is a classic one again
    talk.ask(&heartbeat(newer, -1), 1).await;
    talk.ask(&DescribeGroupsRequest::default().with_groups(vec![group()]), 6)
        .await;
}
