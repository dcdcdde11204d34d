use millstream_types::GroupId;

use super::MemberId;

/// Why a group refused a request. One variant per answer that Kafka knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("the group has no name")]
    NoGroupId,
    #[error("a session timeout of {timeout_ms} ms is not between {min_ms} and {max_ms}")]
    InvalidSessionTimeout {
        timeout_ms: i32,
        min_ms: i32,
        max_ms: i32,
    },
    #[error("group '{group}' is not known")]
    UnknownGroup { group: GroupId },
    #[error("group '{group}' is not a {wanted} group")]
    OtherType { group: GroupId, wanted: &'static str },
    #[error("'{member}' is not a member of group '{group}'")]
    UnknownMember { group: GroupId, member: MemberId },
    /// The member is to join again with the id it gets with this.
    #[error("the member needs the id '{member}' that it was just given")]
    MemberIdRequired { member: MemberId },
    #[error("static member '{instance}' of group '{group}' was replaced by another process")]
    FencedInstance { group: GroupId, instance: String },
    #[error("generation {generation} of group '{group}' is not the present one, {current}")]
    IllegalGeneration {
        group: GroupId,
        generation: i32,
        current: i32,
    },
    #[error("group '{group}' speaks other protocols than the member")]
    InconsistentProtocol { group: GroupId },
    #[error("group '{group}' is rebalancing")]
    RebalanceInProgress { group: GroupId },
    #[error("group '{group}' has {max} members, no more are allowed")]
    Full { group: GroupId, max: usize },
    #[error("group '{group}' has members")]
    NotEmpty { group: GroupId },
    #[error("group '{group}' is subscribed to the topic")]
    Subscribed { group: GroupId },
    /// KIP-848: the member must begin anew.
    #[error(
        "epoch {epoch} of '{member}' is not its present one, {current}: it is to join again with epoch 0"
    )]
    FencedEpoch {
        member: MemberId,
        epoch: i32,
        current: i32,
    },
    /// KIP-848: the member will learn its new epoch with its next heartbeat, and may then try again.
    #[error("epoch {epoch} of '{member}' is not its present one, {current}")]
    StaleEpoch {
        member: MemberId,
        epoch: i32,
        current: i32,
    },
    #[error("static member '{instance}' is still in use by '{member}'")]
    UnreleasedInstance { instance: String, member: MemberId },
    #[error("the server side assignor '{assignor}' is not one of uniform, range")]
    UnsupportedAssignor { assignor: String },
    #[error("'{regex}' is not a regular expression that is accepted: {reason}")]
    InvalidRegex { regex: String, reason: String },
    #[error("{reason}")]
    InvalidRequest { reason: &'static str },
    /// A KIP-848 member commits with a version of the request that has no place for its epoch.
    #[error("members of group '{group}' commit with version 9 or newer")]
    UnsupportedVersion { group: GroupId },
    /// What the group decided could not be written.
    #[error("the broker cannot write what the group decided")]
    NotStored,
}
