//! A Kafka client of a few lines, for what no command does.

use bytes::BytesMut;
use millstream_protocol::messages::{Encodable, Request, RequestHeader, StrBytes};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::support::DEADLINE;

pub(crate) struct Kafka(pub(crate) TcpStream);

impl Kafka {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await.unwrap();
        Self(stream.unwrap())
    }

    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut frame = BytesMut::zeroed(4);
        header.encode(&mut frame, R::header_version(version)).unwrap();
        request.encode(&mut frame, version).unwrap();
        let length = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.0.write_all(&frame).await.unwrap();
    }
}
