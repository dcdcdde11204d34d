//! From checked nodes to a plan: every name becomes a topic, every topic gets a type, every node is fitted to its
//! topics. All problems at once; what depends on something wrong is left out silently.

mod order;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use millstream_sdk::{AvroFormat, ConfigPath, Output, Problem, StreamDesc, StreamSchema, ValueFormat};
use millstream_types::TopicName;

use self::{
    order::{Step, order},
    topics::{Edge, Topic, fill, placeholder, topic_path},
};
use crate::{
    BadRecords, Conversion, Diagnostics, ErrorPolicy, Pipeline, Plan, ProcessorNode, SinkNode, SourceNode,
    pipeline::{ProcessorEntry, SinkEntry, SourceEntry},
    policy,
    spec::{Format, OnError, TopicSpec},
};

impl Pipeline {
    /// Resolves topics and types. `discovered`: what `discover` of each source answered, by the source's name.
    /// No I/O.
    pub fn plan(&self, discovered: &BTreeMap<String, Vec<StreamDesc>>) -> Result<Plan, Diagnostics> {
        let mut planner = Planner {
            pipeline: self,
            topics: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            undiscovered: Vec::new(),
            problems: Vec::new(),
        };
        let sources: Vec<_> = self
            .sources
            .iter()
            .filter_map(|source| planner.source(source, discovered))
            .collect();
        planner.declare_outputs();
        planner.declare_streams();
        let processors = planner.processors();
        let sinks: Vec<_> = self.sinks.iter().filter_map(|sink| planner.sink(sink)).collect();
        planner.check_dead_letters();
        if !planner.problems.is_empty() {
            return Err(self.diagnostics(planner.problems));
        }
        Ok(Plan {
            name: self.name.clone(),
            log: self.log.clone(),
            avro: planner.avro_topics(),
            topics: planner.planned_topics(),
            sources,
            processors,
            sinks,
        })
    }
}

