//! Whole runs on the memory log, with small sources, processors and sinks that keep the contracts of the sdk.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod connectors;
mod failures;
mod faulty_log;
mod flow;
mod world;
