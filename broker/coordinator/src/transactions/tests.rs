use millstream_types::{Offset, TopicName};
use proptest::prelude::*;

use super::*;
use crate::Coordinator;

fn id() -> TransactionalId {
    TransactionalId::new("task-0")
}

fn partition(n: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), n)
}

fn producer(id: i64, epoch: i16) -> Producer {
    Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
    }
}

fn offset(n: i64) -> CommittedOffset {
    CommittedOffset::new(Offset(n), Timestamp(1))
}

/// Does what the shell does, without a log between.
fn perform<T>(coordinator: &mut Coordinator, decision: Decision<T>) -> (T, Vec<Marker>) {
    for put in &decision.puts {
        coordinator.replay(put).unwrap();
    }
    (decision.response, decision.markers)
}

fn begin(coordinator: &mut Coordinator) -> (Producer, Vec<Marker>) {
    let decision = coordinator.transactions.init(&id(), 1000, None).unwrap();
    perform(coordinator, decision)
}

fn add(
    coordinator: &mut Coordinator,
    by: Producer,
    partitions: &[i32],
    now: i64,
) -> Result<(), TransactionError> {
    let partitions: Vec<_> = partitions.iter().map(|n| partition(*n)).collect();
    let decision = coordinator
        .transactions
        .add_partitions(&id(), by, &partitions, Timestamp(now))?;
    perform(coordinator, decision);
    Ok(())
}

fn end(
    coordinator: &mut Coordinator,
    by: Producer,
    outcome: Outcome,
) -> Result<Vec<Marker>, TransactionError> {
    let decision = coordinator.transactions.end(&id(), by, outcome, None)?;
    Ok(perform(coordinator, decision).1)
}

#[test]
fn the_next_incarnation_aborts_and_fences_the_former() {
    let mut coordinator = Coordinator::default();
    let (old, _) = begin(&mut coordinator);
    add(&mut coordinator, old, &[1, 0], 5).unwrap();
    assert!(coordinator.transactions.verify(old, &partition(1)));
    let (new, markers) = begin(&mut coordinator);
    assert_eq!((new.id, new.epoch.0), (old.id, old.epoch.0 + 1));
    let abort = |n| Marker {
        partition: partition(n),
        producer: new,
        outcome: Outcome::Abort,
    };
    assert_eq!(
        markers,
        [abort(0), abort(1)],
        "with the new epoch, so that partitions fence too"
    );

    let fenced = Err(TransactionError::Fenced { id: id() });
    assert!(!coordinator.transactions.verify(old, &partition(1)));
    assert_eq!(add(&mut coordinator, old, &[0], 6), fenced);
    assert_eq!(end(&mut coordinator, old, Outcome::Commit).map(|_| ()), fenced);
    assert_eq!(end(&mut coordinator, old, Outcome::Abort).map(|_| ()), fenced);
    assert_eq!(begin(&mut coordinator).1, [], "nothing is left to abort");
}

#[test]
fn a_commit_takes_the_offsets_with_it_and_an_abort_does_not() {
    let mut coordinator = Coordinator::default();
    let group = GroupId::new("g");
    let (me, _) = begin(&mut coordinator);
    for (outcome, expected) in [(Outcome::Abort, None), (Outcome::Commit, Some(offset(7)))] {
        add(&mut coordinator, me, &[3], 5).unwrap();
        for n in [6, 7] {
            let offsets = vec![(partition(0), offset(n))];
            let transactions = &coordinator.transactions;
            let decision = transactions
                .add_offsets(&id(), me, &group, offsets, Timestamp(5))
                .unwrap();
            perform(&mut coordinator, decision);
        }
        assert_eq!(coordinator.offsets.get(&group, &partition(0)), None);
        let markers = end(&mut coordinator, me, outcome).unwrap();
        assert_eq!(markers.len(), 1);
        assert_eq!(coordinator.offsets.get(&group, &partition(0)), expected.as_ref());
    }
}

#[test]
fn ending_twice_is_answered_alike_and_ending_nothing_is_refused() {
    let mut coordinator = Coordinator::default();
    let (me, _) = begin(&mut coordinator);
    let invalid = Err(TransactionError::InvalidState { id: id() });
    assert_eq!(end(&mut coordinator, me, Outcome::Commit), invalid);
    add(&mut coordinator, me, &[0], 5).unwrap();
    assert_eq!(end(&mut coordinator, me, Outcome::Commit).unwrap().len(), 1);
    assert_eq!(end(&mut coordinator, me, Outcome::Commit), Ok(vec![]));
    assert_eq!(end(&mut coordinator, me, Outcome::Abort), invalid);
}

#[test]
fn a_commit_of_offsets_alone_needs_no_transaction() {
    let mut coordinator = Coordinator::default();
    let group = GroupId::new("g");
    let (me, _) = begin(&mut coordinator);
    let offsets = [(partition(0), offset(3))];
    let transactions = &coordinator.transactions;
    let decision = transactions
        .end(&id(), me, Outcome::Commit, Some((&group, &offsets)))
        .unwrap();
    assert_eq!(perform(&mut coordinator, decision).1, []);
    assert_eq!(coordinator.offsets.get(&group, &partition(0)), Some(&offset(3)));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let mut coordinator = Coordinator::default();
    let (me, _) = begin(&mut coordinator);
    add(&mut coordinator, me, &[0], 100).unwrap();
    assert!(coordinator.transactions.expire(Timestamp(1099)).is_empty());
    let expired = coordinator.transactions.expire(Timestamp(1100));
    let (ids, markers) = perform(&mut coordinator, expired);
    assert_eq!(ids, [id()]);
    assert_eq!(
        (markers[0].producer, markers[0].outcome),
        (producer(0, 1), Outcome::Abort)
    );
    assert_eq!(
        end(&mut coordinator, me, Outcome::Commit),
        Err(TransactionError::Fenced { id: id() })
    );
    assert!(coordinator.transactions.expire(Timestamp(i64::MAX)).is_empty());
    assert_eq!(begin(&mut coordinator).0, producer(0, 2));
}

