//! The topics of a plan: who writes them, of which type they are, how they are to be created.

use std::collections::BTreeMap;

use millstream_sdk::{ConfigPath, Output, Problem, StreamSchema, ValueFormat};
use millstream_types::TopicName;

use super::Planner;
use crate::{AvroTopic, PlannedTopic, spec::TopicSpec, suggest::unknown_name};

const DEFAULT_PARTITIONS: i32 = 1;
/// Dead letters are few, and one partition keeps them in order.
const DEAD_LETTER_PARTITIONS: i32 = 1;

#[derive(Default)]
pub(super) struct Topic {
    pub(super) schema: Edge,
    /// The node that gave the type, for messages.
    typed_by: String,
    partitions: Option<i32>,
    config: BTreeMap<String, String>,
    /// A node reads or writes it.
    used: bool,
    /// A node writes it.
    written: bool,
    /// That node's output.
    path: ConfigPath,
}

/// The type of a topic.
#[derive(Default)]
pub(super) enum Edge {
    /// Its writer has not been planned yet.
    #[default]
    Pending,
    /// Something is wrong with its writer: said there.
    Broken,
    Typed(StreamSchema),
}

impl Planner<'_> {
    /// The topic that a name stands for: of a stream, or its own.
    pub(super) fn read_topic(
        &mut self,
        name: &str,
        path: &ConfigPath,
        within: Option<(usize, usize)>,
    ) -> Option<TopicName> {
        let stream = self.pipeline.streams.iter().find(|stream| stream.name == name);
        let topic = match stream {
            Some(stream) => Some(stream.topic.clone()),
            None => TopicName::new(name)
                .ok()
                .filter(|topic| self.topics.contains_key(topic)),
        };
        if let Some(topic) = topic {
            self.topic(&topic).used = true;
            return Some(topic);
        }
        if !self.may_come(name) {
            let streams = self.pipeline.streams.iter().map(|stream| stream.name.as_str());
            let known = self.topics.keys().map(TopicName::as_str).chain(streams);
            let mut problem = unknown_name("the topic", name, known, path.clone());
            problem.within = within;
            self.problems.push(problem);
        }
        None
    }

    /// Whether a source whose streams are not known might write this topic.
    pub(super) fn may_come(&self, name: &str) -> bool {
        let fits = |(before, after): &(String, String)| {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        };
        self.undiscovered.iter().any(fits)
    }

    /// Enters a topic that a node writes.
    pub(super) fn written_topic(
        &mut self,
        name: &str,
        into: &TopicSpec,
        path: &ConfigPath,
    ) -> Option<TopicName> {
        let at = |key: &str| {
            if into.short {
                path.clone()
            } else {
                path.clone().key(key)
            }
        };
        let name = match TopicName::new(name) {
            Ok(name) if name.is_internal() => {
                let problem = Problem::new(
                    at("topic"),
                    format!("the topic '{name}' belongs to Millstream itself"),
                );
                self.problems
                    .push(problem.help("choose a name that does not begin with '__'"));
                return None;
            }
            Ok(name) => name,
            Err(error) => {
                self.problems.push(Problem::new(at("topic"), error));
                return None;
            }
        };
        let partitions = into.partitions.map(|partitions| i32::from(partitions.0));
        let config: Vec<_> = into
            .config
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect();
        let topic = self.topic(&name);
        topic.used = true;
        topic.written = true;
        topic.path = at("topic");
        let clash = matches!((topic.partitions, partitions), (Some(a), Some(b)) if a != b);
        let other = topic.partitions;
        topic.partitions = other.or(partitions);
        topic.config.extend(config);
        if let (true, Some(other)) = (clash, other) {
            let message = format!("another node gives the topic '{name}' {other} partitions");
            self.problems.push(Problem::new(at("partitions"), message));
        }
        Some(name)
    }

    pub(super) fn set_type(&mut self, name: &TopicName, schema: StreamSchema, by: &str, path: &ConfigPath) {
        let topic = self.topic(name);
        match &topic.schema {
            Edge::Typed(known) if *known != schema => {
                let message = format!(
                    "the topic '{name}' is given another type by '{}': {}",
                    topic.typed_by,
                    difference(known, &schema)
                );
                let help = "all that is written to one topic must have the same columns and format";
                self.problems.push(Problem::new(path.clone(), message).help(help));
            }
            Edge::Typed(_) => {}
            Edge::Pending | Edge::Broken => {
                topic.schema = Edge::Typed(schema);
                topic.typed_by = by.into();
            }
        }
    }

    pub(super) fn break_if_pending(&mut self, topic: Option<&TopicName>) {
        if let Some(topic) = topic.and_then(|topic| self.topics.get_mut(topic))
            && matches!(topic.schema, Edge::Pending)
        {
            topic.schema = Edge::Broken;
        }
    }

    /// What the file says of the output must be so: the key is a column, the format is the one that is written.
    pub(super) fn check_output(&mut self, output: &Output, schema: &StreamSchema, path: &ConfigPath) {
        if let Some(key) = &output.key
            && schema.columns.column_with_name(key).is_none()
        {
            let known = schema.columns.fields().iter().map(|field| field.name().as_str());
            let problem = unknown_name("the column", key, known, path.clone().key("key"));
            self.problems.push(problem);
        }
        if let Some(format) = &output.format
            && schema.format != *format
        {
            let written = format_name(&schema.format);
            let message = format!("this node writes {written} and has no choice");
            let help = "remove 'format', or let a processor write another topic in it";
            self.problems
                .push(Problem::new(path.clone().key("format"), message).help(help));
        }
    }

    /// Dead letters have no type: nothing else may be written where they go.
    pub(super) fn check_dead_letters(&mut self) {
        for (topic, path) in &self.dead_letters {
            if self.topics.get(topic).is_some_and(|topic| topic.written) {
                let message = format!("the topic '{topic}' holds records and dead letters");
                let help = "give the dead letters a topic of their own: on_error: { then: { dlq: <topic> } }";
                self.problems.push(Problem::new(path.clone(), message).help(help));
            }
        }
    }

    pub(super) fn avro_topics(&self) -> Vec<AvroTopic> {
        let written = self.topics.iter().filter(|(_, topic)| topic.written);
        let avro = written.filter_map(|(name, topic)| match &topic.schema {
            Edge::Typed(StreamSchema {
                format: ValueFormat::Avro(format),
                columns,
            }) => Some(AvroTopic {
                name: name.clone(),
                format: format.clone(),
                columns: columns.clone(),
                path: topic.path.clone(),
            }),
            _ => None,
        });
        avro.collect()
    }

    pub(super) fn planned_topics(self) -> Vec<PlannedTopic> {
        let default = self.pipeline.defaults.partitions;
        let default = default.map_or(DEFAULT_PARTITIONS, |partitions| i32::from(partitions.0));
        let used = self.topics.into_iter().filter(|(_, topic)| topic.used);
        let mut planned: BTreeMap<TopicName, PlannedTopic> = used
            .map(|(name, topic)| {
                let partitions = topic.partitions.unwrap_or(default);
                (
                    name.clone(),
                    PlannedTopic {
                        name,
                        partitions,
                        config: topic.config,
                    },
                )
            })
            .collect();
        for name in self.dead_letters.into_keys() {
            planned.entry(name.clone()).or_insert_with(|| PlannedTopic {
                name,
                partitions: DEAD_LETTER_PARTITIONS,
                config: BTreeMap::new(),
            });
        }
        planned.into_values().collect()
    }

    pub(super) fn topic(&mut self, name: &TopicName) -> &mut Topic {
        self.topics.entry(name.clone()).or_default()
    }
}

