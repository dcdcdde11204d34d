use std::time::Duration;

use millstream_types::{Offset, Timestamp};
use tokio::time::Instant;

use crate::{Fetch, Isolation, LogError, OffsetAt};

use super::{
    Harness, PATIENCE, append, expect_error, fetch, fetched, partition, producer, record_at, texts, topic,
    within_patience, write,
};

pub async fn fetches_from_inside_of_a_batch(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "inside", 1).await, 0);
    append(&*log, &from, &["a", "b", "c", "d"]).await;
    let part = fetched(&*log, fetch(&from, 2, Isolation::ReadCommitted)).await;
    assert_eq!(texts(&part.records), ["c", "d"]);
    assert_eq!(part.records[0].offset, Offset(2));
    assert_eq!(part.next_offset, Offset(4));
    assert_eq!(
        (part.high_watermark, part.last_stable_offset, part.log_start),
        (Offset(4), Offset(4), Offset(0))
    );
}

pub async fn answers_at_least_one_batch_and_not_much_more(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "sips", 1).await, 0);
    for n in 0..5 {
        append(&*log, &from, &[&format!("{n}").repeat(1000)]).await;
    }
    let sip = |offset, max_bytes| Fetch {
        max_bytes,
        ..fetch(&from, offset, Isolation::ReadCommitted)
    };
    let one = fetched(&*log, sip(1, 1)).await;
    assert_eq!(
        (one.records.len(), one.next_offset),
        (1, Offset(2)),
        "a whole batch"
    );
    let two = fetched(&*log, sip(1, 2500)).await;
    assert_eq!((two.records.len(), two.next_offset), (2, Offset(3)), "what fits");
    let all = fetched(&*log, sip(0, 1 << 20)).await;
    assert_eq!((all.records.len(), all.next_offset), (5, Offset(5)));
}

pub async fn waits_for_the_first_record(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "patience", 1).await, 0);
    let poll = Fetch {
        max_wait: PATIENCE,
        ..fetch(&from, 0, Isolation::ReadCommitted)
    };
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.fetch(poll).await }
    });
    // Lets the fetch begin its wait; should it come late it still must answer the record.
    let _ = fetched(
        &*log,
        Fetch {
            max_wait: Duration::from_millis(50),
            ..fetch(&from, 0, Isolation::ReadCommitted)
        },
    )
    .await;
    assert!(!waiting.is_finished(), "there is nothing to answer yet");
    let started = Instant::now();
    append(&*log, &from, &["at last"]).await;
    let part = within_patience(waiting)
        .await
        .expect("the fetch does not panic")
        .expect("fetching works");
    assert_eq!(texts(&part.records), ["at last"]);
    assert!(
        started.elapsed() < PATIENCE / 2,
        "woken by the record, not by the end of the wait"
    );
}

pub async fn a_wait_for_nothing_ends_in_time(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "silence", 1).await, 0);
    append(&*log, &from, &["past"]).await;
    let started = Instant::now();
    let poll = Fetch {
        max_wait: Duration::from_millis(30),
        ..fetch(&from, 1, Isolation::ReadCommitted)
    };
    let part = fetched(&*log, poll).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!((part.records.len(), part.next_offset), (0, Offset(1)));
}

pub async fn a_long_poll_sees_its_topic_go(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "vanishing", 1).await, 0);
    let poll = Fetch {
        max_wait: PATIENCE * 2,
        ..fetch(&from, 0, Isolation::ReadCommitted)
    };
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.fetch(poll).await }
    });
    tokio::task::yield_now().await;
    log.delete_topic(&from.topic)
        .await
        .expect("a topic can be deleted");
    let result = within_patience(waiting).await.expect("the fetch does not panic");
    expect_error(result, |e| matches!(e, LogError::UnknownTopic { .. }));
}

pub async fn refuses_offsets_out_of_range(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "bounds", 1).await, 0);
    append(&*log, &from, &["a", "b"]).await;
    for wrong in [3, -1, i64::MAX] {
        expect_error(
            log.fetch(fetch(&from, wrong, Isolation::ReadCommitted)).await,
            |e| {
                matches!(e, LogError::OffsetOutOfRange { offset, start: Offset(0), end: Offset(2), .. }
                if offset.0 == wrong)
            },
        );
    }
    let end = fetched(&*log, fetch(&from, 2, Isolation::ReadCommitted)).await;
    assert_eq!((end.records.len(), end.next_offset), (0, Offset(2)));
}

pub async fn finds_offsets_by_timestamp(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "times", 1).await, 0);
    let at = |at| {
        let (log, from) = (log.clone(), from.clone());
        async move { log.offset(&from, at).await.expect("the partition exists").0 }
    };
    assert_eq!((at(OffsetAt::Earliest).await, at(OffsetAt::Latest).await), (0, 0));
    assert_eq!(
        at(OffsetAt::Time(Timestamp(0))).await,
        0,
        "nothing is there: the end"
    );
    let first: Vec<_> = [100, 200, 300].map(|t| record_at("x", t)).into();
    let second: Vec<_> = [250, 400].map(|t| record_at("x", t)).into();
    log.append(&from, first).await.expect("appending works");
    log.append(&from, second).await.expect("appending works");
    // The record, not the batch that holds it.
    for (time, offset) in [(0, 0), (100, 0), (101, 1), (250, 2), (301, 4), (400, 4), (401, 5)] {
        assert_eq!(at(OffsetAt::Time(Timestamp(time))).await, offset, "at {time}");
    }

    let mut producer = producer(&*log, "times").await;
    write(&mut producer, &from, &["open"]).await;
    producer.commit(None).await.expect("committing works");
    write(&mut producer, &from, &["open"]).await;
    assert_eq!(at(OffsetAt::LatestCommitted).await, 7);
    producer.commit(None).await.expect("committing works");
    assert_eq!(at(OffsetAt::LatestCommitted).await, at(OffsetAt::Latest).await);
}
