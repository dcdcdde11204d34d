//! Requests as they go over the wire.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_protocol::messages::{
    Encodable, FetchRequest, ProduceRequest, Request, RequestHeader, StrBytes, TopicName,
    fetch_request::{FetchPartition, FetchTopic},
    produce_request::{PartitionProduceData, TopicProduceData},
};

/// What the tests' own clients call themselves.
const CLIENT_ID: &str = "test";

/// A whole request, its length in front.
///
/// # Panics
///
/// If that version cannot hold what the request holds.
pub fn request_frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> BytesMut {
    request_frame_of::<R>(version, correlation_id, |frame| {
        request
            .encode(frame, version)
            .expect("the version holds the request");
    })
}

/// The same with a body that is written by hand.
pub fn request_frame_of<R: Request>(
    version: i16,
    correlation_id: i32,
    body: impl FnOnce(&mut BytesMut),
) -> BytesMut {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header
        .encode(&mut frame, R::header_version(version))
        .expect("a header can be written");
    body(&mut frame);
    let length = i32::try_from(frame.len() - 4).expect("requests are small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

/// One batch for one partition, acknowledged when it is durable.
pub fn produce_request(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// Up to 1 MB of one partition; waits so long for at least a byte.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_topics(vec![topic])
}

/// As requests hold it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.into()))
}
