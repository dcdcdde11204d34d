use millstream_protocol::{
    ErrorCode,
    messages::{self, InitProducerIdRequest, InitProducerIdResponse},
};
use millstream_types::{Producer, ProducerEpoch, ProducerId, TransactionalId};
use tracing::debug;

use super::{Call, Handle, Reply, errors::ToKafka, transactions};

/// No producer id, or no epoch.
const NONE: i64 = -1;

impl Handle for InitProducerIdRequest {
    async fn handle(self, call: Call) -> Reply<InitProducerIdResponse> {
        Reply::Now(match init(self, &call).await {
            Ok(producer) => InitProducerIdResponse::default()
                .with_producer_id(messages::ProducerId(producer.id.0))
                .with_producer_epoch(producer.epoch.0),
            Err(code) => InitProducerIdResponse::default()
                .with_error_code(code.code())
                .with_producer_id(messages::ProducerId(NONE))
                .with_producer_epoch(-1),
        })
    }
}

async fn init(request: InitProducerIdRequest, call: &Call) -> Result<Producer, ErrorCode> {
    let broker = &call.node.broker;
    let Some(id) = request.transactional_id else {
        let allocated = broker.allocate_producer_id().await;
        let id = allocated.map_err(|failed| failed.code())?;
        let epoch = ProducerEpoch(0);
        return Ok(Producer { id, epoch });
    };
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (NONE, -1) => None,
        (NONE, _) | (_, -1) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some(Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
        }),
    };
    let id = TransactionalId::new(id.as_str());
    let begun = broker
        .init_producer(&id, request.transaction_timeout_ms, expected)
        .await;
    begun.map_err(|refused| {
        debug!(%id, error = %refused, "a producer could not begin");
        transactions::fenced_before(call.version, 4, refused.code())
    })
}
