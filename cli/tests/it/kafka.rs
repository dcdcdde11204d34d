//! A Kafka client of a few lines, for what no command does.

use bytes::{Bytes, BytesMut};
use millstream_protocol::messages::{
    Encodable, HeaderVersion, Request, RequestHeader, ResponseHeader, StrBytes, decode,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

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

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.send(request, version).await;
        let read = async {
            let length = self.0.read_u32().await.unwrap();
            let mut frame = vec![0; length as usize];
            self.0.read_exact(&mut frame).await.unwrap();
            Bytes::from(frame)
        };
        let mut answer = timeout(DEADLINE, read).await.unwrap();
        let _: ResponseHeader = decode(&mut answer, R::Response::header_version(version)).unwrap();
        decode(&mut answer, version).unwrap()
    }
}
