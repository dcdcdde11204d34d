//! The registry as its clients see it: over HTTP, on a log in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod compatibility;
mod concurrency;
mod contexts;
mod deletion;
mod handle;
mod media;
mod metrics;
mod registration;
mod schemas;
mod settings;
mod support;
mod tags;
mod takeover;
