//! A group that moves from the classic protocol to the consumer protocol and back while it has members.

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, GroupId, HeartbeatRequest,
        JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
        StrBytes, SyncGroupRequest,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        sync_group_request::SyncGroupRequestAssignment,
    },
};

use crate::{
    Server,
    client::{Client, topic_name},
};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn group() -> GroupId {
    GroupId(text("g"))
}

fn join(member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        // version 1, one topic "t", no user data, nothing owned
        .with_metadata(Bytes::from_static(
            b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0",
        ));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

async fn joined(client: &mut Client, member: &str) -> JoinGroupResponse {
    let mut answer = client.ask(&join(member), 5).await;
    if answer.error_code == ErrorCode::MemberIdRequired.code() {
        answer = client.ask(&join(&answer.member_id), 5).await;
    }
    assert_eq!(answer.error_code, 0);
    answer
}

/// Partitions of "t".
async fn synced(client: &mut Client, joined: &JoinGroupResponse) -> Vec<i32> {
    let shares = if joined.leader == joined.member_id {
        // version 1, topic "t" with 0 and 1, no user data
        let share = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\xff\xff\xff\xff";
        vec![
            SyncGroupRequestAssignment::default()
                .with_member_id(joined.member_id.clone())
                .with_assignment(Bytes::from_static(share)),
        ]
    } else {
        Vec::new()
    };
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(shares);
    let answer = client.ask(&request, 5).await;
    assert_eq!(answer.error_code, 0);
    assert_eq!(answer.protocol_name, Some(text("range")));
    let (head, rest) = answer.assignment.split_at(6);
    assert_eq!(head[..2], [0, 1], "the member's version");
    if head[5] == 0 {
        return Vec::new();
    }
    let partitions = rest[7..rest.len() - 4].chunks(4);
    partitions
        .map(|p| i32::from_be_bytes(p.try_into().unwrap()))
        .collect()
}

async fn heartbeat(client: &mut Client, joined: &JoinGroupResponse) -> ErrorCode {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    ErrorCode::from_code(client.ask(&request, 4).await.error_code).unwrap()
}

fn beating(epoch: i32) -> ConsumerGroupHeartbeatRequest {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text("new"))
        .with_member_epoch(epoch);
    if epoch != 0 {
        return request
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None);
    }
    request
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

async fn group_type(client: &mut Client) -> String {
    let answer = client.ask(&ListGroupsRequest::default(), 5).await;
    answer.groups[0].group_type.to_string()
}

#[tokio::test]
async fn members_of_both_protocols_share_a_topic() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    let first = joined(&mut client, "").await;
    assert_eq!(synced(&mut client, &first).await, [0, 1]);
    assert_eq!(group_type(&mut client).await, "classic");

    let new = client.ask(&beating(0), 1).await;
    assert_eq!((new.error_code, new.member_epoch), (0, first.generation_id + 1));
    assert_eq!(
        new.assignment.unwrap().topic_partitions,
        [],
        "the first has them still"
    );
    assert_eq!(group_type(&mut client).await, "consumer");
    assert_eq!(
        heartbeat(&mut client, &first).await,
        ErrorCode::RebalanceInProgress
    );
    let again = joined(&mut client, &first.member_id).await;
    assert!(
        again.leader.is_empty() && again.members.is_empty(),
        "the broker assigns"
    );
    assert_eq!(synced(&mut client, &again).await.len(), 1);
    assert_eq!(heartbeat(&mut client, &again).await, ErrorCode::None);
    let new = client.ask(&beating(new.member_epoch), 1).await;
    assert_eq!(new.assignment.unwrap().topic_partitions[0].partitions.len(), 1);

    let described = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    let described = client.ask(&described, 1).await;
    let mut types: Vec<_> = described.groups[0]
        .members
        .iter()
        .map(|m| m.member_type)
        .collect();
    types.sort_unstable();
    assert_eq!(types, [0, 1]);

    // A classic member commits with any version, in its generation.
    for version in [5, 9] {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(3);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(again.generation_id)
            .with_member_id(again.member_id.clone())
            .with_topics(vec![topic]);
        let answer = client.ask(&request, version).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "version {version}");
    }

    let identity = MemberIdentity::default().with_member_id(text("new"));
    let leave = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![identity]);
    let left = client.ask(&leave, 5).await;
    assert_eq!(left.members[0].error_code, 0, "an administrator takes it out");
    assert_eq!(group_type(&mut client).await, "classic");
    assert_eq!(
        heartbeat(&mut client, &again).await,
        ErrorCode::RebalanceInProgress,
        "its generation is the group's still"
    );
    let last = joined(&mut client, &again.member_id).await;
    assert_eq!(last.leader, last.member_id);
    assert_eq!(synced(&mut client, &last).await, [0, 1]);
}

#[tokio::test]
async fn a_broker_may_refuse_the_change() {
    let settings = [("group.consumer.migration.policy", "disabled")];
    let server = Server::start_as(crate::on_a_free_port(), &settings).await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    let first = joined(&mut client, "").await;
    synced(&mut client, &first).await;
    let refused = client.ask(&beating(0), 1).await;
    assert_eq!(refused.error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(heartbeat(&mut client, &first).await, ErrorCode::None);
}
