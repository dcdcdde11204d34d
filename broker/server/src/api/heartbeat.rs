use millstream_protocol::{
    ErrorCode,
    messages::{HeartbeatRequest, HeartbeatResponse},
};

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{caller, group_id},
};

impl Handle for HeartbeatRequest {
    async fn handle(self, call: Call) -> Reply<HeartbeatResponse> {
        let caller = caller(
            &self.member_id,
            self.group_instance_id.as_ref(),
            self.generation_id,
        );
        let result = call
            .node
            .broker
            .heartbeat_group(&group_id(&self.group_id), &caller);
        let code = result.map_or_else(|error| error.code(), |()| ErrorCode::None);
        Reply::Now(HeartbeatResponse::default().with_error_code(code.code()))
    }
}
