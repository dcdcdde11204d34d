use bytes::Bytes;
use millstream_types::{Header, Offset, Record, Timestamp};

use crate::{Isolation, LogError, OffsetAt};

use super::{
    Harness, append, committed_texts, expect_error, fetch, fetched, partition, producer, read_all, record,
    texts, topic, topic_with,
};

pub async fn answers_records_in_the_order_of_the_appends(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "ordered", 2).await, 1);
    assert_eq!(append(&*log, &to, &["a", "b"]).await, Offset(0));
    assert_eq!(append(&*log, &to, &["c"]).await, Offset(2));
    let all = read_all(&*log, &to, Isolation::ReadUncommitted).await;
    assert_eq!(texts(&all), ["a", "b", "c"]);
    assert_eq!(all.iter().map(|r| r.offset.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(
        log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
        Offset(3)
    );
    let other = partition(&to.topic, 0);
    assert!(committed_texts(&*log, &other).await.is_empty());
}

pub async fn keeps_every_part_of_a_record(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "whole", 1).await, 0);
    let full = Record {
        offset: Offset(77),
        timestamp: Timestamp(1_234_567_890_123),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"\x00\xff value")),
        headers: vec![
            Header::new("one", "1"),
            Header::new("one", "2"),
            Header {
                name: Bytes::from_static(b"null"),
                value: None,
            },
        ],
    };
    let tombstone = Record {
        timestamp: Timestamp(5),
        key: Some(Bytes::from_static(b"key")),
        ..Record::default()
    };
    let empty = Record {
        timestamp: Timestamp(6),
        key: Some(Bytes::new()),
        value: Some(Bytes::new()),
        ..Record::default()
    };
    let sent = vec![full, tombstone, empty];
    log.append(&to, sent.clone()).await.expect("appending works");
    let mut producer = producer(&*log, "whole").await;
    producer.append(&to, &sent).await.expect("appending works");
    producer.commit(None).await.expect("committing works");

    let all = read_all(&*log, &to, Isolation::ReadCommitted).await;
    let expected = (0..).zip(sent.iter().chain(&sent));
    let expected: Vec<_> = expected
        .map(|(offset, r)| Record {
            offset: Offset(offset),
            ..r.clone()
        })
        .collect();
    assert_eq!(all, expected);
}

pub async fn keeps_the_order_of_each_concurrent_producer(harness: &mut impl Harness) {
    const PRODUCERS: usize = 4;
    const APPENDS: usize = 25;
    let log = harness.log();
    let to = partition(&topic(&*log, "crowd", 1).await, 0);
    let tasks = (0..PRODUCERS).map(|producer| {
        let (log, to) = (log.clone(), to.clone());
        tokio::spawn(async move {
            for n in 0..APPENDS {
                let records = vec![
                    record(&format!("{producer}:{n}:a")),
                    record(&format!("{producer}:{n}:b")),
                ];
                log.append(&to, records).await.expect("appending works");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no producer panics");
    }
    let all = texts(&read_all(&*log, &to, Isolation::ReadCommitted).await);
    assert_eq!(all.len(), PRODUCERS * APPENDS * 2);
    for producer in 0..PRODUCERS {
        let own: Vec<_> = all
            .iter()
            .filter(|t| t.starts_with(&format!("{producer}:")))
            .cloned()
            .collect();
        let sent: Vec<_> = (0..APPENDS)
            .flat_map(|n| [format!("{producer}:{n}:a"), format!("{producer}:{n}:b")])
            .collect();
        assert_eq!(own, sent);
    }
}

pub async fn refuses_records_that_are_too_large(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic_with(&*log, "narrow", 1, &[("max.message.bytes", "2000")]).await;
    let to = partition(&topic, 0);
    let too_large = |e: &LogError| matches!(e, LogError::TooLarge { max: 2000, .. });
    let large = record(&"x".repeat(4000));
    expect_error(
        log.append(&to, vec![record("fits"), large.clone()]).await,
        too_large,
    );
    assert!(
        committed_texts(&*log, &to).await.is_empty(),
        "nothing of it is kept"
    );
    let mut producer = producer(&*log, "narrow").await;
    producer.append(&to, &[record("before")]).await.expect("it fits");
    expect_error(producer.append(&to, &[record("with it"), large]).await, too_large);
    producer
        .append(&to, &[record("after")])
        .await
        .expect("the transaction goes on");
    producer
        .commit(None)
        .await
        .expect("nothing is wrong with the rest");
    assert_eq!(committed_texts(&*log, &to).await, ["before", "after"]);
}

/// Readers would refuse such a record, so it must not get in.
pub async fn refuses_header_names_that_are_not_text(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "garbled", 1).await, 0);
    let garbled = Record {
        headers: vec![Header::new(&b"\xff\xfe"[..], "value")],
        ..record("garbled")
    };
    expect_error(log.append(&to, vec![record("fine"), garbled]).await, |e| {
        matches!(e, LogError::InvalidRecord { .. })
    });
    assert!(
        committed_texts(&*log, &to).await.is_empty(),
        "nothing of it is kept"
    );
}

pub async fn an_empty_append_adds_nothing(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "quiet", 1).await, 0);
    append(&*log, &to, &["only"]).await;
    assert_eq!(append(&*log, &to, &[]).await, Offset(1));
    assert_eq!(
        log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
        Offset(1)
    );
}

/// Many more bytes than one record batch may hold: an implementation splits and nobody sees it.
pub async fn a_large_append_is_answered_whole(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic_with(&*log, "wide", 1, &[("max.message.bytes", "10000")]).await;
    let to = partition(&topic, 0);
    let sent: Vec<_> = (0..500).map(|n| record(&format!("{n:0>200}"))).collect();
    assert_eq!(
        log.append(&to, sent.clone()).await.expect("appending works"),
        Offset(0)
    );
    let all = read_all(&*log, &to, Isolation::ReadCommitted).await;
    assert_eq!(texts(&all), texts(&sent));
    let next = fetched(&*log, fetch(&to, 500, Isolation::ReadCommitted)).await;
    assert_eq!(next.next_offset, Offset(500));
}
