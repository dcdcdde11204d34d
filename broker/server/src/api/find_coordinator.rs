use millstream_protocol::{
    ErrorCode,
    messages::{FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator},
};

use super::{Call, Handle, Node, Reply};

// Key types.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From this version on, a request names many keys.
const MANY_KEYS_SINCE: i16 = 4;

/// The one node coordinates everything. librdkafka also takes this API for the sign of a broker that knows lz4: without
/// it, it sends lz4 batches uncompressed, and says nothing.
impl Handle for FindCoordinatorRequest {
    async fn handle(self, call: Call) -> Reply<FindCoordinatorResponse> {
        let known = [GROUP, TRANSACTION].contains(&self.key_type);
        let error = if known {
            ErrorCode::None
        } else {
            ErrorCode::InvalidRequest
        };
        let address = &call.listener;
        let answer = FindCoordinatorResponse::default();
        if call.version < MANY_KEYS_SINCE {
            return Reply::Now(
                answer
                    .with_error_code(error.code())
                    .with_error_message(None)
                    .with_node_id(Node::ID)
                    .with_host(address.host())
                    .with_port(address.port.into()),
            );
        }
        let coordinators = self.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_error_code(error.code())
                .with_error_message(None)
                .with_node_id(Node::ID)
                .with_host(address.host())
                .with_port(address.port.into())
        });
        Reply::Now(answer.with_coordinators(coordinators.collect()))
    }
}