struct Planner<'p> {
    pipeline: &'p Pipeline,
    topics: BTreeMap<TopicName, Topic>,
    /// Dead letter topics and the node that first named each.
    dead_letters: BTreeMap<TopicName, ConfigPath>,
    /// Patterns of sources whose streams are not known: text before and after the placeholder.
    undiscovered: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl<'p> Planner<'p> {
    fn source(
        &mut self,
        entry: &SourceEntry,
        discovered: &BTreeMap<String, Vec<StreamDesc>>,
    ) -> Option<SourceNode> {
        let into = entry.common.into.full();
        let path = entry.path.clone().key("into");
        let on_error = self.policy(&entry.name, &entry.path, entry.common.on_error.as_ref());
        let Some(streams) = discovered.get(&entry.name) else {
            return self.undiscovered(&entry.name, &into, &entry.path);
        };
        if streams.is_empty() {
            self.problems
                .push(Problem::new(entry.path.clone(), "the source has nothing to read"));
        }
        let is_avro = into.format.as_ref().is_some_and(Format::is_avro);
        let mut topics = Vec::new();
        let mut conversions = Vec::new();
        // That its values become Avro is not the source's business.
        let output = Output {
            key: into.key.clone(),
            format: into.format.clone().and_then(Format::plain),
        };
        for stream in streams {
            let name = fill(&into.topic, &stream.name);
            self.check_output(&output, &stream.schema, &path);
            if let Some(topic) = self.written_topic(&name, &into, &path) {
                let from = &stream.schema;
                let conversion = is_avro.then(|| Conversion {
                    from: from.clone(),
                    to: self.as_avro(&topic, from),
                });
                let schema = conversion.as_ref().map_or(from, |conversion| &conversion.to);
                self.set_type(&topic, schema.clone(), &entry.name, &path);
                topics.push(topic);
                conversions.push(conversion);
            }
        }
        Some(SourceNode {
            name: entry.name.clone(),
            factory: entry.factory.clone(),
            config: entry.config.clone(),
            topics,
            conversions,
            output,
            max_tasks: entry.common.tasks.map_or(1, |tasks| usize::from(tasks.0)),
            on_error: on_error?,
        })
    }

    /// A source that was not asked or gave no answer: its topics are known by name only.
    fn undiscovered<T>(&mut self, name: &str, into: &TopicSpec, path: &ConfigPath) -> Option<T> {
        match placeholder(&into.topic) {
            Some((before, after)) => self.undiscovered.push((before.into(), after.into())),
            None => {
                if let Some(topic) = self.written_topic(&into.topic, into, &path.clone().key("into")) {
                    self.topic(&topic).schema = Edge::Broken;
                }
            }
        }
        let message = format!("the streams of source '{name}' are not known");
        self.problems.push(Problem::new(path.clone(), message));
        None
    }

    /// The topics that processors write are known by name before any is planned.
    fn declare_outputs(&mut self) {
        for entry in &self.pipeline.processors {
            let into = entry.common.into.full();
            let path = entry.path.clone().key("into");
            if placeholder(&into.topic).is_some() {
                let problem = Problem::new(topic_path(&path, into.short), "a processor writes one topic");
                self.problems.push(problem.help("patterns are for sources"));
                continue;
            }
            self.written_topic(&into.topic, &into, &path);
        }
    }

    fn declare_streams(&mut self) {
        for entry in &self.pipeline.streams {
            let clash = TopicName::new(&entry.name)
                .ok()
                .filter(|name| *name != entry.topic);
            if clash.is_some_and(|name| self.topics.contains_key(&name)) {
                let message = format!("'{}' is also the name of a topic of this pipeline", entry.name);
                self.problems
                    .push(Problem::new(entry.path.clone(), message).help("choose another name"));
            }
            let written = self.topics.contains_key(&entry.topic);
            match &entry.schema {
                Some(schema) => {
                    let origin = format!("streams.{}", entry.name);
                    self.set_type(&entry.topic, schema.clone(), &origin, &entry.path);
                }
                None if !written && entry.avro.is_some() => {
                    let message = format!(
                        "the columns of '{}' are those of its schema, which is not known",
                        entry.topic
                    );
                    let help = "say them: columns: { id: BIGINT, name: VARCHAR }";
                    self.problems
                        .push(Problem::new(entry.path.clone(), message).help(help));
                    self.topic(&entry.topic).schema = Edge::Broken;
                }
                None if !written && !self.may_come(entry.topic.as_str()) => {
                    let message = format!("no node writes '{}': its columns must be given", entry.topic);
                    let help = "columns: { id: BIGINT, name: VARCHAR }";
                    self.problems
                        .push(Problem::new(entry.path.clone(), message).help(help));
                    self.topic(&entry.topic).schema = Edge::Broken;
                }
                None => {}
            }
        }
    }

    fn output(&self, into: &TopicSpec, topic: &TopicName) -> Output {
        let format = into.format.clone();
        Output {
            key: into.key.clone(),
            format: format.map(|format| format.of_topic(topic, &self.pipeline.schemas)),
        }
    }

    /// The same columns as Avro.
    fn as_avro(&self, topic: &TopicName, schema: &StreamSchema) -> StreamSchema {
        let format = AvroFormat::of_topic(topic, self.pipeline.schemas.clone());
        StreamSchema {
            format: ValueFormat::Avro(format),
            columns: schema.columns.clone(),
        }
    }

    /// Plans processors from the sources downwards.
    fn processors(&mut self) -> Vec<ProcessorNode> {
        let entries = &self.pipeline.processors;
        let inputs: Vec<Option<TopicName>> = entries.iter().map(|entry| self.input_of(entry)).collect();
        let output = |entry: &ProcessorEntry| TopicName::new(entry.common.into.full().topic).ok();
        let outputs: Vec<Option<TopicName>> = entries.iter().map(output).collect();
        let mut writers: BTreeMap<&TopicName, Vec<usize>> = BTreeMap::new();
        for (node, topic) in outputs.iter().enumerate() {
            if let Some(topic) = topic {
                writers.entry(topic).or_default().push(node);
            }
        }
        let writers_of = |topic: &Option<TopicName>| {
            let writers = topic.as_ref().and_then(|topic| writers.get(topic));
            writers.cloned().unwrap_or_default()
        };
        let before: Vec<Vec<usize>> = inputs.iter().map(writers_of).collect();
        let mut nodes = Vec::new();
        for step in order(&before) {
            let members = match step {
                Step::Node(of) => {
                    nodes.extend(self.processor(&entries[of], inputs[of].clone()));
                    vec![of]
                }
                Step::Cycle(members) => {
                    self.refuse_cycle(&members);
                    members
                }
            };
            for of in members {
                self.break_if_pending(outputs[of].as_ref());
            }
        }
        nodes
    }

    fn refuse_cycle(&mut self, members: &[usize]) {
        let entries = || members.iter().map(|member| &self.pipeline.processors[*member]);
        let Some(first) = entries().next() else { return };
        let mut way: String = entries()
            .map(|entry| format!("{} -> {} -> ", entry.name, entry.common.into.full().topic))
            .collect();
        way.push_str(&first.name);
        let problem = Problem::new(first.path.clone(), format!("the processors form a cycle: {way}"));
        self.problems
            .push(problem.help("let one of them read or write another topic"));
    }

    fn processor(&mut self, entry: &ProcessorEntry, from: Option<TopicName>) -> Option<ProcessorNode> {
        let on_error = self.policy(&entry.name, &entry.path, entry.common.on_error.as_ref());
        let into = entry.common.into.full();
        let path = entry.path.clone().key("into");
        let from = from?;
        let Some(Edge::Typed(schema)) = self.topics.get(&from).map(|topic| &topic.schema) else {
            return None;
        };
        let inputs = BTreeMap::from([(entry.inputs.first()?.clone(), schema.clone())]);
        let topic = TopicName::new(&into.topic).ok()?;
        let output = self.output(&into, &topic);
        let plan = match entry.factory.plan(&entry.config, &inputs, &output) {
            Ok(plan) => plan,
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(|problem| entry.trace(problem)));
                return None;
            }
        };
        self.check_output(&output, plan.output(), &path);
        self.set_type(&topic, plan.output().clone(), &entry.name, &path);
        Some(ProcessorNode {
            name: entry.name.clone(),
            from,
            plan: plan.into(),
            into: topic,
            on_error: on_error?,
        })
    }

    fn sink(&mut self, entry: &SinkEntry) -> Option<SinkNode> {
        let on_error = self.policy(&entry.name, &entry.path, entry.common.on_error.as_ref());
        let (names, listed) = entry.common.from.names();
        let mut inputs = Vec::new();
        let mut refused: Vec<(TopicName, Vec<Problem>)> = Vec::new();
        let mut seen = BTreeSet::new();
        for (n, name) in names.iter().enumerate() {
            let path = entry.path.clone().key("from");
            let path = if listed { path.index(n) } else { path };
            let Some(topic) = self.read_topic(name, &path, None) else {
                continue;
            };
            if !seen.insert(topic.clone()) {
                self.problems
                    .push(Problem::new(path, format!("the topic '{topic}' is read twice")));
                continue;
            }
            let Some(Edge::Typed(schema)) = self.topics.get(&topic).map(|topic| &topic.schema) else {
                continue;
            };
            match entry.factory.plan(&entry.config, schema) {
                Ok(plan) => inputs.push((topic, plan.into())),
                Err(problems) => refused.push((topic, problems)),
            }
        }
        self.sink_problems(refused, names.len());
        (inputs.len() == names.len()).then_some(())?;
        Some(SinkNode {
            name: entry.name.clone(),
            inputs,
            on_error: on_error?,
        })
    }

    /// What is wrong whichever topic is read is said once; what is wrong with one of several names it.
    fn sink_problems(&mut self, refused: Vec<(TopicName, Vec<Problem>)>, topics: usize) {
        let mut all: Vec<(Problem, Vec<TopicName>)> = Vec::new();
        for (topic, problems) in refused {
            for problem in problems {
                match all.iter_mut().find(|(known, _)| *known == problem) {
                    Some((_, of)) => of.push(topic.clone()),
                    None => all.push((problem, vec![topic.clone()])),
                }
            }
        }
        for (mut problem, of) in all {
            if of.len() < topics {
                let of: Vec<&str> = of.iter().map(TopicName::as_str).collect();
                problem.message = format!("{} (reading {})", problem.message, of.join(", "));
            }
            self.problems.push(problem);
        }
    }

    fn input_of(&mut self, entry: &ProcessorEntry) -> Option<TopicName> {
        let name = entry.inputs.first()?;
        if entry.common.from.is_some() {
            return self.read_topic(name, &entry.path.clone().key("from"), None);
        }
        let within = entry
            .config
            .value()
            .as_str()
            .and_then(|sql| place_of_table(sql, name));
        self.read_topic(name, entry.config.path(), within)
    }

    fn policy(&mut self, node: &str, path: &ConfigPath, own: Option<&OnError>) -> Option<ErrorPolicy> {
        let defaults = self.pipeline.defaults.on_error.as_ref();
        match policy::resolve(&self.pipeline.name, node, path, own, defaults) {
            Ok(policy) => {
                if let BadRecords::DeadLetter(topic) = &policy.bad_records {
                    self.dead_letters
                        .entry(topic.clone())
                        .or_insert_with(|| path.clone());
                }
                Some(policy)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// Line and column (from 1) of a table's name behind FROM, as far as plain text shows it.
fn place_of_table(sql: &str, name: &str) -> Option<(usize, usize)> {
    let behind_from = |at: &usize| {
        let before = sql[..*at].trim_end_matches('"').trim_end();
        before.len() >= 4
            && before
                .get(before.len() - 4..)
                .is_some_and(|word| word.eq_ignore_ascii_case("from"))
    };
    let at = sql.match_indices(name).map(|(at, _)| at).find(behind_from)?;
    let line_start = sql[..at].rfind('\n').map_or(0, |newline| newline + 1);
    Some((
        1 + sql[..at].matches('\n').count(),
        1 + sql[line_start..at].chars().count(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_table_behind_from() {
        assert_eq!(
            place_of_table("SELECT a\n  FROM flights WHERE flights.x", "flights"),
            Some((2, 8))
        );
        assert_eq!(
            place_of_table("select flights from \"flights\"", "flights"),
            Some((1, 22))
        );
        assert_eq!(place_of_table("SELECT 1", "flights"), None);
    }
}
