//! Groups of the classic protocol, and what administrators ask of groups, in every version.

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    messages::{
        DeleteGroupsRequest, DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
        JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
        OffsetFetchRequest, StrBytes, SyncGroupRequest, SyncGroupResponse,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
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

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn join(name: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        // version 0, one topic "t", no user data
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// What was sent with an older version has no fields of the newer ones.
fn join_in(version: i16, name: &str, member: &str) -> JoinGroupRequest {
    let request = join(name, member);
    if version == 0 {
        request.with_rebalance_timeout_ms(-1)
    } else {
        request
    }
}

fn sync(name: &str, joined: &JoinGroupResponse, share: &'static str) -> SyncGroupRequest {
    let share = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(share.as_bytes()));
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![share])
}

fn heartbeat(name: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group(name))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
}

fn commit(name: &str, member: &str, generation: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition.clone(), partition.with_partition_index(9)]);
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
        .with_topics(vec![topic])
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

/// Joins alone, as clients do: with the id that is given if one is needed.
async fn join_alone(client: &mut Client, name: &str, version: i16) -> JoinGroupResponse {
    let mut joined = client.ask(&join_in(version, name, ""), version).await;
    if code(joined.error_code) == ErrorCode::MemberIdRequired {
        joined = client
            .ask(&join_in(version, name, &joined.member_id), version)
            .await;
    }
    assert_eq!(code(joined.error_code), ErrorCode::None, "version {version}");
    joined
}

async fn sync_alone(
    client: &mut Client,
    name: &str,
    joined: &JoinGroupResponse,
    version: i16,
) -> SyncGroupResponse {
    let synced = client.ask(&sync(name, joined, "share"), version).await;
    assert_eq!(code(synced.error_code), ErrorCode::None, "version {version}");
    synced
}

#[tokio::test]
async fn a_member_lives_in_every_version() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    for version in 0..=9 {
        let name = format!("g{version}");
        let joined = join_alone(&mut client, &name, version).await;
        assert_eq!((joined.generation_id, &joined.leader), (1, &joined.member_id));
        assert_eq!(
            (joined.protocol_name.as_deref(), joined.members.len()),
            (Some("range"), 1)
        );
        assert!(joined.member_id.starts_with("test-"), "{:?}", joined.member_id);
        let synced = sync_alone(&mut client, &name, &joined, version.min(5)).await;
        assert_eq!(synced.assignment, "share");
        let alive = client.ask(&heartbeat(&name, &joined), version.min(4)).await;
        assert_eq!(code(alive.error_code), ErrorCode::None);
        let committed = client
            .ask(&commit(&name, &joined.member_id, 1, 7), version.clamp(2, 9))
            .await;
        let codes: Vec<_> = committed.topics[0]
            .partitions
            .iter()
            .map(|p| code(p.error_code))
            .collect();
        assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);

        let leave = match version {
            0..=2 => LeaveGroupRequest::default().with_member_id(joined.member_id.clone()),
            _ => {
                let member = MemberIdentity::default().with_member_id(joined.member_id.clone());
                LeaveGroupRequest::default().with_members(vec![member])
            }
        };
        let left = client
            .ask(&leave.with_group_id(group(&name)), version.min(5))
            .await;
        let member = left.members.first().map_or(0, |m| m.error_code);
        assert_eq!((left.error_code, member), (0, 0), "version {version}");
        let gone = client.ask(&heartbeat(&name, &joined), version.min(4)).await;
        assert_eq!(code(gone.error_code), ErrorCode::UnknownMemberId);
    }
}

