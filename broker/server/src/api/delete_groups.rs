use millstream_protocol::{
    ErrorCode,
    messages::{DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult},
};

use super::{Call, Handle, Reply, errors::ToKafka, groups::group_id};

impl Handle for DeleteGroupsRequest {
    async fn handle(self, call: Call) -> Reply<DeleteGroupsResponse> {
        let mut results = Vec::with_capacity(self.groups_names.len());
        for group in self.groups_names {
            let deleted = call.node.broker.delete_group(&group_id(&group)).await;
            let code = deleted.map_or_else(|error| error.code(), |()| ErrorCode::None);
            results.push(
                DeletableGroupResult::default()
                    .with_group_id(group)
                    .with_error_code(code.code()),
            );
        }
        Reply::Now(DeleteGroupsResponse::default().with_results(results))
    }
}
