use millstream_protocol::{
    ErrorCode,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};
use tracing::error;

use super::{Call, Handle, Reply, errors::ToKafka};

impl Handle for InitProducerIdRequest {
    async fn handle(self, call: Call) -> Reply<InitProducerIdResponse> {
        let refused = |code: ErrorCode| {
            InitProducerIdResponse::default()
                .with_error_code(code.code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
        };
        if self.transactional_id.is_some() {
            // Transactions have no rows yet: better refused here than after the first records.
            return Reply::Now(refused(ErrorCode::InvalidRequest));
        }
        Reply::Now(match call.node.broker.allocate_producer_id().await {
            Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id.0)),
            Err(failed) => {
                error!(error = %failed, "cannot allocate a producer id");
                refused(failed.code())
            }
        })
    }
}
