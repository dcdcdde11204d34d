//! OffsetCommit and OffsetFetch of version 10, which name topics by their ids. The message crate cannot write these
//! requests.

use bytes::{BufMut, BytesMut};
use millstream_protocol::{
    ErrorCode,
    messages::{
        DeleteTopicsRequest, OffsetCommitRequest, OffsetFetchRequest,
        delete_topics_request::DeleteTopicState, offset_fetch_response::OffsetFetchResponseGroup,
    },
};
use uuid::Uuid;

use crate::{
    Server,
    client::{Client, topic_name},
};

const VERSION: i16 = 10;

/// A compact text.
fn put_text(body: &mut BytesMut, text: &str) {
    body.put_u8(u8::try_from(text.len() + 1).unwrap());
    body.put_slice(text.as_bytes());
}

/// Commits an offset for partition 0 of each topic; answers id and code.
async fn commit(client: &mut Client, topics: &[Uuid], offset: i64) -> Vec<(Uuid, ErrorCode)> {
    let mut body = BytesMut::new();
    put_text(&mut body, "g");
    body.put_i32(-1);
    put_text(&mut body, "");
    body.put_u8(0);
    body.put_u8(u8::try_from(topics.len() + 1).unwrap());
    for topic in topics {
        body.put_u128(topic.as_u128());
        body.put_u8(2);
        body.put_i32(0);
        body.put_i64(offset);
        body.put_i32(-1);
        put_text(&mut body, "note");
        body.put_slice(&[0, 0]);
    }
    body.put_u8(0);
    let answer = client.ask_raw::<OffsetCommitRequest>(&body, VERSION).await;
    let told = answer.topics.iter().map(|topic| {
        let code = ErrorCode::from_code(topic.partitions[0].error_code).unwrap();
        (topic.topic_id, code)
    });
    told.collect()
}

/// `None` for all that the group has committed.
async fn fetch(client: &mut Client, topics: Option<&[Uuid]>) -> OffsetFetchResponseGroup {
    let mut body = BytesMut::new();
    body.put_u8(2);
    put_text(&mut body, "g");
    body.put_u8(0);
    body.put_i32(-1);
    body.put_u8(topics.map_or(0, |topics| u8::try_from(topics.len() + 1).unwrap()));
    for topic in topics.unwrap_or_default() {
        body.put_u128(topic.as_u128());
        body.put_u8(2);
        body.put_i32(0);
        body.put_u8(0);
    }
    body.put_slice(&[0, 0, 0]);
    let mut answer = client.ask_raw::<OffsetFetchRequest>(&body, VERSION).await;
    answer.groups.remove(0)
}

fn found(group: &OffsetFetchResponseGroup) -> Vec<(Uuid, i64, i16)> {
    let partition =
        |topic: &millstream_protocol::messages::offset_fetch_response::OffsetFetchResponseTopics| {
            let partition = &topic.partitions[0];
            (topic.topic_id, partition.committed_offset, partition.error_code)
        };
    group.topics.iter().map(partition).collect()
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_another_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    client.create_topic("other", 1).await;
    let (first, other) = (client.topic_id("t").await, client.topic_id("other").await);
    let committed = commit(&mut client, &[first, other], 42).await;
    assert_eq!(committed, [(first, ErrorCode::None), (other, ErrorCode::None)]);
    let answer = fetch(&mut client, Some(&[first])).await;
    assert_eq!(found(&answer), [(first, 42, 0)]);
    assert_eq!(answer.topics[0].partitions[0].metadata.as_deref(), Some("note"));
    let mut all = found(&fetch(&mut client, None).await);
    all.sort();
    let mut expected = vec![(first, 42, 0), (other, 42, 0)];
    expected.sort();
    assert_eq!(all, expected);

    let state = DeleteTopicState::default().with_name(Some(topic_name("t")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![state]);
    assert_eq!(client.ask(&delete, 6).await.responses[0].error_code, 0);
    client.create_topic("t", 1).await;
    let second = client.topic_id("t").await;
    assert_ne!(first, second);
    let unknown = ErrorCode::UnknownTopicId;
    assert_eq!(
        commit(&mut client, &[first, second], 7).await,
        [(first, unknown), (second, ErrorCode::None)]
    );
    let answer = fetch(&mut client, Some(&[first, second])).await;
    assert_eq!(found(&answer), [(first, -1, unknown.code()), (second, 7, 0)]);
}
