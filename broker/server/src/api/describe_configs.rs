use std::borrow::Cow;

use millstream_broker_storage::{Topic, TopicConfig};
use millstream_protocol::{
    ErrorCode,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
};

use tracing::level_filters::LevelFilter;

use super::{Call, Handle, Node, Reply, configs::Resource, refusal::Refusal, transactions::text};
use crate::{
    BrokerSettings,
    config::{
        ConfigType, KEYS, Key, ResourceDefault, ResourceKey, ResourceKind, Source, TOPIC_KEYS, TopicKey,
        Values,
    },
    loggers::level_name,
};

/// Where a value comes from, in Kafka's numbers.
pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_LOGGER: i8 = 6;
const SOURCE_CLIENT_METRICS: i8 = 7;
const SOURCE_GROUP: i8 = 8;
/// From this version on, the answer has types and texts.
const TYPES_SINCE: i16 = 3;

impl Handle for DescribeConfigsRequest {
    async fn handle(self, call: Call) -> Reply<DescribeConfigsResponse> {
        let shown = Shown {
            synonyms: self.include_synonyms,
            types: call.version >= TYPES_SINCE,
            documentation: self.include_documentation,
        };
        let results = self.resources.into_iter().map(|resource| {
            let answer = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match describe(&call.node, &resource) {
                Ok(entries) => {
                    let entries = entries.into_iter().map(|entry| entry.show(&shown));
                    answer.with_error_message(None).with_configs(entries.collect())
                }
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(refusal.text),
            }
        });
        Reply::Now(DescribeConfigsResponse::default().with_results(results.collect()))
    }
}

/// What the client wants to see.
struct Shown {
    synonyms: bool,
    types: bool,
    documentation: bool,
}

/// One key with its value.
pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    /// The one in force first: where from, under which name, and the value.
    pub(super) values: Vec<(i8, &'static str, String)>,
    read_only: bool,
    config_type: ConfigType,
    doc: &'static str,
}

fn describe(node: &Node, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, Refusal> {
    let settings = node.settings();
    let mut entries = match Resource::parse(resource.resource_type, &resource.resource_name)? {
        Resource::Topic(name) => {
            let topic = node.storage().topic(&name);
            let topic = topic.ok_or_else(|| Refusal::of(ErrorCode::UnknownTopicOrPartition))?;
            of_topic(&topic, &settings)
        }
        Resource::Broker => KEYS.iter().map(|key| of_broker(key, &settings)).collect(),
        Resource::Loggers => of_loggers(node)?,
        Resource::Named(kind, name) => {
            let set = node.broker.resource_config(kind, &name);
            kind.keys()
                .iter()
                .map(|key| of_resource(kind, key, &set, &settings))
                .collect()
        }
        Resource::Cluster => {
            let altered = |key: &&Key| settings.dynamic().cluster.contains_key(key.name);
            KEYS.iter()
                .filter(altered)
                .map(|key| of_broker(key, &settings))
                .collect()
        }
    };
    if let Some(wanted) = resource
        .configuration_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())
    {
        entries.retain(|entry| wanted.iter().any(|key| key.as_str() == entry.name));
    }
    Ok(entries)
}

pub(super) fn of_topic(topic: &Topic, settings: &BrokerSettings) -> Vec<Entry> {
    of_topic_config(&topic.config, settings)
}

/// A topic's values, its own before the broker's.
pub(super) fn of_topic_config(config: &TopicConfig, settings: &BrokerSettings) -> Vec<Entry> {
    let entry = |key: &TopicKey| {
        let own = config.as_set().get(key.name);
        let own = own.map(|value| (SOURCE_TOPIC, key.name, value.trim().to_owned()));
        let brokers = key.synonyms.iter().flat_map(|synonym| {
            let layers = settings.layers(synonym.name);
            layers.map(move |(source, value)| (code(source), synonym.name, synonym.convert(value)))
        });
        let mut values: Vec<_> = own.into_iter().chain(brokers).collect();
        if values.is_empty() {
            let default = config.get(key.name).unwrap_or_default();
            values.push((code(Source::Default), key.name, default.to_owned()));
        }
        Entry {
            name: key.name.into(),
            values,
            read_only: false,
            config_type: key.config_type,
            doc: key.doc,
        }
    };
    TOPIC_KEYS.iter().map(entry).collect()
}

fn of_broker(key: &Key, settings: &BrokerSettings) -> Entry {
    let layers = settings.layers(key.name);
    Entry {
        name: key.name.into(),
        values: layers
            .map(|(source, value)| (code(source), key.name, value.to_owned()))
            .collect(),
        read_only: !key.is_live,
        config_type: key.kind.config_type(),
        doc: key.doc,
    }
}

/// A group's value, or else the broker's for all groups.
fn of_resource(kind: ResourceKind, key: &ResourceKey, set: &Values, settings: &BrokerSettings) -> Entry {
    let source = match kind {
        ResourceKind::Group => SOURCE_GROUP,
        ResourceKind::ClientMetrics => SOURCE_CLIENT_METRICS,
    };
    let own = set.get(key.name);
    let mut values: Vec<_> = own
        .map(|value| (source, key.name, value.trim().to_owned()))
        .into_iter()
        .collect();
    match key.default {
        ResourceDefault::Broker(name) => {
            let layers = settings.layers(name);
            values.extend(layers.map(|(source, value)| (code(source), name, value.to_owned())));
        }
        ResourceDefault::Value(value) => values.push((code(Source::Default), key.name, value.to_owned())),
    }
    Entry {
        name: key.name.into(),
        values,
        read_only: false,
        config_type: key.kind.config_type(),
        doc: key.doc,
    }
}

/// Each logger with its level, which the next process does not have.
fn of_loggers(node: &Node) -> Result<Vec<Entry>, Refusal> {
    let text = "the log of this broker cannot be seen while it runs";
    let loggers = node.loggers.as_ref();
    let loggers = loggers.ok_or_else(|| Refusal::new(ErrorCode::InvalidRequest, text))?;
    let entry = |(name, level): (String, LevelFilter)| Entry {
        name: name.into(),
        values: vec![(SOURCE_LOGGER, "", level_name(level).to_owned())],
        read_only: false,
        config_type: ConfigType::String,
        doc: "The level of this part of the log.",
    };
    Ok(loggers.levels().into_iter().map(entry).collect())
}

fn code(source: Source) -> i8 {
    match source {
        Source::Broker => 2,
        Source::Cluster => 3,
        Source::Static => 4,
        Source::Default => 5,
    }
}

impl Entry {
    fn show(self, shown: &Shown) -> DescribeConfigsResourceResult {
        let first = self.values.first();
        let mut entry = DescribeConfigsResourceResult::default()
            .with_name(text(&self.name))
            .with_value(first.map(|(_, _, value)| text(value)))
            .with_read_only(self.read_only)
            .with_config_source(first.map_or(code(Source::Default), |(source, _, _)| *source));
        if shown.types {
            entry = entry.with_config_type(self.config_type as i8);
            entry = entry.with_documentation(shown.documentation.then(|| text(self.doc)));
        }
        if shown.synonyms && !self.values.iter().any(|(source, ..)| *source == SOURCE_LOGGER) {
            let synonym = |(source, name, value): &(i8, &str, String)| {
                DescribeConfigsSynonym::default()
                    .with_name(text(name))
                    .with_value(Some(text(value)))
                    .with_source(*source)
            };
            entry = entry.with_synonyms(self.values.iter().map(synonym).collect());
        }
        entry
    }
}
