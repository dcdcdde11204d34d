use futures::FutureExt;
use millstream_broker_coordinator::{Claim, TransactionVersion};
use millstream_broker_storage::Outcome;
use millstream_protocol::{
    ErrorCode,
    messages::{EndTxnRequest, EndTxnResponse, ProducerId},
};
use millstream_types::{Producer, TransactionalId};

use super::{Call, Handle, Reply, errors::ToKafka, transactions};

/// From this version on, the end bumps the epoch, and the answer has it (KIP-890).
const BUMPS_SINCE: i16 = 5;

impl Handle for EndTxnRequest {
    async fn handle(self, call: Call) -> Reply<EndTxnResponse> {
        let version = call.version;
        let refused = move |code: ErrorCode| EndTxnResponse::default().with_error_code(code.code());
        if self.transactional_id.is_empty() {
            return Reply::Now(refused(ErrorCode::InvalidRequest));
        }
        let id = TransactionalId::new(self.transactional_id.as_str());
        let claim = Claim {
            id: &id,
            producer: transactions::producer(self.producer_id, self.producer_epoch),
            version: if version >= BUMPS_SINCE {
                TransactionVersion::V2
            } else {
                TransactionVersion::V1
            },
        };
        let outcome = if self.committed {
            Outcome::Commit
        } else {
            Outcome::Abort
        };
        call.node.storage().room().await;
        match call.node.broker.end_transaction(claim, outcome, None) {
            Ok((producer, ticket)) => {
                let answer = async move {
                    match ticket.await {
                        Ok(()) => ended(version, producer),
                        Err(error) => refused(error.code()),
                    }
                };
                Reply::Later(answer.boxed())
            }
            Err(error) => Reply::Now(refused(transactions::fenced_before(version, 2, error.code()))),
        }
    }
}

fn ended(version: i16, producer: Producer) -> EndTxnResponse {
    let answer = EndTxnResponse::default();
    if version < BUMPS_SINCE {
        return answer;
    }
    answer
        .with_producer_id(ProducerId(producer.id.0))
        .with_producer_epoch(producer.epoch.0)
}
