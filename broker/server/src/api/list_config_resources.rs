use millstream_protocol::{
    ErrorCode,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
        list_config_resources_response::ConfigResource,
    },
};

use super::{
    Call, Handle, Node, Reply,
    configs::{BROKER, TOPIC},
    transactions::text,
};

/// Version 0 asks for the client's metrics subscriptions, of which there are none.
const TYPES_SINCE: i16 = 1;
// Loggers, client metrics and groups have no configuration here.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

impl Handle for ListConfigResourcesRequest {
    async fn handle(self, call: Call) -> Reply<ListConfigResourcesResponse> {
        let answer = ListConfigResourcesResponse::default();
        if call.version < TYPES_SINCE {
            return Reply::Now(answer);
        }
        let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        if self.resource_types.iter().any(|wanted| !known.contains(wanted)) {
            return Reply::Now(answer.with_error_code(ErrorCode::UnsupportedVersion.code()));
        }
        let wants = |kind: i8| self.resource_types.is_empty() || self.resource_types.contains(&kind);
        let resource = |kind: i8, name: &str| {
            ConfigResource::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
        };
        let mut found = Vec::new();
        if wants(TOPIC) {
            let topics = call.node.storage().topics();
            found.extend(topics.iter().map(|topic| resource(TOPIC, topic.name.as_str())));
        }
        if wants(BROKER) {
            found.push(resource(BROKER, &Node::ID.0.to_string()));
        }
        Reply::Now(answer.with_config_resources(found))
    }
}
