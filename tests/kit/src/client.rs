//! A client of the Kafka port without any cleverness: one request, one answer, nothing tried again. What it is told
//! against all expectation fails the test.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression},
    messages::{
        CreateTopicsRequest, DescribeProducersRequest, GroupId, HeaderVersion, ListOffsetsRequest,
        OffsetFetchRequest, Request, ResponseHeader, StrBytes,
        create_topics_request::CreatableTopic,
        decode,
        describe_producers_request::TopicRequest,
        describe_producers_response::{PartitionResponse, ProducerState},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};
use millstream_types::Timestamp;

use crate::{fetch_request, produce_request, request_frame, topic_name};

const TIMEOUT: Duration = Duration::from_secs(30);
const LATEST: i64 = -1;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// Connects; every wait of it has a deadline.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            correlation_id: 0,
        })
    }

    /// One request and its answer.
    pub fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_ask(request, version).unwrap()
    }

    /// The same, where the connection may break.
    pub fn try_ask<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation_id += 1;
        let frame = request_frame(request, version, self.correlation_id);
        self.stream.write_all(&frame)?;
        let mut answer = self.frame()?;
        let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let header_version = R::Response::header_version(version);
        let header: ResponseHeader = decode(&mut answer, header_version).map_err(malformed)?;
        assert_eq!(header.correlation_id, self.correlation_id);
        decode(&mut answer, version).map_err(malformed)
    }

    /// Sends whatever it is.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame without its length.
    pub fn frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Topics with the broker's defaults.
    pub fn create_topics(&mut self, names: &[String], partitions: i32) {
        let topic = |name: &String| {
            CreatableTopic::default()
                .with_name(topic_name(name))
                .with_num_partitions(partitions)
                .with_replication_factor(1)
        };
        let request = CreateTopicsRequest::default()
            .with_topics(names.iter().map(topic).collect())
            .with_timeout_ms(30_000);
        for topic in self.ask(&request, 7).topics {
            assert_eq!(topic.error_code, 0, "{topic:?}");
        }
    }

    /// The error and the base offset.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> (i16, i64) {
        let answer = self.ask(&produce_request(topic, partition, batch), 9);
        let answer = &answer.responses[0].partition_responses[0];
        (answer.error_code, answer.base_offset)
    }

    /// The error and the batches from an offset on, without waiting.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> (i16, Bytes) {
        let mut answer = self.ask(&fetch_request(topic, partition, offset, 0), 11);
        let partition = answer.responses.remove(0).partitions.remove(0);
        (partition.error_code, partition.records.unwrap_or_default())
    }

    /// Where each partition ends.
    pub fn high_watermarks(&mut self, topic: &str, partitions: i32) -> Vec<i64> {
        self.ends(topic, partitions, 0)
    }

    /// Where readers of what is committed stop, in each partition.
    pub fn last_stable_offsets(&mut self, topic: &str, partitions: i32) -> Vec<i64> {
        self.ends(topic, partitions, 1)
    }

    /// The offsets that a group has committed; -1 where there is none.
    pub fn committed(&mut self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name(topic))
            .with_partition_indexes((0..partitions).collect());
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.into())))
            .with_topics(Some(vec![topic]));
        let answer = self.ask(&OffsetFetchRequest::default().with_groups(vec![group]), 8);
        assert_eq!(answer.groups[0].error_code, 0, "{answer:?}");
        let mut found: Vec<_> = answer.groups[0].topics[0].partitions.iter().collect();
        found.sort_by_key(|partition| partition.partition_index);
        found.iter().map(|partition| partition.committed_offset).collect()
    }

    /// What the broker remembers of idempotent producers, by partition.
    pub fn producers(&mut self, topic: &str, partitions: i32) -> Vec<Vec<ProducerState>> {
        let topic = TopicRequest::default()
            .with_name(topic_name(topic))
            .with_partition_indexes((0..partitions).collect());
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let mut answer = self.ask(&request, 0);
        let mut found = answer.topics.remove(0).partitions;
        found.sort_by_key(|partition| partition.partition_index);
        let producers = |partition: PartitionResponse| {
            assert_eq!(partition.error_code, 0, "{partition:?}");
            partition.active_producers
        };
        found.into_iter().map(producers).collect()
    }

    fn ends(&mut self, topic: &str, partitions: i32, isolation: i8) -> Vec<i64> {
        let partition = |index| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_timestamp(LATEST)
        };
        let topic = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions((0..partitions).map(partition).collect());
        let request = ListOffsetsRequest::default()
            .with_isolation_level(isolation)
            .with_topics(vec![topic]);
        let answer = self.ask(&request, 7);
        let mut found: Vec<_> = answer.topics[0].partitions.iter().collect();
        found.sort_by_key(|partition| partition.partition_index);
        found
            .iter()
            .map(|partition| {
                assert_eq!(partition.error_code, ErrorCode::None as i16, "{partition:?}");
                partition.offset
            })
            .collect()
    }
}

/// One batch of one record of that many bytes.
pub fn batch_of(bytes: usize, fill: u8) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push_parts(Timestamp(1_000), None, Some(&vec![fill; bytes]), &[]);
    batch.build().unwrap()
}
