//! Access control lists, as Kafka answers without an authorizer: everybody may do everything, and none can be made.

use millstream_protocol::{
    ErrorCode,
    messages::{
        CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
        DescribeAclsResponse, StrBytes, create_acls_response::AclCreationResult,
        delete_acls_response::DeleteAclsFilterResult,
    },
};

use super::{Call, Handle, Reply};

const DISABLED: ErrorCode = ErrorCode::SecurityDisabled;
const TEXT: StrBytes = StrBytes::from_static_str("no authorizer is configured on this broker");

impl Handle for DescribeAclsRequest {
    async fn handle(self, _call: Call) -> Reply<DescribeAclsResponse> {
        let answer = DescribeAclsResponse::default().with_error_code(DISABLED.code());
        Reply::Now(answer.with_error_message(Some(TEXT)))
    }
}

impl Handle for CreateAclsRequest {
    async fn handle(self, _call: Call) -> Reply<CreateAclsResponse> {
        let refused = AclCreationResult::default()
            .with_error_code(DISABLED.code())
            .with_error_message(Some(TEXT));
        // One for each: librdkafka ends its process over an answer of another length.
        Reply::Now(CreateAclsResponse::default().with_results(vec![refused; self.creations.len()]))
    }
}

impl Handle for DeleteAclsRequest {
    async fn handle(self, _call: Call) -> Reply<DeleteAclsResponse> {
        let refused = DeleteAclsFilterResult::default()
            .with_error_code(DISABLED.code())
            .with_error_message(Some(TEXT));
        Reply::Now(DeleteAclsResponse::default().with_filter_results(vec![refused; self.filters.len()]))
    }
}
