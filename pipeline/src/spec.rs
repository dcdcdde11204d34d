//! What may stand in a pipeline file, as people write it. The doc comments are the reference: they go into the JSON
//! Schema and from there into editors.
//!
//! Deliberately absent: the keys of connectors, which say theirs by themselves (`millstream_sdk::Spec`).

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use millstream_sdk::{AvroFormat, CsvDialect, Schemas, ValueFormat};
use millstream_types::{HumanDuration, TopicName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

pub(crate) const DEFAULT_DIR: &str = "./data";
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:9092";

/// A Millstream pipeline: sources write topics, processors read and write topics, sinks read topics.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Millstream pipeline")]
#[expect(
    dead_code,
    reason = "read part by part; this is the outline for the JSON Schema"
)]
pub(crate) struct Document {
    /// The version of the file format: 1.
    #[schemars(extend("enum" = [1]))]
    version: u32,
    /// The name of the pipeline: letters, digits, `_` and `-`. Positions and dead letter topics are kept under it,
    /// so a renamed pipeline starts anew.
    pipeline: String,
    /// The log that holds the topics. Default: embedded, in `./data`.
    #[schemars(default)]
    log: Log,
    /// What holds for all nodes that say nothing else.
    #[schemars(default)]
    defaults: Defaults,
    /// Topics that other programs write, and short names for topics: what `from:` and SQL may name.
    #[schemars(default)]
    streams: BTreeMap<String, Stream>,
    /// Where data comes from.
    #[schemars(default)]
    sources: BTreeMap<String, SourceCommon>,
    /// What is done with it.
    #[schemars(default)]
    processors: BTreeMap<String, ProcessorCommon>,
    /// Where data goes to.
    #[schemars(default)]
    sinks: BTreeMap<String, SinkCommon>,
}

/// The log that holds the topics.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// A log inside the `millstream` process.
    pub(crate) embedded: Embedded,
}

/// A log inside the `millstream` process.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Embedded {
    /// The folder for its data; a relative one is meant from the folder of the pipeline file.
    pub(crate) dir: PathBuf,
    /// The address, as `host:port`, where Kafka clients may connect; `null`: nowhere.
    pub(crate) listen: Option<Listen>,
}

/// What holds for all nodes that say nothing else.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Defaults {
    /// What to do about errors.
    pub(crate) on_error: Option<OnError>,
    /// Partitions of topics that are created. Default: 1.
    pub(crate) partitions: Option<Partitions>,
}

/// A topic that other programs write, or a short name for a topic of this pipeline.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// The topic. Default: the name of the entry.
    #[serde(default)]
    pub(crate) topic: Option<String>,
    /// How the values are written. Default: `json`.
    #[serde(default)]
    pub(crate) format: Option<Format>,
    /// The columns of the value with their SQL types, in order; for example `{ id: BIGINT, name: VARCHAR }`.
    /// Needed unless a node of this pipeline writes the topic.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(crate) columns: Option<serde_json::Map<String, Value>>,
}

/// The keys that every source has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceCommon {
    /// The kind of the source.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before, to choose the factory")]
    kind: String,
    /// The topic that it writes. `{stream}` or `{table}` stands for the name of each stream of the source.
    pub(crate) into: IntoTopic,
    /// What to do about errors.
    #[serde(default)]
    pub(crate) on_error: Option<OnError>,
    /// The largest number of tasks that read at the same time. Default: 1.
    #[serde(default)]
    pub(crate) tasks: Option<Tasks>,
}

/// The keys that every processor has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessorCommon {
    /// The topic or stream that it reads. SQL names it in its own FROM.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// The topic that it writes.
    pub(crate) into: IntoTopic,
    /// What to do about errors.
    #[serde(default)]
    pub(crate) on_error: Option<OnError>,
}

/// The keys that every sink has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkCommon {
    /// The kind of the sink.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before, to choose the factory")]
    kind: String,
    /// The topics or streams that it reads: one, or a list.
    pub(crate) from: OneOrMany,
    /// What to do about errors.
    #[serde(default)]
    pub(crate) on_error: Option<OnError>,
}

/// `filter:` and `select:` of a processor: shorthand for SQL over the topic of `from:`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the outline for the JSON Schema; read by shorthand.rs")]
pub(crate) struct Shorthand {
    /// Keeps the records for which this SQL expression is true.
    #[schemars(default)]
    filter: String,
    /// The columns to write: name to SQL expression.
    #[schemars(default, extend("minProperties" = 1))]
    select: BTreeMap<String, String>,
}

