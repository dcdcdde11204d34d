//! A pipeline file that is right as far as it can be known without asking any source.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use millstream_sdk::{
    AvroFormat, Config, ConfigPath, Problem, ProcessorFactory, SchemaText, Schemas, SinkFactory,
    SourceFactory, StreamSchema, ValueFormat,
};
use millstream_types::{Subject, TopicName};

use crate::{
    Diagnostics, LogChoice,
    diagnostics::{Mark, SourceText},
    shorthand::Shorthand,
    spec::{Defaults, ProcessorCommon, SinkCommon, SourceCommon},
    tree::Node,
};

/// A checked pipeline file. [`Pipeline::plan`] resolves it once the streams of its sources are known.
pub struct Pipeline {
    pub(crate) name: String,
    pub(crate) log: LogChoice,
    pub(crate) defaults: Defaults,
    pub(crate) streams: Vec<StreamEntry>,
    pub(crate) sources: Vec<SourceEntry>,
    pub(crate) processors: Vec<ProcessorEntry>,
    pub(crate) sinks: Vec<SinkEntry>,
    pub(crate) schemas: Arc<dyn Schemas>,
    pub(crate) text: SourceText,
    pub(crate) root: Node,
}

/// A source, to be asked for what it holds.
pub struct SourceRef<'a> {
    pub name: &'a str,
    pub factory: &'a Arc<dyn SourceFactory>,
    pub config: &'a Config,
}

/// A sink, to be asked whether it can be reached.
pub struct SinkRef<'a> {
    pub name: &'a str,
    pub factory: &'a Arc<dyn SinkFactory>,
    pub config: &'a Config,
}

/// An entry of `streams:`.
pub(crate) struct StreamEntry {
    pub(crate) name: String,
    pub(crate) topic: TopicName,
    /// `None`: as the node of this pipeline writes it.
    pub(crate) schema: Option<StreamSchema>,
    /// Avro whose columns are known to the registry alone.
    pub(crate) avro: Option<AvroFormat>,
    pub(crate) path: ConfigPath,
}

pub(crate) struct SourceEntry {
    pub(crate) name: String,
    pub(crate) path: ConfigPath,
    pub(crate) common: SourceCommon,
    pub(crate) factory: Arc<dyn SourceFactory>,
    pub(crate) config: Config,
}

pub(crate) struct ProcessorEntry {
    pub(crate) name: String,
    pub(crate) path: ConfigPath,
    pub(crate) common: ProcessorCommon,
    pub(crate) factory: Arc<dyn ProcessorFactory>,
    pub(crate) config: Config,
    /// Where the configuration was not written by the user but follows from `filter:` and `select:`.
    pub(crate) shorthand: Option<Shorthand>,
    /// The topics or streams that it reads: not empty.
    pub(crate) inputs: Vec<String>,
}

pub(crate) struct SinkEntry {
    pub(crate) name: String,
    pub(crate) path: ConfigPath,
    pub(crate) common: SinkCommon,
    pub(crate) factory: Arc<dyn SinkFactory>,
    pub(crate) config: Config,
}

/// A topic of Avro that other programs write, and of which the file does not say the columns.
pub struct UnknownColumns<'a> {
    /// Under which the registry has its schema.
    pub subject: &'a Subject,
    pub path: &'a ConfigPath,
}

impl Pipeline {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topics whose columns must be asked of the schema registry, and told with [`Pipeline::learn`].
    pub fn unknown_columns(&self) -> impl Iterator<Item = UnknownColumns<'_>> {
        let unknown = self.streams.iter().filter(|stream| stream.schema.is_none());
        unknown
            .filter(|stream| !self.writes(&stream.topic))
            .filter_map(|stream| {
                Some(UnknownColumns {
                    subject: &stream.avro.as_ref()?.subject,
                    path: &stream.path,
                })
            })
    }

    /// What the registry answered: the newest schema of a subject, and the columns that it has.
    pub fn learn(&mut self, subject: &Subject, schema: &Arc<SchemaText>, columns: &SchemaRef) {
        for stream in &mut self.streams {
            match &stream.avro {
                Some(avro) if avro.subject == *subject && stream.schema.is_none() => {
                    let format = ValueFormat::Avro(AvroFormat {
                        schema: Some(schema.clone()),
                        ..avro.clone()
                    });
                    stream.schema = Some(StreamSchema {
                        format,
                        columns: columns.clone(),
                    });
                }
                _ => {}
            }
        }
    }

    /// Whether a node names the topic as its output.
    fn writes(&self, topic: &TopicName) -> bool {
        let sources = self.sources.iter().map(|source| source.common.into.full());
        let processors = self
            .processors
            .iter()
            .map(|processor| processor.common.into.full());
        sources.chain(processors).any(|into| into.topic == topic.as_str())
    }

    pub fn log(&self) -> &LogChoice {
        &self.log
    }

    /// In the order of the file.
    pub fn sources(&self) -> impl Iterator<Item = SourceRef<'_>> {
        self.sources.iter().map(|entry| SourceRef {
            name: &entry.name,
            factory: &entry.factory,
            config: &entry.config,
        })
    }

    /// In the order of the file.
    pub fn sinks(&self) -> impl Iterator<Item = SinkRef<'_>> {
        self.sinks.iter().map(|entry| SinkRef {
            name: &entry.name,
            factory: &entry.factory,
            config: &entry.config,
        })
    }

    /// Shows problems that connectors found later (`discover`, `check`) at their places in the file.
    pub fn diagnostics(&self, problems: Vec<Problem>) -> Diagnostics {
        let marks: Vec<Mark> = self.text.marks(&self.root, problems);
        self.text.diagnostics(marks)
    }
}

impl ProcessorEntry {
    /// A problem of the configuration where the user wrote it.
    pub(crate) fn trace(&self, problem: Problem) -> Problem {
        match &self.shorthand {
            Some(shorthand) => shorthand.trace(problem, self.config.path()),
            None => problem,
        }
    }
}
