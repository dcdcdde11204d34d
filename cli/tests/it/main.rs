//! The built binary, as people and scripts use it: arguments in; stdout, stderr and exit code out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod apache_kafka;
mod avro;
mod disk_full;
mod dlq;
mod failures;
mod groups;
mod kafka;
mod monitoring;
mod offsets;
mod pipelines;
mod registry;
mod schema_checks;
mod stop;
mod support;
mod topics;
mod transactions;
mod usage;
mod verify;
