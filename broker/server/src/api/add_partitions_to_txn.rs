use futures::FutureExt;
use millstream_broker_coordinator::{Claim, TransactionVersion};
use millstream_broker_storage::Ticket;
use millstream_protocol::{
    ErrorCode,
    messages::{
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        add_partitions_to_txn_response::{
            AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
        },
    },
};
use millstream_types::{TopicPartition, TransactionalId};

use super::{Call, Handle, Node, Reply, errors::ToKafka, transactions};

/// From this version on, brokers ask for many producers at once.
const BATCHED_SINCE: i16 = 4;
/// From this version on, the asker knows TRANSACTION_ABORTABLE.
const ABORTABLE_SINCE: i16 = 5;

impl Handle for AddPartitionsToTxnRequest {
    async fn handle(self, call: Call) -> Reply<AddPartitionsToTxnResponse> {
        let (node, version) = (&call.node, call.version);
        if version >= BATCHED_SINCE {
            let mut answers = Vec::new();
            for transaction in self.transactions {
                answers.push(add(node, version, transaction).await);
            }
            let answer = async move {
                let mut results = Vec::new();
                for answer in answers {
                    let id = answer.transaction.transactional_id.clone();
                    let topics = answer.durable(version).await;
                    let result = AddPartitionsToTxnResult::default().with_transactional_id(id);
                    results.push(result.with_topic_results(topics));
                }
                AddPartitionsToTxnResponse::default().with_results_by_transaction(results)
            };
            return Reply::Later(answer.boxed());
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(self.v3_and_below_transactional_id)
            .with_producer_id(self.v3_and_below_producer_id)
            .with_producer_epoch(self.v3_and_below_producer_epoch)
            .with_topics(self.v3_and_below_topics);
        let added = add(node, version, transaction).await;
        let answer = async move {
            let topics = added.durable(version).await;
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics)
        };
        Reply::Later(answer.boxed())
    }
}

/// What has been decided of one transaction.
struct Added {
    transaction: AddPartitionsToTxnTransaction,
    state: State,
}

enum State {
    Queued(Ticket<()>),
    /// The same for all partitions.
    Refused(ErrorCode),
    /// In the order of the request.
    Each(Vec<ErrorCode>),
}

async fn add(node: &Node, version: i16, transaction: AddPartitionsToTxnTransaction) -> Added {
    let state = decide(node, version, &transaction).await;
    Added { transaction, state }
}

async fn decide(node: &Node, version: i16, transaction: &AddPartitionsToTxnTransaction) -> State {
    if transaction.transactional_id.is_empty() {
        return State::Refused(ErrorCode::InvalidRequest);
    }
    let found: Vec<_> = each(&transaction.topics)
        .map(|(topic, index)| transactions::partition(node, &topic.name, index))
        .collect();
    let known: Vec<TopicPartition> = found.iter().flatten().cloned().collect();
    if known.len() < found.len() {
        // One that does not exist keeps all out.
        let code = |partition: &Option<TopicPartition>| match partition {
            Some(_) => ErrorCode::OperationNotAttempted,
            None => ErrorCode::UnknownTopicOrPartition,
        };
        return State::Each(found.iter().map(code).collect());
    }
    let id = TransactionalId::new(transaction.transactional_id.as_str());
    let claim = Claim {
        id: &id,
        producer: transactions::producer(transaction.producer_id, transaction.producer_epoch),
        version: TransactionVersion::V1,
    };
    if transaction.verify_only {
        return match node.broker.verify_partitions(claim, &known) {
            Ok(open) => State::Each(open.into_iter().map(|open| verified(version, open)).collect()),
            Err(error) => State::Refused(error.code()),
        };
    }
    node.storage().room().await;
    match node.broker.add_partitions(claim, &known) {
        Ok(ticket) => State::Queued(ticket),
        Err(error) => State::Refused(transactions::fenced_before(version, 2, error.code())),
    }
}

fn verified(version: i16, is_open: bool) -> ErrorCode {
    match is_open {
        true => ErrorCode::None,
        false if version >= ABORTABLE_SINCE => ErrorCode::TransactionAbortable,
        false => ErrorCode::InvalidTxnState,
    }
}

fn each(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = (&AddPartitionsToTxnTopic, i32)> {
    topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |index| (topic, *index)))
}

impl Added {
    async fn durable(self, version: i16) -> Vec<AddPartitionsToTxnTopicResult> {
        let mut codes = match self.state {
            State::Queued(ticket) => {
                let code = ticket
                    .await
                    .map_or_else(|error| error.code(), |()| ErrorCode::None);
                vec![code; each(&self.transaction.topics).count()]
            }
            State::Refused(code) => {
                let code = transactions::fenced_before(version, 2, code);
                vec![code; each(&self.transaction.topics).count()]
            }
            State::Each(codes) => codes,
        }
        .into_iter();
        let topics = self.transaction.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().zip(&mut codes).map(|(index, code)| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*index)
                    .with_partition_error_code(code.code())
            });
            let partitions = partitions.collect();
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name)
                .with_results_by_partition(partitions)
        });
        topics.collect()
    }
}
