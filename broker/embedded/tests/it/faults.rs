//! What a log does when its disk fails, fills up or loses power in the middle.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_storage::sim::SimDisk;
use millstream_client::{Consumed, Fetch, Fetched, Isolation, Log, LogError, NewTopic, OffsetAt};
use millstream_types::{GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::open;

async fn topic(log: &EmbeddedLog, name: &str) -> TopicPartition {
    let name = TopicName::new(name).unwrap();
    let topic = NewTopic {
        name: name.clone(),
        partitions: 1,
        // The records are of 1970: retention by time would take them.
        config: [("retention.ms".into(), "-1".into())].into(),
    };
    log.create_topic(topic).await.unwrap();
    TopicPartition::new(name, 0)
}

fn record(value: impl Into<Bytes>) -> Record {
    Record {
        value: Some(value.into()),
        ..Record::default()
    }
}

fn number(n: usize) -> Record {
    record(n.to_string())
}

async fn read(log: &EmbeddedLog, from: &TopicPartition, offset: Offset) -> Result<Fetched, LogError> {
    let fetch = Fetch {
        partition: from.clone(),
        offset,
        max_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        isolation: Isolation::ReadCommitted,
    };
    log.fetch(fetch).await
}

async fn numbers(log: &EmbeddedLog, from: &TopicPartition) -> Vec<usize> {
    let mut all = Vec::new();
    let mut offset = Offset(0);
    loop {
        let fetched = read(log, from, offset).await.unwrap();
        if fetched.next_offset == offset {
            return all;
        }
        offset = fetched.next_offset;
        let values = fetched.records.iter().map(|r| r.value.as_deref().unwrap());
        all.extend(values.map(|v| std::str::from_utf8(v).unwrap().parse::<usize>().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    let disk = Arc::new(SimDisk::new(3));
    let log = open(Arc::new(SimDisk::clone(&disk))).await;
    let to = topic(&log, "full").await;
    disk.set_capacity(Some(disk.used()));
    let chunk = || vec![record(vec![7; 100_000])];
    let mut accepted = 0;
    let refused = loop {
        match log.append(&to, chunk()).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1000, "the disk fills up");
    };
    assert!(matches!(refused, LogError::DiskFull { .. }), "{refused:?}");
    assert!(refused.is_retriable());
    disk.set_capacity(None);
    log.append(&to, chunk()).await.expect("there is space again");
    assert_eq!(
        log.offset(&to, OffsetAt::Latest).await.unwrap(),
        Offset(accepted + 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_the_durable_is_still_read() {
    let disk = Arc::new(SimDisk::new(4));
    let log = open(Arc::new(SimDisk::clone(&disk))).await;
    let to = topic(&log, "failing").await;
    log.append(&to, vec![number(1)]).await.unwrap();
    let mut producer = log.transactional(&TransactionalId::new("failing")).await.unwrap();
    disk.fail_syncs_after(Some(0));
    let written = match producer.append(&to, &[number(2)]).await {
        Ok(()) => producer.commit(None).await,
        Err(error) => Err(error),
    };
    assert!(matches!(written, Err(LogError::Storage { .. })), "{written:?}");
    disk.fail_syncs_after(None);
    let later = log.append(&to, vec![number(3)]).await;
    assert!(matches!(later, Err(LogError::Storage { .. })), "{later:?}");
    assert_eq!(numbers(&log, &to).await, [1]);
    drop(producer);
    disk.crash();
    let log = open(Arc::new(SimDisk::clone(&disk))).await;
    assert!(numbers(&log, &to).await.starts_with(&[1]));
}

/// Copies a topic in transactions, loses power again and again, and must end with each record once.
/// `MILLSTREAM_LONG` runs more seeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_through_power_cuts_has_each_record_once() {
    let seeds = if std::env::var_os("MILLSTREAM_LONG").is_some() {
        300
    } else {
        12
    };
    let mut cuts = 0;
    for seed in 0..seeds {
        cuts += copy_through_power_cuts(seed).await;
    }
    assert!(cuts >= seeds, "only {cuts} power cuts in {seeds} runs");
}

/// Answers how often the power went.
async fn copy_through_power_cuts(seed: u64) -> u64 {
    const RECORDS: usize = 200;
    let mut random = SmallRng::seed_from_u64(seed);
    let disk = Arc::new(SimDisk::new(seed));
    let mut log = open(Arc::new(SimDisk::clone(&disk))).await;
    let input = topic(&log, "input").await;
    let output = topic(&log, "output").await;
    log.append(&input, (0..RECORDS).map(number).collect())
        .await
        .unwrap();
    let mut cuts = 0;
    while !copy_some(&log, &input, &output, &mut random).await {
        cuts += 1;
        disk.crash();
        // a process without power does nothing more; its threads here must be gone before the next one starts
        log.broker().close().await;
        log = open(Arc::new(SimDisk::clone(&disk))).await;
    }
    let copied = numbers(&log, &output).await;
    assert_eq!(
        copied,
        (0..RECORDS).collect::<Vec<_>>(),
        "seed {seed}, {cuts} power cuts"
    );
    cuts
}

/// Copies until the end (`true`), or up to a random point in the middle of a transaction.
async fn copy_some(
    log: &EmbeddedLog,
    input: &TopicPartition,
    output: &TopicPartition,
    random: &mut SmallRng,
) -> bool {
    let group = GroupId::new("copy");
    let mut producer = log.transactional(&TransactionalId::new("copy")).await.unwrap();
    let committed = log.committed(&group, std::slice::from_ref(input)).await.unwrap();
    let mut offset = committed.get(input).copied().unwrap_or(Offset(0));
    loop {
        let fetched = read(log, input, offset).await.unwrap();
        let count = random.random_range(1..20).min(fetched.records.len());
        if count == 0 {
            return true;
        }
        for record in &fetched.records[..count] {
            producer
                .append(output, std::slice::from_ref(record))
                .await
                .unwrap();
        }
        if random.random_ratio(1, 8) {
            return false;
        }
        offset = offset + count as i64;
        let consumed = Consumed {
            group: group.clone(),
            offsets: vec![(input.clone(), offset)],
        };
        if random.random_ratio(1, 8) {
            // The power goes while the commit is on its way.
            let patience = Duration::from_micros(random.random_range(0..300));
            if tokio::time::timeout(patience, producer.commit(Some(consumed)))
                .await
                .is_err()
            {
                return false;
            }
        } else {
            producer.commit(Some(consumed)).await.unwrap();
        }
    }
}
