use millstream_types::{GroupId, Offset};

use crate::{Isolation, OffsetAt};

use super::{
    Harness, append, committed, committed_texts, consumed, name, partition, producer, read_all, texts, topic,
    topic_with, write,
};

pub async fn keeps_everything_over_a_restart(harness: &mut impl Harness) {
    let log = harness.log();
    let group = GroupId::new("keeper");
    topic_with(&*log, "lasting", 2, &[("max.message.bytes", "123456")]).await;
    topic(&*log, "doomed", 1).await;
    let to = partition(&name("lasting"), 1);
    append(&*log, &to, &["plain"]).await;
    let mut kept = producer(&*log, "keeper").await;
    write(&mut kept, &to, &["committed"]).await;
    kept.commit(Some(consumed(&group, &to, 11)))
        .await
        .expect("committing works");
    write(&mut kept, &to, &["aborted"]).await;
    kept.abort().await.expect("aborting works");
    log.commit_offsets(consumed(&group, &partition(&to.topic, 0), 12))
        .await
        .expect("committing offsets works");
    log.delete_topic(&name("doomed"))
        .await
        .expect("a topic can be deleted");
    let end = log.offset(&to, OffsetAt::Latest).await.expect("it exists");
    drop(kept);
    drop(log);
    if !harness.restart().await {
        return;
    }

    let log = harness.log();
    let lasting = log.topic(&to.topic).await.expect("topics can be read");
    let lasting = lasting.expect("the topic survived");
    assert_eq!(lasting.partitions, 2);
    assert_eq!(
        lasting.config.get("max.message.bytes").map(String::as_str),
        Some("123456")
    );
    assert_eq!(
        log.topic(&name("doomed")).await.expect("topics can be read"),
        None
    );
    assert_eq!(log.offset(&to, OffsetAt::Latest).await.expect("it exists"), end);
    assert_eq!(committed_texts(&*log, &to).await, ["plain", "committed"]);
    assert_eq!(
        texts(&read_all(&*log, &to, Isolation::ReadUncommitted).await),
        ["plain", "committed", "aborted"]
    );
    assert_eq!(committed(&*log, &group, &to).await, Some(11));
    assert_eq!(committed(&*log, &group, &partition(&to.topic, 0)).await, Some(12));
    assert_eq!(append(&*log, &to, &["next"]).await, end);
}

/// What was open at the restart ends with the next incarnation; what was committed stays, restart after restart.
pub async fn a_restart_aborts_nothing_that_was_committed(harness: &mut impl Harness) {
    let group = GroupId::new("sisyphus");
    let to = partition(&topic(&*harness.log(), "boulder", 1).await, 0);
    let mut expected = Vec::new();
    for round in 0..3 {
        let log = harness.log();
        let mut producer = producer(&*log, "sisyphus").await;
        assert_eq!(
            log.offset(&to, OffsetAt::LatestCommitted)
                .await
                .expect("it exists"),
            log.offset(&to, OffsetAt::Latest).await.expect("it exists"),
            "the former incarnation's transaction is over"
        );
        let done = committed(&*log, &group, &to).await.unwrap_or(0);
        assert_eq!(done, round, "commits are kept and counted once");
        let text = format!("round {round}");
        write(&mut producer, &to, &[&text]).await;
        producer
            .commit(Some(consumed(&group, &to, done + 1)))
            .await
            .expect("committing works");
        expected.push(text);
        write(&mut producer, &to, &["unfinished"]).await;
        assert!(
            log.offset(&to, OffsetAt::LatestCommitted)
                .await
                .expect("it exists")
                > Offset(0)
        );
        drop(producer);
        drop(log);
        if !harness.restart().await {
            return;
        }
    }
    assert_eq!(committed_texts(&*harness.log(), &to).await, expected);
}
