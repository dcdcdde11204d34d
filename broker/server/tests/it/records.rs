use bytes::Bytes;
pub(crate) use millstream_protocol::messages::{FetchRequest, ProduceRequest};
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression, RecordBatch, split},
    messages::{
        ListOffsetsRequest, MetadataRequest, StrBytes, TransactionalId,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        produce_response::PartitionProduceResponse,
    },
};
pub(crate) use millstream_tests_kit::{fetch_request as fetch, produce_request as produce};
use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId, Record, Timestamp};

use crate::{
    Server,
    client::{Client, topic_name, within},
};

const MAGIC_AT: usize = 16;

pub(crate) fn batch(values: &[&str], compression: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(compression);
    for (timestamp, value) in (1_000..).zip(values) {
        batch.push_parts(Timestamp(timestamp), None, Some(value.as_bytes()), &[]);
    }
    batch.build().unwrap()
}

pub(crate) fn metadata(topic: &str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

async fn append(client: &mut Client, batch: Bytes) -> PartitionProduceResponse {
    let answer = client.ask(&produce("t", 0, batch), 9).await;
    answer.responses[0].partition_responses[0].clone()
}

async fn read(client: &mut Client, offset: i64) -> Vec<Record> {
    let answer = client.ask(&fetch("t", 0, offset, 0), 12).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let batches = split(partition.records.clone().unwrap_or_default());
    batches
        .flat_map(|batch| batch.unwrap().records().unwrap())
        .collect()
}

async fn offset_at(client: &mut Client, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let answer = client.ask(&request, 10).await;
    let found = &answer.topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.offset, found.timestamp)
}

async fn server_with_topic() -> (Server, Client) {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    (server, client)
}

#[tokio::test]
async fn every_version_and_codec_carries_records_there_and_back() {
    let (_server, mut client) = server_with_topic().await;
    let mut offset = 0;
    for version in 3..=11 {
        for codec in Compression::ALL {
            let answer = client
                .ask(&produce("t", 0, batch(&["a", "b"], codec)), version)
                .await;
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!(
                (partition.error_code, partition.base_offset),
                (0, offset),
                "version {version}"
            );
            offset += 2;
        }
    }
    let id_request = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let id_request = MetadataRequest::default().with_topics(Some(vec![id_request]));
    let id = client.ask(&id_request, 12).await.topics[0].topic_id;
    for version in 4..=18 {
        let mut request = fetch("t", 0, 0, 0);
        request.topics[0].topic_id = id;
        let answer = client.ask(&request, version).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.high_watermark),
            (0, offset),
            "version {version}"
        );
        let records = split(partition.records.clone().unwrap());
        assert_eq!(
            records.flat_map(|b| b.unwrap().records().unwrap()).count() as i64,
            offset
        );
    }
}

