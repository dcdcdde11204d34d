//! What every log must do, whoever implements it: one public async function per promise of [`crate::Log`].
//!
//! An implementation provides a [`Harness`] and calls [`conformance_suite!`](crate::conformance_suite), which makes a
//! test of each check. A check creates its own topics and groups, so that checks can share a log that is slow to start.
//! Every wait has a deadline of [`PATIENCE`]; a check that fails panics.

mod append;
mod durability;
mod fetch;
mod groups;
mod topics;
mod transactions;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{GroupId, Offset, Record, Timestamp, TopicName, TopicPartition, TransactionalId};

pub use append::*;
pub use durability::*;
pub use fetch::*;
pub use groups::*;
pub use topics::*;
pub use transactions::*;

use crate::{Consumed, Fetch, Fetched, Isolation, Log, LogError, NewTopic, TransactionalProducer};

/// How long a check waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A log under test.
#[async_trait]
pub trait Harness: Send {
    fn log(&self) -> Arc<dyn Log>;

    /// Ends the log, gracefully or not, and opens it again on what it had stored; nobody holds the old one any more.
    /// Answers `false` when this log keeps nothing beyond its life.
    async fn restart(&mut self) -> bool;
}

/// Makes one `#[tokio::test]` of each check. The argument is an async function that answers a fresh [`Harness`].
#[macro_export]
macro_rules! conformance_suite {
    ($harness:path) => {
        $crate::conformance_suite! { @tests $harness;
            creates_lists_and_deletes_topics
            refuses_topics_that_cannot_be
            names_what_does_not_exist
            a_recreated_topic_starts_empty
            answers_records_in_the_order_of_the_appends
            keeps_every_part_of_a_record
            keeps_the_order_of_each_concurrent_producer
            refuses_records_that_are_too_large
            refuses_header_names_that_are_not_text
            an_empty_append_adds_nothing
            a_large_append_is_answered_whole
            fetches_from_inside_of_a_batch
            answers_at_least_one_batch_and_not_much_more
            waits_for_the_first_record
            a_wait_for_nothing_ends_in_time
            a_long_poll_sees_its_topic_go
            refuses_offsets_out_of_range
            finds_offsets_by_timestamp
            shows_a_transaction_at_once_with_its_offsets
            hides_an_aborted_transaction
            an_open_transaction_holds_committed_readers_back
            a_long_poll_wakes_at_the_commit
            a_new_producer_fences_the_old_and_aborts_its_transaction
            commits_offsets_without_records
            an_empty_commit_does_nothing
            many_transactions_and_partitions_keep_apart
            aborted_records_between_committed_ones_stay_hidden
            commits_offsets_outside_of_transactions
            refuses_offsets_of_unknown_topics
            a_deleted_topic_takes_its_offsets_along
            members_share_the_partitions
            a_dropped_member_gives_its_partitions_back
            members_of_other_groups_do_not_share
            refuses_to_join_on_an_unknown_topic
            keeps_everything_over_a_restart
            a_restart_aborts_nothing_that_was_committed
        }
    };
    (@tests $harness:path; $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let mut harness = $harness().await;
                $crate::conformance::$check(&mut harness).await;
            }
        )*
    };
}

// ---- how the checks say things ----

fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("the checks use valid topic names")
}

async fn topic(log: &dyn Log, text: &str, partitions: i32) -> TopicName {
    topic_with(log, text, partitions, &[]).await
}

/// Kept for ever unless said otherwise: the records of the checks are old, retention by time would take them.
async fn topic_with(log: &dyn Log, text: &str, partitions: i32, config: &[(&str, &str)]) -> TopicName {
    let config = [("retention.ms", "-1")].iter().chain(config);
    let config: BTreeMap<_, _> = config.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let topic = NewTopic {
        name: name(text),
        partitions,
        config,
    };
    log.create_topic(topic).await.expect("a new topic can be created");
    name(text)
}

fn partition(topic: &TopicName, partition: i32) -> TopicPartition {
    TopicPartition::new(topic.clone(), partition)
}

/// A record whose value is that text and whose timestamp is 1000.
fn record(text: &str) -> Record {
    record_at(text, 1000)
}

fn record_at(text: &str, timestamp: i64) -> Record {
    Record {
        timestamp: Timestamp(timestamp),
        value: Some(Bytes::copy_from_slice(text.as_bytes())),
        ..Record::default()
    }
}

fn records(texts: &[&str]) -> Vec<Record> {
    texts.iter().map(|t| record(t)).collect()
}

async fn append(log: &dyn Log, to: &TopicPartition, texts: &[&str]) -> Offset {
    log.append(to, records(texts)).await.expect("appending works")
}

fn texts(records: &[Record]) -> Vec<String> {
    let text = |r: &Record| String::from_utf8_lossy(r.value.as_deref().unwrap_or_default()).into_owned();
    records.iter().map(text).collect()
}

fn fetch(from: &TopicPartition, offset: i64, isolation: Isolation) -> Fetch {
    Fetch {
        partition: from.clone(),
        offset: Offset(offset),
        max_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        isolation,
    }
}

async fn fetched(log: &dyn Log, fetch: Fetch) -> Fetched {
    within_patience(log.fetch(fetch)).await.expect("fetching works")
}

/// All that a reader sees from the start to the end, fetch by fetch.
async fn read_all(log: &dyn Log, from: &TopicPartition, isolation: Isolation) -> Vec<Record> {
    let mut all = Vec::new();
    let mut offset = 0;
    loop {
        let part = fetched(log, fetch(from, offset, isolation)).await;
        if part.next_offset.0 == offset {
            return all;
        }
        offset = part.next_offset.0;
        all.extend(part.records);
    }
}

async fn committed_texts(log: &dyn Log, from: &TopicPartition) -> Vec<String> {
    texts(&read_all(log, from, Isolation::ReadCommitted).await)
}

fn consumed(group: &GroupId, partition: &TopicPartition, offset: i64) -> Consumed {
    Consumed {
        group: group.clone(),
        offsets: vec![(partition.clone(), Offset(offset))],
    }
}

async fn committed(log: &dyn Log, group: &GroupId, of: &TopicPartition) -> Option<i64> {
    let offsets = log.committed(group, std::slice::from_ref(of)).await;
    offsets
        .expect("committed offsets can be read")
        .get(of)
        .map(|o| o.0)
}

async fn producer(log: &dyn Log, id: &str) -> Box<dyn TransactionalProducer> {
    let id = TransactionalId::new(id);
    within_patience(log.transactional(&id))
        .await
        .expect("a producer can begin")
}

async fn write(producer: &mut Box<dyn TransactionalProducer>, to: &TopicPartition, texts: &[&str]) {
    producer
        .append(to, &records(texts))
        .await
        .expect("appending in a transaction works");
}

async fn within_patience<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("this must happen within the patience of the suite")
}

fn expect_error<T>(result: Result<T, LogError>, wanted: impl Fn(&LogError) -> bool) {
    match result {
        Ok(_) => panic!("this call must fail"),
        Err(error) => assert!(wanted(&error), "wrong error: {error:?}"),
    }
}
