//! Conformance suites: what every source, sink and processor must hold to, as tests that its crate calls.
//!
//! A suite gets a way to open the connector under test on a small, fixed piece of the foreign system, drives it as the
//! runtime would, crashes, zombies and replays included, and panics with a sentence when a promise of the contract is
//! broken. It needs no runtime and no log.
//!
//! - [`source`]: resume from every boundary, positions, cancel-safety, bounded batches.
//! - [`sink`]: replay, lost commits, adoption, zombies, random interleavings of two incarnations.
//! - [`processor`]: every record accounted for, whatever the batches are.
//!
//! Deliberately absent: real processes and signals (the crash harness of `tests/kit` has them).

mod poll;
mod processor;
mod random;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use processor::processor;
pub use sink::{SinkRig, sink};
pub use source::source;
