//! A rebalance storm: members join, leave, die, and sleep until others have what was theirs.

use std::time::Duration;

use millstream_tests_kit::{Process, TempDir};
use rand::{Rng, rngs::SmallRng};

use crate::{
    broker::{Broker, Setup},
    load::Load,
    machine::{python, rounds, seeded, until, until_or},
    members::{Members, SHORT_SESSIONS, assert_runs, leave},
};

const PARTITIONS: i32 = 6;
const MOST_MEMBERS: usize = 4;
const CATCH_UP_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn a_storm_of_eager_rebalances_loses_no_record_and_gives_no_partition_to_two() {
    storm("eager");
}

#[test]
fn a_storm_of_cooperative_rebalances_loses_no_record_and_gives_no_partition_to_two() {
    storm("cooperative");
}

#[test]
fn a_storm_in_a_consumer_group_loses_no_record_and_gives_no_partition_to_two() {
    storm("consumer");
}

fn storm(protocol: &'static str) {
    let Some(python) = python() else { return };
    let mut random = seeded(protocol);
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let setup = Setup {
        settings: SHORT_SESSIONS.to_vec(),
        ..Setup::default()
    };
    let broker = Broker::start_as(setup, dir.path());
    let mut load = Load::start(&python, &broker, PARTITIONS, 600);
    let mut members = Members::new(&python, protocol, PARTITIONS);
    let mut present = vec![members.join(&broker), members.join(&broker)];
    let begun = |committed: Vec<i64>| committed.iter().any(|offset| *offset > 0);
    until("members have begun", CATCH_UP_WITHIN, || {
        begun(members.committed(&broker))
    });
    let mut committed = vec![-1; PARTITIONS as usize];
    let mut asleep = Vec::new();
    for _ in rounds(12) {
        gust(&mut random, &mut present, &mut asleep, || members.join(&broker));
        load.run_for(Duration::from_millis(random.random_range(100..900)));
        let before = std::mem::replace(&mut committed, members.committed(&broker));
        let back = before.iter().zip(&committed).any(|(before, now)| now < before);
        assert!(!back, "committed offsets went back: {before:?} {committed:?}");
    }
    for sleeper in asleep {
        sleeper.resume().unwrap();
        present.push(sleeper);
    }
    load.stop();
    let ends = load.high_watermarks(&broker);
    let has_caught_up = || {
        present.iter_mut().for_each(assert_runs);
        members.committed(&broker) == ends
    };
    until_or("members have caught up", CATCH_UP_WITHIN, has_caught_up, || {
        let committed = members.committed(&broker);
        format!("{committed:?} of {ends:?}\n{}", members.describe(&broker))
    });
    present.into_iter().for_each(leave);

    let processed = members.processed();
    let generations = processed.owners.keys().map(|(_, generation)| generation).max();
    println!(
        "{protocol}: {} records processed, {} there, generation {generations:?}",
        processed.records,
        ends.iter().sum::<i64>()
    );
    for (partition, end) in (0..).zip(&ends) {
        let seen = processed
            .offsets
            .get(&partition)
            .map_or(0, |offsets| offsets.len() as i64);
        assert_eq!(seen, *end, "records of partition {partition} that were processed");
    }
    for ((partition, generation), owners) in &processed.owners {
        assert_eq!(
            owners.len(),
            1,
            "owners of partition {partition} in generation {generation}: {owners:?}"
        );
    }
    assert!(generations > Some(&2), "there were rebalances: {generations:?}");
}

/// Something happens to one of the members.
fn gust(
    random: &mut SmallRng,
    present: &mut Vec<Process>,
    asleep: &mut Vec<Process>,
    join: impl FnOnce() -> Process,
) {
    let which = random.random_range(0..present.len().max(1));
    match random.random_range(0..5) {
        _ if present.len() < 2 => present.push(join()),
        0 | 1 if present.len() < MOST_MEMBERS => present.push(join()),
        0 => leave(present.swap_remove(which)),
        1 | 2 => present.swap_remove(which).kill().unwrap(),
        3 => {
            let sleeper = present.swap_remove(which);
            sleeper.pause().unwrap();
            asleep.push(sleeper);
        }
        _ => match asleep.pop() {
            Some(sleeper) => {
                sleeper.resume().unwrap();
                present.push(sleeper);
            }
            None => leave(present.swap_remove(which)),
        },
    }
}