/// One name or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// A topic or stream.
    One(String),
    /// Several topics or streams.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// The topic to write: its name, or more about it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum IntoTopic {
    /// The name of the topic.
    Name(String),
    /// The topic and how to write it.
    Full(TopicSpec),
}

/// The topic and how to write it.
#[derive(Deserialize, JsonSchema, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicSpec {
    /// The name of the topic: 1 to 249 letters, digits, `.`, `_` and `-`.
    pub(crate) topic: String,
    /// Partitions, if the topic is created. Default: as in `defaults`.
    #[serde(default)]
    pub(crate) partitions: Option<Partitions>,
    /// The column whose text becomes the record key. Default: no key.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// How values are written, where the node has a choice.
    #[serde(default)]
    pub(crate) format: Option<Format>,
    /// Kafka's own settings of the topic, for example `retention.ms`.
    #[serde(default)]
    pub(crate) config: BTreeMap<String, Setting>,
    /// Written as a name alone.
    #[serde(skip)]
    pub(crate) short: bool,
}

/// A number, a text or a boolean.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(untagged)]
pub(crate) enum Setting {
    Number(serde_json::Number),
    Text(String),
    Boolean(bool),
}

/// How values are written.
#[derive(JsonSchema, Clone)]
#[schemars(untagged)]
pub(crate) enum Format {
    Word(FormatWord),
    Csv(CsvFormat),
}

#[derive(Deserialize, JsonSchema, Clone)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormatWord {
    /// One JSON object per record.
    Json,
    /// One CSV row per record, without header.
    Csv,
    /// Bytes or text that nobody looks into.
    Raw,
    /// Avro data of the schemas that are registered for the topic.
    Avro,
}

/// CSV rows with their own characters.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct CsvFormat {
    /// The characters of a row.
    csv: CsvSpec,
}

/// The characters of a CSV row.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CsvSpec {
    /// Between two fields. Default: a comma.
    delimiter: AsciiCharacter,
    /// Around fields that hold a delimiter. Default: `"`.
    quote: AsciiCharacter,
    /// The text that stands for NULL, besides the empty field; for example `NA`.
    null: Option<String>,
}

/// What to do about errors.
#[derive(Deserialize, JsonSchema, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnError {
    /// When something fails that may pass by itself: a connection, a full queue.
    #[serde(default)]
    pub(crate) retry: Option<Retry>,
    /// When a record cannot be read, evaluated or written. Default: `dlq`.
    #[serde(default)]
    pub(crate) then: Option<Then>,
}

/// How to try again.
#[derive(Deserialize, JsonSchema, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// Give up after so many attempts. Default: never.
    #[serde(default)]
    pub(crate) max: Option<u32>,
    /// First and longest wait, doubled in between: `1s..5m`.
    #[serde(default)]
    pub(crate) backoff: Option<Backoff>,
}

/// What becomes of a record that cannot be handled.
#[derive(JsonSchema, Clone)]
#[schemars(untagged)]
pub(crate) enum Then {
    Word(ThenWord),
    DeadLetter(DeadLetterTopic),
}

#[derive(Deserialize, JsonSchema, Clone)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThenWord {
    /// Write it to the dead letter topic `<pipeline>.<node>.dlq` with the reason.
    Dlq,
    /// Count and drop it.
    Skip,
    /// Stop the task.
    Fail,
}

/// Write it to a dead letter topic of this name with the reason.
#[derive(Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterTopic {
    /// The dead letter topic.
    pub(crate) dlq: String,
}

/// A whole number from 1 to 10,000.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(transparent)]
pub(crate) struct Partitions(#[schemars(range(min = 1, max = 10_000))] pub(crate) u16);

/// A whole number from 1 to 1,000.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(transparent)]
pub(crate) struct Tasks(#[schemars(range(min = 1, max = 1_000))] pub(crate) u16);

/// First and longest wait.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

/// `host:port`.
#[derive(Deserialize, Clone)]
#[serde(try_from = "String")]
pub(crate) struct Listen(pub(crate) String);

/// One ASCII character, as text; `\t` for a tab.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
pub(crate) struct AsciiCharacter(u8);

/// A text that is not what its key asks for.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not {wanted}")]
pub(crate) struct NotA {
    text: String,
    wanted: &'static str,
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            dir: DEFAULT_DIR.into(),
            listen: Some(Listen(DEFAULT_LISTEN.into())),
        }
    }
}

