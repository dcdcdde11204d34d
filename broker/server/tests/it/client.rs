use std::{future::Future, net::SocketAddr, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_protocol::messages::{
    CreateTopicsRequest, Decodable, HeaderVersion, MetadataRequest, Request, ResponseHeader, StrBytes,
    create_topics_request::{CreatableTopic, CreatableTopicConfig},
    metadata_request::MetadataRequestTopic,
};
pub(crate) use millstream_tests_kit::topic_name;
use millstream_tests_kit::{request_frame, request_frame_of};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

/// A deadline for whatever a test waits for.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// A client without any cleverness: what is sent, and what comes back.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: within(TcpStream::connect(address)).await.unwrap(),
            correlation_id: 0,
        }
    }

    /// Sends a request and answers its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        let frame = self.framed(request, version);
        self.send_bytes(&frame).await;
        self.correlation_id
    }

    /// Sends a body that was written by hand, and answers what comes back.
    pub(crate) async fn ask_raw<R: Request>(&mut self, body: &[u8], version: i16) -> R::Response {
        self.correlation_id += 1;
        let frame = request_frame_of::<R>(version, self.correlation_id, |frame| frame.put_slice(body));
        self.send_bytes(&frame).await;
        self.answer::<R>(self.correlation_id, version).await
    }

    /// The bytes of the next request.
    pub(crate) fn framed<R: Request>(&mut self, request: &R, version: i16) -> BytesMut {
        self.correlation_id += 1;
        request_frame(request, version, self.correlation_id)
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next answer, which must be the one to that request, to its last byte.
    pub(crate) async fn answer<R: Request>(&mut self, correlation_id: i32, version: i16) -> R::Response {
        let mut frame = self.frame().await.expect("an answer");
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, correlation_id);
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(!frame.has_remaining(), "bytes follow the answer");
        response
    }

    pub(crate) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let id = self.send(request, version).await;
        self.answer::<R>(id, version).await
    }

    /// The next frame without its length; `None` if the server closes the connection.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        within(async {
            let length = self.stream.read_i32().await.ok()?;
            let mut frame = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(frame.into())
        })
        .await
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        self.frame().await.is_none()
    }

    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    pub(crate) async fn create_topic_with(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string((*key).into()))
                .with_value(Some(StrBytes::from_string((*value).into())))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let answer = self
            .ask(&CreateTopicsRequest::default().with_topics(vec![topic]), 7)
            .await;
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }
}

impl Client {
    pub(crate) async fn topic_id(&mut self, name: &str) -> Uuid {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        self.ask(&request, 12).await.topics[0].topic_id
    }
}
