//! A broker that another process serves, or another machine, over Kafka's protocol: any Kafka will do.
//!
//! - [`client`]: connections, and who leads and coordinates what;
//! - [`log`]: [`millstream_client::Log`] on top of it, for commands that work on a data directory as well;
//! - [`admin`]: what only the protocol offers: groups with their members, configuration, transactions.

pub(crate) mod admin;
mod client;
mod connection;
mod errors;
mod log;

use millstream_client::LogError;
use millstream_protocol::messages::{self, StrBytes};
use millstream_types::TopicName;

pub(crate) use self::{
    client::{Client, Coordinator, Whom},
    log::RemoteLog,
};

/// For requests that the broker may wait with.
const TIMEOUT_MS: i32 = 20_000;

fn wire(name: &TopicName) -> messages::TopicName {
    text(name.as_str()).into()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn is(wire: Option<&messages::TopicName>, name: &TopicName) -> bool {
    wire.is_some_and(|wire| wire.as_str() == name.as_str())
}

fn malformed(error: impl ToString) -> LogError {
    LogError::Unavailable {
        message: format!("the broker's answer is malformed: {}", error.to_string()),
    }
}
