//! What somebody sends to the port of scrapers and probes: the answer is one of HTTP's, or none to half a request.

use millstream_broker_server::Loopback;

use crate::world::{World, in_virtual_time};

pub fn run(data: &[u8]) {
    in_virtual_time(async {
        let world = World::new().await;
        let Some(answer) = Loopback::probe(world.broker().clone(), data).await else {
            return;
        };
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut head = httparse::Response::new(&mut headers);
        let read = head.parse(&answer).expect("the answer is HTTP");
        assert!(read.is_complete(), "the head of the answer is whole");
    });
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "GET /metrics HTTP/1.1\r\nHost: localhost:9644\r\nAccept: application/openmetrics-text\r\n\r\n",
        "GET /readyz?verbose HTTP/1.0\r\n\r\n",
        "HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "GET http://a/livez HTTP/1.1\r\nX: \r\n\tfolded\r\n\r\n",
        "\x16\x03\x01\x02\0\x01",
    ]
    .map(Into::into)
    .to_vec()
}
