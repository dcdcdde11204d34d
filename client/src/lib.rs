//! The only road to a log: the traits through which the runtime and the registry read, append, commit and join groups.
//!
//! Implementations: [`MemoryLog`] here (tests), `broker/embedded` (in process, no socket), Apache Kafka / MSK later.
//! All pass one suite, [`conformance`]; nothing above knows which one it has.

pub mod conformance;
mod error;
mod log;
mod memory;

pub use error::LogError;
pub use log::{
    Assignment, Consumed, Fetch, Fetched, Isolation, Log, Member, NewTopic, OffsetAt, Topic,
    TransactionalProducer,
};
pub use memory::MemoryLog;
