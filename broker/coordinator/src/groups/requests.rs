//! What the classic protocol asks of a group, and what the group answers.

use bytes::Bytes;
use millstream_types::GroupId;

use super::{GroupError, MemberId};
use crate::Put;

/// Stands for a request that waits for others. The caller chooses it, and keeps who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What a request, or a deadline, comes to. The puts belong into one atomic group; a reply may be sent when these, and
/// all puts before, are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub replies: Vec<(Token, Reply)>,
    pub puts: Vec<Put>,
    /// Members of this process may have a new assignment.
    pub reassigned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
}

/// Who asks: the client as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    pub id: String,
    pub host: String,
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub group: GroupId,
    /// Empty if it has none yet.
    pub member: MemberId,
    /// `group.instance.id`, for a static member (KIP-345).
    pub instance: Option<String>,
    pub client: ClientInfo,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    /// A new dynamic member is sent back with an id first (KIP-394): version 4 or newer.
    pub requires_member_id: bool,
    /// The client knows `skipAssignment` (KIP-814): version 9 or newer.
    pub can_skip_assignment: bool,
    /// The id of the member if it needs one; the caller has the randomness.
    pub new_member: MemberId,
}

/// A way to share, with what the member says to whoever does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub leader: MemberId,
    pub member: MemberId,
    /// The leader is not to assign anew, its members are for it to watch (KIP-814).
    pub skip_assignment: bool,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member: MemberId,
    pub instance: Option<String>,
    pub metadata: Bytes,
}

/// A refusal names the member as the client should know it from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    pub member: MemberId,
    pub error: GroupError,
}

/// Who a request says it comes from: SyncGroup, Heartbeat, LeaveGroup, and the commits of offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    pub member: MemberId,
    pub instance: Option<String>,
    /// Generation of a classic group, member epoch of a consumer group; -1 outside of a group.
    pub generation: i32,
}

impl Caller {
    /// Nobody in particular: an administrator, or a consumer that is assigned by hand.
    pub fn outsider() -> Self {
        Self {
            generation: -1,
            ..Self::default()
        }
    }
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub group: GroupId,
    pub caller: Caller,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// From the leader only.
    pub assignments: Vec<(MemberId, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}
