use bytes::Bytes;
use millstream_protocol::{
    batch::{BatchBuilder, Compression},
    messages::{
        DeleteRecordsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
        OffsetForLeaderEpochRequest, ProduceRequest,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        fetch_request::{FetchPartition, FetchTopic},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use millstream_types::{Producer, ProducerEpoch, ProducerId};
use uuid::Uuid;

use super::{TOPIC, Talk, topic_name};
use crate::{batch::samples, port::Step};

/// A produce request of one batch, to the topic by name or, from version 13 on, by id.
pub(super) fn produce(id: Uuid, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_topic_id(id)
        .with_partition_data(vec![data]);
    let topic = if id.is_nil() {
        topic.with_name(topic_name(TOPIC))
    } else {
        topic
    };
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![topic])
}

pub(super) fn batch(producer: Producer, sequence: i32, transactional: bool, now: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None).producer(producer, sequence);
    if transactional {
        batch = batch.transactional();
    }
    batch.push_parts(millstream_types::Timestamp(now), Some(b"k"), Some(b"value"), &[]);
    batch.build().expect("a small batch")
}

pub(super) fn fetch(id: Uuid, offset: i64) -> FetchRequest {
    let partition = |index| {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default()
        .with_topic_id(id)
        .with_partitions(vec![partition(0), partition(1)]);
    let topic = if id.is_nil() {
        topic.with_topic(topic_name(TOPIC))
    } else {
        topic
    };
    FetchRequest::default()
        .with_max_wait_ms(200)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(1)
        .with_topics(vec![topic])
}

fn list_offsets(timestamp: i64) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default().with_topics(vec![topic])
}

fn delete_before(offset: i64) -> DeleteRecordsRequest {
    let partition = DeleteRecordsPartition::default()
        .with_partition_index(0)
        .with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    DeleteRecordsRequest::default().with_topics(vec![topic])
}

pub(super) async fn produce_and_fetch(talk: &mut Talk) {
    let answer = talk
        .ask(
            &InitProducerIdRequest::default()
                .with_producer_id((-1).into())
                .with_producer_epoch(-1),
            4,
        )
        .await;
    let producer = Producer {
        id: ProducerId(answer.producer_id.0),
        epoch: ProducerEpoch(answer.producer_epoch),
    };
    for codec in samples().into_iter().take(5) {
        talk.ask(&produce(Uuid::nil(), 0, codec), 9).await;
    }
    for sequence in [0, 1, 1, 3] {
        let batch = batch(producer, sequence, false, talk.world.now().0);
        talk.ask(&produce(Uuid::nil(), 1, batch), 9).await;
    }
    talk.ask(&fetch(Uuid::nil(), 0), 11).await;
    talk.perform(Step::Maintain).await;
    talk.perform(Step::Restart { power: true }).await;
    for timestamp in [-3, -2, -1, 1_000, i64::MAX] {
        talk.ask(&list_offsets(timestamp), 7).await;
    }
    talk.ask(&delete_before(2), 2).await;
    talk.ask(&fetch(Uuid::nil(), 2), 4).await;
    let epoch = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_leader_epoch(0);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name(TOPIC))
        .with_partitions(vec![epoch]);
    talk.ask(
        &OffsetForLeaderEpochRequest::default().with_topics(vec![topic].into_iter().collect()),
        4,
    )
    .await;
}

pub(super) async fn by_topic_id(talk: &mut Talk) {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(TOPIC)));
    let answer = talk
        .ask(&MetadataRequest::default().with_topics(Some(vec![topic])), 12)
        .await;
    let id = answer.topics[0].topic_id;
    let sample = samples().remove(0);
    talk.ask(&produce(id, 0, sample.clone()), 13).await;
    // a session of its own, then what has changed in it
    let opened = talk.ask(&fetch(id, 0), 17).await;
    let next = FetchRequest::default()
        .with_max_wait_ms(5_000)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_id(opened.session_id)
        .with_session_epoch(1);
    let waits = talk.tell(1, &next, 17).await;
    talk.ask(&produce(id, 1, sample), 13).await;
    talk.hear::<FetchRequest>(waits).await;
}
