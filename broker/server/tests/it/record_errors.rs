//! What a refused batch is told of its records (KIP-467).

use bytes::Bytes;
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression},
    messages::produce_response::PartitionProduceResponse,
};
use millstream_types::{Clock, SystemClock, Timestamp};

use crate::{Server, client::Client, records::produce};

/// Records by key and time, which is told from now.
fn batch(records: &[(Option<&[u8]>, i64)], codec: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(codec);
    let now = SystemClock.now().0;
    for (key, from_now_ms) in records {
        batch.push_parts(Timestamp(now + from_now_ms), *key, Some(b"value"), &[]);
    }
    batch.build().unwrap()
}

async fn refused(client: &mut Client, topic: &str, batch: Bytes, version: i16) -> PartitionProduceResponse {
    let answer = client.ask(&produce(topic, 0, batch), version).await;
    answer.responses[0].partition_responses[0].clone()
}

/// Code, and the indexes of the records.
fn told(answer: &PartitionProduceResponse) -> (ErrorCode, Vec<i32>) {
    let indexes = answer.record_errors.iter().map(|error| error.batch_index);
    (
        ErrorCode::from_code(answer.error_code).unwrap(),
        indexes.collect(),
    )
}

#[tokio::test]
async fn every_bad_record_is_named_with_its_reason() {
    const DAY_MS: i64 = 86_400_000;
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .create_topic_with("keyed", 1, &[("cleanup.policy", "compact")])
        .await;
    client
        .create_topic_with("timed", 1, &[("message.timestamp.before.max.ms", "1000")])
        .await;
    let key = Some(&b"k"[..]);
    for codec in Compression::ALL {
        let keyless = batch(&[(key, 0), (None, 0), (key, 0), (None, 0)], codec);
        let answer = refused(&mut client, "keyed", keyless, 9).await;
        assert_eq!(told(&answer), (ErrorCode::InvalidRecord, vec![1, 3]), "{codec}");
        let reason = answer.record_errors[0].batch_index_error_message.as_deref();
        assert_eq!(reason, Some("it has no key, but keyed-0 is compacted by key"));
        let text = answer.error_message.as_deref().unwrap();
        assert!(text.contains("record 1: it has no key"), "{text}");

        let old_and_new = batch(&[(key, -DAY_MS), (None, 0), (key, DAY_MS)], codec);
        let answer = refused(&mut client, "timed", old_and_new, 11).await;
        assert_eq!(
            told(&answer),
            (ErrorCode::InvalidTimestamp, vec![0, 2]),
            "{codec}"
        );

        let both = batch(&[(None, 0), (key, DAY_MS)], codec);
        let answer = refused(&mut client, "keyed", both, 9).await;
        assert_eq!(
            told(&answer),
            (ErrorCode::InvalidTimestamp, vec![0, 1]),
            "{codec}"
        );
    }
    let good = refused(&mut client, "keyed", batch(&[(key, 0)], Compression::None), 9).await;
    assert_eq!((told(&good), good.base_offset), ((ErrorCode::None, vec![]), 0));
}

#[tokio::test]
async fn versions_before_8_have_no_place_for_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .create_topic_with("keyed", 1, &[("cleanup.policy", "compact")])
        .await;
    for version in 3..=11 {
        let answer = refused(
            &mut client,
            "keyed",
            batch(&[(None, 0)], Compression::None),
            version,
        )
        .await;
        let expected = if version < 8 { vec![] } else { vec![0] };
        assert_eq!(told(&answer), (ErrorCode::InvalidRecord, expected), "{version}");
        assert_eq!(answer.error_message.is_some(), version >= 8);
    }
}

#[tokio::test]
async fn a_refusal_names_no_more_records_than_it_may() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .create_topic_with("keyed", 1, &[("cleanup.policy", "compact")])
        .await;
    let many = batch(&vec![(None, 0); 5_000], Compression::Lz4);
    let answer = refused(&mut client, "keyed", many, 9).await;
    let max = millstream_broker_storage::MAX_RECORD_ERRORS;
    assert_eq!(answer.record_errors.len(), max);
    let text = answer.error_message.unwrap();
    assert!(text.contains("and at least 997 more"), "{text}");
}
