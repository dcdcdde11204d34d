//! The records of groups.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{GroupId, Timestamp, TopicName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ClientInfo, MemberId, assign::Partitions, bytes_as_text::Opaque, consumer::Progress};
use crate::{Put, codec, key::Key};

/// What is stored under a group's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stored {
    Classic(StoredClassic),
    Consumer(StoredConsumer),
    /// The generation of a group of this process.
    #[serde(untagged)]
    Local(i32),
}

impl Stored {
    pub(super) fn put(&self, group: &GroupId) -> Put {
        (Key::Group(group.clone()).encode(), Some(codec::encode(self)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredClassic {
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<MemberId>,
    /// The leader has synced.
    pub(super) assigned: bool,
    /// The members are to join again, whatever they have: it was a consumer group until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) rejoin: bool,
    pub(super) since: Timestamp,
    pub(super) members: Vec<StoredMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredMember {
    pub(super) id: MemberId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
    pub(super) client: StoredClient,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<(String, Opaque)>,
    pub(super) assignment: Opaque,
}

/// A consumer group; its members have records of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredConsumer {
    pub(super) epoch: i32,
    pub(super) assignment_epoch: i32,
    pub(super) topics: BTreeMap<TopicName, (Uuid, i32)>,
    pub(super) since: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredConsumerMember {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rack: Option<String>,
    pub(super) client: StoredClient,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) topics: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) assignor: Option<String>,
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) progress: Progress,
    /// What it has, or is to take.
    pub(super) assigned: Partitions,
    /// What it is asked to give back.
    pub(super) revoking: Partitions,
    /// What it is to have in the end.
    pub(super) target: Partitions,
    /// Set if it speaks the classic protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) classic: Option<StoredClassicMember>,
}

/// What only members of the classic protocol have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredClassicMember {
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<(String, Opaque)>,
}

impl StoredConsumerMember {
    pub(super) fn set_epoch(&mut self, epoch: i32) {
        if epoch != self.epoch {
            self.previous_epoch = self.epoch;
            self.epoch = epoch;
        }
    }
}

/// The record of a member of a consumer group; without one it is gone.
pub(super) fn put_member(group: &GroupId, id: &MemberId, member: Option<&StoredConsumerMember>) -> Put {
    (
        Key::Member(group.clone(), id.clone()).encode(),
        member.map(codec::encode),
    )
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredClient {
    id: String,
    host: String,
}

impl From<ClientInfo> for StoredClient {
    fn from(ClientInfo { id, host }: ClientInfo) -> Self {
        Self { id, host }
    }
}

impl From<StoredClient> for ClientInfo {
    fn from(StoredClient { id, host }: StoredClient) -> Self {
        Self { id, host }
    }
}
