use std::{collections::BTreeMap, time::Duration};

use millstream_broker_storage::{AppendError, AppendOrigin, Isolation, Outcome, ProducerError, sim::SimDisk};
use millstream_protocol::batch::{BatchBuilder, Compression};
use millstream_types::{
    GroupId, ManualClock, Offset, Producer, ProducerEpoch, Record, Timestamp, TopicPartition, TransactionalId,
};

use super::*;
use millstream_broker_coordinator::{
    Caller, Claim, CommittedOffset, TransactionError, TransactionState, TransactionVersion,
};

struct Fixture {
    broker: Arc<Broker>,
    disk: Arc<SimDisk>,
    clock: Arc<ManualClock>,
}

async fn fixture() -> Fixture {
    let disk = Arc::new(SimDisk::new(7));
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let broker = open(&disk, &clock).await;
    let topic = NewTopicSpec {
        name: partition(0).topic,
        partitions: 2,
        config: BTreeMap::new(),
    };
    broker.create_topic(topic).await.unwrap();
    Fixture { broker, disk, clock }
}

async fn open(disk: &Arc<SimDisk>, clock: &Arc<ManualClock>) -> Arc<Broker> {
    let mut config = BrokerConfig::on(Arc::new(SimDisk::clone(disk)));
    config.storage.wal_file_bytes = 1 << 20;
    Broker::open(config, clock.clone()).await.unwrap()
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), index)
}

fn id() -> TransactionalId {
    TransactionalId::new("tx")
}

fn claim(id: &TransactionalId, producer: Producer) -> Claim<'_> {
    let version = TransactionVersion::V1;
    Claim {
        id,
        producer,
        version,
    }
}

fn batch(producer: Producer, sequence: i32) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(producer, sequence)
        .transactional();
    batch.push(&Record {
        timestamp: Timestamp(1_000_000),
        ..Record::default()
    });
    batch.build().unwrap()
}

fn produce(broker: &Broker, producer: Producer, sequence: i32) -> Result<(), AppendError> {
    let ticket = broker.produce(&partition(0), batch(producer, sequence), AppendOrigin::Client)?;
    drop(ticket);
    Ok(())
}

fn offset(at: i64) -> CommittedOffset {
    CommittedOffset::new(Offset(at), Timestamp(1))
}

#[tokio::test]
async fn refuses_batches_outside_of_their_transaction() {
    let Fixture { broker, .. } = fixture().await;
    let producer = broker.init_producer(&id(), 1000, None).await.unwrap();
    let outside = AppendError::Producer(ProducerError::NotInTransaction { id: producer.id });
    assert_eq!(produce(&broker, producer, 0), Err(outside.clone()));
    broker
        .add_partitions(claim(&id(), producer), &[partition(0)])
        .unwrap()
        .await
        .unwrap();
    produce(&broker, producer, 0).unwrap();
    broker
        .end_transaction(claim(&id(), producer), Outcome::Commit, None)
        .unwrap()
        .1
        .await
        .unwrap();
    assert_eq!(
        produce(&broker, producer, 1),
        Err(outside),
        "it would begin a transaction that nobody ends"
    );
    let next = broker.init_producer(&id(), 1000, None).await.unwrap();
    let current = next.epoch;
    let fenced = AppendError::Producer(ProducerError::InvalidEpoch { producer, current });
    assert_eq!(produce(&broker, producer, 1), Err(fenced));
}

