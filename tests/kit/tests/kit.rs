//! The harness must pass what is right and catch what is wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::{process::Command, time::Duration};

use millstream_tests_kit::{
    Crashes, Difference, Plan, Process, TempDir, crash, difference, free_port, lines_under,
};

const COUNT: u64 = 8_000;
/// A wrong program may be lucky once.
const ATTEMPTS: u64 = 5;

fn subject(way: &str, folder: &TempDir, count: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash-subject"));
    command.arg(way).arg(folder.path()).arg(count.to_string());
    command
}

fn plan(seed: u64, kills: u32, zombies: u32) -> Plan {
    Plan {
        seed,
        kills,
        zombies,
        life: (Duration::from_millis(3), Duration::from_millis(30)),
        finish_within: Duration::from_secs(60),
    }
}

/// Copies under kills; answers what happened and what is wrong in the end.
fn copy(way: &str, count: u64, plan: &Plan) -> (Crashes, Option<Difference>) {
    let folder = TempDir::new().unwrap();
    let crashes = crash(plan, || subject(way, &folder, count)).unwrap();
    let expected = (0..count).map(|n| n.to_string());
    let actual = lines_under(folder.path(), ".txt").unwrap();
    (crashes, difference(expected, actual))
}

fn caught(way: &str, count: u64, kills: u32, zombies: u32) -> Difference {
    (0..ATTEMPTS)
        .find_map(|seed| copy(way, count, &plan(seed, kills, zombies)).1)
        .unwrap_or_else(|| panic!("'{way}' went unnoticed"))
}

#[test]
fn passes_a_right_program_that_is_killed() {
    let (crashes, wrong) = copy("right", COUNT, &plan(1, 10, 0));
    assert_eq!(wrong.map(|d| d.to_string()), None);
    assert!(crashes.killed > 0, "{crashes:?}");
}

#[test]
fn passes_a_right_program_with_zombies() {
    let (crashes, wrong) = copy("right", COUNT, &plan(2, 5, 3));
    assert_eq!(wrong.map(|d| d.to_string()), None);
    assert!(crashes.woken > 0, "{crashes:?}");
}

#[test]
fn catches_a_program_that_writes_twice() {
    let difference = caught("duplicates", 1500, 10, 0);
    assert!(!difference.surplus.is_empty(), "{difference}");
}

#[test]
fn catches_a_program_that_loses() {
    let difference = caught("loses", 1500, 10, 0);
    assert!(!difference.missing.is_empty(), "{difference}");
}

#[test]
fn catches_a_zombie_that_overwrites() {
    let difference = caught("overwrites", COUNT, 2, 3);
    assert!(!difference.surplus.is_empty() || !difference.missing.is_empty());
}

#[test]
fn tells_what_a_failing_program_said() {
    let folder = TempDir::new().unwrap();
    let plan = plan(3, 0, 0);
    let error = crash(&plan, || subject("sideways", &folder, 1)).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("no way 'sideways'") && text.contains("MILLSTREAM_SEED=3"),
        "{text}"
    );
}

#[test]
fn a_process_can_be_stopped_woken_and_asked_to_end() {
    let mut process = Process::spawn({
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'echo bye; exit 0' TERM; echo ready; while :; do :; done",
        ]);
        command
    })
    .unwrap();
    let mut waits = 0;
    while !process.stdout().contains("ready") {
        assert_eq!(process.wait(Duration::from_millis(20)).unwrap(), None);
        waits += 1;
        assert!(waits < 500, "never ready");
    }
    process.pause().unwrap();
    process.terminate().unwrap();
    assert_eq!(
        process.wait(Duration::from_millis(100)).unwrap(),
        None,
        "a stopped process does nothing"
    );
    process.resume().unwrap();
    process.finish(Duration::from_secs(20)).unwrap();
    assert!(process.stdout().contains("bye"));
    assert_ne!(free_port().unwrap(), 0);
}
