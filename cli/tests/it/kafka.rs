//! A Kafka client of a few lines, for what no command does.

use bytes::Bytes;
use millstream_protocol::messages::{HeaderVersion, Request, ResponseHeader, decode};
use millstream_tests_kit::request_frame;
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
        self.0
            .write_all(&request_frame(request, version, 0))
            .await
            .unwrap();
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
