//! Deterministic simulation: one broker on a simulated disk, many clients, one virtual clock, faults from a seed.
//!
//! Everything that happens is an event with an instant of its own (`world.rs`): a request or an answer arrives, the disk
//! writes, the power goes. Between two events everything that can run runs to its end, so the order of events is the
//! order of all that matters, and a seed repeats exactly. Clients (`clients/`) speak Kafka's protocol through the table
//! of APIs (`millstream_broker_server::Loopback`); what they were told is held against what is there at the end
//! (`ledger.rs`).
//!
//! `SIM_SEED=17 cargo test -p millstream-tests-sim seeds` repeats one seed; `SIM_SEEDS=1000` (`just sim 1000`) runs more.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod clients;
mod ledger;
mod network;
mod run;
mod server;
mod world;

use run::{Report, run};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn seeds_keep_every_promise() {
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(40),
    };
    let mut total = Report::default();
    for seed in seeds {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(report) => total.add(&report),
            Err(panic) => {
                println!("failing seed: SIM_SEED={seed} cargo test -p millstream-tests-sim seeds");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{total:?}");
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed), run(seed));
        let differ = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b);
        if let Some(at) = differ {
            panic!(
                "seed {seed} differs at event {at}:\n{}\n{}",
                first.trace[at], second.trace[at]
            );
        }
        assert_eq!(first, second, "seed {seed}");
        assert!(
            first.trace.len() > 1_000,
            "it does something: {}",
            first.trace.len()
        );
    }
    assert_ne!(run(1), run(2));
}
