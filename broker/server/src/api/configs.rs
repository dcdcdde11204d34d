//! What the requests about configurations have in common: which resources there are, and how changes are made.

use std::collections::{BTreeMap, HashMap, HashSet};

use millstream_broker_storage::{TopicConfig, TopicError, UnknownTopic};
use millstream_protocol::{ErrorCode, messages::StrBytes};
use millstream_types::TopicName;

use super::{Node, refusal::Refusal};
use crate::{
    BrokerSettings, DynamicSettings, InvalidSetting, InvalidSettings, ROOT_LOGGER,
    config::{ConfigType, Key, ResourceKind, TopicKey},
    loggers::{LEVELS, parse_level},
};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// A thing that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Resource {
    Topic(TopicName),
    /// This one.
    Broker,
    /// The defaults of all brokers.
    Cluster,
    /// Those of this process.
    Loggers,
    /// A group, or a subscription of clients' metrics.
    Named(ResourceKind, String),
}

impl Resource {
    pub(super) fn parse(resource_type: i8, name: &str) -> Result<Self, Refusal> {
        let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
        let is_this_broker = name.parse() == Ok(Node::ID.0);
        let named = |kind, what: &str| {
            if name.is_empty() {
                return Err(invalid(format!("a {what} has a name")));
            }
            Ok(Self::Named(kind, name.to_owned()))
        };
        match resource_type {
            TOPIC => TopicName::new(name)
                .map(Self::Topic)
                .map_err(|error| Refusal::new(ErrorCode::InvalidTopicException, error.to_string())),
            BROKER if name.is_empty() => Ok(Self::Cluster),
            BROKER if is_this_broker => Ok(Self::Broker),
            BROKER_LOGGER if is_this_broker => Ok(Self::Loggers),
            BROKER | BROKER_LOGGER => Err(invalid(format!(
                "there is no broker '{name}', only {}",
                Node::ID.0
            ))),
            CLIENT_METRICS => named(ResourceKind::ClientMetrics, "subscription of clients' metrics"),
            GROUP => named(ResourceKind::Group, "group"),
            _ => Err(invalid(format!("there is no type {resource_type} of resources"))),
        }
    }
}

/// What is done with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    pub(super) fn parse(code: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract]
            .into_iter()
            .nth(usize::try_from(code).ok()?)
    }
}

pub(super) struct Change {
    pub(super) key: String,
    pub(super) operation: Operation,
    pub(super) value: Option<String>,
}

/// What is to become of a resource's values.
pub(super) enum Changes {
    /// All others go (AlterConfigs).
    Replace(Vec<(String, Option<StrBytes>)>),
    Each(Vec<Change>),
}

/// One resource of a request to alter.
pub(super) struct Altered {
    pub(super) resource_type: i8,
    pub(super) resource_name: StrBytes,
    pub(super) changes: Result<Changes, Refusal>,
}

/// Alters what a request names, one after the other; answers type, name and outcome of each. What is named twice is not
/// touched.
pub(super) async fn alter_all(
    node: &Node,
    wanted: Vec<Altered>,
    validate_only: bool,
) -> Vec<(i8, StrBytes, Result<(), Refusal>)> {
    let mut named = HashMap::new();
    for one in &wanted {
        *named
            .entry((one.resource_type, one.resource_name.clone()))
            .or_insert(0) += 1;
    }
    let mut outcomes = Vec::with_capacity(wanted.len());
    for Altered {
        resource_type,
        resource_name,
        changes,
    } in wanted
    {
        let result = if named[&(resource_type, resource_name.clone())] > 1 {
            Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "the request names the resource twice",
            ))
        } else {
            let target = Resource::parse(resource_type, &resource_name);
            match changes {
                Ok(changes) => alter(node, target, changes, validate_only).await,
                Err(refusal) => Err(refusal),
            }
        };
        outcomes.push((resource_type, resource_name, result));
    }
    outcomes
}

/// Checks the changes and, unless that was all that is wanted, makes them.
async fn alter(
    node: &Node,
    resource: Result<Resource, Refusal>,
    changes: Changes,
    validate_only: bool,
) -> Result<(), Refusal> {
    match resource? {
        Resource::Topic(name) => alter_topic(node, &name, &changes, validate_only).await,
        Resource::Broker => alter_settings(node, &changes, validate_only, |d| &mut d.broker).await,
        Resource::Cluster => alter_settings(node, &changes, validate_only, |d| &mut d.cluster).await,
        Resource::Loggers => alter_loggers(node, &changes, validate_only),
        Resource::Named(kind, name) => alter_named(node, kind, &name, &changes, validate_only).await,
    }
}

async fn alter_named(
    node: &Node,
    kind: ResourceKind,
    name: &str,
    changes: &Changes,
    validate_only: bool,
) -> Result<(), Refusal> {
    let is_list = |key: &str| {
        kind.key(key)
            .is_some_and(|key| key.kind.config_type() == ConfigType::List)
    };
    let _alone = node.broker.alter_alone().await;
    let settings = node.settings();
    let before = node.broker.resource_config(kind, name);
    let in_force = |key: &str| {
        let own = before.get(key).map(String::as_str);
        own.or_else(|| Some(kind.key(key)?.fallback(&settings)))
            .map(str::to_owned)
    };
    let after = apply(&before, changes, is_list, in_force)?;
    kind.check(&after, &settings)
        .map_err(|error| InvalidSettings(vec![error]))?;
    if !validate_only {
        node.broker.set_resource_config(kind, name, after).await?;
    }
    Ok(())
}

