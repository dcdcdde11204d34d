use futures::FutureExt;
use millstream_broker_coordinator::{SyncRequest, Synced};
use millstream_protocol::{
    ErrorCode,
    messages::{SyncGroupRequest, SyncGroupResponse},
};

use super::{
    Call, Handle, Reply,
    errors::ToKafka,
    groups::{STOPPING, caller, group_id, owned, text},
};

impl Handle for SyncGroupRequest {
    async fn handle(self, call: Call) -> Reply<SyncGroupResponse> {
        let assignments = self
            .assignments
            .into_iter()
            .map(|a| (a.member_id.to_string(), a.assignment));
        let request = SyncRequest {
            group: group_id(&self.group_id),
            caller: caller(
                &self.member_id,
                self.group_instance_id.as_ref(),
                self.generation_id,
            ),
            protocol_type: owned(self.protocol_type.as_ref()),
            protocol: owned(self.protocol_name.as_ref()),
            assignments: assignments.collect(),
        };
        let reply = call.node.broker.sync_group(request).await;
        let shutdown = call.node.shutdown.clone();
        let answer = async move {
            let synced = tokio::select! {
                biased;
                synced = reply => synced,
                () = shutdown.cancelled() => return refused(STOPPING),
            };
            match synced {
                Ok(synced) => answer(synced),
                Err(error) => refused(error.code()),
            }
        };
        Reply::Later(answer.boxed())
    }
}

fn answer(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(synced.protocol_type.map(text))
        .with_protocol_name(synced.protocol.map(text))
        .with_assignment(synced.assignment)
}

fn refused(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(code.code())
}
