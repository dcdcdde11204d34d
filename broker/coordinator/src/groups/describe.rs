//! What administrators see of groups: ListGroups and DescribeGroups.

use bytes::Bytes;
use millstream_types::{GroupId, TopicName};

use super::{
    ClassicGroup, ClientInfo, Group, GroupError, Groups, LocalGroup, MemberId, State, classic, local,
};

/// A line of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group: GroupId,
    /// `classic` or `consumer`
    pub group_type: &'static str,
    pub protocol_type: String,
    /// Kafka's name of it.
    pub state: &'static str,
}

/// DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub state: &'static str,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member: MemberId,
    pub instance: Option<String>,
    pub client: ClientInfo,
    pub share: MemberShare,
}

/// What a member reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberShare {
    /// In the words of the group's protocol.
    Opaque {
        metadata: Bytes,
        assignment: Bytes,
    },
    Partitions {
        topic: TopicName,
        partitions: Vec<i32>,
    },
}

impl Groups {
    /// The groups that have, or had, members.
    pub fn list(&self) -> impl Iterator<Item = GroupListing> {
        self.groups.iter().map(|(id, group)| GroupListing {
            group: id.clone(),
            group_type: group.type_name(),
            protocol_type: group.protocol_type(),
            state: group.state_name(),
        })
    }

    /// DescribeGroups.
    pub fn describe(&self, group: &GroupId) -> Result<GroupDescription, GroupError> {
        let unknown = || GroupError::UnknownGroup { group: group.clone() };
        let described = self.groups.get(group).ok_or_else(unknown)?;
        let members = match described {
            Group::Classic(group) => describe_classic(group),
            Group::Consumer(_) => {
                let (group, wanted) = (group.clone(), "classic");
                return Err(GroupError::OtherType { group, wanted });
            }
            Group::Local(group) => describe_local(group),
        };
        let protocol = match described {
            Group::Classic(ClassicGroup {
                state: State::Stable,
                protocol,
                ..
            }) => protocol.clone().unwrap_or_default(),
            Group::Local(group) if !group.members.is_empty() => "range".into(),
            Group::Classic(_) | Group::Consumer(_) | Group::Local(_) => String::new(),
        };
        Ok(GroupDescription {
            state: described.state_name(),
            protocol_type: described.protocol_type(),
            protocol,
            members,
        })
    }
}

impl Group {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) | Self::Local(_) => "classic",
            Self::Consumer(_) => "consumer",
        }
    }

    fn protocol_type(&self) -> String {
        match self {
            Self::Classic(group) => group.protocol_type.clone().unwrap_or_default(),
            Self::Consumer(_) | Self::Local(_) => classic::CONSUMER.into(),
        }
    }

    fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => match group.state {
                State::Empty => "Empty",
                State::Preparing { .. } => "PreparingRebalance",
                State::Completing => "CompletingRebalance",
                State::Stable => "Stable",
            },
            Self::Consumer(group) => group.state_name(),
            Self::Local(group) if group.members.is_empty() => "Empty",
            Self::Local(_) => "Stable",
        }
    }
}

fn describe_classic(group: &ClassicGroup) -> Vec<MemberDescription> {
    let stable = group.state == State::Stable;
    let protocol = group.protocol.as_deref();
    let describe = |(id, m): (&MemberId, &classic::Member)| MemberDescription {
        member: id.clone(),
        instance: m.instance.clone(),
        client: m.client.clone(),
        // As in Kafka: what members say and own is shown only while it holds.
        share: MemberShare::Opaque {
            metadata: if stable {
                m.metadata(protocol)
            } else {
                Bytes::new()
            },
            assignment: if stable {
                m.assignment.clone()
            } else {
                Bytes::new()
            },
        },
    };
    group.members.iter().map(describe).collect()
}

fn describe_local(group: &LocalGroup) -> Vec<MemberDescription> {
    let describe = |(id, m): (&MemberId, &local::Member)| MemberDescription {
        member: id.clone(),
        instance: None,
        client: ClientInfo {
            id: "millstream".into(),
            host: "/in-process".into(),
        },
        share: MemberShare::Partitions {
            topic: m.topic.clone(),
            partitions: group.assign(id).map_or_else(Vec::new, |a| a.partitions),
        },
    };
    group.members.iter().map(describe).collect()
}
