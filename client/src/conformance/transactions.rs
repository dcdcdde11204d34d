use std::time::Duration;

use millstream_types::{GroupId, Offset, TransactionalId};

use crate::{Consumed, Fetch, Isolation, LogError, OffsetAt};

use super::{
    Harness, PATIENCE, append, committed, committed_texts, consumed, expect_error, fetch, fetched, partition,
    producer, read_all, records, texts, topic, within_patience, write,
};

pub async fn shows_a_transaction_at_once_with_its_offsets(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "outputs", 2).await;
    let (left, right) = (partition(&topic, 0), partition(&topic, 1));
    let group = GroupId::new("outputs-task");
    let mut producer = producer(&*log, "outputs").await;
    write(&mut producer, &left, &["a", "b"]).await;
    write(&mut producer, &right, &["c"]).await;
    write(&mut producer, &left, &["d"]).await;
    assert!(committed_texts(&*log, &left).await.is_empty());
    assert!(committed_texts(&*log, &right).await.is_empty());
    assert_eq!(committed(&*log, &group, &right).await, None);

    producer
        .commit(Some(consumed(&group, &right, 42)))
        .await
        .expect("committing works");
    assert_eq!(committed_texts(&*log, &left).await, ["a", "b", "d"]);
    assert_eq!(committed_texts(&*log, &right).await, ["c"]);
    assert_eq!(committed(&*log, &group, &right).await, Some(42));
    assert_eq!(committed(&*log, &group, &left).await, None);
}

pub async fn hides_an_aborted_transaction(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "regrets", 1).await, 0);
    let mut producer = producer(&*log, "regrets").await;
    write(&mut producer, &to, &["never"]).await;
    producer.abort().await.expect("aborting works");
    assert!(committed_texts(&*log, &to).await.is_empty());
    assert_eq!(
        texts(&read_all(&*log, &to, Isolation::ReadUncommitted).await),
        ["never"]
    );
    assert_eq!(
        log.offset(&to, OffsetAt::LatestCommitted)
            .await
            .expect("it exists"),
        log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
    );
    write(&mut producer, &to, &["after"]).await;
    producer.commit(None).await.expect("committing works");
    assert_eq!(committed_texts(&*log, &to).await, ["after"]);
    producer.abort().await.expect("aborting nothing works");
}

pub async fn an_open_transaction_holds_committed_readers_back(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "held", 1).await, 0);
    append(&*log, &to, &["before"]).await;
    let mut producer = producer(&*log, "held").await;
    write(&mut producer, &to, &["open"]).await;
    append(&*log, &to, &["after"]).await;

    assert_eq!(committed_texts(&*log, &to).await, ["before"]);
    let all = fetched(&*log, fetch(&to, 0, Isolation::ReadUncommitted)).await;
    assert_eq!(texts(&all.records), ["before", "open", "after"]);
    assert_eq!(
        (all.last_stable_offset, all.high_watermark),
        (Offset(1), Offset(3))
    );
    let held = fetched(&*log, fetch(&to, 1, Isolation::ReadCommitted)).await;
    assert_eq!((held.records.len(), held.next_offset), (0, Offset(1)));

    producer.commit(None).await.expect("committing works");
    assert_eq!(committed_texts(&*log, &to).await, ["before", "open", "after"]);
}

pub async fn a_long_poll_wakes_at_the_commit(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "alarm", 1).await, 0);
    let mut producer = producer(&*log, "alarm").await;
    write(&mut producer, &to, &["sleeper"]).await;
    let poll = |max_wait| Fetch {
        max_wait,
        ..fetch(&to, 0, Isolation::ReadCommitted)
    };
    let nothing = fetched(&*log, poll(Duration::from_millis(30))).await;
    assert!(nothing.records.is_empty());
    let waiting = tokio::spawn({
        let (log, poll) = (log.clone(), poll(PATIENCE));
        async move { log.fetch(poll).await }
    });
    producer.commit(None).await.expect("committing works");
    let part = within_patience(waiting)
        .await
        .expect("the fetch does not panic")
        .expect("fetching works");
    assert_eq!(texts(&part.records), ["sleeper"]);
}

pub async fn a_new_producer_fences_the_old_and_aborts_its_transaction(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "throne", 1).await, 0);
    let group = GroupId::new("throne-task");
    let fenced = |e: &LogError| matches!(e, LogError::Fenced { id } if *id == TransactionalId::new("throne"));
    let mut old = producer(&*log, "throne").await;
    write(&mut old, &to, &["zombie"]).await;
    let mut new = producer(&*log, "throne").await;
    assert_eq!(
        log.offset(&to, OffsetAt::LatestCommitted)
            .await
            .expect("it exists"),
        log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
        "nothing is open any more"
    );

    let late = match old.append(&to, &records(&["late"])).await {
        Ok(()) => old.commit(Some(consumed(&group, &to, 9))).await,
        Err(error) => Err(error),
    };
    expect_error(late, fenced);
    expect_error(old.commit(Some(consumed(&group, &to, 9))).await, fenced);
    expect_error(old.abort().await, fenced);

    write(&mut new, &to, &["king"]).await;
    new.commit(Some(consumed(&group, &to, 1)))
        .await
        .expect("committing works");
    assert_eq!(committed_texts(&*log, &to).await, ["king"]);
    assert_eq!(committed(&*log, &group, &to).await, Some(1));
}

