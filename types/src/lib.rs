//! The nouns of Millstream: what a topic, an offset, a record and a clock are, how they are parsed and shown.
//!
//! Invariants: every newtype that exists is valid (parse once at the edge); nothing here does I/O.
//! Deliberately absent: anything that decides or acts.

mod clock;
mod group;
mod offset;
mod producer;
mod record;
mod schema;
mod topic;
mod unit;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use group::{GroupId, TransactionalId};
pub use offset::Offset;
pub use producer::{Producer, ProducerEpoch, ProducerId};
pub use record::{Header, Record};
pub use schema::{InvalidSubject, SchemaId, Subject};
pub use topic::{InvalidTopicName, TopicName, TopicPartition};
pub use unit::{ByteSize, HumanDuration, InvalidUnit};
