//! The in-process implementation of [`millstream_client::Log`]: the broker without a socket and without a copy.
//!
//! Records become record batches once, on append, and are slices of them when they are fetched. The broker behind it may
//! serve Kafka clients at the same time; both see the same topics, transactions and groups.
//!
//! Deliberately absent: compression (batches that Kafka clients compressed are read, our own stay plain).

mod batches;
mod error;
mod fetch;
mod log;
mod member;
mod producer;

pub use log::EmbeddedLog;
