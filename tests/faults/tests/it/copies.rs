//! Exactly-once copies: consume, transform, produce, and the place with it, while copiers die, sleep and are replaced.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use millstream_tests_kit::{Process, TempDir};
use rand::{Rng, rngs::SmallRng};
use serde_json::Value;

use crate::{
    broker::{Broker, Setup},
    load::Load,
    machine::{python, rounds, script, seeded, stdout_of, until},
};

const PARTITIONS: i32 = 4;
const COPIERS: usize = 2;
const GROUP: &str = "copiers";
/// Longer than the session of a copier: another one has its partitions when it wakes.
const COMA: Duration = Duration::from_millis(3_000);
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(120);

fn copier(python: &Path, broker: &Broker, number: usize) -> Process {
    let mut command = script(python, "copy.py");
    command
        .arg(broker.address().to_string())
        .args(["load", "copy", GROUP, &number.to_string()]);
    Process::spawn(command).unwrap()
}

#[test]
fn copies_are_exact_while_copiers_are_killed_and_wake_as_zombies() {
    let Some(python) = python() else { return };
    let mut random = seeded("copies");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let setup = Setup {
        settings: vec!["group.min.session.timeout.ms=500"],
        ..Setup::default()
    };
    let mut broker = Broker::start_as(setup, dir.path());
    broker.client().create_topics(&["copy".into()], PARTITIONS);
    let mut load = Load::start(&python, &broker, PARTITIONS, 1_000);
    let mut copiers: Vec<Process> = (0..COPIERS).map(|n| copier(&python, &broker, n)).collect();
    until("something is copied", CATCHES_UP_WITHIN, || done(&broker) > 0);
    for round in rounds(8) {
        load.run_for(Duration::from_millis(random.random_range(200..1_000)));
        let which = random.random_range(0..COPIERS);
        harm(round, &mut copiers[which], &mut broker, &mut load, &mut random);
        if copiers[which].wait(Duration::ZERO).unwrap().is_some() {
            copiers[which] = copier(&python, &broker, which);
        }
    }
    load.stop();
    let ends = load.high_watermarks(&broker);
    let started = Instant::now();
    until("everything is copied", CATCHES_UP_WITHIN, || {
        broker.client().committed(GROUP, "load", PARTITIONS) == ends
    });
    println!("caught up after {:?}", started.elapsed());
    for copier in &mut copiers {
        until("it listens to signals", CATCHES_UP_WITHIN, || {
            copier.stdout().contains("copying")
        });
        copier.terminate().unwrap();
        copier.finish(Duration::from_secs(60)).unwrap();
        println!("{}", copier.stdout().lines().last().unwrap_or_default());
    }
    check(&python, &broker);
}

/// In turn: a copier is killed, one is stopped until another has its partitions, the broker is killed.
fn harm(round: usize, copier: &mut Process, broker: &mut Broker, load: &mut Load, random: &mut SmallRng) {
    match round % 4 {
        1 => {
            copier.pause().unwrap();
            load.run_for(COMA + Duration::from_millis(random.random_range(0..500)));
            copier.resume().unwrap();
        }
        3 => {
            broker.kill();
            broker.restart();
        }
        _ => copier.kill().unwrap(),
    }
}

fn done(broker: &Broker) -> i64 {
    let committed = broker.client().committed(GROUP, "load", PARTITIONS);
    committed.iter().map(|offset| offset.max(&0)).sum()
}

fn check(python: &Path, broker: &Broker) {
    let mut command = script(python, "check_copy.py");
    command
        .arg(broker.address().to_string())
        .args(["load", "copy", &PARTITIONS.to_string()]);
    let said = stdout_of(&mut command);
    println!("{said}");
    let counts: Value = serde_json::from_str(said.trim()).unwrap();
    for name in ["lost", "dup", "moved"] {
        assert_eq!(counts[name], 0, "{name}: {counts}");
    }
    assert_eq!(counts["read"], counts["copied"], "{counts}");
    assert!(counts["read"].as_u64() > Some(500), "{counts}");
    let mut client = broker.client();
    let ends = client.high_watermarks("copy", PARTITIONS);
    assert_eq!(
        client.last_stable_offsets("copy", PARTITIONS),
        ends,
        "nothing is left open"
    );
}
