//! Members of the classic protocol. One of them leads and shares the partitions.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_protocol::{
    ErrorCode,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, Encodable, HeartbeatRequest,
        JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, StrBytes, SyncGroupRequest,
        consumer_protocol_assignment::TopicPartition, decode, join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity, sync_group_request::SyncGroupRequestAssignment,
    },
};

use super::{
    RETRY_MS, Refused, checked,
    member::{Member, Membership, Next, Places, REBALANCE_MS, SESSION_MS},
    topic_name,
};

/// Joining takes until all others have joined or are out.
const JOINS_WITHIN_MS: u64 = 10_000;
const PROTOCOL: &str = "turns";

/// Until everything is read, life after life.
pub(crate) async fn classic_member(member: Member) {
    while let Err(refused) = life(&member).await {
        member.tolerate_eviction(refused);
        member.wire.pause(5 * RETRY_MS).await;
    }
}

async fn life(member: &Member) -> Result<(), Refused> {
    let mut id = String::new();
    loop {
        let (membership, given) = join(member, &mut id).await?;
        let mut places = Places::new();
        member.take(&membership, &given, &mut places).await?;
        let next = loop {
            member.live_dangerously().await?;
            match heartbeat(member, &membership).await {
                Err(Refused::Code(code)) if code == ErrorCode::RebalanceInProgress.code() => {
                    break Next::Rejoin;
                }
                told => told?,
            }
            match member.work(&membership, &mut places).await? {
                Next::GoOn => {}
                next => break next,
            }
        };
        if next == Next::Leave || member.wire.chance(5) {
            leave(member, &membership).await?;
            id.clear();
        }
        if next == Next::Leave {
            return Ok(());
        }
    }
}

/// Answers the generation it is in now and its share.
async fn join(member: &Member, id: &mut String) -> Result<(Membership, BTreeSet<i32>), Refused> {
    let joined = loop {
        let asked = member
            .wire
            .ask_within(&join_request(member, id), 7, JOINS_WITHIN_MS)
            .await;
        match asked {
            Ok(joined) if joined.error_code == ErrorCode::MemberIdRequired.code() => {
                *id = joined.member_id.to_string();
            }
            Ok(joined) => {
                checked(joined.error_code)?;
                break joined;
            }
            Err(_) => member.wire.pause(RETRY_MS).await,
        }
    };
    let membership = Membership {
        id: id.clone(),
        epoch: joined.generation_id,
    };
    assert_eq!(joined.member_id.as_str(), id);
    let request = SyncGroupRequest::default()
        .with_group_id(member.group_id())
        .with_generation_id(membership.epoch)
        .with_member_id(StrBytes::from_string(id.clone()))
        .with_assignments(shares(member, &joined));
    let synced = member.persist(|| member.wire.ask(&request, 4)).await;
    checked(synced.error_code)?;
    Ok((membership, share_of(synced.assignment)))
}

fn join_request(member: &Member, id: &str) -> JoinGroupRequest {
    let topics = vec![StrBytes::from_static_str(member.topic)];
    let mut metadata = BytesMut::new();
    metadata.put_i16(0);
    ConsumerProtocolSubscription::default()
        .with_topics(topics)
        .encode(&mut metadata, 0)
        .unwrap();
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(StrBytes::from_static_str(PROTOCOL))
        .with_metadata(metadata.freeze());
    JoinGroupRequest::default()
        .with_group_id(member.group_id())
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(REBALANCE_MS)
        .with_member_id(StrBytes::from_string(id.to_owned()))
        .with_protocol_type(StrBytes::from_static_str("consumer"))
        .with_protocols(vec![protocol])
}

/// Turn by turn, if it is the one who shares.
fn shares(member: &Member, joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let count = joined.members.len();
    let share = |(at, of): (
        usize,
        &millstream_protocol::messages::join_group_response::JoinGroupResponseMember,
    )| {
        let partitions = (0..member.partitions).filter(|p| *p as usize % count == at);
        let topic = TopicPartition::default()
            .with_topic(topic_name(member.topic))
            .with_partitions(partitions.collect());
        let mut bytes = BytesMut::new();
        bytes.put_i16(0);
        ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![topic])
            .encode(&mut bytes, 0)
            .unwrap();
        SyncGroupRequestAssignment::default()
            .with_member_id(of.member_id.clone())
            .with_assignment(bytes.freeze())
    };
    joined.members.iter().enumerate().map(share).collect()
}

fn share_of(mut assignment: Bytes) -> BTreeSet<i32> {
    if assignment.is_empty() {
        return BTreeSet::new();
    }
    let version = i16::from_be_bytes([assignment[0], assignment[1]]);
    let _ = assignment.split_to(2);
    let read: ConsumerProtocolAssignment = decode(&mut assignment, version).expect("what the leader wrote");
    let topics = read.assigned_partitions.into_iter();
    topics.flat_map(|topic| topic.partitions).collect()
}

async fn heartbeat(member: &Member, membership: &Membership) -> Result<(), Refused> {
    let request = HeartbeatRequest::default()
        .with_group_id(member.group_id())
        .with_generation_id(membership.epoch)
        .with_member_id(StrBytes::from_string(membership.id.clone()));
    let answer = member.persist(|| member.wire.ask(&request, 4)).await;
    checked(answer.error_code)
}

async fn leave(member: &Member, membership: &Membership) -> Result<(), Refused> {
    let identity = MemberIdentity::default().with_member_id(StrBytes::from_string(membership.id.clone()));
    let request = LeaveGroupRequest::default()
        .with_group_id(member.group_id())
        .with_members(vec![identity]);
    match member.wire.ask(&request, 4).await {
        Ok(answer) => checked(answer.error_code),
        // its session ends in any case
        Err(_) => Ok(()),
    }
}
