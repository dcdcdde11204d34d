//! The built binary, as people and scripts use it: arguments in; stdout, stderr and exit code out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dlq;
mod failures;
mod offsets;
mod pipelines;
mod support;
mod topics;
mod usage;
