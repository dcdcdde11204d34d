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

fn v1(id: &TransactionalId, producer: Producer) -> Claim<'_> {
    let version = TransactionVersion::V1;
    Claim {
        id,
        producer,
        version,
    }
}

fn v2(id: &TransactionalId, producer: Producer) -> Claim<'_> {
    let version = TransactionVersion::V2;
    Claim {
        id,
        producer,
        version,
    }
}

const TIMEOUTS: (i32, i32) = (1000, MAX_TRANSACTION_TIMEOUT_MS);
const NOW: Timestamp = Timestamp(7);

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
    let decision = coordinator.transactions.init(&id(), TIMEOUTS, None, NOW).unwrap();
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
        .add_partitions(v1(&id(), by), &partitions, Timestamp(now))?;
    perform(coordinator, decision);
    Ok(())
}

fn end(
    coordinator: &mut Coordinator,
    by: Producer,
    outcome: Outcome,
) -> Result<Vec<Marker>, TransactionError> {
    let decision = coordinator.transactions.end(v1(&id(), by), outcome, None, NOW)?;
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
            let early = transactions.add_offsets(v1(&id(), me), &GroupId::new("other"), offsets.clone(), NOW);
            assert_eq!(early, Err(TransactionError::InvalidState { id: id() }));
            let decision = transactions.add_group(v1(&id(), me), &group, NOW).unwrap();
            perform(&mut coordinator, decision);
            let transactions = &coordinator.transactions;
            let decision = transactions
                .add_offsets(v1(&id(), me), &group, offsets, Timestamp(5))
                .unwrap();
            perform(&mut coordinator, decision);
            assert!(coordinator.transactions.holds_offset(&group, &partition(0)));
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
        .end(v1(&id(), me), Outcome::Commit, Some((&group, &offsets)), NOW)
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
    let [expired] = &coordinator.transactions.expire(Timestamp(1100))[..] else {
        panic!("there is one")
    };
    let (expired_id, markers) = perform(&mut coordinator, expired.clone());
    assert_eq!(expired_id, id());
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
        previous: None,
        ended: None,
        ongoing: None,
        updated: NOW,
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
    let max_ms = MAX_TRANSACTION_TIMEOUT_MS;
    for timeout_ms in [0, -1, max_ms + 1] {
        assert_eq!(
            coordinator
                .transactions
                .init(&id(), (timeout_ms, max_ms), None, NOW),
            Err(InvalidTimeout { timeout_ms, max_ms }.into())
        );
    }
    let (old, _) = begin(&mut coordinator);
    begin(&mut coordinator);
    assert_eq!(
        coordinator.transactions.init(&id(), TIMEOUTS, Some(old), NOW),
        Err(InitProducerError::Fenced { id: id() })
    );
    let stranger = TransactionalId::new("stranger");
    let stranger = coordinator
        .transactions
        .end(v1(&stranger, old), Outcome::Commit, None, NOW);
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

#[test]
fn with_version_2_every_end_takes_the_next_epoch() {
    let mut coordinator = Coordinator::default();
    let (first, _) = begin(&mut coordinator);
    let group = GroupId::new("g");
    let id = id();
    let joined = coordinator.transactions.join(first, &partition(1), NOW).unwrap();
    perform(&mut coordinator, joined.unwrap());
    assert_eq!(coordinator.transactions.join(first, &partition(1), NOW), Ok(None));
    let offsets = vec![(partition(0), offset(3))];
    let transactions = &coordinator.transactions;
    let decision = transactions
        .add_offsets(v2(&id, first), &group, offsets.clone(), NOW)
        .unwrap();
    perform(&mut coordinator, decision);
    let ended = coordinator
        .transactions
        .end(v2(&id, first), Outcome::Commit, None, NOW)
        .unwrap();
    let (second, markers) = perform(&mut coordinator, ended);
    assert_eq!(second, producer(0, 1));
    assert_eq!(
        markers[0].producer, second,
        "the marker shuts out the epoch of its records"
    );
    assert_eq!(coordinator.offsets.get(&group, &partition(0)), Some(&offset(3)));

    // Whatever of the first transaction was under way arrives too late.
    let fenced = TransactionError::Fenced { id: id.clone() };
    let transactions = &coordinator.transactions;
    assert_eq!(transactions.join(first, &partition(1), NOW), Err(fenced.clone()));
    assert_eq!(
        transactions.add_offsets(v2(&id, first), &group, offsets, NOW),
        Err(fenced.clone())
    );
    assert_eq!(
        transactions.end(v2(&id, first), Outcome::Commit, None, NOW),
        Ok(Decision::answer(second)),
        "the same request again is answered alike"
    );
    let invalid = TransactionError::InvalidState { id: id.clone() };
    assert_eq!(
        transactions.end(v2(&id, first), Outcome::Abort, None, NOW),
        Err(invalid.clone())
    );
    assert_eq!(
        transactions.end(v2(&id, second), Outcome::Commit, None, NOW),
        Err(invalid)
    );

    // An abort without anything to abort still takes an epoch.
    let aborted = transactions
        .end(v2(&id, second), Outcome::Abort, None, NOW)
        .unwrap();
    assert_eq!(perform(&mut coordinator, aborted), (producer(0, 2), vec![]));
    let joined = coordinator
        .transactions
        .join(producer(0, 2), &partition(1), NOW)
        .unwrap();
    perform(&mut coordinator, joined.unwrap());
    for late in [first, second] {
        let end = coordinator
            .transactions
            .end(v2(&id, late), Outcome::Commit, None, NOW);
        assert_eq!(end, Err(fenced.clone()), "{late:?}");
    }
}

#[test]
fn with_version_2_used_up_epochs_go_over_to_a_new_producer_id() {
    let mut coordinator = Coordinator::default();
    let id = id();
    let last = producer(4, LAST_EPOCH);
    let used_up = Transaction {
        producer: last,
        timeout_ms: 1000,
        previous: None,
        ended: None,
        ongoing: None,
        updated: NOW,
    };
    let next_id = (Key::ProducerIds.encode(), Some(codec::encode(&1000)));
    coordinator.replay(&next_id).unwrap();
    coordinator.replay(&put(&id, &used_up)).unwrap();
    let joined = coordinator.transactions.join(last, &partition(0), NOW).unwrap();
    perform(&mut coordinator, joined.unwrap());
    let ended = coordinator
        .transactions
        .end(v2(&id, last), Outcome::Abort, None, NOW)
        .unwrap();
    let (fresh, markers) = perform(&mut coordinator, ended);
    assert_eq!(fresh, producer(1000, 0));
    assert_eq!(markers[0].producer, producer(4, i16::MAX));
    let again = coordinator
        .transactions
        .end(v2(&id, last), Outcome::Abort, None, NOW);
    assert_eq!(again, Ok(Decision::answer(fresh)));
    let unknown = TransactionError::UnknownProducer { id: id.clone() };
    assert_eq!(
        coordinator.transactions.add_partitions(v1(&id, last), &[], NOW),
        Err(unknown)
    );
}

#[test]
fn a_producer_that_knows_who_it_was_may_ask_again() {
    let mut coordinator = Coordinator::default();
    let (old, _) = begin(&mut coordinator);
    let init =
        |coordinator: &Coordinator, who| coordinator.transactions.init(&id(), TIMEOUTS, Some(who), NOW);
    let bumped = init(&coordinator, old).unwrap();
    let (new, _) = perform(&mut coordinator, bumped);
    assert_eq!(new, producer(0, 1));
    assert_eq!(init(&coordinator, old), Ok(Decision::answer(new)));
    add(&mut coordinator, new, &[0], 1).unwrap();
    assert_eq!(
        init(&coordinator, old),
        Err(InitProducerError::Fenced { id: id() }),
        "the answer has arrived: this one is late"
    );
}

#[test]
fn a_fenced_producer_of_version_2_cannot_end_what_was_aborted() {
    let mut coordinator = Coordinator::default();
    let (me, _) = begin(&mut coordinator);
    add(&mut coordinator, me, &[0], 0).unwrap();
    for expired in coordinator.transactions.expire(Timestamp(2000)) {
        perform(&mut coordinator, expired);
    }
    for outcome in [Outcome::Commit, Outcome::Abort] {
        let end = coordinator.transactions.end(v2(&id(), me), outcome, None, NOW);
        assert_eq!(end, Err(TransactionError::Fenced { id: id() }));
    }
}

#[test]
fn of_many_ids_those_that_are_due_expire_and_no_others() {
    let mut coordinator = Coordinator::default();
    let id = |n: i64| TransactionalId::new(format!("task-{n}"));
    for n in 0..50 {
        let begun = coordinator
            .transactions
            .init(&id(n), TIMEOUTS, None, Timestamp(n));
        let (producer, _) = perform(&mut coordinator, begun.unwrap());
        if n % 2 == 0 {
            let id = id(n);
            let added =
                coordinator
                    .transactions
                    .add_partitions(v1(&id, producer), &[partition(0)], Timestamp(n));
            perform(&mut coordinator, added.unwrap());
        }
    }
    let expired = coordinator.transactions.expire(Timestamp(1010));
    let ids: Vec<_> = expired
        .into_iter()
        .map(|one| {
            assert_eq!((one.puts.len(), one.markers.len()), (1, 1), "each for itself");
            perform(&mut coordinator, one).0
        })
        .collect();
    assert_eq!(ids, (0..=10).step_by(2).map(id).collect::<Vec<_>>());
    let forgotten = coordinator.transactions.expire_ids(Timestamp(120), 100);
    assert_eq!(
        perform(&mut coordinator, forgotten).0,
        10,
        "the odd ones up to 20"
    );
    assert_eq!(coordinator.transactions.iter().count(), 40);
}

#[test]
fn unused_ids_are_forgotten_unless_a_transaction_is_open() {
    let mut coordinator = Coordinator::default();
    let (me, _) = begin(&mut coordinator);
    let at = |ms: i64| Timestamp(NOW.0 + ms);
    assert!(coordinator.transactions.expire_ids(at(99), 100).is_empty());
    add(&mut coordinator, me, &[0], 8).unwrap();
    assert!(coordinator.transactions.expire_ids(at(500), 100).is_empty());
    end(&mut coordinator, me, Outcome::Commit).unwrap();
    let expired = coordinator.transactions.expire_ids(at(100), 100);
    assert_eq!(perform(&mut coordinator, expired).0, 1);
    assert_eq!(coordinator.transactions.get(&id()), None);
    assert_eq!(coordinator.transactions.of_producer(me.id), None);
    assert_eq!(begin(&mut coordinator).0, producer(1, 0));
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
    /// Of version 2, by the present producer or by one of those before.
    Join(i32, usize),
    End2(bool, usize),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        2 => Just(Step::Init),
        1 => Just(Step::Idempotent),
        4 => (0..3).prop_map(Step::Add),
        2 => (0..100_i64).prop_map(Step::Offset),
        3 => any::<bool>().prop_map(Step::End),
        1 => Just(Step::Expire),
        4 => (0..3, 0..4_usize).prop_map(|(n, ago)| Step::Join(n, ago / 2)),
        4 => (any::<bool>(), 0..4_usize).prop_map(|(commit, ago)| Step::End2(commit, ago / 2)),
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
        // Who each id was, oldest first.
        let mut were: [Vec<Producer>; 2] = [vec![], vec![]];
        for (now, (who, step)) in (0_i64..).zip(steps) {
            let (id, now) = (&ids[who], Timestamp(now * 100));
            let transactions = &live.transactions;
            let open: Vec<_> = transactions.get(id).map_or(vec![], |t| t.partitions().cloned().collect());
            let by = current[who].unwrap_or(producer(99, 0));
            let decision = match step {
                Step::Init => {
                    let d = transactions.init(id, TIMEOUTS, None, now).unwrap();
                    prop_assert_eq!(d.markers.len(), open.len());
                    prop_assert!(current[who].is_none_or(|old| old < d.response));
                    current[who] = Some(d.response);
                    were[who].push(d.response);
                    Some(Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Idempotent => {
                    let d = transactions.init_idempotent();
                    prop_assert!(given.insert(d.response.id), "given twice");
                    Some(Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Add(n) => transactions.add_partitions(v1(id, by), &[partition(n)], now).ok(),
                Step::Offset(n) => {
                    let offsets = vec![(partition(0), offset(n))];
                    transactions.add_offsets(v2(id, by), &group, offsets, now).ok()
                }
                Step::End(commit) => {
                    let outcome = if commit { Outcome::Commit } else { Outcome::Abort };
                    let ended = transactions.end(v1(id, by), outcome, None, now).ok();
                    if let Some(d) = &ended {
                        prop_assert_eq!(d.markers.len(), open.len());
                    }
                    ended.map(|d| Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Join(n, ago) => {
                    let by = were[who].iter().rev().nth(ago).copied().unwrap_or(by);
                    let joined = transactions.join(by, &partition(n), now);
                    let is_present = transactions.get(id).is_some_and(|t| t.producer == by);
                    prop_assert_eq!(joined.is_ok(), is_present, "a delayed batch is refused");
                    joined.ok().flatten()
                }
                Step::End2(commit, ago) => {
                    let outcome = if commit { Outcome::Commit } else { Outcome::Abort };
                    let by = were[who].iter().rev().nth(ago).copied().unwrap_or(by);
                    let is_present = transactions.get(id).is_some_and(|t| t.producer == by);
                    let ended = transactions.end(v2(id, by), outcome, None, now).ok();
                    if let Some(d) = &ended {
                        prop_assert!(is_present || d.is_empty(), "a delayed end changes nothing");
                        if is_present {
                            prop_assert_eq!(d.markers.len(), open.len());
                            prop_assert!(d.markers.iter().all(|m| m.producer > by));
                            current[who] = Some(d.response);
                            were[who].push(d.response);
                        }
                    }
                    ended.map(|d| Decision { response: (), puts: d.puts, markers: d.markers })
                }
                Step::Expire => {
                    let all = transactions.expire(now);
                    let (puts, markers): (Vec<_>, Vec<_>) = all.into_iter().map(|d| (d.puts, d.markers)).unzip();
                    Some(Decision { response: (), puts: puts.concat(), markers: markers.concat() })
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
            let transactions = &live.transactions;
            for (queue, is_open) in [(&transactions.open, true), (&transactions.idle, false)] {
                let all = transactions.iter().filter(|(_, t)| t.ongoing.is_some() == is_open);
                let expected: BTreeSet<_> = all.map(|(id, t)| (t.due_by(), id.clone())).collect();
                prop_assert_eq!(queue, &expected);
            }
            for (id, transaction) in live.transactions.iter() {
                let mine = transaction.producer;
                prop_assert_eq!(live.transactions.of_producer(mine.id), Some((id, mine)));
            }
        }
    }
}