#[test]
fn a_used_up_epoch_makes_a_new_producer_id() {
    let mut coordinator = Coordinator::default();
    let used_up = Transaction {
        producer: producer(4, LAST_EPOCH),
        timeout_ms: 1000,
        ended: None,
        ongoing: None,
    };
    coordinator
        .replay(&(Key::ProducerIds.encode(), Some(codec::encode(&1000))))
        .unwrap();
    coordinator.replay(&put(&id(), &used_up)).unwrap();
    add(&mut coordinator, used_up.producer, &[0], 1).unwrap();
    let (fresh, markers) = begin(&mut coordinator);
    assert_eq!(fresh, producer(1000, 0));
    assert_eq!(
        markers[0].producer,
        producer(4, i16::MAX),
        "the old id is fenced for good"
    );
    assert_eq!(coordinator.transactions.of_producer(ProducerId(4)), None);
    assert_eq!(
        coordinator.transactions.of_producer(ProducerId(1000)),
        Some((&id(), fresh))
    );
}

#[test]
fn refuses_wrong_timeouts_and_former_selves() {
    let mut coordinator = Coordinator::default();
    for timeout_ms in [0, -1, MAX_TRANSACTION_TIMEOUT_MS + 1] {
        assert_eq!(
            coordinator.transactions.init(&id(), timeout_ms, None),
            Err(InvalidTimeout { timeout_ms }.into())
        );
    }
    let (old, _) = begin(&mut coordinator);
    begin(&mut coordinator);
    assert_eq!(
        coordinator.transactions.init(&id(), 1000, Some(old)),
        Err(InitProducerError::Fenced { id: id() })
    );
    let stranger =
        coordinator
            .transactions
            .end(&TransactionalId::new("stranger"), old, Outcome::Commit, None);
    assert!(matches!(stranger, Err(TransactionError::UnknownProducer { .. })));
}

#[test]
fn a_deleted_topic_leaves_the_open_transaction() {
    let mut coordinator = Coordinator::default();
    let (me, _) = begin(&mut coordinator);
    add(&mut coordinator, me, &[0, 1], 1).unwrap();
    for put in coordinator.forget_topic(&TopicName::new("t").unwrap()) {
        coordinator.replay(&put).unwrap();
    }
    assert_eq!(end(&mut coordinator, me, Outcome::Commit), Ok(vec![]));
}

/// What may happen to two transactional ids.
#[derive(Clone, Debug)]
enum Step {
    Init,
    Idempotent,
    Add(i32),
    Offset(i64),
    End(bool),
    Expire,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        2 => Just(Step::Init),
        1 => Just(Step::Idempotent),
        4 => (0..3).prop_map(Step::Add),
        2 => (0..100_i64).prop_map(Step::Offset),
        3 => any::<bool>().prop_map(Step::End),
        1 => Just(Step::Expire),
    ];
    (0..2_usize, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens: replaying all records gives the live state again, producer ids are unique, only the last incarnation gets anything done, and each partition of a transaction gets one marker.
    #[test]
    fn recovered_state_is_live_state(steps in proptest::collection::vec(step(), 1..80)) {
        let ids = [TransactionalId::new("a"), TransactionalId::new("b")];
        let group = GroupId::new("g");
        let mut live = Coordinator::default();
        let mut log: Vec<Put> = Vec::new();
        let mut current: [Option<Producer>; 2] = [None, None];
        let mut given = BTreeSet::new();
        for (now, (who, step)) in (0_i64..).zip(steps) {
            let (id, now) = (&ids[who], Timestamp(now * 100));
            let transactions = &live.transactions;
            let open: Vec<_> = transactions.get(id).map_or(vec![], |t| t.partitions().cloned().collect());
            let by = current[who].unwrap_or(producer(99, 0));
            let decision = match step {
                Step::Init => {
                    let d = transactions.init(id, 1000, None).unwrap();
                    prop_assert_eq!(d.markers.len(), open.len());
                    prop_assert!(current[who].is_none_or(|old| old < d.response));
                    current[who] = Some(d.response);
                    Some(Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Idempotent => {
                    let d = transactions.init_idempotent();
                    prop_assert!(given.insert(d.response.id), "given twice");
                    Some(Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Add(n) => transactions.add_partitions(id, by, &[partition(n)], now).ok(),
                Step::Offset(n) => {
                    let offsets = vec![(partition(0), offset(n))];
                    transactions.add_offsets(id, by, &group, offsets, now).ok()
                }
                Step::End(commit) => {
                    let outcome = if commit { Outcome::Commit } else { Outcome::Abort };
                    let ended = transactions.end(id, by, outcome, None).ok();
                    if let Some(d) = &ended {
                        prop_assert_eq!(d.markers.len(), open.len());
                    }
                    ended
                }
                Step::Expire => {
                    let d = transactions.expire(now);
                    Some(Decision { response: (), puts: d.puts, markers: d.markers })
                }
            };
            if let Some(decision) = decision {
                for put in &decision.puts {
                    live.replay(put).unwrap();
                }
                log.extend(decision.puts);
            }
            let mut recovered = Coordinator::default();
            for put in &log {
                recovered.replay(put).unwrap();
            }
            prop_assert_eq!(&recovered, &live);
            for (id, transaction) in live.transactions.iter() {
                let mine = transaction.producer;
                prop_assert_eq!(live.transactions.of_producer(mine.id), Some((id, mine)));
            }
        }
    }
}
