//! The values in force, typed.

use std::time::Duration;

use millstream_broker_coordinator::MigrationPolicy;

use super::{
    DynamicSettings, Endpoint, InvalidSetting, InvalidSettings, Key, Source, TOPIC_KEYS, TopicKey, Values,
    checked,
};

/// The broker's configuration as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSettings {
    layers: Layers,

    pub listeners: Vec<Endpoint>,
    /// One for each listener that clients are told of otherwise than it listens.
    pub advertised_listeners: Vec<Endpoint>,
    pub auto_create_topics: bool,
    pub delete_topics: bool,
    pub default_partitions: i32,
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub max_connection_creation_rate: u32,
    pub connection_idle_timeout: Duration,
    pub max_request_bytes: usize,
    pub max_queued_requests: usize,
    /// `None`: the broker's own choice.
    pub max_queued_request_bytes: Option<u64>,
    pub max_fetch_bytes: usize,
    pub max_fetch_sessions: usize,
    pub group: GroupSettings,
    pub consumer_group: ConsumerGroupSettings,
    pub max_offset_metadata_bytes: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_ms: i64,
    pub max_transaction_timeout_ms: i32,
    pub transactional_id_expiration_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub quota_windows: u32,
    pub quota_window_seconds: u32,
}

/// Of the classic group protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub initial_rebalance_delay_ms: i32,
    pub max_size: usize,
}

/// Of the consumer group protocol (KIP-848).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupSettings {
    pub session_timeout_ms: i32,
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub min_heartbeat_interval_ms: i32,
    pub max_heartbeat_interval_ms: i32,
    pub max_size: usize,
    /// The default one first.
    pub assignors: Vec<String>,
    pub migration: MigrationPolicy,
}

/// What was set, by where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layers {
    set: Values,
    dynamic: DynamicSettings,
}

impl BrokerSettings {
    /// What was set at the start, over the defaults.
    pub fn parse(set: Values) -> Result<Self, InvalidSettings> {
        Layers {
            set: checked(set)?,
            dynamic: DynamicSettings::default(),
        }
        .typed()
    }

    /// The same, with other alterations.
    pub fn with_dynamic(&self, dynamic: DynamicSettings) -> Result<Self, InvalidSettings> {
        Layers {
            set: self.layers.set.clone(),
            dynamic: DynamicSettings {
                broker: checked(dynamic.broker)?,
                cluster: checked(dynamic.cluster)?,
            },
        }
        .typed()
    }

    /// What was altered since the data directory was made.
    pub fn dynamic(&self) -> &DynamicSettings {
        &self.layers.dynamic
    }

    /// The value in force of a known setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.layers.get(name)
    }

    /// The values of a setting, the one in force first.
    pub(crate) fn layers(&self, name: &str) -> impl Iterator<Item = (Source, &str)> {
        self.layers.of(name)
    }

    /// What topics take where they have no value of their own and Kafka's default was not left alone.
    pub fn topic_defaults(&self) -> Values {
        let default = |key: &TopicKey| {
            let mut values = key
                .synonyms
                .iter()
                .filter_map(|synonym| Some((synonym, self.layers(synonym.name).next()?)));
            let (synonym, (source, value)) = values.next()?;
            (source != Source::Default).then(|| (key.name.to_owned(), synonym.convert(value)))
        };
        TOPIC_KEYS.iter().filter_map(default).collect()
    }
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self::parse(Values::new()).expect("the defaults are valid")
    }
}

impl Layers {
    fn of(&self, name: &str) -> impl Iterator<Item = (Source, &str)> {
        let layers = [
            (Source::Broker, &self.dynamic.broker),
            (Source::Cluster, &self.dynamic.cluster),
            (Source::Static, &self.set),
        ];
        let set = layers.map(|(source, values)| Some((source, values.get(name)?.as_str())));
        let default = Key::find(name).and_then(|key| key.default);
        let default = default.map(|value| (Source::Default, value));
        set.into_iter().chain([default]).flatten()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.of(name).next().map(|(_, value)| value)
    }

