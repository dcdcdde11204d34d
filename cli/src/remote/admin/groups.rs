use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use millstream_client::LogError;
use millstream_protocol::{
    ErrorCode,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerProtocolAssignment,
        DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
        ListGroupsRequest, ListGroupsResponse, consumer_group_describe_response as consumer, decode,
        describe_groups_response as classic,
    },
};
use serde::Serialize;

use super::{super::Coordinator, super::Whom, super::text, Client, missing, refused};

mod version {
    pub(super) const LIST_GROUPS: i16 = 5;
    pub(super) const DESCRIBE_GROUPS: i16 = 5;
    pub(super) const CONSUMER_GROUP_DESCRIBE: i16 = 0;
    pub(super) const DELETE_GROUPS: i16 = 2;
}

/// The type of groups whose assignments the broker makes (KIP-848).
const CONSUMER: &str = "consumer";
/// What consumers call themselves in classic groups; other programs use groups for other things.
const CONSUMER_PROTOCOL: &str = "consumer";

/// A group, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    pub(crate) group: String,
    /// `classic` or `consumer`; empty where the broker does not tell.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) protocol: String,
    pub(crate) state: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GroupState {
    pub(crate) group: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) state: String,
    /// How partitions are shared.
    pub(crate) assignor: String,
    pub(crate) members: Vec<MemberState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MemberState {
    pub(crate) member: String,
    /// `group.instance.id` of a static member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    /// Partitions by topic.
    pub(crate) assignment: BTreeMap<String, Vec<i32>>,
}

/// The groups of all brokers, by name.
pub(crate) async fn list_groups(client: &Client) -> Result<Vec<Listed>, LogError> {
    let mut groups = Vec::new();
    for (_, address) in client.brokers().await? {
        let request = ListGroupsRequest::default();
        let code = |answer: &ListGroupsResponse| answer.error_code;
        let answer = client
            .patiently(Whom::At(&address), &request, version::LIST_GROUPS, code)
            .await?;
        refused(answer.error_code, None, || "groups are not listed".to_owned())?;
        groups.extend(answer.groups.into_iter().map(|group| Listed {
            group: group.group_id.to_string(),
            kind: group.group_type.to_lowercase(),
            protocol: group.protocol_type.to_string(),
            state: group.group_state.to_string(),
        }));
    }
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    Ok(groups)
}

/// A group of either type; one that nobody knows is `Dead` and has no members, as Kafka has it.
pub(crate) async fn describe_group(client: &Client, group: &str) -> Result<GroupState, LogError> {
    let coordinator = Whom::CoordinatorOf(Coordinator::Group, group);
    let listed = list_groups(client).await?;
    let is_consumer = listed
        .iter()
        .any(|listed| listed.group == group && listed.kind == CONSUMER);
    if is_consumer {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text(group).into()]);
        let code = |answer: &ConsumerGroupDescribeResponse| answer.groups.first().map_or(0, |g| g.error_code);
        let answer = client
            .patiently(coordinator, &request, version::CONSUMER_GROUP_DESCRIBE, code)
            .await?;
        let found = answer.groups.into_iter().next().ok_or_else(missing)?;
        refused(found.error_code, found.error_message.as_ref(), || {
            not_described(group)
        })?;
        return Ok(found.into());
    }
    let request = DescribeGroupsRequest::default().with_groups(vec![text(group).into()]);
    let code = |answer: &DescribeGroupsResponse| answer.groups.first().map_or(0, |g| g.error_code);
    let answer = client
        .patiently(coordinator, &request, version::DESCRIBE_GROUPS, code)
        .await?;
    let found = answer.groups.into_iter().next().ok_or_else(missing)?;
    if found.error_code != ErrorCode::GroupIdNotFound.code() {
        refused(found.error_code, found.error_message.as_ref(), || {
            not_described(group)
        })?;
    }
    Ok(found.into())
}

pub(crate) async fn delete_group(client: &Client, group: &str) -> Result<(), LogError> {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()]);
    let coordinator = Whom::CoordinatorOf(Coordinator::Group, group);
    let code = |answer: &DeleteGroupsResponse| answer.results.first().map_or(0, |r| r.error_code);
    let answer = client
        .patiently(coordinator, &request, version::DELETE_GROUPS, code)
        .await?;
    let result = answer.results.first().ok_or_else(missing)?;
    refused(result.error_code, None, || {
        format!("group '{group}' is not deleted")
    })
}

fn not_described(group: &str) -> String {
    format!("group '{group}' is not described")
}

impl From<consumer::DescribedGroup> for GroupState {
    fn from(found: consumer::DescribedGroup) -> Self {
        Self {
            group: found.group_id.to_string(),
            kind: CONSUMER.to_owned(),
            state: found.group_state.to_string(),
            assignor: found.assignor_name.to_string(),
            members: found.members.into_iter().map(MemberState::from).collect(),
        }
    }
}

impl From<consumer::Member> for MemberState {
    fn from(member: consumer::Member) -> Self {
        let mut assignment: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for topic in member.assignment.topic_partitions {
            assignment
                .entry(topic.topic_name.to_string())
                .or_default()
                .extend(topic.partitions);
        }
        Self {
            member: member.member_id.to_string(),
            instance: member.instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assignment: sorted(assignment),
        }
    }
}

impl From<classic::DescribedGroup> for GroupState {
    fn from(found: classic::DescribedGroup) -> Self {
        let is_consumer = found.protocol_type.as_str() == CONSUMER_PROTOCOL;
        let members = found.members.into_iter().map(|member| MemberState {
            member: member.member_id.to_string(),
            instance: member.group_instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
            // The bytes are the members' own affair; those of consumers have a known form.
            assignment: if is_consumer {
                classic_assignment(member.member_assignment).unwrap_or_default()
            } else {
                BTreeMap::new()
            },
        });
        Self {
            group: found.group_id.to_string(),
            kind: "classic".to_owned(),
            state: found.group_state.to_string(),
            assignor: found.protocol_data.to_string(),
            members: members.collect(),
        }
    }
}

/// `version i16 | ConsumerProtocolAssignment`; empty while the group rebalances.
fn classic_assignment(mut bytes: Bytes) -> Option<BTreeMap<String, Vec<i32>>> {
    let version = bytes.try_get_i16().ok()?;
    let newest = 3;
    let assignment: ConsumerProtocolAssignment = decode(&mut bytes, version.clamp(0, newest)).ok()?;
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for topic in assignment.assigned_partitions {
        topics
            .entry(topic.topic.to_string())
            .or_default()
            .extend(topic.partitions);
    }
    Some(sorted(topics))
}

fn sorted(mut assignment: BTreeMap<String, Vec<i32>>) -> BTreeMap<String, Vec<i32>> {
    assignment
        .values_mut()
        .for_each(|partitions| partitions.sort_unstable());
    assignment
}
