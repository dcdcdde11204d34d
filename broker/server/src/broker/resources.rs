//! The configurations of groups, and the subscriptions of clients' metrics: stored by name, as they were set.

use bytes::Bytes;
use millstream_broker_coordinator::{GroupOverrides, Groups};
use millstream_broker_storage::{StateKey, Storage, WriteError};
use millstream_types::GroupId;
use tracing::warn;

use super::{Broker, only_write};
use crate::config::{GROUP_HEARTBEAT, GROUP_SESSION, ResourceKind, Values};

const KEY_PREFIX: &str = "resource-config/";

impl Broker {
    /// What was set for a resource; nothing if there is none of that name.
    pub(crate) fn resource_config(&self, kind: ResourceKind, name: &str) -> Values {
        let stored = self.storage().get(&key(kind, name));
        stored.map_or_else(Values::new, |value| read(&value))
    }

    /// The names of all resources for which something was set.
    pub(crate) fn resources(&self, kind: ResourceKind) -> Vec<String> {
        scan(self.storage(), kind).map(|(name, _)| name).collect()
    }

    /// Replaces what is set, durable and in force when this returns. The caller holds [`Broker::alter_alone`], and has
    /// checked the values.
    pub(crate) async fn set_resource_config(
        &self,
        kind: ResourceKind,
        name: &str,
        values: Values,
    ) -> Result<(), WriteError> {
        self.storage().room().await;
        let stored = (!values.is_empty())
            .then(|| Bytes::from(serde_json::to_vec(&values).expect("a map of strings is always JSON")));
        let ticket = self.storage().put(key(kind, name), stored).map_err(only_write)?;
        ticket.await?;
        if kind == ResourceKind::Group {
            self.lock()
                .groups
                .configure(GroupId::new(name), overrides(&values));
        }
        Ok(())
    }
}

/// Gives groups what was set for them before the start.
pub(super) fn configure(storage: &Storage, groups: &mut Groups) {
    for (name, values) in scan(storage, ResourceKind::Group) {
        groups.configure(GroupId::new(name), overrides(&values));
    }
}

fn overrides(values: &Values) -> GroupOverrides {
    let number = |name: &str| values.get(name).and_then(|value| value.trim().parse().ok());
    GroupOverrides {
        session_timeout_ms: number(GROUP_SESSION),
        heartbeat_interval_ms: number(GROUP_HEARTBEAT),
    }
}

fn scan(storage: &Storage, kind: ResourceKind) -> impl Iterator<Item = (String, Values)> {
    let prefix = prefix(kind);
    let found = storage.scan(prefix.as_bytes()).into_iter();
    found.filter_map(move |(StateKey(key), value)| {
        let name = std::str::from_utf8(&key[prefix.len()..]).ok()?;
        Some((name.to_owned(), read(&value)))
    })
}

/// What cannot be read is not set.
fn read(value: &[u8]) -> Values {
    serde_json::from_slice(value).unwrap_or_else(|error| {
        warn!(%error, "a stored configuration cannot be read");
        Values::new()
    })
}

fn prefix(kind: ResourceKind) -> String {
    format!("{KEY_PREFIX}{}/", kind.tag())
}

fn key(kind: ResourceKind, name: &str) -> StateKey {
    StateKey(Bytes::from(format!("{}{name}", prefix(kind))))
}
