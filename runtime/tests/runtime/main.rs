//! Whole runs on the memory log, with small sources, processors and sinks that keep the contracts of the sdk.

mod connectors;
mod failures;
mod faulty_log;
mod flow;
mod world;
