//! A transactional producer that is stopped, replaced, and woken.

use std::{path::Path, time::Duration};

use millstream_tests_kit::{Process, TempDir};
use rand::Rng;
use serde_json::Value;

use crate::{
    broker::Broker,
    machine::{python, rounds, script, seeded, stdout_of, until},
};

const PARTITIONS: i32 = 3;
const BEGINS_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// One incarnation of the producer of a run, which writes to the topic of its name.
fn incarnation(python: &Path, broker: &Broker, run: &str, number: u32) -> Process {
    let mut command = script(python, "zombie.py");
    command.arg(broker.address().to_string());
    command.args([run, &PARTITIONS.to_string(), run, &number.to_string()]);
    Process::spawn(command).unwrap()
}

#[test]
fn a_zombie_is_fenced_and_nothing_of_it_becomes_visible_after_its_successor() {
    let Some(python) = python() else { return };
    let mut random = seeded("zombies");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let broker = Broker::start(dir.path());
    let salt = rand::random::<u32>();
    for round in rounds(4) {
        let run = format!("{salt:08x}-{round}");
        broker
            .client()
            .create_topics(std::slice::from_ref(&run), PARTITIONS);
        let mut first = incarnation(&python, &broker, &run, 0);
        until("the first commits", BEGINS_WITHIN, || {
            first.stdout().contains("committed 5")
        });
        // somewhere within a transaction
        assert_eq!(
            first
                .wait(Duration::from_millis(random.random_range(0..60)))
                .unwrap(),
            None
        );
        first.pause().unwrap();
        let mut second = incarnation(&python, &broker, &run, 1);
        if round % 2 == 0 {
            // otherwise it wakes while its successor begins
            until("the second commits", BEGINS_WITHIN, || {
                second.stdout().contains("committed 5")
            });
        }
        first.resume().unwrap();
        first.finish(ENDS_WITHIN).unwrap();
        let said = first.stdout();
        assert!(said.contains("fenced"), "{said}");
        until("the second goes on", BEGINS_WITHIN, || {
            second.stdout().contains("committed 10")
        });
        second.terminate().unwrap();
        second.finish(ENDS_WITHIN).unwrap();
        assert!(second.stdout().contains("done"), "{}", second.stdout());
        check(&python, &broker, &run, said.lines().last().unwrap_or_default());
    }
}

fn check(python: &Path, broker: &Broker, run: &str, end: &str) {
    let mut command = script(python, "check_zombie.py");
    command.arg(broker.address().to_string());
    command.args([run, &PARTITIONS.to_string(), run]);
    let said = stdout_of(&mut command);
    println!("{end}; {said}");
    let counts: Value = serde_json::from_str(said.trim()).unwrap();
    for name in ["torn", "late", "phantom"] {
        assert_eq!(counts[name], 0, "{name}: {counts}");
    }
    assert!(counts["first"].as_u64() > Some(4), "{counts}");
    assert!(counts["second"].as_u64() > Some(9), "{counts}");
    let mut client = broker.client();
    let ends = client.high_watermarks(run, PARTITIONS);
    assert_eq!(
        client.last_stable_offsets(run, PARTITIONS),
        ends,
        "nothing is left open"
    );
}
