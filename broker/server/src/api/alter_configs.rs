use millstream_protocol::{
    ErrorCode,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, alter_configs_response::AlterConfigsResourceResponse,
    },
};

use super::{
    Call, Handle, Reply,
    configs::{self, Changes, Resource},
    refusal::{Refusal, outcome},
};

impl Handle for AlterConfigsRequest {
    async fn handle(self, call: Call) -> Reply<AlterConfigsResponse> {
        let twice = configs::twice(self.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
        let mut responses = Vec::new();
        for resource in self.resources {
            let target = Resource::parse(resource.resource_type, &resource.resource_name);
            let values = resource
                .configs
                .into_iter()
                .map(|config| (config.name.to_string(), config.value));
            let result = if twice.contains(&(resource.resource_type, resource.resource_name.clone())) {
                Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    "the request names the resource twice",
                ))
            } else {
                let changes = Changes::Replace(values.collect());
                configs::alter(&call.node, target, changes, self.validate_only).await
            };
            let (code, text) = outcome(result);
            let response = AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            responses.push(response);
        }
        Reply::Now(AlterConfigsResponse::default().with_responses(responses))
    }
}
