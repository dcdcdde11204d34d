use crate::{Isolation, LogError, NewTopic, OffsetAt};

use super::{Harness, append, expect_error, fetch, name, partition, read_all, topic, topic_with};

pub async fn creates_lists_and_deletes_topics(harness: &mut impl Harness) {
    let log = harness.log();
    assert_eq!(log.topic(&name("tea")).await.expect("topics can be read"), None);
    topic(&*log, "tea", 3).await;
    topic_with(&*log, "coffee", 1, &[("retention.ms", "60000")]).await;

    let names = |topics: Vec<crate::Topic>| -> Vec<_> { topics.into_iter().map(|t| t.name).collect() };
    let all = names(log.topics().await.expect("topics can be listed"));
    let at = |n: &str| all.iter().position(|t| *t == name(n));
    assert!(
        at("coffee").is_some() && at("coffee") < at("tea"),
        "by name: {all:?}"
    );

    let tea = log
        .topic(&name("tea"))
        .await
        .expect("topics can be read")
        .expect("tea exists");
    let only_set = [("retention.ms".to_owned(), "-1".to_owned())].into();
    assert_eq!((tea.partitions, tea.config), (3, only_set));
    let coffee = log
        .topic(&name("coffee"))
        .await
        .expect("topics can be read")
        .expect("coffee exists");
    assert_eq!(
        coffee.config.get("retention.ms").map(String::as_str),
        Some("60000")
    );

    log.delete_topic(&name("tea"))
        .await
        .expect("a topic can be deleted");
    assert_eq!(log.topic(&name("tea")).await.expect("topics can be read"), None);
    expect_error(
        log.delete_topic(&name("tea")).await,
        |e| matches!(e, LogError::UnknownTopic { topic } if *topic == name("tea")),
    );
}

pub async fn refuses_topics_that_cannot_be(harness: &mut impl Harness) {
    let log = harness.log();
    topic(&*log, "taken", 1).await;
    let attempt = |text: &str, partitions, config: &[(&str, &str)]| {
        let config = config
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        log.create_topic(NewTopic {
            name: name(text),
            partitions,
            config,
        })
    };
    expect_error(
        attempt("taken", 1, &[]).await,
        |e| matches!(e, LogError::TopicExists { topic } if *topic == name("taken")),
    );
    for partitions in [0, -1] {
        expect_error(attempt("none", partitions, &[]).await, |e| {
            matches!(e, LogError::InvalidConfig { .. })
        });
    }
    expect_error(
        attempt("odd", 1, &[("retention.moons", "3")]).await,
        |e| matches!(e, LogError::InvalidConfig { key, .. } if key == "retention.moons"),
    );
    expect_error(
        attempt("odd", 1, &[("retention.ms", "soon")]).await,
        |e| matches!(e, LogError::InvalidConfig { key, .. } if key == "retention.ms"),
    );
    assert_eq!(log.topic(&name("odd")).await.expect("topics can be read"), None);
}

pub async fn names_what_does_not_exist(harness: &mut impl Harness) {
    let log = harness.log();
    let small = topic(&*log, "small", 1).await;
    let no_topic = partition(&name("nowhere"), 0);
    let unknown_topic =
        |e: &LogError| matches!(e, LogError::UnknownTopic { topic } if *topic == name("nowhere"));
    expect_error(
        log.append(&no_topic, vec![super::record("x")]).await,
        unknown_topic,
    );
    expect_error(
        log.fetch(fetch(&no_topic, 0, Isolation::ReadCommitted)).await,
        unknown_topic,
    );
    expect_error(log.offset(&no_topic, OffsetAt::Latest).await, unknown_topic);

    for index in [1, -1] {
        let beyond = partition(&small, index);
        let unknown =
            |e: &LogError| matches!(e, LogError::UnknownPartition { partition } if *partition == beyond);
        expect_error(log.append(&beyond, vec![super::record("x")]).await, unknown);
        expect_error(
            log.fetch(fetch(&beyond, 0, Isolation::ReadCommitted)).await,
            unknown,
        );
        expect_error(log.offset(&beyond, OffsetAt::Latest).await, unknown);
        let mut producer = super::producer(&*log, "lost").await;
        let appended = producer.append(&beyond, &[super::record("x")]).await;
        let result = match appended {
            Ok(()) => producer.commit(None).await,
            Err(error) => Err(error),
        };
        expect_error(result, unknown);
    }
}

pub async fn a_recreated_topic_starts_empty(harness: &mut impl Harness) {
    let log = harness.log();
    let first = partition(&topic(&*log, "phoenix", 1).await, 0);
    let id = async || {
        let topic = log.topic(&name("phoenix")).await.expect("topics can be read");
        topic.expect("it exists").id
    };
    let old = id().await;
    assert_eq!(id().await, old);
    append(&*log, &first, &["old", "older"]).await;
    log.delete_topic(&name("phoenix"))
        .await
        .expect("a topic can be deleted");
    topic(&*log, "phoenix", 1).await;
    assert!(old.is_none() || id().await != old, "it is another topic");
    assert_eq!(read_all(&*log, &first, Isolation::ReadUncommitted).await, vec![]);
    assert_eq!(append(&*log, &first, &["new"]).await.0, 0);
}
