//! What the requests of groups have in common.

use millstream_broker_coordinator::{Caller, ClientInfo};
use millstream_protocol::messages::StrBytes;
use millstream_protocol::{ErrorCode, messages};
use millstream_types::GroupId;

use super::Call;

/// READ, DELETE and DESCRIBE, as Kafka's bit field: without access control everybody may do all that is done to a group.
pub(super) const ALLOWED_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// The client did not ask for them.
pub(super) const NOT_ASKED: i32 = i32::MIN;
/// No generation, no epoch, no offset.
pub(super) const NONE: i32 = -1;
/// What waits is answered so when the broker stops: clients look for the coordinator again.
pub(super) const STOPPING: ErrorCode = ErrorCode::CoordinatorNotAvailable;

pub(super) fn group_id(id: &messages::GroupId) -> GroupId {
    GroupId::new(id.as_str())
}

pub(super) fn wire_group_id(id: &GroupId) -> messages::GroupId {
    messages::GroupId(text(id.as_str()))
}

pub(super) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub(super) fn owned(text: Option<&StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

pub(super) fn client(call: &Call) -> ClientInfo {
    ClientInfo {
        id: call.client_id.to_string(),
        host: format!("/{}", call.peer),
    }
}

pub(super) fn caller(member: &StrBytes, instance: Option<&StrBytes>, generation: i32) -> Caller {
    Caller {
        member: member.to_string(),
        instance: owned(instance),
        generation,
    }
}
