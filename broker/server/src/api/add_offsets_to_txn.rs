use futures::FutureExt;
use millstream_broker_coordinator::{Claim, TransactionVersion};
use millstream_protocol::{
    ErrorCode,
    messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
};
use millstream_types::{GroupId, TransactionalId};

use super::{Call, Handle, Reply, errors::ToKafka, transactions};

impl Handle for AddOffsetsToTxnRequest {
    async fn handle(self, call: Call) -> Reply<AddOffsetsToTxnResponse> {
        let answer = |code: ErrorCode| AddOffsetsToTxnResponse::default().with_error_code(code.code());
        if self.transactional_id.is_empty() {
            return Reply::Now(answer(ErrorCode::InvalidRequest));
        }
        if self.group_id.is_empty() {
            return Reply::Now(answer(ErrorCode::InvalidGroupId));
        }
        let id = TransactionalId::new(self.transactional_id.as_str());
        let claim = Claim {
            id: &id,
            producer: transactions::producer(self.producer_id, self.producer_epoch),
            version: TransactionVersion::V1,
        };
        call.node.storage().room().await;
        let group = GroupId::new(self.group_id.as_str());
        match call.node.broker.add_group(claim, &group) {
            Ok(ticket) => Reply::Later(
                async move {
                    answer(
                        ticket
                            .await
                            .map_or_else(|error| error.code(), |()| ErrorCode::None),
                    )
                }
                .boxed(),
            ),
            Err(error) => Reply::Now(answer(transactions::fenced_before(call.version, 2, error.code()))),
        }
    }
}
