//! The second signal: whoever does not want to wait for a graceful stop does not have to.

use std::time::Duration;

use millstream_protocol::messages::{
    FetchRequest, StrBytes,
    fetch_request::{FetchPartition, FetchTopic},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::{
    kafka::Kafka,
    support::{DEADLINE, Workplace},
};

/// Of Fetch: old enough to name topics.
const VERSION: i16 = 11;
/// More than two sockets hold.
const ANSWER_BYTES: i32 = 40 << 20;

fn fetch_everything() -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(ANSWER_BYTES);
    let topic = FetchTopic::default()
        .with_topic(StrBytes::from_static_str("t").into())
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_bytes(ANSWER_BYTES)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

#[tokio::test]
async fn a_second_signal_ends_a_stop_that_waits() {
    let place = Workplace::new();
    place.ok("topic create t --data-dir state").await;
    let line = "x".repeat(100_000) + "\n";
    place
        .ok_with("topic produce t --data-dir state", &line.repeat(300))
        .await;
    let mut server = place.start("broker serve --data-dir state --listen 127.0.0.1:0 --log-level warn");
    let address = place.listening("state").await;

    // A client that asks for much and reads nothing: the broker owes it an answer, and waits.
    let mut deaf = Kafka::connect(&address).await;
    deaf.send(&fetch_everything(), VERSION).await;
    timeout(DEADLINE, deaf.0.readable()).await.unwrap().unwrap();

    let mut stderr = BufReader::new(server.stderr.take().unwrap()).lines();
    place.signal(&mut server, "TERM").await;
    let said = async {
        while let Some(line) = stderr.next_line().await.unwrap() {
            if line.contains("stopping; once more to stop at once") {
                return;
            }
        }
        panic!("the first signal is not answered");
    };
    timeout(DEADLINE, said).await.unwrap();
    // Signals right behind the first are its echo, so one is not enough.
    let ended = async {
        loop {
            place.signal(&mut server, "TERM").await;
            if let Ok(status) = timeout(Duration::from_millis(100), server.wait()).await {
                return status.unwrap();
            }
        }
    };
    let status = timeout(DEADLINE, ended).await.unwrap();
    assert_eq!(status.code(), Some(130));

    // Nothing is lost by it.
    let text = place.ok("topic consume t --data-dir state").await;
    assert_eq!(text.lines().count(), 300);
}
