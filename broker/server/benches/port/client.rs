//! A client with nothing in it but frames, so that the figures are the broker's.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use millstream_protocol::{
    batch::{BatchBuilder, Compression},
    messages::{
        CreateTopicsRequest, Decodable, FetchRequest, FetchResponse, HeaderVersion, ProduceRequest,
        ProduceResponse, Request, ResponseHeader, StrBytes, TopicName,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
    },
};
use millstream_tests_kit::{produce_request, request_frame};
use millstream_types::{Clock, Producer, ProducerEpoch, ProducerId, SystemClock};

const PRODUCE: i16 = 9;
pub(crate) const FETCH: i16 = 12;
/// Places in a batch.
const SEQUENCE_AT: usize = 53;
const CRC_AT: usize = 17;
const CRC_OVER: usize = 21;

pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            correlation_id: 0,
        }
    }

    pub(crate) fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).expect("the broker reads");
    }

    pub(crate) fn answer(&mut self) -> Bytes {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).expect("the broker answers");
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame).expect("the broker answers");
        frame.into()
    }

    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.correlation_id += 1;
        self.send(&request_frame(request, version, self.correlation_id));
        decode::<R>(self.answer(), version)
    }

    pub(crate) fn create(&mut self, topic: &str, partitions: i32) {
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let answer = self.ask(&CreateTopicsRequest::default().with_topics(vec![topic]), 7);
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }
}

pub(crate) fn decode<R: Request>(mut frame: Bytes, version: i16) -> R::Response {
    let header_version = R::Response::header_version(version);
    ResponseHeader::decode(&mut frame, header_version).expect("a header");
    R::Response::decode(&mut frame, version).expect("an answer")
}

/// The base offset of a produce answer that must be a success.
pub(crate) fn acked(frame: Bytes) -> i64 {
    let answer: ProduceResponse = decode::<ProduceRequest>(frame, PRODUCE);
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0, "{:?}", partition.error_message);
    partition.base_offset
}

/// A produce request whose sequence can be set, as an idempotent producer sends it.
pub(crate) struct ProduceFrame {
    bytes: BytesMut,
    batch_at: usize,
    batch_bytes: usize,
    records: i32,
    sequence: i32,
}

impl ProduceFrame {
    pub(crate) fn new(topic: &str, partition: i32, producer: i64, values: &[Vec<u8>]) -> Self {
        let producer = Producer {
            id: ProducerId(producer),
            epoch: ProducerEpoch(0),
        };
        let mut batch = BatchBuilder::new(Compression::None).producer(producer, 0);
        // As of now: retention would take older ones away under the bench.
        let now = SystemClock.now();
        for value in values {
            batch.push_parts(now, None, Some(value), &[]);
        }
        let batch = batch.build().expect("a batch");
        let batch_bytes = batch.len();
        let bytes = request_frame(&produce_request(topic, partition, batch), PRODUCE, 1);
        // Behind the batch are the tagged fields of partition, topic and request.
        let batch_at = bytes.len() - 3 - batch_bytes;
        Self {
            bytes,
            batch_at,
            batch_bytes,
            records: i32::try_from(values.len()).expect("few"),
            sequence: 0,
        }
    }

    /// The next request of this producer.
    pub(crate) fn next(&mut self) -> &[u8] {
        let batch = &mut self.bytes[self.batch_at..][..self.batch_bytes];
        batch[SEQUENCE_AT..][..4].copy_from_slice(&self.sequence.to_be_bytes());
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &batch[CRC_OVER..]) as u32;
        batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        self.sequence += self.records;
        &self.bytes
    }
}

pub(crate) fn fetch(topic: &str, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    let partitions = partitions.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    let topic = FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(partitions.collect());
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// The records of the one partition of an answer.
pub(crate) fn records(answer: &FetchResponse) -> Bytes {
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(
        partition.error_code, 0,
        "log start {}, high watermark {}",
        partition.log_start_offset, partition.high_watermark
    );
    partition.records.clone().unwrap_or_default()
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.into()))
}
