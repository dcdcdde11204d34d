use millstream_protocol::{
    ErrorCode,
    messages::{
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        incremental_alter_configs_request::AlterableConfig,
        incremental_alter_configs_response::AlterConfigsResourceResponse,
    },
};

use super::{
    Call, Handle, Reply,
    configs::{self, Change, Changes, Operation, Resource},
    refusal::{Refusal, outcome},
};

impl Handle for IncrementalAlterConfigsRequest {
    async fn handle(self, call: Call) -> Reply<IncrementalAlterConfigsResponse> {
        let twice = configs::twice(self.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
        let mut responses = Vec::new();
        for resource in self.resources {
            let target = Resource::parse(resource.resource_type, &resource.resource_name);
            let changes: Result<Vec<_>, _> = resource.configs.into_iter().map(change).collect();
            let result = match changes {
                _ if twice.contains(&(resource.resource_type, resource.resource_name.clone())) => Err(
                    Refusal::new(ErrorCode::InvalidRequest, "the request names the resource twice"),
                ),
                Err(refusal) => Err(refusal),
                Ok(changes) => {
                    let changes = Changes::Each(changes);
                    configs::alter(&call.node, target, changes, self.validate_only).await
                }
            };
            let (code, text) = outcome(result);
            let response = AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            responses.push(response);
        }
        Reply::Now(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

fn change(config: AlterableConfig) -> Result<Change, Refusal> {
    let Some(operation) = Operation::parse(config.config_operation) else {
        let text = format!("there is no operation {}", config.config_operation);
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    };
    Ok(Change {
        key: config.name.to_string(),
        operation,
        value: config.value.map(|value| value.to_string()),
    })
}
