//! The broker's configuration: Kafka's names, in Kafka's layers, as typed values.
//!
//! A value comes from the first layer that has it: altered for this broker, altered for all brokers, set at the start
//! (`server.properties`, `--set`), the default. [`BrokerSettings`] is valid by construction; an alteration makes a new one.
//! The settings that give topics their defaults go on to the storage ([`BrokerSettings::topic_defaults`]).
//!
//! Deliberately absent: listeners with TLS or SASL, which are refused by name until they are built.

mod keys;
mod kind;
mod listeners;
mod properties;
mod resources;
mod settings;
#[cfg(test)]
mod tests;
mod topic_keys;

use std::collections::BTreeMap;

pub(crate) use keys::{KEYS, Key};
pub(crate) use kind::ConfigType;
pub use listeners::Endpoint;
pub use properties::{InvalidProperties, read_properties};
pub(crate) use resources::{GROUP_HEARTBEAT, GROUP_SESSION, ResourceDefault, ResourceKey, ResourceKind};
use serde::{Deserialize, Serialize};
pub use settings::{BrokerSettings, ConsumerGroupSettings, GroupSettings};
pub(crate) use topic_keys::{TOPIC_KEYS, TopicKey};

/// Settings by name.
pub(crate) type Values = BTreeMap<String, String>;

/// What was altered while the broker ran, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicSettings {
    /// For this broker.
    pub broker: Values,
    /// For all brokers of the cluster, which is the same one.
    pub cluster: Values,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Broker,
    Cluster,
    Static,
    Default,
}

/// One setting that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    #[error("there is no broker setting '{key}'{}", nearest.map_or_else(String::new, |name| format!(": did you mean '{name}'?")))]
    Unknown {
        key: String,
        nearest: Option<&'static str>,
    },
    #[error("'{value}' is no value for '{key}': it takes {allowed}")]
    Value {
        key: &'static str,
        value: String,
        allowed: String,
    },
    /// It is read only when the broker starts.
    #[error("'{key}' cannot be altered while the broker runs")]
    ReadOnly { key: &'static str },
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidSettings(pub Vec<InvalidSetting>);

/// Refuses unknown names and wrong values, and answers the values without the space around them.
fn checked(values: Values) -> Result<Values, InvalidSettings> {
    let mut wrong = Vec::new();
    let mut checked = Values::new();
    for (name, value) in values {
        let value = value.trim();
        match Key::find(&name) {
            None => wrong.push(InvalidSetting::unknown(name)),
            Some(key) => match key.kind.refuses(value) {
                Some(allowed) => wrong.push(InvalidSetting::value(key.name, value, allowed)),
                None => drop(checked.insert(name, value.to_owned())),
            },
        }
    }
    if wrong.is_empty() {
        Ok(checked)
    } else {
        Err(InvalidSettings(wrong))
    }
}

impl InvalidSetting {
    /// How like a known name an unknown one must be to be taken for it.
    const LIKENESS: f64 = 0.8;

    pub(crate) fn unknown(key: String) -> Self {
        let likeness = |name: &str| strsim::jaro_winkler(name, &key);
        let nearest = KEYS
            .iter()
            .map(|known| (likeness(known.name), known.name))
            .filter(|(likeness, _)| *likeness >= Self::LIKENESS)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name);
        Self::Unknown { key, nearest }
    }

    fn value(key: &'static str, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::Value {
            key,
            value: value.into(),
            allowed: allowed.into(),
        }
    }
}
