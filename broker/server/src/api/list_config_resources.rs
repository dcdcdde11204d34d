use millstream_protocol::{
    ErrorCode,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
        list_config_resources_response::ConfigResource,
    },
};

use super::{
    Call, Handle, Node, Reply,
    configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC},
    transactions::text,
};
use crate::config::ResourceKind;

/// Version 0 asks for the subscriptions of clients' metrics.
const TYPES_SINCE: i16 = 1;

impl Handle for ListConfigResourcesRequest {
    async fn handle(self, call: Call) -> Reply<ListConfigResourcesResponse> {
        let answer = ListConfigResourcesResponse::default();
        let by_name = [
            (CLIENT_METRICS, ResourceKind::ClientMetrics),
            (GROUP, ResourceKind::Group),
        ];
        let is_old = call.version < TYPES_SINCE;
        let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        if self.resource_types.iter().any(|wanted| !known.contains(wanted)) {
            return Reply::Now(answer.with_error_code(ErrorCode::UnsupportedVersion.code()));
        }
        let wants = |kind: i8| match is_old {
            true => kind == CLIENT_METRICS,
            false => self.resource_types.is_empty() || self.resource_types.contains(&kind),
        };
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
        for kind in [BROKER, BROKER_LOGGER].into_iter().filter(|kind| wants(*kind)) {
            found.push(resource(kind, &Node::ID.0.to_string()));
        }
        for (kind, of) in by_name.into_iter().filter(|(kind, _)| wants(*kind)) {
            let names = call.node.broker.resources(of);
            found.extend(names.iter().map(|name| resource(kind, name)));
        }
        Reply::Now(answer.with_config_resources(found))
    }
}
