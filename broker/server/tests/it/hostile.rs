use millstream_protocol::{batch::Compression, messages::MetadataRequest};
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

use crate::{
    Server,
    client::{Client, within},
    on_a_free_port,
    records::{ProduceRequest, batch, produce},
};

/// Another client is still served.
async fn check_alive(server: &Server) {
    let mut canary = server.client().await;
    let answer = canary.ask(&MetadataRequest::default().with_topics(None), 9).await;
    assert_eq!(answer.brokers.len(), 1);
}

fn frame(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}

async fn check_closed(server: &Server, bytes: &[u8]) {
    let mut client = server.client().await;
    client.send_bytes(bytes).await;
    assert!(client.is_closed().await, "{:?}", &bytes[..bytes.len().min(16)]);
    check_alive(server).await;
}

#[tokio::test]
async fn nonsense_closes_its_own_connection_and_no_other() {
    let server = Server::start().await;
    let unknown_api = frame(&[3, 231, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    let api_that_nobody_serves = frame(&[0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
    let produce_v2 = frame(&[0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let metadata_of_two_billion_topics = frame(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let compact_metadata = frame(&[
        0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f,
    ]);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        frame(b"abc"),
        frame(&[]),
        unknown_api,
        api_that_nobody_serves,
        produce_v2,
        metadata_of_two_billion_topics,
        compact_metadata,
    ] {
        check_closed(&server, &bytes).await;
    }
}

#[tokio::test]
async fn random_frames_leave_the_server_alive() {
    const SEED: u64 = 7;
    let server = Server::start().await;
    let mut random = SmallRng::seed_from_u64(SEED);
    for _ in 0..300 {
        let mut body = vec![0; random.random_range(8..120)];
        random.fill_bytes(&mut body);
        // A key and a version that exist, most of the time.
        let keys = [0, 1, 2, 3, 18, 19, 20, 22, 60];
        body[..2].copy_from_slice(&[0, keys[random.random_range(0..keys.len())]]);
        body[2..4].copy_from_slice(&[0, random.random_range(0..14)]);
        let mut client = server.client().await;
        client.send_bytes(&frame(&body)).await;
    }
    check_alive(&server).await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let server = Server::start_as(on_a_free_port(), &[("connections.max.idle.ms", "100")]).await;
    let mut silent = server.client().await;
    let mut slow = server.client().await;
    slow.send_bytes(&[0, 0, 1, 0, 0, 3]).await;
    assert!(silent.is_closed().await && slow.is_closed().await);
    check_alive(&server).await;
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_and_the_others_go_on() {
    cap_is_kept("max.connections").await;
}

#[tokio::test]
async fn so_are_connections_beyond_the_cap_of_an_address() {
    cap_is_kept("max.connections.per.ip").await;
}

async fn cap_is_kept(setting: &str) {
    let server = Server::start_as(on_a_free_port(), &[(setting, "2")]).await;
    let request = MetadataRequest::default().with_topics(None);
    let (mut first, mut second) = (server.client().await, server.client().await);
    first.ask(&request, 9).await;
    second.ask(&request, 9).await;
    assert!(server.client().await.is_closed().await);
    first.ask(&request, 9).await;
    drop(second);
    // The slot becomes free a moment after the connection has gone.
    within(async {
        loop {
            let mut third: Client = server.client().await;
            third.send(&request, 9).await;
            if third.frame().await.is_some() {
                break;
            }
        }
    })
    .await;
}

/// Two requests whose halves fill the memory of all requests.
#[tokio::test]
async fn requests_that_do_not_fit_into_memory_together_are_served_one_after_the_other() {
    let settings = [
        ("queued.max.request.bytes", "200000"),
        ("message.max.bytes", "2000000"),
    ];
    let server = Server::start_as(on_a_free_port(), &settings).await;
    server.client().await.create_topic("t", 1).await;
    let value = "x".repeat(500_000);
    let request = produce("t", 0, batch(&[&value], Compression::None));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.client().await;
        let whole = client.framed(&request, 9);
        let (half, rest) = whole.split_at(whole.len() / 2);
        client.send_bytes(half).await;
        clients.push((client, rest.to_vec()));
    }
    let served = clients.into_iter().map(async |(mut client, rest)| {
        client.send_bytes(&rest).await;
        client.answer::<ProduceRequest>(1, 9).await.responses[0].partition_responses[0].error_code
    });
    assert_eq!(futures::future::join_all(served).await, [0; 4]);
    check_alive(&server).await;
}
