use std::{collections::BTreeMap, time::Duration};

use millstream_client::LogError;
use millstream_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, DescribeTransactionsResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest, ListTransactionsResponse,
    WriteTxnMarkersRequest,
    describe_producers_request::TopicRequest,
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
};
use millstream_types::{Offset, TopicPartition};
use serde::Serialize;

use super::{super::Coordinator, super::Whom, super::text, super::wire, Client, missing, refused};

mod version {
    pub(super) const LIST_TRANSACTIONS: i16 = 1;
    pub(super) const DESCRIBE_TRANSACTIONS: i16 = 0;
    pub(super) const DESCRIBE_PRODUCERS: i16 = 0;
    pub(super) const INIT_PRODUCER_ID: i16 = 4;
    pub(super) const WRITE_TXN_MARKERS: i16 = 1;
}

/// Only to say something: the producer that is initialised here begins no transaction.
const FENCE_TIMEOUT_MS: i32 = 60_000;
const NO_PRODUCER: i64 = -1;
const NO_EPOCH: i16 = -1;
const NO_OFFSET: i64 = -1;

/// What a transactional id is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ongoing {
    pub(crate) transactional_id: String,
    pub(crate) state: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) timeout_ms: i32,
    /// Milliseconds since 1970; `None`: no transaction is open.
    pub(crate) started_at_ms: Option<i64>,
    /// Partitions by topic.
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
}

/// An open transaction, as a partition knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OpenAt {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i32,
    pub(crate) coordinator_epoch: i32,
    pub(crate) start_offset: i64,
    pub(crate) last_timestamp_ms: i64,
}

/// Transactional ids in one of these states, or in any; with transactions that run for at least so long.
pub(crate) async fn list_transactions(
    client: &Client,
    states: &[String],
    running_for: Option<Duration>,
) -> Result<Vec<Ongoing>, LogError> {
    let running_ms = running_for.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let request = ListTransactionsRequest::default()
        .with_state_filters(states.iter().map(|state| text(state)).collect())
        .with_duration_filter(running_ms);
    let mut found = Vec::new();
    for (_, address) in client.brokers().await? {
        let code = |answer: &ListTransactionsResponse| answer.error_code;
        let answer = client
            .patiently(Whom::At(&address), &request, version::LIST_TRANSACTIONS, code)
            .await?;
        refused(answer.error_code, None, || {
            "transactions are not listed".to_owned()
        })?;
        if let Some(state) = answer.unknown_state_filters.first() {
            return Err(LogError::Refused {
                message: format!("the broker knows no transaction state '{state}'"),
            });
        }
        for listed in answer.transaction_states {
            found.push(describe_at(client, Whom::At(&address), &listed.transactional_id).await?);
        }
    }
    found.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
    Ok(found)
}

pub(crate) async fn describe_transaction(client: &Client, id: &str) -> Result<Ongoing, LogError> {
    describe_at(client, Whom::CoordinatorOf(Coordinator::Transaction, id), id).await
}

async fn describe_at(client: &Client, whom: Whom<'_>, id: &str) -> Result<Ongoing, LogError> {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(id).into()]);
    let code =
        |answer: &DescribeTransactionsResponse| answer.transaction_states.first().map_or(0, |s| s.error_code);
    let answer = client
        .patiently(whom, &request, version::DESCRIBE_TRANSACTIONS, code)
        .await?;
    let state = answer.transaction_states.into_iter().next().ok_or_else(missing)?;
    refused(state.error_code, None, || {
        format!("transactional id '{id}' is not described")
    })?;
    let partitions = state.topics.into_iter();
    Ok(Ongoing {
        transactional_id: state.transactional_id.to_string(),
        state: state.transaction_state.to_string(),
        producer_id: state.producer_id.0,
        producer_epoch: state.producer_epoch,
        timeout_ms: state.transaction_timeout_ms,
        started_at_ms: Some(state.transaction_start_time_ms).filter(|time| *time >= 0),
        partitions: partitions
            .map(|topic| (topic.topic.to_string(), topic.partitions))
            .collect(),
    })
}

/// Becomes the producer of that id, which aborts its transaction and fences whoever was at it.
pub(crate) async fn fence(client: &Client, id: &str) -> Result<(), LogError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(text(id).into()))
        .with_transaction_timeout_ms(FENCE_TIMEOUT_MS)
        .with_producer_id(NO_PRODUCER.into())
        .with_producer_epoch(NO_EPOCH);
    let coordinator = Whom::CoordinatorOf(Coordinator::Transaction, id);
    let code = |answer: &InitProducerIdResponse| answer.error_code;
    let answer = client
        .patiently(coordinator, &request, version::INIT_PRODUCER_ID, code)
        .await?;
    refused(answer.error_code, None, || {
        format!("the transaction of '{id}' is not aborted")
    })
}

/// The open transactions of a partition.
pub(crate) async fn open_transactions_of(
    client: &Client,
    partition: &TopicPartition,
) -> Result<Vec<OpenAt>, LogError> {
    let topic = TopicRequest::default()
        .with_name(wire(&partition.topic))
        .with_partition_indexes(vec![partition.partition]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let leader = client.leader(partition).await?;
    let answer = client
        .call(&leader, &request, version::DESCRIBE_PRODUCERS)
        .await?;
    let mut found = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    let found = found.next().ok_or_else(missing)?;
    refused(found.error_code, found.error_message.as_ref(), || {
        format!("the producers of {partition} are not described")
    })?;
    let open = found
        .active_producers
        .into_iter()
        .filter(|producer| producer.current_txn_start_offset != NO_OFFSET);
    Ok(open
        .map(|producer| OpenAt {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            producer_id: producer.producer_id.0,
            producer_epoch: producer.producer_epoch,
            coordinator_epoch: producer.coordinator_epoch,
            start_offset: producer.current_txn_start_offset,
            last_timestamp_ms: producer.last_timestamp,
        })
        .collect())
}

/// Writes the marker that ends the transaction which begins at that offset, past its coordinator, which does not know
/// of it any more.
pub(crate) async fn abort_at(
    client: &Client,
    partition: &TopicPartition,
    start: Offset,
) -> Result<(), LogError> {
    let open = open_transactions_of(client, partition).await?;
    let hanging = open.iter().find(|open| open.start_offset == start.0);
    let hanging = hanging.ok_or_else(|| LogError::Refused {
        message: format!("no open transaction of {partition} begins at offset {start}"),
    })?;
    let topic = WritableTxnMarkerTopic::default()
        .with_name(wire(&partition.topic))
        .with_partition_indexes(vec![partition.partition]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(hanging.producer_id.into())
        .with_producer_epoch(i16::try_from(hanging.producer_epoch).unwrap_or(NO_EPOCH))
        .with_transaction_result(false)
        .with_coordinator_epoch(hanging.coordinator_epoch.max(0))
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let leader = client.leader(partition).await?;
    let answer = client.call(&leader, &request, version::WRITE_TXN_MARKERS).await?;
    let mut results = answer
        .markers
        .iter()
        .flat_map(|marker| &marker.topics)
        .flat_map(|topic| &topic.partitions);
    let result = results.next().ok_or_else(missing)?;
    refused(result.error_code, None, || {
        format!("the transaction at {partition}@{start} is not aborted")
    })
}
