//! What must survive: faults against `millstream broker serve` under the load of real clients.
//!
//! The load (`scripts/load.py`, librdkafka) writes values that name their run, producer and sequence and carry a checksum,
//! and keeps a journal of what was acknowledged where. After the fault `scripts/check.py` reads the topic to its end and
//! counts what is lost, moved, twice there, never sent, out of order or corrupt. All must be zero.
//!
//! Every case runs for seconds; `just faults MINUTES` (`MILLSTREAM_FAULTS_MINUTES`) makes those that repeat a fault go on
//! that long. Seeds are printed, and `MILLSTREAM_SEED` repeats the choices of a run. What a machine cannot do (root, loop
//! devices, strace, Python clients) is skipped loudly.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
#![expect(
    clippy::print_stdout,
    reason = "tests tell their seeds, what they found and what they skip"
)]

mod broker;
mod clock;
mod copies;
mod damage;
mod disk;
mod hostile;
mod kills;
mod load;
mod machine;
mod members;
mod power;
mod stop;
mod storm;
mod transactions;
mod zombies;