#[tokio::test]
async fn two_members_share_and_one_takes_over() {
    let server = Server::start().await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    let alone = join_alone(&mut first, "g", 9).await;
    sync_alone(&mut first, "g", &alone, 5).await;

    let id = second.ask(&join("g", ""), 9).await.member_id;
    let joining = second.send(&join("g", &id), 9).await;
    loop {
        let answer = first.ask(&heartbeat("g", &alone), 4).await;
        if code(answer.error_code) == ErrorCode::RebalanceInProgress {
            break;
        }
    }
    let leader = first.ask(&join("g", &alone.member_id), 9).await;
    let follower = second.answer::<JoinGroupRequest>(joining, 9).await;
    assert_eq!((leader.generation_id, follower.generation_id), (2, 2));
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));
    assert_eq!(follower.leader, leader.member_id);

    let waiting = second.send(&sync("g", &follower, "ignored"), 5).await;
    let mut shares = sync("g", &leader, "first");
    let other = SyncGroupRequestAssignment::default()
        .with_member_id(follower.member_id.clone())
        .with_assignment(Bytes::from_static(b"second"));
    shares.assignments.push(other);
    assert_eq!(first.ask(&shares, 5).await.assignment, "first");
    let share = second.answer::<SyncGroupRequest>(waiting, 5).await;
    assert_eq!(share.assignment, "second");
}

#[tokio::test]
async fn a_restart_is_no_rebalance() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let joined = join_alone(&mut client, "g", 9).await;
    sync_alone(&mut client, "g", &joined, 5).await;
    server.restart().await;
    let mut client = server.client().await;
    let alive = client.ask(&heartbeat("g", &joined), 4).await;
    assert_eq!(code(alive.error_code), ErrorCode::None);
    let synced = sync_alone(&mut client, "g", &joined, 5).await;
    assert_eq!(synced.assignment, "share");
    let committed = client.ask(&commit("g", &joined.member_id, 1, 3), 9).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);
}

#[tokio::test]
async fn offsets_are_fetched_in_every_version() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    for version in 2..=9 {
        let answer = client
            .ask(&commit("simple", "", -1, i64::from(version)), version)
            .await;
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group("simple"))
            .with_topics(Some(vec![topic]));
        let answer = client.ask(&request, version).await;
        let offsets: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|p| p.committed_offset)
            .collect();
        assert_eq!(
            (answer.error_code, offsets),
            (0, vec![9, -1]),
            "version {version}"
        );
        assert_eq!(answer.topics[0].partitions[0].metadata.as_deref(), Some("note"));
        if version >= 2 {
            let all = client.ask(&request.with_topics(None), version).await;
            assert_eq!((all.topics.len(), all.topics[0].partitions.len()), (1, 1));
        }
    }
    for version in 8..=9 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let known = OffsetFetchRequestGroup::default()
            .with_group_id(group("simple"))
            .with_member_epoch(-1)
            .with_topics(Some(vec![topic]));
        let unknown = known.clone().with_group_id(group("unknown"));
        let all = known.clone().with_topics(None);
        let request = OffsetFetchRequest::default()
            .with_groups(vec![known, unknown, all])
            .with_require_stable(true);
        let answer = client.ask(&request, version).await;
        let offsets: Vec<_> = answer
            .groups
            .iter()
            .map(|g| g.topics[0].partitions[0].committed_offset)
            .collect();
        assert_eq!(
            offsets,
            [9, -1, 9],
            "an unknown group has no offsets, and no error"
        );
        assert!(answer.groups.iter().all(|g| g.error_code == 0));
    }
}

