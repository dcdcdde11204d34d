//! Text to checked nodes.
//!
//! The steps: text to tree (`yaml`), tree against the schema of the format (`validate`), then the typed reading here,
//! which also asks the connectors' own `validate`. A node in which the schema check found something is not read
//! further, so nothing is said twice; all other nodes are.

use std::{collections::HashMap, path::Path, sync::Arc};

use millstream_sdk::{Catalog, Config, ConfigPath, NoSchemas, Problem, Schemas, StreamSchema, ValueFormat};
use millstream_types::TopicName;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    Diagnostics, LogChoice, Pipeline, columns,
    diagnostics::SourceText,
    pipeline::{ProcessorEntry, SinkEntry, SourceEntry, StreamEntry},
    reference,
    schema::{self, CommonKeys},
    shorthand::Shorthand,
    spec::{Defaults, Log, ProcessorCommon, SinkCommon, SourceCommon, Stream},
    tree::Node,
    validate, yaml,
};

/// Names of nodes and pipelines become parts of topic and group names.
const MAX_NAME: usize = 80;
const MAX_NODES: usize = 1_000;

/// Reads a pipeline file. `file` names it in diagnostics and its folder is what relative file names are meant from;
/// `env` answers `${env.X}`. No I/O.
pub fn parse(
    text: &str,
    file: &Path,
    catalog: &Catalog,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Pipeline, Diagnostics> {
    let source = SourceText::new(file, text);
    let (root, mut marks) = yaml::parse(text, &|scalar| reference::expand(scalar, env));
    let Some(root) = root else {
        return Err(source.diagnostics(marks));
    };
    marks.extend(validate::check(&root, &schema::json_schema(catalog), text));
    let mut reader = Reader {
        catalog,
        root: &root,
        refused: marks.iter().map(|mark| mark.path.clone()).collect(),
        base_dir: file.parent().unwrap_or(Path::new("")).into(),
        common: schema::common_keys(),
        schemas: catalog.schemas.clone().unwrap_or_else(|| Arc::new(NoSchemas)),
        problems: Vec::new(),
    };
    let parts = reader.parts();
    let (problems, schemas) = (reader.problems, reader.schemas);
    marks.extend(source.marks(&root, problems));
    match parts {
        Some(parts) if marks.is_empty() => Ok(Pipeline {
            name: parts.name,
            log: parts.log,
            defaults: parts.defaults,
            streams: parts.streams,
            sources: parts.sources,
            processors: parts.processors,
            sinks: parts.sinks,
            schemas,
            text: source,
            root,
        }),
        _ => Err(source.diagnostics(marks)),
    }
}

/// What the typed reading yields.
struct Parts {
    name: String,
    log: LogChoice,
    defaults: Defaults,
    streams: Vec<StreamEntry>,
    sources: Vec<SourceEntry>,
    processors: Vec<ProcessorEntry>,
    sinks: Vec<SinkEntry>,
}

struct Reader<'a> {
    catalog: &'a Catalog,
    root: &'a Node,
    /// Where the schema check found something.
    refused: Vec<ConfigPath>,
    base_dir: Arc<Path>,
    common: CommonKeys,
    schemas: Arc<dyn Schemas>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn parts(&mut self) -> Option<Parts> {
        let name = self.pipeline_name();
        let log = self.section::<Log>("log").map(|log| self.log(log));
        let defaults = self.section::<Defaults>("defaults");
        self.names();
        let streams = self.each("streams", Self::stream);
        let sources = self.each("sources", Self::source);
        let processors = self.each("processors", Self::processor);
        let sinks = self.each("sinks", Self::sink);
        Some(Parts {
            name: name?,
            log: log?,
            defaults: defaults?,
            streams,
            sources,
            processors,
            sinks,
        })
    }

    fn pipeline_name(&mut self) -> Option<String> {
        let name = self.section_value("pipeline")?.as_str()?.to_owned();
        self.check_name(&name, &ConfigPath::default().key("pipeline"));
        Some(name)
    }

    fn log(&self, log: Log) -> LogChoice {
        LogChoice::Embedded {
            dir: self.base_dir.join(log.embedded.dir),
            listen: log.embedded.listen.map(|listen| listen.0),
        }
    }

    /// Names of nodes: valid, and each given once, since dead letter topics and positions go by them.
    fn names(&mut self) {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        let mut nodes = 0;
        for section in ["sources", "processors", "sinks"] {
            for (key, _) in self.root.get(section).map(Node::entries).unwrap_or_default() {
                let path = ConfigPath::default().key(section).key(&key.text);
                nodes += 1;
                if nodes == MAX_NODES + 1 {
                    let message = format!("a pipeline has at most {MAX_NODES} nodes");
                    self.problems.push(Problem::new(path.clone(), message));
                }
                self.check_name(&key.text, &path);
                if let Some(other) = seen.insert(&key.text, section) {
                    let message = format!("'{}' is also the name of a node in '{other}'", key.text);
                    let help = "positions and dead letter topics go by the name: choose another";
                    self.problems.push(Problem::new(path, message).help(help));
                }
            }
        }
    }

    fn check_name(&mut self, name: &str, path: &ConfigPath) {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
            let message = format!("'{name}' is not a name");
            let help = format!("1 to {MAX_NAME} letters, digits, '_' and '-'");
            self.problems.push(Problem::new(path.clone(), message).help(help));
        }
    }

    fn stream(&mut self, name: &str, path: ConfigPath, value: Value) -> Option<StreamEntry> {
        let stream: Stream = self.typed(value, &path)?;
        let (text, topic_path) = match stream.topic {
            Some(topic) => (topic, path.clone().key("topic")),
            None => (name.to_owned(), path.clone()),
        };
        let topic =
            TopicName::new(&text).map_err(|error| self.problems.push(Problem::new(topic_path, error)));
        let columns = match stream.columns {
            Some(columns) => {
                let columns = columns::schema(&columns, &path.clone().key("columns"));
                Some(columns.map_err(|problems| self.problems.extend(problems)).ok()?)
            }
            None => None,
        };
        let topic = topic.ok()?;
        let format = match stream.format {
            Some(format) => format.of_topic(&topic, &self.schemas),
            None => ValueFormat::Json,
        };
        let (schema, avro) = match (columns, format) {
            (Some(columns), format) => {
                let columns = columns.into();
                (Some(StreamSchema { format, columns }), None)
            }
            (None, ValueFormat::Raw) => (Some(columns::raw()), None),
            (None, ValueFormat::Avro(format)) => (None, Some(format)),
            (None, ValueFormat::Json | ValueFormat::Csv(_)) => (None, None),
        };
        Some(StreamEntry {
            name: name.into(),
            topic,
            schema,
            avro,
            path,
        })
    }

    fn source(&mut self, name: &str, path: ConfigPath, value: Value) -> Option<SourceEntry> {
        let factory = self.catalog.sources.get(value.get("type")?.as_str()?)?.clone();
        let (common, own) = split(value, &self.common.source, &factory.spec().config.to_value());
        let common = self.typed::<SourceCommon>(common, &path);
        let config = Config::new(own, path.clone(), self.base_dir.clone());
        self.problems.extend(factory.validate(&config));
        Some(SourceEntry {
            name: name.into(),
            path,
            common: common?,
            factory,
            config,
        })
    }

    fn sink(&mut self, name: &str, path: ConfigPath, value: Value) -> Option<SinkEntry> {
        let factory = self.catalog.sinks.get(value.get("type")?.as_str()?)?.clone();
        let (common, own) = split(value, &self.common.sink, &factory.spec().config.to_value());
        let common = self.typed::<SinkCommon>(common, &path)?;
        let config = Config::new(own, path.clone(), self.base_dir.clone());
        Some(SinkEntry {
            name: name.into(),
            path,
            common,
            factory,
            config,
        })
    }

    fn processor(&mut self, name: &str, path: ConfigPath, value: Value) -> Option<ProcessorEntry> {
        let Value::Object(mut keys) = value else {
            return None;
        };
        let (filter, select) = (keys.remove("filter"), keys.remove("select"));
        let kinds: Vec<&str> = self
            .catalog
            .processors
            .keys()
            .copied()
            .filter(|kind| keys.contains_key(*kind))
            .collect();
        let short = filter.is_some() || select.is_some();
        let kind = match (kinds.as_slice(), short) {
            ([kind], false) => *kind,
            ([], true) => "sql",
            ([], false) => return self.no_kind(&path),
            (kinds, _) => return self.many_kinds(kinds, short, &path),
        };
        let factory = self.catalog.processors.get(kind)?.clone();
        let own = keys.remove(kind);
        let common: ProcessorCommon = self.typed(Value::Object(keys), &path)?;
        let (own, shorthand) = match own {
            Some(own) => (own, None),
            None => {
                let Some(from) = &common.from else {
                    let problem = Problem::new(path, "missing key 'from'");
                    self.problems
                        .push(problem.help("the topic or stream that is filtered"));
                    return None;
                };
                let shorthand = Shorthand::new(&path, from, filter.as_ref(), select.as_ref());
                (Value::String(shorthand.sql.clone()), Some(shorthand))
            }
        };
        let config = Config::new(own, path.clone().key(kind), self.base_dir.clone());
        let mut entry = ProcessorEntry {
            name: name.into(),
            path,
            common,
            factory,
            config,
            shorthand,
            inputs: Vec::new(),
        };
        entry.inputs = self.inputs(&entry)?;
        Some(entry)
    }

    /// The names that a processor reads: by its own configuration, else by `from:`.
    fn inputs(&mut self, entry: &ProcessorEntry) -> Option<Vec<String>> {
        let inputs = match entry.factory.inputs(&entry.config) {
            Ok(inputs) => inputs,
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(|problem| entry.trace(problem)));
                return None;
            }
        };
        let problem = match (&entry.common.from, inputs.as_slice()) {
            (Some(from), []) => return Some(vec![from.clone()]),
            (None, []) => Problem::new(entry.path.clone(), "missing key 'from'")
                .help("the topic or stream that it reads"),
            (Some(from), [input]) if from != input => {
                let message = format!("'from' says '{from}', but '{input}' is read");
                Problem::new(entry.path.clone().key("from"), message).help("remove 'from'")
            }
            (_, [_]) => return Some(inputs),
            (_, many) => {
                let message = format!(
                    "reads {}: joins are not available in this version",
                    many.join(", ")
                );
                let problem = Problem::new(entry.config.path().clone(), message);
                entry.trace(problem.help("read one topic or stream"))
            }
        };
        self.problems.push(problem);
        None
    }

    fn no_kind<T>(&mut self, path: &ConfigPath) -> Option<T> {
        let mut kinds: Vec<&str> = self.catalog.processors.keys().copied().collect();
        if kinds.contains(&"sql") {
            kinds.extend(["filter", "select"]);
        }
        let problem = Problem::new(path.clone(), "it is not said what the processor does");
        self.problems
            .push(problem.help(format!("one of the keys: {}", kinds.join(", "))));
        None
    }

    fn many_kinds<T>(&mut self, kinds: &[&str], short: bool, path: &ConfigPath) -> Option<T> {
        let mut kinds = kinds.to_vec();
        if short {
            kinds.push("filter/select");
        }
        let message = format!("a processor does one thing, this one has: {}", kinds.join(", "));
        self.problems
            .push(Problem::new(path.clone(), message).help("write two processors with a topic between"));
        None
    }

    /// Reads every entry of a section in which nothing was found so far.
    fn each<T>(
        &mut self,
        section: &str,
        read: fn(&mut Self, &str, ConfigPath, Value) -> Option<T>,
    ) -> Vec<T> {
        let entries = self.root.get(section).map(Node::entries).unwrap_or_default();
        let mut parts = Vec::new();
        for (key, node) in entries.iter().take(MAX_NODES) {
            let path = ConfigPath::default().key(section).key(&key.text);
            if !self.is_refused(&path, node) {
                parts.extend(read(self, &key.text, path, node.to_json()));
            }
        }
        parts
    }

    /// A top-level section; its default if it is absent, `None` if something is wrong with it.
    fn section<T: DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        if self.root.get(key).is_none() {
            return Some(T::default());
        }
        let value = self.section_value(key)?;
        self.typed(value, &ConfigPath::default().key(key))
    }

    fn section_value(&self, key: &str) -> Option<Value> {
        let node = self.root.get(key)?;
        let refused = self.is_refused(&ConfigPath::default().key(key), node);
        (!refused).then(|| node.to_json())
    }

    fn is_refused(&self, path: &ConfigPath, node: &Node) -> bool {
        node.has_unknown() || self.refused.iter().any(|refused| refused.0.starts_with(&path.0))
    }

    fn typed<T: DeserializeOwned>(&mut self, value: Value, path: &ConfigPath) -> Option<T> {
        let config = Config::new(value, path.clone(), self.base_dir.clone());
        config.parse().map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Common keys and the connector's own. A common key that the connector names too is for both.
fn split(value: Value, common: &[String], own_schema: &Value) -> (Value, Value) {
    let Value::Object(keys) = value else {
        return (Value::Null, Value::Null);
    };
    let named = |key: &str| {
        own_schema
            .get("properties")
            .is_some_and(|own| own.get(key).is_some())
    };
    let (mut ours, mut own) = (Map::new(), Map::new());
    for (key, value) in keys {
        match common.contains(&key) {
            true if named(&key) => {
                own.insert(key.clone(), value.clone());
                ours.insert(key, value);
            }
            true => _ = ours.insert(key, value),
            false => _ = own.insert(key, value),
        }
    }
    (Value::Object(ours), Value::Object(own))
}