    fn typed(self) -> Result<BrokerSettings, InvalidSettings> {
        let mut wrong = Vec::new();
        let listeners = self.listeners().unwrap_or_else(|error| {
            wrong.push(error);
            Vec::new()
        });
        let advertised_listeners = self.advertised(&listeners).unwrap_or_else(|error| {
            wrong.push(error);
            Vec::new()
        });
        wrong.extend(self.misfits());
        if !wrong.is_empty() {
            return Err(InvalidSettings(wrong));
        }
        Ok(BrokerSettings {
            listeners,
            advertised_listeners,
            auto_create_topics: self.bool("auto.create.topics.enable"),
            delete_topics: self.bool("delete.topic.enable"),
            default_partitions: self.number("num.partitions"),
            max_connections: self.number("max.connections"),
            max_connections_per_ip: self.number("max.connections.per.ip"),
            max_connection_creation_rate: self.number("max.connection.creation.rate"),
            connection_idle_timeout: Duration::from_millis(self.number("connections.max.idle.ms")),
            max_request_bytes: self.number("socket.request.max.bytes"),
            max_queued_requests: self.number("queued.max.requests"),
            max_queued_request_bytes: u64::try_from(self.number::<i64>("queued.max.request.bytes")).ok(),
            max_fetch_bytes: self.number("fetch.max.bytes"),
            max_fetch_sessions: self.number("max.incremental.fetch.session.cache.slots"),
            group: self.group(),
            consumer_group: self.consumer_group(),
            max_offset_metadata_bytes: self.number("offset.metadata.max.bytes"),
            offsets_retention_ms: self.number::<i64>("offsets.retention.minutes") * 60_000,
            offsets_retention_check_ms: self.number("offsets.retention.check.interval.ms"),
            max_transaction_timeout_ms: self.number("transaction.max.timeout.ms"),
            transactional_id_expiration_ms: self.number("transactional.id.expiration.ms"),
            producer_id_expiration_ms: self.number("producer.id.expiration.ms"),
            quota_windows: self.number("quota.window.num"),
            quota_window_seconds: self.number("quota.window.size.seconds"),
            layers: self,
        })
    }

    fn group(&self) -> GroupSettings {
        GroupSettings {
            min_session_timeout_ms: self.number("group.min.session.timeout.ms"),
            max_session_timeout_ms: self.number("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: self.number("group.initial.rebalance.delay.ms"),
            max_size: self.number("group.max.size"),
        }
    }

    fn consumer_group(&self) -> ConsumerGroupSettings {
        ConsumerGroupSettings {
            session_timeout_ms: self.number("group.consumer.session.timeout.ms"),
            min_session_timeout_ms: self.number("group.consumer.min.session.timeout.ms"),
            max_session_timeout_ms: self.number("group.consumer.max.session.timeout.ms"),
            heartbeat_interval_ms: self.number("group.consumer.heartbeat.interval.ms"),
            min_heartbeat_interval_ms: self.number("group.consumer.min.heartbeat.interval.ms"),
            max_heartbeat_interval_ms: self.number("group.consumer.max.heartbeat.interval.ms"),
            max_size: self.number("group.consumer.max.size"),
            assignors: self.list("group.consumer.assignors").map(str::to_owned).collect(),
            migration: self.migration(),
        }
    }

    fn migration(&self) -> MigrationPolicy {
        let policy = self.get("group.consumer.migration.policy").unwrap_or_default();
        MigrationPolicy {
            upgrade: ["upgrade", "bidirectional"].contains(&policy),
            downgrade: ["downgrade", "bidirectional"].contains(&policy),
        }
    }

    /// Values that are fine alone, but not together.
    fn misfits(&self) -> Vec<InvalidSetting> {
        let ordered = |[low, middle, high]: [&'static str; 3]| {
            let [from, value, to] = [low, middle, high].map(|name| self.number::<i64>(name));
            let misfit = |name: &'static str, allowed: String| {
                InvalidSetting::value(name, self.get(name).unwrap_or_default(), allowed)
            };
            if from > to {
                Some(misfit(high, format!("at least {from}, as {low} says")))
            } else if !(from..=to).contains(&value) {
                Some(misfit(middle, format!("{from} to {to}, as {low} and {high} say")))
            } else {
                None
            }
        };
        let classic = [
            "group.min.session.timeout.ms",
            "group.max.session.timeout.ms",
            "group.max.session.timeout.ms",
        ];
        let session = [
            "group.consumer.min.session.timeout.ms",
            "group.consumer.session.timeout.ms",
            "group.consumer.max.session.timeout.ms",
        ];
        let heartbeat = [
            "group.consumer.min.heartbeat.interval.ms",
            "group.consumer.heartbeat.interval.ms",
            "group.consumer.max.heartbeat.interval.ms",
        ];
        [classic, session, heartbeat]
            .into_iter()
            .filter_map(ordered)
            .collect()
    }

