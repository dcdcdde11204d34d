//! The `_schemas` topic: replay at the start, writes, and what other registries write meanwhile.
//!
//! One task, the owner ([`owner`]), writes and applies; everybody else reads the state it keeps. A write is optimistic:
//! decide on the state, append, read back to the own record. If another registry was quicker, its record lies between and the
//! own one is not true ([`millstream_schema_registry_core::record::Origin`]): decide again. So any number of registries may
//! serve one topic, without a leader.
//!
//! Invariants: the state is what the records of the log up to `position` add up to, and nothing else; an answer is given
//! when its records are durable and true; a topic that is not compacted, or has more than one partition, is refused.

mod follow;
mod owner;
mod topic;
mod wish;

use std::{sync::Arc, time::Duration};

use millstream_client::{Log, LogError};
use millstream_schema_registry_core::Refusal;
use millstream_types::{Clock, TopicName};

pub(crate) use owner::Owner;
pub(crate) use topic::SchemasTopic;
pub(crate) use wish::{Pending, Wish};

/// The topic, unless somebody names another.
pub const DEFAULT_TOPIC: &str = "_schemas";
/// Longer than any log takes to accept a record that it will accept.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How a registry keeps what it knows.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    pub topic: TopicName,
    /// When a topic that is not there is made.
    pub creation: Creation,
    /// How long a write may take, with all its repetitions.
    pub timeout: Duration,
    /// Stamps records.
    pub clock: Arc<dyn Clock>,
}

/// When the topic is made, if it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    AtOnce,
    /// With the first write: a broker nobody uses schemas with stays as it is.
    WhenNeeded,
}

impl RegistrySettings {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            topic: TopicName::new(DEFAULT_TOPIC).expect("the name is valid"),
            creation: Creation::AtOnce,
            timeout: DEFAULT_TIMEOUT,
            clock,
        }
    }
}

/// Why a registry does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "topic '{topic}' has cleanup.policy '{policy}' and would lose schemas: set it to 'compact', or name another topic"
    )]
    NotCompacted { topic: TopicName, policy: String },
    #[error("topic '{topic}' has {partitions} partitions, a registry needs exactly one: name another topic")]
    Partitions { topic: TopicName, partitions: i32 },
    #[error("cannot read topic '{topic}'")]
    Log {
        topic: TopicName,
        #[source]
        source: LogError,
    },
}

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing was written, or it is not known.
    #[error("the log of schemas failed")]
    Log(#[from] LogError),
    #[error("the topic of schemas cannot be used: {reason}")]
    Topic { reason: String },
    #[error("the log did not take the write in time")]
    TimedOut,
    #[error("the registry is stopping")]
    Stopped,
}

/// What the store works on.
pub(crate) struct Store {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) settings: RegistrySettings,
}