#[tokio::test]
async fn pipelined_appends_keep_their_order_and_so_do_their_answers() {
    let (_server, mut client) = server_with_topic().await;
    const REQUESTS: usize = 300;
    let mut ids = Vec::new();
    for index in 0..REQUESTS {
        let records = batch(&[&index.to_string()], Compression::None);
        ids.push(client.send(&produce("t", 0, records), 9).await);
    }
    for (index, id) in ids.into_iter().enumerate() {
        let answer = client.answer::<ProduceRequest>(id, 9).await;
        assert_eq!(
            answer.responses[0].partition_responses[0].base_offset,
            index as i64
        );
    }
    let records = read(&mut client, 0).await;
    let values: Vec<_> = records.iter().map(|r| r.value.clone().unwrap()).collect();
    assert_eq!(
        values,
        (0..REQUESTS)
            .map(|index| Bytes::from(index.to_string()))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn acks_0_is_not_answered_and_unknown_acks_are_refused() {
    let (_server, mut client) = server_with_topic().await;
    let records = batch(&["x"], Compression::None);
    client
        .send(&produce("t", 0, records.clone()).with_acks(0), 9)
        .await;
    let refused = client
        .ask(&produce("t", 0, records.clone()).with_acks(2), 9)
        .await;
    let code = refused.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
    let second = client.ask(&produce("t", 0, records).with_acks(1), 9).await;
    assert_eq!(
        second.responses[0].partition_responses[0].base_offset, 1,
        "after that of acks 0"
    );
}

#[tokio::test]
async fn poison_is_refused_by_its_code_and_stored_by_no_means() {
    let (_server, mut client) = server_with_topic().await;
    let good = batch(&["a", "b"], Compression::None);
    let edited = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Bytes::from(bytes)
    };
    let two = Bytes::from([good.as_ref(), &good].concat());
    let marker = millstream_protocol::batch::ControlRecord {
        outcome: millstream_protocol::batch::Outcome::Commit,
        coordinator_epoch: 0,
    };
    let producer = Producer {
        id: ProducerId(1),
        epoch: ProducerEpoch(0),
    };
    for (bytes, expected) in [
        (edited(70, 0xee), vec![ErrorCode::CorruptMessage]),
        (edited(MAGIC_AT, 1), vec![ErrorCode::InvalidRecord]),
        (good.slice(..30), vec![ErrorCode::CorruptMessage]),
        (Bytes::new(), vec![ErrorCode::CorruptMessage]),
        (two, vec![ErrorCode::InvalidRecord]),
        (
            marker.batch(producer, Timestamp(1)),
            vec![ErrorCode::InvalidRecord, ErrorCode::InvalidTxnState],
        ),
        (
            batch(&[&"x".repeat(2 << 20)], Compression::None),
            vec![ErrorCode::MessageTooLarge],
        ),
    ] {
        let code = ErrorCode::from_code(append(&mut client, bytes).await.error_code).unwrap();
        assert!(expected.contains(&code), "{code} instead of {expected:?}");
    }
    // Only the latest is there.
    assert_eq!(append(&mut client, good).await.base_offset, 0);
    let unknown = client
        .ask(&produce("t", 7, batch(&["a"], Compression::None)), 9)
        .await;
    let code = unknown.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn an_idempotent_producer_writes_once_and_in_order() {
    let (_server, mut client) = server_with_topic().await;
    let of = |sequence: i32| {
        let producer = Producer {
            id: ProducerId(77),
            epoch: ProducerEpoch(0),
        };
        let mut batch = BatchBuilder::new(Compression::None).producer(producer, sequence);
        batch.push_parts(Timestamp(1), None, Some(b"v"), &[]);
        batch.build().unwrap()
    };
    assert_eq!(append(&mut client, of(0)).await.base_offset, 0);
    assert_eq!(append(&mut client, of(1)).await.base_offset, 1);
    let again = append(&mut client, of(1)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 1));
    let gap = append(&mut client, of(5)).await;
    assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(read(&mut client, 0).await.len(), 2);
}

#[tokio::test]
async fn a_long_poll_answers_when_a_record_comes() {
    let (server, mut client) = server_with_topic().await;
    let waiting = client.send(&fetch("t", 0, 0, 15_000), 12).await;
    let mut writer = server.client().await;
    append(&mut writer, batch(&["late"], Compression::None)).await;
    let answer = client.answer::<FetchRequest>(waiting, 12).await;
    assert!(
        !answer.responses[0].partitions[0]
            .records
            .as_ref()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_fetch_without_waiting_lists_every_partition() {
    let (_server, mut client) = server_with_topic().await;
    let mut request = fetch("t", 0, 0, 0);
    let mut other = request.topics[0].partitions[0].clone();
    other.partition = 1;
    let mut unknown = other.clone();
    unknown.partition = 9;
    request.topics[0].partitions.extend([other, unknown]);
    let answer = client.ask(&request, 12).await;
    let codes: Vec<_> = answer.responses[0]
        .partitions
        .iter()
        .map(|p| (p.partition_index, p.error_code))
        .collect();
    assert_eq!(
        codes,
        [(0, 0), (1, 0), (9, ErrorCode::UnknownTopicOrPartition.code())]
    );
    let beyond = client.ask(&fetch("t", 0, 5, 10_000), 12).await;
    let code = beyond.responses[0].partitions[0].error_code;
    assert_eq!(
        code,
        ErrorCode::OffsetOutOfRange.code(),
        "at once, not after the wait"
    );
}

#[tokio::test]
async fn a_small_limit_still_answers_one_batch() {
    let (_server, mut client) = server_with_topic().await;
    for value in ["a", "b"] {
        append(&mut client, batch(&[value], Compression::None)).await;
    }
    let answer = client.ask(&fetch("t", 0, 0, 0).with_max_bytes(1), 12).await;
    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(RecordBatch::parse(records).unwrap().base_offset(), Offset(0));
}

#[tokio::test]
async fn timestamps_lead_to_the_record_within_a_batch() {
    let (_server, mut client) = server_with_topic().await;
    assert_eq!(offset_at(&mut client, -3).await, (-1, -1), "nothing there yet");
    append(&mut client, batch(&["a", "b", "c"], Compression::Zstd)).await;
    append(&mut client, batch(&["d"], Compression::None)).await;
    for (asked, expected) in [
        (-1, (4, -1)),
        (-2, (0, -1)),
        (-4, (0, -1)),
        (-5, (-1, -1)),
        (-3, (2, 1_002)),
        (0, (0, 1_000)),
        (1_001, (1, 1_001)),
        (1_002, (2, 1_002)),
        (1_003, (-1, -1)),
    ] {
        assert_eq!(offset_at(&mut client, asked).await, expected, "timestamp {asked}");
    }
    for version in 1..=10 {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        assert_eq!(
            client.ask(&request, version).await.topics[0].partitions[0].offset,
            4
        );
    }
}

#[tokio::test]
async fn fetches_that_are_pipelined_are_all_answered() {
    let (_server, mut client) = server_with_topic().await;
    append(&mut client, batch(&["a"], Compression::None)).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(client.send(&fetch("t", 0, 0, 0), 12).await);
    }
    within(async {
        for id in ids {
            client.answer::<FetchRequest>(id, 12).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sealed_batches_leave_from_their_files_among_other_answers() {
    let (server, mut client) = server_with_topic().await;
    let large = "x".repeat(100_000);
    for n in 0..20 {
        append(&mut client, batch(&[&format!("{n} {large}")], Compression::None)).await;
    }
    server.broker.storage().seal().unwrap();
    append(&mut client, batch(&["in memory"], Compression::None)).await;
    // More than a socket takes at once, and nobody reads yet.
    let mut ids = Vec::new();
    for offset in 0..=20 {
        ids.push((offset, client.send(&fetch("t", 0, offset, 0), 12).await));
    }
    for (offset, id) in ids {
        let answer = within(client.answer::<FetchRequest>(id, 12)).await;
        let records = answer.responses[0].partitions[0].records.clone().unwrap();
        let batches: Vec<_> = split(records).map(Result::unwrap).collect();
        assert_eq!(batches[0].base_offset(), Offset(offset));
        for batch in batches {
            let expected = match batch.base_offset().0 {
                20 => "in memory".to_owned(),
                n => format!("{n} {large}"),
            };
            let record = &batch.records().unwrap()[0];
            assert!(record.value.as_deref() == Some(expected.as_bytes()));
        }
    }
    assert!(server.broker.storage().stats().read_from_segment_bytes > 20 * 100_000);
}

#[tokio::test]
async fn batches_are_edited_where_they_arrived() {
    let (server, mut client) = server_with_topic().await;
    let named = |bytes: usize| {
        let records = batch(&["v".repeat(bytes).as_str()], Compression::None);
        produce("t", 0, records)
            .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("someone"))))
    };
    for bytes in [300, 20_000, 300_000] {
        let answer = client.ask(&named(bytes), 9).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    // One right behind the other, so that reads do not fall where requests end.
    let mut pipeline = Vec::new();
    for bytes in [100_000, 20_000, 500_000, 30_000] {
        pipeline.extend_from_slice(&client.framed(&named(bytes), 9));
    }
    client.send_bytes(&pipeline).await;
    for _ in 0..4 {
        within(client.frame()).await.expect("an answer");
    }
    let stats = server.broker.storage().stats();
    assert_eq!((stats.appended_batches, stats.copied_batches), (7, 0));
}
