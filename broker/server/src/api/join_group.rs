use futures::FutureExt;
use millstream_broker_coordinator::{JoinRefused, JoinRequest, Joined, JoinedMember, Protocol};
use millstream_protocol::{
    ErrorCode,
    messages::{
        JoinGroupRequest, JoinGroupResponse, StrBytes, join_group_request::JoinGroupRequestProtocol,
        join_group_response::JoinGroupResponseMember,
    },
};
use tracing::debug;

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{NONE, STOPPING, client, group_id, owned, text},
};

/// From this version on, new members are given their id first (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// From this version on, the answer may have no protocol.
const NULLABLE_PROTOCOL_SINCE: i16 = 7;
/// From this version on, a leader can be told not to assign (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

impl Handle for JoinGroupRequest {
    async fn handle(self, call: Call) -> Reply<JoinGroupResponse> {
        let version = call.version;
        let member_id = self.member_id.clone();
        let request = request(self, &call);
        let group = request.group.clone();
        let reply = call.node.broker.join_group(request).await;
        let shutdown = call.node.shutdown.clone();
        let answer = async move {
            let joined = tokio::select! {
                biased;
                joined = reply => joined,
                () = shutdown.cancelled() => return refused(STOPPING, member_id, version),
            };
            match joined {
                Ok(joined) => answer(joined),
                Err(JoinRefused { member, error }) => {
                    debug!(%group, member, %error, "a member was not let in");
                    refused(error.code(), text(member), version)
                }
            }
        };
        Reply::Later(answer.boxed())
    }
}

fn request(request: JoinGroupRequest, call: &Call) -> JoinRequest {
    let instance = owned(request.group_instance_id.as_ref());
    let name = instance.as_deref().unwrap_or(&call.client_id);
    let protocol = |p: JoinGroupRequestProtocol| Protocol {
        name: p.name.to_string(),
        metadata: p.metadata,
    };
    JoinRequest {
        group: group_id(&request.group_id),
        member: request.member_id.to_string(),
        new_member: format!("{name}-{}", call.node.storage().new_id()),
        instance,
        client: client(call),
        session_timeout_ms: request.session_timeout_ms,
        // Version 0 has no timeout of its own for it.
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            NONE => request.session_timeout_ms,
            timeout_ms => timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.into_iter().map(protocol).collect(),
        requires_member_id: call.version >= MEMBER_ID_REQUIRED_SINCE,
        can_skip_assignment: call.version >= SKIP_ASSIGNMENT_SINCE,
    }
}

fn answer(joined: Joined) -> JoinGroupResponse {
    let member = |m: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(m.member))
            .with_group_instance_id(m.instance.map(text))
            .with_metadata(m.metadata)
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(Some(text(joined.protocol.unwrap_or_default())))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member))
        .with_members(joined.members.into_iter().map(member).collect())
}

fn refused(code: ErrorCode, member: StrBytes, version: i16) -> JoinGroupResponse {
    let protocol = (version < NULLABLE_PROTOCOL_SINCE).then(StrBytes::default);
    JoinGroupResponse::default()
        .with_error_code(code.code())
        .with_generation_id(NONE)
        .with_protocol_type(None)
        .with_protocol_name(protocol)
        .with_member_id(member)
}
