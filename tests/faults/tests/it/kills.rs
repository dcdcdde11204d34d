use std::time::Duration;

use millstream_tests_kit::TempDir;
use rand::Rng;

use crate::{
    broker::Broker,
    load::Load,
    machine::{python, rounds, seeded},
};

#[test]
fn kill_9_again_and_again_under_load_loses_nothing() {
    let Some(python) = python() else { return };
    let mut random = seeded("kills");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let mut load = Load::start(&python, &broker, 4, 4_000);
    let mut restarts = Vec::new();
    for _ in rounds(12) {
        load.run_for(Duration::from_millis(random.random_range(50..1_000)));
        let before = load.high_watermarks(&broker);
        broker.kill();
        restarts.push(broker.restart());
        let after = load.high_watermarks(&broker);
        let back = before.iter().zip(&after).any(|(before, after)| after < before);
        assert!(!back, "high watermarks went back: {before:?} {after:?}");
        load.wait_for_more(&broker);
    }
    load.stop_and_check(&broker);
    restarts.sort();
    let (p50, max) = (restarts[restarts.len() / 2], restarts[restarts.len() - 1]);
    println!("{} restarts: p50 {p50:?}, max {max:?}", restarts.len());
}
