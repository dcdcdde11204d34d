use millstream_broker_coordinator::GroupError;
use millstream_protocol::{
    ErrorCode,
    messages::{
        LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity,
        leave_group_response::MemberResponse,
    },
};
use tracing::debug;

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{group_id, owned},
};

/// From this version on, many members leave with one request (KIP-345).
const MANY_SINCE: i16 = 3;

impl Handle for LeaveGroupRequest {
    async fn handle(self, call: Call) -> Reply<LeaveGroupResponse> {
        let group = group_id(&self.group_id);
        let many = call.version >= MANY_SINCE;
        let members = if many {
            self.members
        } else {
            vec![MemberIdentity::default().with_member_id(self.member_id)]
        };
        for member in &members {
            debug!(%group, member = &*member.member_id, instance = member.group_instance_id.as_deref(),
                reason = member.reason.as_deref(), "a member leaves");
        }
        let leaving: Vec<_> = members
            .iter()
            .map(|m| (m.member_id.to_string(), owned(m.group_instance_id.as_ref())))
            .collect();
        let left = call.node.broker.leave_group(&group, &leaving).await;
        Reply::Now(match left {
            Err(error) => LeaveGroupResponse::default().with_error_code(error.code().code()),
            Ok(results) if many => {
                let responses = members.into_iter().zip(results).map(|(member, result)| {
                    MemberResponse::default()
                        .with_member_id(member.member_id)
                        .with_group_instance_id(member.group_instance_id)
                        .with_error_code(code(result))
                });
                LeaveGroupResponse::default().with_members(responses.collect())
            }
            Ok(results) => {
                let result = results.into_iter().next().unwrap_or(Ok(()));
                LeaveGroupResponse::default().with_error_code(code(result))
            }
        })
    }
}

fn code(result: Result<(), GroupError>) -> i16 {
    result
        .map_or_else(|error| error.code(), |()| ErrorCode::None)
        .code()
}