#[tokio::test]
async fn an_open_transaction_survives_a_crash_and_then_commits() {
    let Fixture { broker, disk, clock } = fixture().await;
    let group = GroupId::new("g");
    let producer = broker.init_producer(&id(), 60_000, None).await.unwrap();
    broker
        .add_partitions(claim(&id(), producer), &[partition(0), partition(1)])
        .unwrap()
        .await
        .unwrap();
    broker
        .produce(&partition(0), batch(producer, 0), AppendOrigin::Client)
        .unwrap()
        .await
        .unwrap();
    let offsets = (group.clone(), vec![(partition(1), offset(5))]);
    broker
        .add_group(claim(&id(), producer), &group)
        .unwrap()
        .await
        .unwrap();
    broker
        .add_offsets(claim(&id(), producer), &Caller::outsider(), offsets)
        .unwrap()
        .await
        .unwrap();
    let cluster_id = broker.cluster_id();
    disk.crash();
    drop(broker);

    let broker = open(&disk, &clock).await;
    assert_eq!(broker.cluster_id(), cluster_id);
    assert_eq!(
        broker.storage().offsets(&partition(0)).unwrap().last_stable,
        Offset(0)
    );
    assert_eq!(broker.committed(&group, &partition(1)), None);
    produce(&broker, producer, 1).unwrap();
    broker
        .end_transaction(claim(&id(), producer), Outcome::Commit, None)
        .unwrap()
        .1
        .await
        .unwrap();
    assert_eq!(broker.committed(&group, &partition(1)), Some(offset(5)));
    let read = broker
        .storage()
        .read(&partition(0), Offset(0), 1 << 20, Isolation::ReadCommitted)
        .unwrap();
    assert_eq!((read.batches.len(), read.aborted.len()), (3, 0));
    broker.close().await;
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted_by_itself() {
    let Fixture { broker, clock, .. } = fixture().await;
    let producer = broker.init_producer(&id(), 1000, None).await.unwrap();
    broker
        .add_partitions(claim(&id(), producer), &[partition(0)])
        .unwrap()
        .await
        .unwrap();
    produce(&broker, producer, 0).unwrap();
    let mut watermarks = broker.storage().watch(&partition(0)).unwrap();
    clock.advance_ms(1001);
    let aborted = watermarks.wait_for(|w| w.last_stable == Offset(2));
    tokio::time::timeout(Duration::from_secs(20), aborted)
        .await
        .expect("the timer aborts it")
        .unwrap();
    let late = broker.end_transaction(claim(&id(), producer), Outcome::Commit, None);
    assert!(matches!(
        late,
        Err(TransactionRequestError::Refused(TransactionError::Fenced { .. }))
    ));
}

/// An administrator may end the transaction of one producer in one partition, with an epoch of his choice: the coordinator's
/// own marker is refused there from then on.
#[tokio::test]
async fn a_transaction_that_an_administrator_ended_in_one_partition_ends_in_the_others() {
    for outcome in [Some(Outcome::Commit), None] {
        let Fixture { broker, clock, .. } = fixture().await;
        let producer = broker.init_producer(&id(), 1000, None).await.unwrap();
        let both = [partition(0), partition(1)];
        let added = broker.add_partitions(claim(&id(), producer), &both);
        added.unwrap().await.unwrap();
        for partition in &both {
            let appended = broker.produce(partition, batch(producer, 0), AppendOrigin::Client);
            appended.unwrap().await.unwrap();
        }
        let marker = Marker {
            partition: partition(0),
            producer: Producer {
                epoch: ProducerEpoch(producer.epoch.0 + 5),
                ..producer
            },
            outcome: Outcome::Abort,
            coordinator_epoch: 0,
        };
        broker.write_marker(marker).unwrap().await.unwrap();
        let mut watermarks = broker.storage().watch(&partition(1)).unwrap();
        match outcome {
            Some(outcome) => {
                let ended = broker.end_transaction(claim(&id(), producer), outcome, None);
                ended.unwrap().1.await.unwrap();
            }
            None => clock.advance_ms(1001),
        }
        let ended = watermarks.wait_for(|w| w.last_stable == Offset(2));
        tokio::time::timeout(Duration::from_secs(20), ended)
            .await
            .expect("its own partition ends by command or by the timer")
            .unwrap();
        let state = broker.describe_transaction(&id()).unwrap().state;
        assert_ne!(state, TransactionState::Ongoing);
        broker.init_producer(&id(), 1000, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_member_is_removed_by_the_timer() {
    let Fixture { broker, clock, .. } = fixture().await;
    let group = GroupId::new("g");
    let session = Duration::from_secs(10);
    let topic = partition(0).topic;
    let joined = broker.join(&group, &topic, session).await.unwrap();
    let mut changes = broker.watch_assignments();
    clock.advance_ms(10_000);
    tokio::time::timeout(Duration::from_secs(20), changes.changed())
        .await
        .expect("the timer removes it")
        .unwrap();
    assert!(broker.heartbeat(&group, &joined.member).is_err());
    let next = broker.join(&group, &topic, session).await.unwrap();
    assert!(next.assignment.generation > joined.assignment.generation);
    assert_eq!(next.assignment.partitions, [0, 1]);
}

#[tokio::test]
async fn new_partitions_reach_the_members() {
    let Fixture { broker, .. } = fixture().await;
    let group = GroupId::new("g");
    let topic = partition(0).topic;
    let session = Duration::from_secs(10);
    let joined = broker.join(&group, &topic, session).await.unwrap();
    broker.create_partitions(&topic, 4).await.unwrap();
    let assignment = broker.assignment(&group, &joined.member).unwrap();
    assert_eq!(assignment.partitions, [0, 1, 2, 3]);
}

#[tokio::test]
async fn producer_ids_are_not_given_twice_over_restarts() {
    let Fixture { broker, disk, clock } = fixture().await;
    let first = broker.allocate_producer_id().await.unwrap();
    let second = broker.allocate_producer_id().await.unwrap();
    disk.crash();
    drop(broker);
    let broker = open(&disk, &clock).await;
    let third = broker.allocate_producer_id().await.unwrap();
    assert!(first < second && second < third);
}

#[tokio::test]
async fn altered_settings_survive_a_restart_and_give_topics_their_defaults() {
    let Fixture { broker, disk, clock } = fixture().await;
    let alter = |value: &str| {
        let value = value.to_owned();
        move |settings: &BrokerSettings| {
            let mut dynamic = settings.dynamic().clone();
            dynamic.cluster.insert("message.max.bytes".into(), value);
            Ok::<_, AlterSettingsError>(dynamic)
        }
    };
    let max_bytes = |broker: &Broker| {
        let topic = broker.storage().topic(&partition(0).topic).unwrap();
        topic.config.max_message_bytes
    };
    assert!(broker.alter_settings(alter("many")).await.is_err());
    broker.alter_settings(alter("1000")).await.unwrap();
    assert_eq!(broker.settings().get("message.max.bytes"), Some("1000"));
    assert_eq!(max_bytes(&broker), 1000);
    broker.close().await;
    drop(broker);

    let broker = open(&disk, &clock).await;
    assert_eq!(max_bytes(&broker), 1000);
    assert_eq!(broker.settings().get("message.max.bytes"), Some("1000"));
    broker.close().await;
}

#[tokio::test]
async fn a_delayed_batch_of_an_earlier_transaction_is_refused() {
    let Fixture { broker, .. } = fixture().await;
    let first = broker.init_producer(&id(), 60_000, None).await.unwrap();
    let send = |producer, sequence| {
        broker.produce_and_join(&partition(0), batch(producer, sequence), AppendOrigin::Client)
    };
    send(first, 0).unwrap().await.unwrap();
    let id = id();
    let end = |producer, outcome| {
        let version = TransactionVersion::V2;
        let claim = Claim {
            id: &id,
            producer,
            version,
        };
        broker.end_transaction(claim, outcome, None)
    };
    let (second, ended) = end(first, Outcome::Commit).unwrap();
    ended.await.unwrap();
    assert_eq!(
        send(first, 1).unwrap_err(),
        TransactionError::Fenced { id: id.clone() }.into()
    );
    send(second, 0).unwrap().await.unwrap();
    assert_eq!(
        broker.storage().offsets(&partition(0)).unwrap().last_stable,
        Offset(2)
    );
    let late = end(first, Outcome::Commit).unwrap_err();
    assert_eq!(late, TransactionError::Fenced { id: id.clone() }.into());
    let (_, ended) = end(second, Outcome::Abort).unwrap();
    ended.await.unwrap();
    let ends = broker.storage().offsets(&partition(0)).unwrap();
    assert_eq!((ends.last_stable, ends.high_watermark), (Offset(4), Offset(4)));
}

/// Where a sleep lasts until everybody else waits, and no longer.
fn virtual_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// A timer that wakes itself would spin until then, and keep a whole core busy. Here it would also keep the virtual time
/// from passing.
#[test]
fn the_timer_sleeps_until_a_deadline_that_is_near() {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        virtual_time().block_on(async {
            let Fixture { broker, .. } = fixture().await;
            let session = Duration::from_millis(100);
            let group = GroupId::new("g");
            broker.join(&group, &partition(0).topic, session).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(30)).expect("time passes");
}

/// An hour forward would end every session at once, an hour back would keep the dead for an hour.
#[test]
fn sessions_last_as_long_as_before_when_the_clock_is_set() {
    virtual_time().block_on(async {
        let Fixture { broker, clock, .. } = fixture().await;
        let group = GroupId::new("g");
        let session = Duration::from_secs(10);
        let joined = broker.join(&group, &partition(0).topic, session).await.unwrap();
        let is_member = || broker.assignment(&group, &joined.member).is_ok();
        let timer = || tokio::time::sleep(Duration::from_secs(1));
        for jump_ms in [3_600_000, -7_200_000] {
            clock.jump_ms(jump_ms);
            timer().await;
            assert!(is_member(), "{jump_ms}");
            clock.advance_ms(4_000);
            timer().await;
            assert!(is_member(), "{jump_ms}");
        }
        clock.advance_ms(2_001);
        timer().await;
        assert!(!is_member(), "10 seconds have passed");
    });
}
