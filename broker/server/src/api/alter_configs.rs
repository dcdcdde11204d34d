use millstream_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, alter_configs_response::AlterConfigsResourceResponse,
};

use super::{
    Call, Handle, Reply,
    configs::{self, Altered, Changes},
    refusal::outcome,
};

impl Handle for AlterConfigsRequest {
    async fn handle(self, call: Call) -> Reply<AlterConfigsResponse> {
        let wanted = self.resources.into_iter().map(|resource| {
            let values = resource.configs.into_iter();
            let values = values.map(|config| (config.name.to_string(), config.value));
            Altered {
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                changes: Ok(Changes::Replace(values.collect())),
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
        Reply::Now(AlterConfigsResponse::default().with_responses(responses.collect()))
    }
}