#[tokio::test]
async fn groups_are_listed_described_and_deleted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let joined = join_alone(&mut client, "used", 9).await;
    sync_alone(&mut client, "used", &joined, 5).await;
    client.ask(&commit("simple", "", -1, 1), 9).await;
    let name = |n: &str| millstream_types::GroupId::new(n);
    let topic = millstream_types::TopicName::new("t").unwrap();
    let session = std::time::Duration::from_secs(10);
    server.broker.join(&name("local"), &topic, session).await.unwrap();

    for version in 0..=5 {
        let listed = client.ask(&ListGroupsRequest::default(), version).await;
        let names: Vec<_> = listed.groups.iter().map(|g| g.group_id.as_str()).collect();
        assert_eq!(names, ["local", "simple", "used"], "version {version}");
    }
    let empty = ListGroupsRequest::default().with_states_filter(vec![text("empty")]);
    assert_eq!(client.ask(&empty, 5).await.groups[0].group_id, group("simple"));
    let consumer = ListGroupsRequest::default().with_types_filter(vec![text("consumer")]);
    assert_eq!(client.ask(&consumer, 5).await.groups.len(), 0);

    let names = ["used", "local", "simple", "unknown"].map(group).to_vec();
    for version in 0..=6 {
        let described = client
            .ask(
                &DescribeGroupsRequest::default().with_groups(names.clone()),
                version,
            )
            .await;
        let states: Vec<_> = described.groups.iter().map(|g| g.group_state.as_str()).collect();
        assert_eq!(states, ["Stable", "Stable", "Empty", "Dead"], "version {version}");
        let expected = if version < 6 {
            ErrorCode::None
        } else {
            ErrorCode::GroupIdNotFound
        };
        assert_eq!(code(described.groups[3].error_code), expected);
        let member = &described.groups[0].members[0];
        assert_eq!((&*member.client_id, &*member.client_host), ("test", "/127.0.0.1"));
        assert_eq!(member.member_assignment, "share");
        let local = &described.groups[1].members[0];
        // version 0, topic "t" with partition 0, no user data
        assert_eq!(
            local.member_assignment,
            &b"\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff"[..]
        );
    }

    let delete = |topic: &str| {
        let partitions = [0, 9].map(|p| OffsetDeleteRequestPartition::default().with_partition_index(p));
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.to_vec());
        OffsetDeleteRequest::default().with_topics(vec![topic])
    };
    let codes = |answer: &millstream_protocol::messages::OffsetDeleteResponse| {
        let partitions = answer.topics.iter().flat_map(|t| &t.partitions);
        partitions.map(|p| code(p.error_code)).collect::<Vec<_>>()
    };
    let used = client.ask(&delete("t").with_group_id(group("used")), 0).await;
    assert_eq!(
        codes(&used),
        [
            ErrorCode::GroupSubscribedToTopic,
            ErrorCode::UnknownTopicOrPartition
        ]
    );
    let simple = client.ask(&delete("t").with_group_id(group("simple")), 0).await;
    assert_eq!(
        codes(&simple),
        [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]
    );
    let unknown = client.ask(&delete("t").with_group_id(group("unknown")), 0).await;
    assert_eq!(code(unknown.error_code), ErrorCode::GroupIdNotFound);

    client.ask(&commit("simple", "", -1, 1), 9).await;
    let request = DeleteGroupsRequest::default().with_groups_names(names);
    let deleted = client.ask(&request, 2).await;
    let codes: Vec<_> = deleted.results.iter().map(|r| code(r.error_code)).collect();
    let expected = [
        ErrorCode::NonEmptyGroup,
        ErrorCode::NonEmptyGroup,
        ErrorCode::None,
        ErrorCode::GroupIdNotFound,
    ];
    assert_eq!(codes, expected);
    let listed = client.ask(&ListGroupsRequest::default(), 5).await;
    assert_eq!(listed.groups.len(), 2);
}

#[tokio::test]
async fn strangers_do_not_commit_for_a_group_with_members() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let joined = join_alone(&mut client, "g", 9).await;
    sync_alone(&mut client, "g", &joined, 5).await;
    let mut check = async |member: &str, generation, expected| {
        let answer = client.ask(&commit("g", member, generation, 1), 9).await;
        assert_eq!(code(answer.topics[0].partitions[0].error_code), expected);
    };
    check("", -1, ErrorCode::UnknownMemberId).await;
    check("stranger", 1, ErrorCode::UnknownMemberId).await;
    check(&joined.member_id, 5, ErrorCode::IllegalGeneration).await;
    check(&joined.member_id, 1, ErrorCode::None).await;
}

#[tokio::test]
async fn a_waiting_member_is_answered_when_the_broker_stops() {
    let server = Server::start_as(
        crate::on_a_free_port(),
        &[("group.initial.rebalance.delay.ms", "3000")],
    )
    .await;
    let mut client = server.client().await;
    let id = client.ask(&join("g", ""), 9).await.member_id;
    let joining = client.send(&join("g", &id), 9).await;
    // Somebody else sees it wait.
    let mut other = server.client().await;
    loop {
        let listed = other.ask(&ListGroupsRequest::default(), 5).await;
        if listed
            .groups
            .iter()
            .any(|g| &*g.group_state == "PreparingRebalance")
        {
            break;
        }
    }
    server.shutdown.cancel();
    let answer = client.answer::<JoinGroupRequest>(joining, 9).await;
    assert_eq!(code(answer.error_code), ErrorCode::CoordinatorNotAvailable);
}
