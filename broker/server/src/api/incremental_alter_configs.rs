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
    configs::{self, Altered, Change, Changes, Operation},
    refusal::{Refusal, outcome},
};

impl Handle for IncrementalAlterConfigsRequest {
    async fn handle(self, call: Call) -> Reply<IncrementalAlterConfigsResponse> {
        let wanted = self.resources.into_iter().map(|resource| {
            let changes: Result<Vec<_>, _> = resource.configs.into_iter().map(change).collect();
            Altered {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                changes: changes.map(Changes::Each),
            }
        });
        let altered = configs::alter_all(&call.node, wanted.collect(), self.validate_only).await;
        let responses = altered.into_iter().map(|(resource_type, resource_name, result)| {
            let (code, text) = outcome(result);
            AlterConfigsResourceResponse::default()
                .with_error_code(code)
                .with_error_message(text)
                .with_resource_type(resource_type)
                .with_resource_name(resource_name)
        });
        Reply::Now(IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
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
