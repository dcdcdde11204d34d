//! Somebody sets the clock of the machine while the broker runs. Only the broker's: `scripts/clock.c` stands between it and
//! the C library.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use millstream_tests_kit::{Process, TempDir, skip};
use rand::Rng;
use serde_json::Value;

use crate::{
    broker::{Broker, Setup},
    load::Load,
    machine::{can, python, rounds, script, seeded, stdout_of, until},
    members::{Members, SHORT_SESSIONS, leave},
};

const PARTITIONS: i32 = 3;
/// Back no more than what timestamps of clients may be ahead (`message.timestamp.after.max.ms`, an hour).
const BACK_S: i64 = 3_000;
/// Forward no more than what is kept (`retention.ms`, seven days).
const FORWARD_S: i64 = 5 * 86_400;
/// A producer whose transaction was under way may wait for an answer as long as `transact.py` lets it.
const GO_ON_WITHIN: Duration = Duration::from_secs(90);

/// A clock that can be set.
struct SetClock {
    folder: TempDir,
}

impl SetClock {
    /// `None` where the machine has no C compiler.
    fn new() -> Option<Self> {
        if !can("cc", &["--version"]) {
            skip("jumps of the clock: needs cc, to stand between the broker and the C library");
            return None;
        }
        let clock = Self {
            folder: TempDir::with_prefix("millstream-faults-").unwrap(),
        };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/clock.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]);
        stdout_of(compile.arg(clock.shim()).arg(source));
        fs::write(clock.file(), 0_i64.to_ne_bytes()).unwrap();
        Some(clock)
    }

    fn shim(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }

    fn setup(&self) -> Setup {
        Setup {
            settings: SHORT_SESSIONS.to_vec(),
            environment: vec![("LD_PRELOAD", self.shim()), ("MILLSTREAM_CLOCK", self.file())],
        }
    }

    /// From now on the broker's clock is so much ahead of the machine's. Written over: whoever has it open sees it.
    fn set(&self, ahead_s: i64) {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(self.file()).unwrap();
        file.write_all_at(&ahead_s.to_ne_bytes(), 0).unwrap();
    }
}

#[test]
fn a_clock_that_is_set_forward_and_back_costs_no_record_and_tears_no_transaction() {
    let Some(python) = python() else { return };
    let Some(clock) = SetClock::new() else { return };
    let mut random = seeded("clock");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let notes = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start_as(clock.setup(), dir.path());
    broker.client().create_topics(&["whole".into()], PARTITIONS);
    let journal = notes.path().join("journal");
    let run = format!("{:08x}", rand::random::<u32>());
    let args = [
        broker.address().to_string(),
        "whole".into(),
        PARTITIONS.to_string(),
    ];
    let mut command = script(&python, "transact.py");
    command.args(&args).arg(&journal).arg(&run);
    let mut transactions = Process::spawn(command).unwrap();
    let mut load = Load::start(&python, &broker, PARTITIONS, 1_000);
    for round in rounds(6) {
        let ahead_s = match round % 3 {
            0 => random.random_range(60..FORWARD_S),
            1 => -random.random_range(60..BACK_S),
            _ => 0,
        };
        clock.set(ahead_s);
        load.run_for(Duration::from_millis(random.random_range(300..900)));
        let waited = load.wait_for_more(&broker);
        println!("{ahead_s} s: records after {waited:?}");
        if round % 3 == 1 {
            // what was written with a clock that was ahead is read with one that is behind
            broker.kill();
            println!("restart {:?}", broker.restart());
        }
    }
    clock.set(FORWARD_S);
    let total =
        |broker: &Broker| -> i64 { broker.client().high_watermarks("whole", PARTITIONS).iter().sum() };
    let before = total(&broker);
    let waited = until("transactions go on", GO_ON_WITHIN, || {
        let ended = transactions.wait(Duration::ZERO).unwrap();
        assert_eq!(ended, None, "{}", transactions.stderr());
        total(&broker) > before + 100
    });
    println!("transactions after {waited:?}");
    transactions.terminate().unwrap();
    transactions.finish(Duration::from_secs(120)).unwrap();
    load.stop_and_check(&broker);
    println!("{}", transactions.stdout());

    let mut check = script(&python, "check_transactions.py");
    let said = stdout_of(check.args(&args).arg(&journal).arg(&run));
    println!("{said}");
    let counts: Value = serde_json::from_str(said.trim()).unwrap();
    for name in ["torn", "lost", "raised", "dup", "phantom"] {
        assert_eq!(counts[name], 0, "{name}: {counts}");
    }
    assert!(counts["committed"].as_u64() > Some(10), "{counts}");
    assert!(!broker.said().contains("panicked"), "{}", broker.said());
}

#[test]
fn members_keep_their_places_when_the_clock_is_set_and_the_dead_lose_theirs_in_time() {
    let Some(python) = python() else { return };
    let Some(clock) = SetClock::new() else { return };
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let broker = Broker::start_as(clock.setup(), dir.path());
    let mut load = Load::start(&python, &broker, PARTITIONS, 300);
    for protocol in ["eager", "consumer"] {
        clock.set(0);
        let mut members = Members::new(&python, protocol, PARTITIONS);
        let mut present = [members.join(&broker), members.join(&broker)];
        let owners = |members: &Members| {
            let processed = members.processed();
            let last = processed.owners.keys().map(|(_, generation)| *generation).max();
            let of_last = processed
                .owners
                .into_iter()
                .filter(|((_, g), _)| Some(*g) == last);
            let names: std::collections::BTreeSet<String> = of_last.flat_map(|(_, names)| names).collect();
            (last.unwrap_or(0), names.len())
        };
        until("both have partitions", Duration::from_secs(60), || {
            owners(&members).1 == 2
        });
        let (generation, _) = owners(&members);
        for ahead_s in [FORWARD_S, -BACK_S, 3_600] {
            clock.set(ahead_s);
            load.run_for(Duration::from_secs(1));
            load.wait_for_more(&broker);
        }
        assert_eq!(
            owners(&members),
            (generation, 2),
            "{protocol}: nobody was put out"
        );
        clock.set(-BACK_S);
        let killed = Instant::now();
        present[0].kill().unwrap();
        until("the other has everything", Duration::from_secs(20), || {
            let (now, owners) = owners(&members);
            now > generation && owners == 1
        });
        println!("{protocol}: taken over after {:?}", killed.elapsed());
        let [_, survivor] = present;
        leave(survivor);
    }
    load.stop();
}
