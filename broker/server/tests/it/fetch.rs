use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    batch::{Compression, split},
    messages::{
        BrokerId, FetchRequest, FetchResponse,
        fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState},
    },
};

use crate::{
    Server,
    client::{Client, topic_name},
    records::{ProduceRequest, batch, produce},
};

/// A request for that many partitions of `t`, from their beginning.
fn request(partitions: std::ops::Range<i32>, session_id: i32, session_epoch: i32) -> FetchRequest {
    let partitions = partitions.map(|index| {
        FetchPartition::default()
            .with_partition(index)
            .with_partition_max_bytes(1 << 20)
    });
    let topic = FetchTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(partitions.collect());
    let topics = if topic.partitions.is_empty() {
        Vec::new()
    } else {
        vec![topic]
    };
    FetchRequest::default()
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_id(session_id)
        .with_session_epoch(session_epoch)
        .with_topics(topics)
}

/// Index, error and number of records of each partition of an answer.
fn told(answer: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            let batches = split(partition.records.clone().unwrap());
            let records = batches.map(|batch| batch.unwrap().header().records_count as usize);
            (partition.partition_index, partition.error_code, records.sum())
        })
        .collect()
}

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 4).await;
    (server, client)
}

async fn append(client: &mut Client, partition: i32, records: Bytes) {
    let answer = client
        .ask::<ProduceRequest>(&produce("t", partition, records), 9)
        .await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

#[tokio::test]
async fn a_session_tells_only_what_changed() {
    let (server, mut client) = server().await;
    let full = client.ask(&request(0..4, 0, 0), 12).await;
    assert_eq!(told(&full).len(), 4);
    let session = full.session_id;
    assert!(session > 0);

    let nothing = client.ask(&request(0..0, session, 1), 12).await;
    assert_eq!((nothing.error_code, told(&nothing)), (0, Vec::new()));

    // Waits, although nothing is named.
    let waiting = client
        .send(&request(0..0, session, 2).with_max_wait_ms(15_000), 12)
        .await;
    append(
        &mut server.client().await,
        2,
        batch(&["a", "b"], Compression::None),
    )
    .await;
    let woken = client.answer::<FetchRequest>(waiting, 12).await;
    assert_eq!(told(&woken), [(2, 0, 2)]);

    let forgotten = ForgottenTopic::default()
        .with_topic(topic_name("t"))
        .with_partitions(vec![2]);
    let forgetful = request(0..0, session, 3).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(told(&client.ask(&forgetful, 12).await), []);

    // Another connection may go on with it.
    let mut other = server.client().await;
    let late = other.ask(&request(0..0, session, 3), 12).await;
    assert_eq!(late.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let unknown = other.ask(&request(0..0, session.wrapping_add(1), 4), 12).await;
    assert_eq!(unknown.error_code, ErrorCode::FetchSessionIdNotFound.code());
    assert_eq!(other.ask(&request(0..0, session, 4), 12).await.error_code, 0);

    let closed = client.ask(&request(0..0, session, -1), 12).await;
    assert_eq!((closed.error_code, closed.session_id), (0, 0));
    let gone = client.ask(&request(0..0, session, 5), 12).await;
    assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[tokio::test]
async fn many_batches_of_all_sizes_arrive_whole_from_memory_and_from_disk() {
    let (server, mut client) = server().await;
    let sizes = [1, 3000, 10, 200_000, 2000, 2100, 70_000];
    let values: Vec<String> = sizes.iter().map(|size| "x".repeat(*size)).collect();
    for value in &values {
        append(&mut client, 1, batch(&[value], Compression::None)).await;
    }
    for sealed in [false, true] {
        if sealed {
            let broker = server.broker.clone();
            tokio::task::spawn_blocking(move || broker.storage().seal().unwrap())
                .await
                .unwrap();
        }
        let before = server.broker.storage().stats();
        let answer = client.ask(&request(0..3, 0, -1), 12).await;
        let after = server.broker.storage().stats();
        let from_segment = after.read_from_segment_bytes - before.read_from_segment_bytes;
        assert_eq!(
            from_segment > 0,
            sealed,
            "what is in memory is not read from disk"
        );
        let read: Vec<_> = split(answer.responses[0].partitions[1].records.clone().unwrap())
            .flat_map(|batch| batch.unwrap().records().unwrap())
            .map(|record| record.value.unwrap())
            .collect();
        assert_eq!(read, values, "sealed: {sealed}");
    }
}

#[tokio::test]
async fn followers_and_their_epochs_are_answered() {
    let (_server, mut client) = server().await;
    append(&mut client, 0, batch(&["a"], Compression::None)).await;
    let of_follower = request(0..1, 0, -1).with_replica_id(BrokerId(7));
    let refused = client.ask(&of_follower, 11).await;
    assert_eq!(told(&refused), [(0, ErrorCode::NotLeaderOrFollower.code(), 0)]);
    let state = ReplicaState::default().with_replica_id(BrokerId(7));
    let mut of_follower = request(0..1, 0, -1).with_replica_state(state);
    of_follower.topics[0].topic_id = client.topic_id("t").await;
    let refused = client.ask(&of_follower, 16).await;
    assert_eq!(told(&refused), [(0, ErrorCode::NotLeaderOrFollower.code(), 0)]);

    let mut diverged = request(0..1, 0, -1);
    let partition = &mut diverged.topics[0].partitions[0];
    partition.last_fetched_epoch = 0;
    partition.fetch_offset = 9;
    let answer = client.ask(&diverged, 12).await;
    let end = &answer.responses[0].partitions[0].diverging_epoch;
    assert_eq!((end.epoch, end.end_offset), (0, 1));

    let mut ahead = request(0..1, 0, -1);
    ahead.topics[0].partitions[0].current_leader_epoch = 5;
    assert_eq!(
        told(&client.ask(&ahead, 12).await),
        [(0, ErrorCode::UnknownLeaderEpoch.code(), 0)]
    );
}