/// The text before and after `{stream}` or `{table}`.
pub(super) fn placeholder(pattern: &str) -> Option<(&str, &str)> {
    pattern
        .split_once("{stream}")
        .or_else(|| pattern.split_once("{table}"))
}

pub(super) fn fill(pattern: &str, stream: &str) -> String {
    pattern.replace("{stream}", stream).replace("{table}", stream)
}

pub(super) fn topic_path(into: &ConfigPath, short: bool) -> ConfigPath {
    if short {
        into.clone()
    } else {
        into.clone().key("topic")
    }
}

/// The first thing in which two types differ, for people.
fn difference(known: &StreamSchema, other: &StreamSchema) -> String {
    if known.format != other.format {
        return "the formats differ".into();
    }
    let (a, b) = (known.columns.fields(), other.columns.fields());
    for (x, y) in a.iter().zip(b.iter()) {
        if x.name() != y.name() {
            return format!("column '{}' there, '{}' here", x.name(), y.name());
        }
        if x.data_type() != y.data_type() {
            return format!(
                "column '{}' is {} there, {} here",
                x.name(),
                x.data_type(),
                y.data_type()
            );
        }
        if x.is_nullable() != y.is_nullable() {
            return format!("column '{}' may be NULL on one side only", x.name());
        }
    }
    format!("{} columns there, {} here", a.len(), b.len())
}

fn format_name(format: &ValueFormat) -> &'static str {
    match format {
        ValueFormat::Raw => "raw values",
        ValueFormat::Json => "JSON",
        ValueFormat::Csv(_) => "CSV (with its own characters)",
        ValueFormat::Avro(_) => "Avro",
    }
}
