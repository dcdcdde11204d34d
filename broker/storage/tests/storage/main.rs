//! The engine from outside: what it promises, on a simulated disk at its worst and on the machine's own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod behaviour;
mod checked;
mod compaction;
mod faults;
mod in_place;
mod kit;
mod model;
mod real_disk;
mod sealing;
mod simulation;
mod verification;
