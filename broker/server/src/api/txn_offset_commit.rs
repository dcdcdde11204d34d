use std::sync::Arc;

use futures::FutureExt;
use millstream_broker_coordinator::{Claim, CommittedOffset, TransactionVersion};
use millstream_broker_storage::Ticket;
use millstream_protocol::{
    ErrorCode,
    messages::{
        TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        txn_offset_commit_request::TxnOffsetCommitRequestTopic,
        txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
    },
};
use millstream_types::{GroupId, Offset, TopicPartition, TransactionalId};

use super::{Call, Handle, Reply, errors::ToKafka, groups::caller, transactions};
use crate::TransactionRequestError;

/// From this version on, clients know TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 4;
/// From this version on, the group is added to the transaction by this request (KIP-890).
const JOINS_SINCE: i16 = 5;

impl Handle for TxnOffsetCommitRequest {
    async fn handle(self, call: Call) -> Reply<TxnOffsetCommitResponse> {
        let checked = check(&self, &call);
        let state = match checked {
            Err(code) => Err(code),
            Ok(offsets) => commit(&self, &call, offsets).await,
        };
        let node = call.node.clone();
        let answer = async move {
            let code = match state {
                Ok(ticket) => ticket
                    .await
                    .map_or_else(|error| error.code(), |()| ErrorCode::None),
                Err(code) => code,
            };
            let topic = |topic: TxnOffsetCommitRequestTopic| {
                let partition = |index: i32| {
                    let is_known = transactions::partition(&node, &topic.name, index).is_some();
                    let code = if is_known {
                        code
                    } else {
                        ErrorCode::UnknownTopicOrPartition
                    };
                    TxnOffsetCommitResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(code.code())
                };
                let partitions = topic.partitions.iter().map(|p| partition(p.partition_index));
                let partitions = partitions.collect();
                TxnOffsetCommitResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            };
            TxnOffsetCommitResponse::default().with_topics(self.topics.into_iter().map(topic).collect())
        };
        Reply::Later(answer.boxed())
    }
}

/// The offsets of partitions that exist.
fn check(
    request: &TxnOffsetCommitRequest,
    call: &Call,
) -> Result<Vec<(TopicPartition, CommittedOffset)>, ErrorCode> {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let now = call.node.broker.clock().now();
    let mut offsets = Vec::new();
    for topic in &request.topics {
        for wanted in &topic.partitions {
            let found = transactions::partition(&call.node, &topic.name, wanted.partition_index);
            let metadata = wanted.committed_metadata.as_ref().map_or("", |m| m.as_str());
            let offset = CommittedOffset {
                offset: Offset(wanted.committed_offset),
                leader_epoch: wanted.committed_leader_epoch,
                metadata: Arc::from(metadata),
                committed_at: now,
            };
            offsets.extend(found.map(|partition| (partition, offset)));
        }
    }
    Ok(offsets)
}

async fn commit(
    request: &TxnOffsetCommitRequest,
    call: &Call,
    offsets: Vec<(TopicPartition, CommittedOffset)>,
) -> Result<Ticket<()>, ErrorCode> {
    let id = TransactionalId::new(request.transactional_id.as_str());
    let claim = Claim {
        id: &id,
        producer: transactions::producer(request.producer_id, request.producer_epoch),
        version: if call.version >= JOINS_SINCE {
            TransactionVersion::V2
        } else {
            TransactionVersion::V1
        },
    };
    let group = GroupId::new(request.group_id.as_str());
    call.node.storage().room().await;
    let member = caller(
        &request.member_id,
        request.group_instance_id.as_ref(),
        request.generation_id,
    );
    let added = call.node.broker.add_offsets(claim, &member, (group, offsets));
    // Clients of every version take this code, and not PRODUCER_FENCED, for the end of an incarnation here.
    let code = |error: TransactionRequestError| transactions::fenced_before(0, 1, error.code());
    added.map_err(|error| match code(error) {
        ErrorCode::InvalidTxnState if call.version >= ABORTABLE_SINCE => ErrorCode::TransactionAbortable,
        code => code,
    })
}
