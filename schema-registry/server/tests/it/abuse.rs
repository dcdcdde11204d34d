//! Whatever comes: an answer, and nothing written.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::json;

use crate::support::{DEADLINE, Served, V1};

async fn status(registry: &Served, path: &str, body: Vec<u8>) -> u16 {
    let reply = registry.send("POST", path, &[("Content-Type", V1)], body).await;
    assert!(reply.json()["message"].is_string(), "{reply:?}");
    reply.status
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_requests_are_refused() {
    let registry = Served::start().await;
    let register = "/subjects/s/versions";
    for (body, expected) in [
        (&b""[..], 422),
        (b"null", 422),
        (b"{", 400),
        (b"[]", 400),
        (b"\"x\"", 400),
        (b"{\"schema\":7}", 400),
        (b"{\"schema\":\"\\ud800\"}", 400),
        (b"{\"schema\":\"\xff\xfe\"}", 400),
        (b"{\"schema\":\"\\\"int\\\"\",\"references\":[{}]}", 400),
        (b"{\"schema\":\"\\\"int\\\"\",\"id\":99999999999}", 400),
    ] {
        let shown = String::from_utf8_lossy(body).into_owned();
        assert_eq!(
            status(&registry, register, body.to_vec()).await,
            expected,
            "{shown}"
        );
    }
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(status(&registry, register, deep(100_000)).await, 400);
    let schema = "{\"type\":\"array\",\"items\":".repeat(10_000) + "\"int\"" + &"}".repeat(10_000);
    let body = json!({ "schema": schema }).to_string().into_bytes();
    assert_eq!(status(&registry, register, body).await, 422);
    let nested = json!({"schema": "{\"a\":".repeat(5_000)})
        .to_string()
        .into_bytes();
    assert_eq!(status(&registry, register, nested).await, 422);
    assert_eq!(registry.get("/subjects").await, json!([]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_ten_megabytes_are_refused_and_the_client_is_told() {
    let registry = Served::start().await;
    let body = json!({"schema": "x".repeat(10 << 20)}).to_string().into_bytes();
    assert_eq!(status(&registry, "/subjects/s/versions", body).await, 413);
    // One that is taken, but is too large for the log.
    let doc = "x".repeat(2 << 20);
    let schema = json!({"type": "record", "name": "R", "doc": doc, "fields": []}).to_string();
    registry
        .refused(
            "POST",
            "/subjects/s/versions",
            Some(json!({ "schema": schema })),
            42209,
        )
        .await;
    assert_eq!(registry.get("/subjects?deleted=true").await, json!([]));
    assert_eq!(registry.register("s", "\"int\"").await, 1);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_are_answered() {
    let registry = Served::start().await;
    for (path, expected) in [
        ("//subjects//", 200),
        ("/subjects/", 200),
        ("/subjects/%FF/versions", 400),
        ("/subjects/a%2Fb/versions", 404),
        ("/a/b/c/d/e/f/g/h/i/j/k", 404),
        ("/schemas/ids/-1", 404),
        ("/schemas/ids/99999999999", 404),
        ("/subjects?offset=-5", 200),
        ("/contexts/x", 405),
    ] {
        let reply = registry.call("GET", path, None).await;
        let allowed = if path == "/contexts/x" {
            [404, 405]
        } else {
            [expected, expected]
        };
        assert!(allowed.contains(&reply.status), "{path}: {reply:?}");
    }
    assert_eq!(registry.register("a%2Fb", "\"int\"").await, 1);
    assert_eq!(registry.get("/subjects").await, json!(["a/b"]));
    assert_eq!(registry.get("/subjects/a%2Fb/versions").await, json!([1]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_ends_the_connection_and_nothing_else() {
    let registry = Served::start().await;
    let address = registry.address();
    for nonsense in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let read = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.write_all(nonsense).unwrap();
            let mut answer = Vec::new();
            // Closed with or without a word.
            let _ = stream.read_to_end(&mut answer);
            answer
        });
        let answer = read.await.unwrap();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{answer:?}"
        );
    }
    assert_eq!(registry.get("/subjects").await, json!([]));
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_in_the_middle_of_a_body_writes_nothing() {
    let registry = Served::start().await;
    let address = registry.address();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "POST /subjects/s/versions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"{\"schema\":\"\\\"int\\\"\"").unwrap();
    })
    .await
    .unwrap();
    assert_eq!(registry.get("/subjects").await, json!([]));
    registry.stop().await;
}
