//! Clients, each a task with randomness of its own, and the requests that they share.

mod admin;
mod classic;
mod copier;
mod member;
mod modern;
mod producer;
mod reader;
mod transactor;

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression, ControlRecord, Outcome, RecordBatch, split},
    messages::{
        AddPartitionsToTxnRequest, CreateTopicsRequest, EndTxnRequest, FetchRequest, InitProducerIdRequest,
        ProduceRequest, StrBytes, TopicName, TransactionalId,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use millstream_types::{Producer, ProducerEpoch, ProducerId, Timestamp};

pub(crate) use admin::{Topics, administer, audit};
pub(crate) use classic::classic_member;
pub(crate) use copier::copy;
pub(crate) use member::Member;
pub(crate) use modern::modern_member;
pub(crate) use producer::produce;
pub(crate) use reader::read;
pub(crate) use transactor::{Outcomes, transact};

use crate::network::{Lost, Wire};

/// Between two tries.
pub(crate) const RETRY_MS: u64 = 100;

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Lost,
    Code(i16),
}

impl From<Lost> for Refused {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

impl Refused {
    /// Goes on only with what a broker may say that has just started or whose disk fails.
    pub(crate) fn must_be_passing(self, who: &str) {
        let passing = [
            ErrorCode::KafkaStorageError,
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::ConcurrentTransactions,
            ErrorCode::RequestTimedOut,
        ];
        if let Self::Code(code) = self {
            let is_passing = passing.iter().any(|passing| passing.code() == code);
            assert!(is_passing, "{who} is told error {code}");
        }
    }
}

/// What another producer of the same transactional id does to this one, or the end of a transaction that took too long.
fn tolerate_fencing(refused: Refused, who: &str) {
    let fenced = [
        ErrorCode::InvalidProducerEpoch,
        ErrorCode::ProducerFenced,
        ErrorCode::InvalidTxnState,
        ErrorCode::TransactionAbortable,
        ErrorCode::UnstableOffsetCommit,
    ];
    match refused {
        Refused::Code(code) if fenced.iter().any(|fenced| fenced.code() == code) => {}
        other => other.must_be_passing(who),
    }
}

fn checked(code: i16) -> Result<(), Refused> {
    if code == 0 {
        Ok(())
    } else {
        Err(Refused::Code(code))
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.into()))
}

fn transactional_id(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.into()))
}

pub(crate) async fn create_topics(wire: &Wire, topics: &[(&str, i32)]) -> Result<(), Refused> {
    let topic = |(name, partitions): &(&str, i32)| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(*partitions)
            .with_replication_factor(1)
    };
    let request = CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(10_000);
    for topic in wire.ask(&request, 7).await?.topics {
        if topic.error_code != ErrorCode::TopicAlreadyExists.code() {
            checked(topic.error_code)?;
        }
    }
    Ok(())
}

/// A producer id; with a transactional id its next epoch.
pub(crate) async fn init_producer(wire: &Wire, id: Option<&str>) -> Result<Producer, Refused> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(id.map(transactional_id))
        .with_transaction_timeout_ms(4_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = wire.ask(&request, 4).await?;
    checked(answer.error_code)?;
    Ok(Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    })
}

pub(crate) fn batch(
    producer: Producer,
    sequence: i32,
    transactional: bool,
    now: Timestamp,
    values: &[String],
) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None).producer(producer, sequence);
    if transactional {
        batch = batch.transactional();
    }
    for value in values {
        batch.push_parts(now, None, Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap()
}

/// Answers the base offset.
pub(crate) async fn append(
    wire: &Wire,
    id: Option<&str>,
    (topic, partition): (&str, i32),
    batch: Bytes,
) -> Result<i64, Refused> {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(id.map(transactional_id))
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic]);
    let answer = wire.ask(&request, 9).await?;
    let answer = &answer.responses[0].partition_responses[0];
    checked(answer.error_code)?;
    Ok(answer.base_offset)
}

async fn add_partitions(
    wire: &Wire,
    id: &str,
    producer: Producer,
    (topic, partitions): (&str, Vec<i32>),
) -> Result<(), Refused> {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(partitions);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(id))
        .with_v3_and_below_producer_id(producer.id.0.into())
        .with_v3_and_below_producer_epoch(producer.epoch.0)
        .with_v3_and_below_topics(vec![topic]);
    let answer = wire.ask(&add, 3).await?;
    let partitions = &answer.results_by_topic_v3_and_below[0].results_by_partition;
    partitions
        .iter()
        .try_for_each(|partition| checked(partition.partition_error_code))
}

async fn end_transaction(wire: &Wire, id: &str, producer: Producer, commit: bool) -> Result<(), Refused> {
    let end = EndTxnRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0)
        .with_committed(commit);
    checked(wire.ask(&end, 3).await?.error_code)
}

/// What a consumer that reads committed makes of an answer.
pub(crate) struct Fetched {
    /// Data records from the offset that was asked for.
    pub(crate) records: Vec<(i64, String)>,
    pub(crate) next_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
}

pub(crate) async fn fetch(
    wire: &Wire,
    (topic, partition): (&str, i32),
    offset: i64,
    max_wait_ms: i32,
) -> Result<Fetched, Refused> {
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(2_000);
    let topic = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![wanted]);
    let request = FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(100_000)
        .with_isolation_level(1)
        .with_topics(vec![topic]);
    let mut answer = wire.ask(&request, 11).await?;
    checked(answer.error_code)?;
    let partition = answer.responses.remove(0).partitions.remove(0);
    checked(partition.error_code)?;
    let aborted = partition.aborted_transactions.unwrap_or_default();
    let aborted = aborted
        .iter()
        .map(|aborted| (aborted.first_offset, aborted.producer_id.0));
    let batches: Vec<RecordBatch> = split(partition.records.unwrap_or_default())
        .map(|batch| batch.expect("what is served is whole"))
        .collect();
    let next_offset = batches.last().map_or(offset, |batch| batch.next_offset().0);
    let records = visible(&batches, aborted.collect());
    Ok(Fetched {
        records: records.into_iter().filter(|(at, _)| *at >= offset).collect(),
        next_offset,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
    })
}

/// As Kafka's consumer does it: from where an aborted transaction begins to its marker, its producer's batches are
/// skipped.
fn visible(batches: &[RecordBatch], mut aborted: Vec<(i64, i64)>) -> Vec<(i64, String)> {
    aborted.sort_unstable();
    let mut records = Vec::new();
    let mut skipping = Vec::new();
    for batch in batches {
        let begun = aborted.partition_point(|(first_offset, _)| *first_offset <= batch.last_offset().0);
        skipping.extend(aborted.drain(..begun).map(|(_, producer)| producer));
        let producer = batch.header().producer_id.0;
        if batch.header().attributes.is_control() {
            let marker = ControlRecord::read(batch).unwrap();
            if marker.is_some_and(|marker| marker.outcome == Outcome::Abort) {
                skipping.retain(|skipped| *skipped != producer);
            }
        } else if !(batch.header().attributes.is_transactional() && skipping.contains(&producer)) {
            let values = batch.records().unwrap().into_iter().map(|record| {
                let value = record.value.expect("every record has a value");
                let value = String::from_utf8(value.to_vec()).expect("values are text");
                (record.offset.0, value)
            });
            records.extend(values);
        }
    }
    records
}