impl Default for CsvSpec {
    fn default() -> Self {
        let dialect = CsvDialect::default();
        Self {
            delimiter: AsciiCharacter(dialect.delimiter),
            quote: AsciiCharacter(dialect.quote),
            null: dialect.null,
        }
    }
}

impl IntoTopic {
    /// The long form.
    pub(crate) fn full(&self) -> TopicSpec {
        match self {
            Self::Name(topic) => TopicSpec {
                topic: topic.clone(),
                short: true,
                ..TopicSpec::default()
            },
            Self::Full(spec) => spec.clone(),
        }
    }
}

impl OneOrMany {
    /// The names; whether they were given as a list.
    pub(crate) fn names(&self) -> (&[String], bool) {
        match self {
            Self::One(name) => (std::slice::from_ref(name), false),
            Self::Many(names) => (names, true),
        }
    }
}

impl Format {
    /// The format of a topic's values.
    pub(crate) fn of_topic(self, topic: &TopicName, schemas: &Arc<dyn Schemas>) -> ValueFormat {
        let avro = || ValueFormat::Avro(AvroFormat::of_topic(topic, schemas.clone()));
        self.plain().unwrap_or_else(avro)
    }

    /// A format that is the same for all topics.
    pub(crate) fn plain(self) -> Option<ValueFormat> {
        Some(match self {
            Self::Word(FormatWord::Json) => ValueFormat::Json,
            Self::Word(FormatWord::Csv) => ValueFormat::Csv(CsvDialect::default()),
            Self::Word(FormatWord::Raw) => ValueFormat::Raw,
            Self::Word(FormatWord::Avro) => return None,
            Self::Csv(CsvFormat { csv }) => ValueFormat::Csv(CsvDialect {
                delimiter: csv.delimiter.0,
                quote: csv.quote.0,
                null: csv.null,
            }),
        })
    }

    pub(crate) fn is_avro(&self) -> bool {
        matches!(self, Self::Word(FormatWord::Avro))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

impl TryFrom<String> for Backoff {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        let wait = |text: &str| HumanDuration::from_str(text).ok().map(|wait| wait.0);
        let (first, longest) = text.split_once("..").unwrap_or((&text, &text));
        match (wait(first), wait(longest)) {
            (Some(first), Some(longest)) if first <= longest && !longest.is_zero() => {
                Ok(Self { first, longest })
            }
            _ => Err(NotA {
                text,
                wanted: "a range of waits such as 1s..5m",
            }),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self(text)),
            _ => Err(NotA {
                text,
                wanted: "an address such as 127.0.0.1:9092",
            }),
        }
    }
}

impl TryFrom<String> for AsciiCharacter {
    type Error = NotA;

    fn try_from(text: String) -> Result<Self, NotA> {
        match text.as_bytes() {
            b"\\t" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Self(*byte)),
            _ => Err(NotA {
                text,
                wanted: "one ASCII character",
            }),
        }
    }
}

/// Reads a choice that is a word or a mapping. By hand, since serde's own way to do it forgets what was wrong inside.
macro_rules! text_or_mapping {
    ($name:ident: $text:ident or $mapping:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;

                impl<'de> Visitor<'de> for Either {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a text or a mapping")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        Deserialize::deserialize(text.into_deserializer()).map($name::$text)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        Deserialize::deserialize(MapAccessDeserializer::new(map)).map($name::$mapping)
                    }
                }

                deserializer.deserialize_any(Either)
            }
        }
    };
}

text_or_mapping!(IntoTopic: Name or Full);
text_or_mapping!(Format: Word or Csv);
text_or_mapping!(Then: Word or DeadLetter);

macro_rules! text_schema {
    ($name:ident, $title:literal, $about:literal, $example:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "title": $title, "description": $about, "examples": [$example] })
            }
        }
    };
}

text_schema!(
    Backoff,
    "a range of waits such as 1s..5m",
    "First and longest wait, doubled in between.",
    "1s..5m"
);
text_schema!(
    Listen,
    "an address such as 127.0.0.1:9092",
    "The address, as `host:port`.",
    "127.0.0.1:9092"
);
text_schema!(
    AsciiCharacter,
    "one ASCII character",
    "One ASCII character; `\\t` for a tab.",
    ";"
);
