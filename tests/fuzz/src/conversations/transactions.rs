use millstream_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, GroupId, InitProducerIdRequest, ListTransactionsRequest, OffsetFetchRequest,
    TransactionalId, TxnOffsetCommitRequest,
    add_partitions_to_txn_request::AddPartitionsToTxnTopic,
    describe_producers_request::TopicRequest,
    offset_fetch_request::OffsetFetchRequestGroup,
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
};
use millstream_types::{Producer, ProducerEpoch, ProducerId};
use uuid::Uuid;

use super::{
    TOPIC, Talk,
    records::{batch, fetch, produce},
    text, topic_name,
};
use crate::port::Step;

fn id() -> TransactionalId {
    TransactionalId(text("x"))
}

fn group() -> GroupId {
    GroupId(text("g"))
}

async fn init(talk: &mut Talk, version: i16) -> Producer {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = talk.ask(&request, version).await;
    Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    }
}

async fn end(talk: &mut Talk, producer: Producer, commit: bool, version: i16) -> Producer {
    let request = EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0)
        .with_committed(commit);
    let answer = talk.ask(&request, version).await;
    assert_eq!(answer.error_code, 0, "{answer:?}");
    Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    }
}

async fn add_offsets(talk: &mut Talk, producer: Producer) {
    let add = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0)
        .with_group_id(group());
    talk.ask(&add, 3).await;
}

async fn commit_offsets(talk: &mut Talk, producer: Producer, version: i16) {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(1)
        .with_committed_leader_epoch(-1);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    let commit = TxnOffsetCommitRequest::default()
        .with_transactional_id(id())
        .with_group_id(group())
        .with_producer_id(producer.id.0.into())
        .with_producer_epoch(producer.epoch.0)
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    talk.ask(&commit, version).await;
}

/// Partitions and groups are added before anything is written.
pub(super) async fn first_generation(talk: &mut Talk) {
    let producer = init(talk, 4).await;
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![0, 1]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(producer.id.0.into())
        .with_v3_and_below_producer_epoch(producer.epoch.0)
        .with_v3_and_below_topics(vec![topic]);
    for commit in [true, false] {
        talk.ask(&add, 3).await;
        let batch = batch(producer, i32::from(!commit), true, talk.world.now().0);
        let append = produce(Uuid::nil(), 0, batch).with_transactional_id(Some(id()));
        talk.ask(&append, 9).await;
        add_offsets(talk, producer).await;
        commit_offsets(talk, producer, 3).await;
        end(talk, producer, commit, 3).await;
    }
    talk.ask(&add, 3).await;
    // nobody ends this one
    talk.perform(Step::Pass { ms: 400_000 }).await;
    let groups = vec![OffsetFetchRequestGroup::default().with_group_id(group())];
    talk.ask(&OffsetFetchRequest::default().with_groups(groups), 8)
        .await;
    talk.ask(&fetch(Uuid::nil(), 0), 11).await;
}

/// Writing adds, and every transaction has an epoch of its own.
pub(super) async fn second_generation(talk: &mut Talk) {
    let mut producer = init(talk, 5).await;
    for commit in [true, false] {
        let batch = batch(producer, 0, true, talk.world.now().0);
        let append = produce(Uuid::nil(), 1, batch).with_transactional_id(Some(id()));
        talk.ask(&append, 12).await;
        commit_offsets(talk, producer, 5).await;
        producer = end(talk, producer, commit, 5).await;
    }
    let batch = batch(producer, 0, true, talk.world.now().0);
    let append = produce(Uuid::nil(), 1, batch).with_transactional_id(Some(id()));
    talk.ask(&append, 12).await;
    talk.ask(&ListTransactionsRequest::default(), 1).await;
    talk.ask(
        &DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]),
        0,
    )
    .await;
    let topic = TopicRequest::default()
        .with_name(topic_name(TOPIC))
        .with_partition_indexes(vec![0, 1]);
    talk.ask(&DescribeProducersRequest::default().with_topics(vec![topic]), 0)
        .await;
    talk.perform(Step::Restart { power: true }).await;
    // the next incarnation aborts what the last one left open
    init(talk, 5).await;
}