/// Levels are altered one by one, and forgotten with the process.
fn alter_loggers(node: &Node, changes: &Changes, validate_only: bool) -> Result<(), Refusal> {
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
    let loggers = node
        .loggers
        .as_ref()
        .ok_or_else(|| invalid("the log of this broker cannot be altered while it runs".into()))?;
    let Changes::Each(changes) = changes else {
        return Err(invalid(
            "loggers are altered one by one: with IncrementalAlterConfigs".into(),
        ));
    };
    let mut levels = Vec::with_capacity(changes.len());
    for change in changes {
        let name = &change.key;
        let level = match (change.operation, &change.value) {
            (Operation::Delete, _) if name == ROOT_LOGGER => {
                return Err(invalid(format!("'{ROOT_LOGGER}' always has a level")));
            }
            (Operation::Delete, _) => None,
            (Operation::Set, Some(value)) => Some(parse_level(value).ok_or_else(|| {
                let known: Vec<_> = LEVELS.iter().map(|(name, _)| *name).collect();
                let text = format!("'{value}' is no level: it is one of {}", known.join(", "));
                Refusal::new(ErrorCode::InvalidConfig, text)
            })?),
            (Operation::Set, None) => return Err(invalid(format!("'{name}' has no value"))),
            (Operation::Append | Operation::Subtract, _) => {
                return Err(invalid(format!(
                    "'{name}' is no list that could be added to or taken from"
                )));
            }
        };
        levels.push((name.clone(), level));
    }
    if validate_only {
        return Ok(());
    }
    let altered = loggers.set(&levels);
    altered.map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))
}

async fn alter_topic(
    node: &Node,
    name: &TopicName,
    changes: &Changes,
    validate_only: bool,
) -> Result<(), Refusal> {
    let is_list = |key: &str| TopicKey::find(key).is_some_and(|key| key.config_type == ConfigType::List);
    let _alone = node.broker.alter_alone().await;
    let unknown = || TopicError::from(UnknownTopic { topic: name.clone() });
    let topic = node.storage().topic(name).ok_or_else(unknown)?;
    let in_force = |key: &str| topic.config.get(key).map(str::to_owned);
    let set = apply(topic.config.as_set(), changes, is_list, in_force)?;
    TopicConfig::parse(set.clone())?;
    if !validate_only {
        node.storage().room().await;
        let altered = node.storage().alter_topic_config(name, set)?;
        altered.await?;
    }
    Ok(())
}

async fn alter_settings(
    node: &Node,
    changes: &Changes,
    validate_only: bool,
    layer: impl FnOnce(&mut DynamicSettings) -> &mut BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let is_list = |key: &str| Key::find(key).is_some_and(|key| key.kind.config_type() == ConfigType::List);
    let alter = |settings: &BrokerSettings| {
        let mut dynamic = settings.dynamic().clone();
        let values = layer(&mut dynamic);
        let in_force = |key: &str| settings.get(key).map(str::to_owned);
        let after = apply(values, changes, is_list, in_force)?;
        check_live(values, &after)?;
        *values = after;
        if validate_only {
            settings.with_dynamic(dynamic)?;
            return Ok(settings.dynamic().clone());
        }
        Ok(dynamic)
    };
    node.broker.alter_settings::<Refusal>(alter).await
}

/// Refuses to touch what is read only at the start.
fn check_live(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let changed = before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key));
    for name in changed {
        let Some(key) = Key::find(name) else {
            return Err(InvalidSettings(vec![InvalidSetting::unknown(name.clone())]).into());
        };
        if !key.is_live {
            let refused = InvalidSetting::ReadOnly { key: key.name };
            return Err(Refusal::new(ErrorCode::InvalidRequest, refused.to_string()));
        }
    }
    Ok(())
}

/// The values after the changes. A key may be changed once.
fn apply(
    before: &BTreeMap<String, String>,
    changes: &Changes,
    is_list: impl Fn(&str) -> bool,
    in_force: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let invalid = |text: String| Refusal::new(ErrorCode::InvalidRequest, text);
    let no_value = |key: &str| invalid(format!("'{key}' has no value"));
    let mut seen = HashSet::new();
    let mut once = |key: &str| match seen.insert(key.to_owned()) {
        true => Ok(()),
        false => Err(invalid(format!("'{key}' is named twice"))),
    };
    let mut after = BTreeMap::new();
    match changes {
        Changes::Replace(values) => {
            for (key, value) in values {
                once(key)?;
                let value = value.as_ref().ok_or_else(|| no_value(key))?;
                after.insert(key.clone(), value.to_string());
            }
        }
        Changes::Each(changes) => {
            after.clone_from(before);
            for Change {
                key,
                operation,
                value,
            } in changes
            {
                once(key)?;
                if *operation == Operation::Delete {
                    after.remove(key);
                    continue;
                }
                let value = value.as_ref().ok_or_else(|| no_value(key))?;
                if *operation == Operation::Set {
                    after.insert(key.clone(), value.clone());
                    continue;
                }
                if !is_list(key) {
                    return Err(invalid(format!(
                        "'{key}' is no list that could be added to or taken from"
                    )));
                }
                let now = in_force(key).unwrap_or_default();
                after.insert(key.clone(), edit_list(&now, value, *operation));
            }
        }
    }
    Ok(after)
}

fn edit_list(now: &str, parts: &str, operation: Operation) -> String {
    let split = |text: &str| -> Vec<String> {
        let parts = text.split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (mut list, parts) = (split(now), split(parts));
    list.retain(|part| !parts.contains(part));
    if operation == Operation::Append {
        list = split(now);
        let new: Vec<_> = parts.into_iter().filter(|part| !list.contains(part)).collect();
        list.extend(new);
    }
    list.join(",")
}
