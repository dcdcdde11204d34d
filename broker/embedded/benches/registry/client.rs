//! A client of nothing but sockets: a request, then its answer, over connections that stay.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: vec![0; 64 << 10],
        }
    }

    pub(crate) fn get(path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: application/vnd.schemaregistry.v1+json\r\n\r\n")
            .into_bytes()
    }

    pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// The body of the answer, which must be good.
    pub(crate) fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).expect("it reads");
        let mut filled = 0;
        loop {
            filled += match self.stream.read(&mut self.buffer[filled..]).expect("it answers") {
                0 => panic!("it hung up"),
                n => n,
            };
            let head = self.buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n");
            let Some(head) = head else { continue };
            let text = std::str::from_utf8(&self.buffer[..head]).expect("a head is text");
            let length = text
                .split("\r\n")
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().expect("a number");
            let end = head + 4 + length;
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            if filled >= end {
                let body = &self.buffer[head + 4..end];
                assert!(
                    self.buffer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(body)
                );
                return body;
            }
        }
    }
}