pub async fn commits_offsets_without_records(harness: &mut impl Harness) {
    let log = harness.log();
    let from = partition(&topic(&*log, "filtered", 1).await, 0);
    let group = GroupId::new("filtered-task");
    let mut producer = producer(&*log, "filtered").await;
    for offset in [10, 20] {
        producer
            .commit(Some(consumed(&group, &from, offset)))
            .await
            .expect("committing works");
        assert_eq!(committed(&*log, &group, &from).await, Some(offset));
    }
    assert_eq!(
        log.offset(&from, OffsetAt::Latest).await.expect("it exists"),
        Offset(0),
        "offsets leave nothing in the partition"
    );
}

pub async fn an_empty_commit_does_nothing(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "idle", 1).await, 0);
    let group = GroupId::new("idle-task");
    let mut producer = producer(&*log, "idle").await;
    producer.commit(None).await.expect("committing nothing works");
    producer.append(&to, &[]).await.expect("appending nothing works");
    let nothing = Consumed {
        group: group.clone(),
        offsets: vec![],
    };
    producer
        .commit(Some(nothing))
        .await
        .expect("committing nothing works");
    assert_eq!(
        log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
        Offset(0)
    );
    assert!(!log.groups().await.expect("groups can be listed").contains(&group));
}

pub async fn many_transactions_and_partitions_keep_apart(harness: &mut impl Harness) {
    let log = harness.log();
    let topic = topic(&*log, "lanes", 3).await;
    let mut producers = Vec::new();
    for n in 0..3 {
        producers.push(producer(&*log, &format!("lane-{n}")).await);
    }
    for round in 0..10 {
        for (n, producer) in producers.iter_mut().enumerate() {
            for lane in 0..3 {
                write(producer, &partition(&topic, lane), &[&format!("{n}:{round}")]).await;
            }
        }
        for (n, producer) in producers.iter_mut().enumerate() {
            // The second one regrets every other round.
            let ended = match (n, round % 2) {
                (1, 0) => producer.abort().await,
                _ => producer.commit(None).await,
            };
            ended.expect("ending a transaction works");
        }
    }
    for lane in 0..3 {
        let expected: Vec<_> = (0..10)
            .flat_map(|round| [0, 1, 2].map(|n| (n, round)))
            .filter(|(n, round)| *n != 1 || round % 2 == 1)
            .map(|(n, round)| format!("{n}:{round}"))
            .collect();
        assert_eq!(committed_texts(&*log, &partition(&topic, lane)).await, expected);
    }
}

/// A reader that starts, or stops for want of bytes, between the batches of an aborted transaction must know of it.
pub async fn aborted_records_between_committed_ones_stay_hidden(harness: &mut impl Harness) {
    let log = harness.log();
    let to = partition(&topic(&*log, "weave", 1).await, 0);
    let mut good = producer(&*log, "weave-good").await;
    let mut bad = producer(&*log, "weave-bad").await;
    for n in 0..4 {
        write(&mut bad, &to, &[&format!("bad {n}")]).await;
        write(&mut good, &to, &[&format!("good {n}")]).await;
        append(&*log, &to, &[&format!("plain {n}")]).await;
    }
    good.commit(None).await.expect("committing works");
    bad.abort().await.expect("aborting works");
    write(&mut bad, &to, &["reformed"]).await;
    bad.commit(None).await.expect("committing works");

    let mut expected: Vec<_> = (0..4)
        .flat_map(|n| [format!("good {n}"), format!("plain {n}")])
        .collect();
    expected.push("reformed".into());
    let end = log.offset(&to, OffsetAt::Latest).await.expect("it exists").0;
    for start in 0..end {
        let mut seen = Vec::new();
        let mut offset = start;
        while offset < end {
            let sip = Fetch {
                max_bytes: 1,
                ..fetch(&to, offset, Isolation::ReadCommitted)
            };
            let part = fetched(&*log, sip).await;
            assert!(part.next_offset.0 > offset, "a reader always gets on");
            offset = part.next_offset.0;
            seen.extend(texts(&part.records));
        }
        assert!(expected.ends_with(&seen), "from {start}: {seen:?}");
        if start == 0 {
            assert_eq!(seen, expected);
        }
    }
}
