use millstream_protocol::{
    ErrorCode,
    messages::{
        DescribeClusterRequest, DescribeClusterResponse, describe_cluster_response::DescribeClusterBroker,
    },
};

use super::{Call, Handle, Node, Reply};

/// Endpoint types of KIP-919.
const BROKERS: i8 = 1;

impl Handle for DescribeClusterRequest {
    async fn handle(self, call: Call) -> Reply<DescribeClusterResponse> {
        let answer = DescribeClusterResponse::default()
            .with_endpoint_type(self.endpoint_type)
            .with_cluster_id(call.node.cluster_id());
        if self.endpoint_type != BROKERS {
            return Reply::Now(answer.with_error_code(ErrorCode::UnsupportedEndpointType.code()));
        }
        let broker = DescribeClusterBroker::default()
            .with_broker_id(Node::ID)
            .with_host(call.listener.host())
            .with_port(call.listener.port.into());
        Reply::Now(answer.with_controller_id(Node::ID).with_brokers(vec![broker]))
    }
}
