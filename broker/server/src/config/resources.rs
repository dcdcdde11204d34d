//! Configurations that are stored under a name and do not belong to a topic or a broker: those of groups, and the
//! subscriptions of clients' metrics.

use regex::Regex;

use super::{BrokerSettings, InvalidSetting, Values, kind::Kind};

/// What has such a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResourceKind {
    Group,
    ClientMetrics,
}

/// One key of such a configuration.
#[derive(Debug)]
pub(crate) struct ResourceKey {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: ResourceDefault,
    pub(crate) doc: &'static str,
}

/// The value without one of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceDefault {
    /// That of a broker's setting.
    Broker(&'static str),
    Value(&'static str),
}

const MAX_INT: i64 = i32::MAX as i64;

/// Sorted by name.
const GROUP_KEYS: &[ResourceKey] = &[
    ResourceKey {
        name: GROUP_HEARTBEAT,
        kind: Kind::Int(1, MAX_INT),
        default: ResourceDefault::Broker("group.consumer.heartbeat.interval.ms"),
        doc: "How often members of the consumer protocol are told to heartbeat.",
    },
    ResourceKey {
        name: GROUP_SESSION,
        kind: Kind::Int(1, MAX_INT),
        default: ResourceDefault::Broker("group.consumer.session.timeout.ms"),
        doc: "A member of the consumer protocol that is silent for this long is removed.",
    },
];

pub(crate) const GROUP_HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
pub(crate) const GROUP_SESSION: &str = "consumer.session.timeout.ms";

/// Sorted by name.
const CLIENT_METRICS_KEYS: &[ResourceKey] = &[
    ResourceKey {
        name: "interval.ms",
        kind: Kind::Int(100, 3_600_000),
        default: ResourceDefault::Value("300000"),
        doc: "How often clients are to push. Without effect: the broker takes no metrics of clients.",
    },
    ResourceKey {
        name: MATCH,
        kind: Kind::List,
        default: ResourceDefault::Value(""),
        doc: "Which clients are meant, as a list of label=expression; all of them must match.",
    },
    ResourceKey {
        name: "metrics",
        kind: Kind::List,
        default: ResourceDefault::Value(""),
        doc: "The beginnings of the names of the metrics that are wanted; * for all.",
    },
];

const MATCH: &str = "match";
/// What a client may be matched by.
const LABELS: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

impl ResourceKind {
    /// Its name in what is stored.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::ClientMetrics => "client-metrics",
        }
    }

    pub(crate) fn keys(self) -> &'static [ResourceKey] {
        match self {
            Self::Group => GROUP_KEYS,
            Self::ClientMetrics => CLIENT_METRICS_KEYS,
        }
    }

    pub(crate) fn key(self, name: &str) -> Option<&'static ResourceKey> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// Refuses unknown names, wrong values, and values that do not go with each other or with the broker's.
    pub(crate) fn check(self, values: &Values, settings: &BrokerSettings) -> Result<(), InvalidSetting> {
        for (name, value) in values {
            let key = self.key(name).ok_or_else(|| InvalidSetting::Unknown {
                key: name.clone(),
                nearest: None,
            })?;
            if let Some(allowed) = key.kind.refuses(value.trim()) {
                return Err(InvalidSetting::value(key.name, value, allowed));
            }
        }
        match self {
            Self::Group => check_group(values, settings),
            Self::ClientMetrics => check_match(values),
        }
    }
}

impl ResourceKey {
    /// The value of a resource that has none of its own.
    pub(crate) fn fallback<'a>(&self, settings: &'a BrokerSettings) -> &'a str {
        match self.default {
            ResourceDefault::Broker(name) => settings.get(name).unwrap_or_default(),
            ResourceDefault::Value(value) => value,
        }
    }
}

fn check_group(values: &Values, settings: &BrokerSettings) -> Result<(), InvalidSetting> {
    let consumer = &settings.consumer_group;
    let bounds = [
        (
            GROUP_SESSION,
            consumer.min_session_timeout_ms,
            consumer.max_session_timeout_ms,
        ),
        (
            GROUP_HEARTBEAT,
            consumer.min_heartbeat_interval_ms,
            consumer.max_heartbeat_interval_ms,
        ),
    ];
    let number = |name: &str| {
        values
            .get(name)
            .and_then(|value| value.trim().parse::<i32>().ok())
    };
    for (name, from, to) in bounds {
        if number(name).is_some_and(|value| !(from..=to).contains(&value)) {
            let allowed = format!("{from} to {to}, as group.{} of the broker says", limits_of(name));
            return Err(InvalidSetting::value(name, &values[name], allowed));
        }
    }
    let session_ms = number(GROUP_SESSION).unwrap_or(consumer.session_timeout_ms);
    let heartbeat_ms = number(GROUP_HEARTBEAT).unwrap_or(consumer.heartbeat_interval_ms);
    if session_ms <= heartbeat_ms {
        let allowed = format!("more than the heartbeat interval, which is {heartbeat_ms}");
        return Err(InvalidSetting::value(
            GROUP_SESSION,
            session_ms.to_string(),
            allowed,
        ));
    }
    Ok(())
}

fn limits_of(name: &str) -> String {
    name.replace("consumer.", "consumer.min|max.")
}

fn check_match(values: &Values) -> Result<(), InvalidSetting> {
    let patterns = values.get(MATCH).map_or("", String::as_str).split(',');
    let wrong = patterns
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .find(|part| {
            let pattern = part.split_once('=');
            !pattern.is_some_and(|(label, pattern)| {
                LABELS.contains(&label.trim()) && Regex::new(pattern.trim()).is_ok()
            })
        });
    wrong.map_or(Ok(()), |part| {
        let allowed = format!("a list of label=expression, with labels {}", LABELS.join(", "));
        Err(InvalidSetting::value(MATCH, part, allowed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ResourceKind, name: &str, value: &str, ok: bool) {
        let values = [(name.to_owned(), value.to_owned())].into();
        let checked = kind.check(&values, &BrokerSettings::default());
        assert_eq!(checked.is_ok(), ok, "{name}={value}: {checked:?}");
    }

    #[test]
    fn values_are_bounded_by_the_brokers() {
        check(ResourceKind::Group, GROUP_SESSION, "50000", true);
        check(ResourceKind::Group, GROUP_SESSION, "60001", false);
        check(ResourceKind::Group, GROUP_SESSION, "44999", false);
        check(ResourceKind::Group, GROUP_HEARTBEAT, "15000", true);
        check(ResourceKind::Group, GROUP_HEARTBEAT, "soon", false);
        check(ResourceKind::Group, "share.session.timeout.ms", "45000", false);
        check(ResourceKind::ClientMetrics, "interval.ms", "99", false);
        check(ResourceKind::ClientMetrics, "interval.ms", "100", true);
        check(
            ResourceKind::ClientMetrics,
            MATCH,
            "client_id=app.*, client_source_port=[0-9]+",
            true,
        );
        check(ResourceKind::ClientMetrics, MATCH, "client_id=(", false);
        check(ResourceKind::ClientMetrics, MATCH, "name=x", false);
    }
}