    /// Without those of the controller, which has no port here.
    fn listeners(&self) -> Result<Vec<Endpoint>, InvalidSetting> {
        const NAME: &str = "listeners";
        let of_controller: Vec<_> = self
            .list("controller.listener.names")
            .map(str::to_ascii_uppercase)
            .collect();
        let mut listeners = self.endpoints(NAME)?;
        listeners.retain(|listener| !of_controller.contains(&listener.name));
        let refused = |allowed: String| {
            Err(InvalidSetting::value(
                NAME,
                self.get(NAME).unwrap_or_default(),
                allowed,
            ))
        };
        if listeners.is_empty() {
            return refused("at least one NAME://host:port".into());
        }
        for (index, listener) in listeners.iter().enumerate() {
            let protocol = self.protocol(&listener.name);
            if protocol != PLAINTEXT {
                return refused(format!(
                    "listeners of the protocol PLAINTEXT; {protocol} is not built yet"
                ));
            }
            let same = |other: &Endpoint| {
                other.name == listener.name || (other.port == listener.port && listener.port != 0)
            };
            if listeners[..index].iter().any(same) {
                return refused("each name and each port once".into());
            }
        }
        Ok(listeners)
    }

    /// Each for a listener, and a place that clients can connect to.
    fn advertised(&self, listeners: &[Endpoint]) -> Result<Vec<Endpoint>, InvalidSetting> {
        const NAME: &str = "advertised.listeners";
        let advertised = self.endpoints(NAME)?;
        for (index, endpoint) in advertised.iter().enumerate() {
            let allowed = if !listeners.iter().any(|l| l.name == endpoint.name) && !listeners.is_empty() {
                "names of listeners"
            } else if advertised[..index]
                .iter()
                .any(|other| other.name == endpoint.name)
            {
                "each name once"
            } else if ["", "0.0.0.0", "::"].contains(&endpoint.host.as_str()) || endpoint.port == 0 {
                "addresses that clients can connect to"
            } else {
                continue;
            };
            return Err(InvalidSetting::value(NAME, endpoint.to_string(), allowed));
        }
        Ok(advertised)
    }

    /// By the map, or else the listener's name is that of its protocol.
    fn protocol(&self, listener: &str) -> String {
        let mapped = self.list("listener.security.protocol.map").find_map(|entry| {
            let (name, protocol) = entry.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case(listener)
                .then(|| protocol.trim().to_ascii_uppercase())
        });
        mapped.unwrap_or_else(|| listener.to_owned())
    }

    fn endpoints(&self, name: &'static str) -> Result<Vec<Endpoint>, InvalidSetting> {
        let text = self.get(name).unwrap_or_default();
        Endpoint::parse_list(text)
            .map_err(|part| InvalidSetting::value(name, part, "a list of NAME://host:port"))
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let parts = self.get(name).unwrap_or_default().split(',');
        parts.map(str::trim).filter(|part| !part.is_empty())
    }

    fn bool(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> T {
        self.get(name)
            .and_then(|value| value.parse::<i64>().ok())
            .and_then(|value| T::try_from(value).ok())
            .expect("the kind of a number keeps it within its type")
    }
}

/// The one protocol that is served so far.
const PLAINTEXT: &str = "PLAINTEXT";
