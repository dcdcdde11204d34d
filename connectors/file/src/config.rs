//! What the user writes below `type: file`. The doc comments are the manual entries; docs/connectors/file.md is longer.

use std::{borrow::Cow, fmt, marker::PhantomData, num::NonZeroU64, time::Duration};

use millstream_sdk::CsvDialect;
use millstream_types::{ByteSize, HumanDuration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor, value::MapDeserializer},
};
use serde_json::{Map, Value, json};

/// Reads files: `type: file` of a source.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// One path, a list of paths, or globs (`*`, `?`, `[a-z]`, `{a,b}`, `**`), relative to the pipeline file.
    pub(crate) path: Paths,
    /// `csv`, `ndjson`, `parquet` or `lines`, alone or with options.
    pub(crate) format: SourceFormat,
    /// How the files are compressed: `auto` goes by the extension (`.gz`, `.zst`).
    #[serde(default)]
    pub(crate) compression: SourceCompression,
    /// Goes on at the end of the files: waits for growth, rotation and new files, like `tail -F`.
    #[serde(default)]
    pub(crate) follow: bool,
    /// Where a followed file begins at the very first start.
    #[serde(default)]
    pub(crate) start: Start,
    /// How often a followed file is looked at, for example `250ms` (the default).
    #[serde(default = "default_poll")]
    #[schemars(with = "String")]
    pub(crate) poll: HumanDuration,
    /// Takes the record's timestamp from a column. Without it: the time of reading.
    #[serde(default)]
    pub(crate) event_time: Option<EventTime>,
    /// Into how many tasks the files are dealt by their names. Changing it begins anew.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub(crate) tasks: usize,
}

/// Writes files: `type: file` of a sink.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkConfig {
    /// The folder to write into, relative to the pipeline file. `{column}`, `{topic}`, `{partition}` and
    /// `{event_time:%Y-%m-%d}` are filled in for each record.
    pub(crate) path: String,
    /// `parquet`, `ndjson` or `csv`, alone or with options.
    pub(crate) format: SinkFormat,
    /// Compression of the files of text formats.
    #[serde(default)]
    pub(crate) compression: SinkCompression,
    /// When a range of records becomes files.
    #[serde(default)]
    pub(crate) roll: Roll,
}

/// One path or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Paths {
    One(String),
    Many(Vec<String>),
}

/// A column that says when something happened.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventTime {
    pub(crate) column: String,
    /// The strftime format of its text. Without it: RFC 3339 or `2013-01-31 23:59:59`; without a zone UTC is meant.
    #[serde(default)]
    pub(crate) format: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceCompression {
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SinkCompression {
    #[default]
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    #[default]
    Beginning,
    End,
}

/// A format's name alone (`format: csv`) or with options (`format: { csv: { delimiter: ";" } }`).
#[derive(Clone, Debug)]
pub(crate) enum SourceFormat {
    Csv(CsvSource),
    Ndjson(NdjsonSource),
    Parquet,
    Lines,
}

/// A format's name alone (`format: parquet`) or with options (`format: { parquet: { compression: zstd } }`).
#[derive(Clone, Debug)]
pub(crate) enum SinkFormat {
    Csv(CsvSink),
    Ndjson,
    Parquet(ParquetSink),
}

/// Options of CSV files that are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CsvSource {
    /// Whether the first row of each file names the columns.
    pub(crate) header: bool,
    pub(crate) delimiter: char,
    pub(crate) quote: char,
    /// The text that stands for NULL in columns that are not text, besides the empty field.
    pub(crate) null: Option<String>,
    /// Types by column name; what is not named here is inferred. Without a header, the names in order.
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(crate) columns: Map<String, Value>,
}

/// Options of newline-delimited JSON that is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NdjsonSource {
    /// Types by field name; inferred from the first lines if left out.
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(crate) columns: Map<String, Value>,
}

/// Options of CSV files that are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CsvSink {
    /// Whether each file begins with the names of the columns.
    pub(crate) header: bool,
    pub(crate) delimiter: char,
    pub(crate) quote: char,
    /// The text to write for NULL; without it the field stays empty.
    pub(crate) null: Option<String>,
}

/// Options of Parquet files that are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ParquetSink {
    pub(crate) compression: ParquetCompression,
    /// The encoded size at which a row group is closed.
    #[schemars(with = "String")]
    pub(crate) row_group: ByteSize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParquetCompression {
    None,
    Snappy,
    Lz4,
    #[default]
    Zstd,
}

/// A range of records becomes files when one of these is reached.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Roll {
    /// Bytes of the records, uncompressed. A sink task holds up to this much in memory, at most 1GB.
    #[schemars(with = "String")]
    pub(crate) size: ByteSize,
    /// Records.
    pub(crate) records: NonZeroU64,
    /// Time since the first record of the range, also when no more come.
    #[schemars(with = "String")]
    pub(crate) every: HumanDuration,
}

/// A sink task may be told to hold this much, not more.
pub(crate) const MAX_ROLL_BYTES: u64 = 1 << 30;

fn default_poll() -> HumanDuration {
    HumanDuration(Duration::from_millis(250))
}

fn one() -> usize {
    1
}

impl Paths {
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

impl Default for CsvSource {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: ',',
            quote: '"',
            null: Some("NA".into()),
            columns: Map::new(),
        }
    }
}

impl CsvSource {
    pub(crate) fn dialect(&self) -> Result<CsvDialect, &'static str> {
        dialect(self.delimiter, self.quote, self.null.clone())
    }
}

impl Default for CsvSink {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: ',',
            quote: '"',
            null: None,
        }
    }
}

impl CsvSink {
    pub(crate) fn dialect(&self) -> Result<CsvDialect, &'static str> {
        dialect(self.delimiter, self.quote, self.null.clone())
    }
}

fn dialect(delimiter: char, quote: char, null: Option<String>) -> Result<CsvDialect, &'static str> {
    let usable = |c: char| c.is_ascii() && !matches!(c, '\n' | '\r');
    if !usable(delimiter) || !usable(quote) || delimiter == quote {
        return Err("delimiter and quote must be two different ASCII characters and no line ends");
    }
    Ok(CsvDialect {
        delimiter: delimiter as u8,
        quote: quote as u8,
        null,
    })
}

impl Default for ParquetSink {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::default(),
            row_group: ByteSize(128 << 20),
        }
    }
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            size: ByteSize(32 << 20),
            records: NonZeroU64::new(1_000_000).expect("one million is not zero"),
            every: HumanDuration(Duration::from_secs(60)),
        }
    }
}

/// A choice that is written as its name, or as a map from its name to options.
trait Named: Sized {
    const NAMES: &'static [&'static str];

    fn named<'de, D: Deserializer<'de>>(name: &str, options: D) -> Result<Self, D::Error>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl Named for SourceFormat {
    const NAMES: &'static [&'static str] = &["csv", "ndjson", "parquet", "lines"];

    fn named<'de, D: Deserializer<'de>>(name: &str, options: D) -> Result<Self, D::Error> {
        match name {
            "csv" => Deserialize::deserialize(options).map(Self::Csv),
            "ndjson" => Deserialize::deserialize(options).map(Self::Ndjson),
            "parquet" => NoOptions::deserialize(options).map(|_| Self::Parquet),
            "lines" => NoOptions::deserialize(options).map(|_| Self::Lines),
            other => Err(D::Error::unknown_variant(other, Self::NAMES)),
        }
    }
}

impl Named for SinkFormat {
    const NAMES: &'static [&'static str] = &["parquet", "ndjson", "csv"];

    fn named<'de, D: Deserializer<'de>>(name: &str, options: D) -> Result<Self, D::Error> {
        match name {
            "csv" => Deserialize::deserialize(options).map(Self::Csv),
            "ndjson" => NoOptions::deserialize(options).map(|_| Self::Ndjson),
            "parquet" => Deserialize::deserialize(options).map(Self::Parquet),
            other => Err(D::Error::unknown_variant(other, Self::NAMES)),
        }
    }
}

struct NamedVisitor<T>(PhantomData<T>);

/// Reads the options behind a name.
struct OptionsOf<T> {
    name: String,
    choice: PhantomData<T>,
}

impl<'de, T: Named> Visitor<'de> for NamedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}, alone or with options", T::NAMES.join(", "))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        let no_options = std::iter::empty::<(&str, &str)>();
        T::named(name, MapDeserializer::new(no_options))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let choice = PhantomData;
        let format = map.next_value_seed(OptionsOf {
            name: name.clone(),
            choice,
        })?;
        match map.next_key::<String>()? {
            None => Ok(format),
            Some(second) => Err(A::Error::custom(format!(
                "'{name}' and '{second}': choose one format"
            ))),
        }
    }
}

impl<'de, T: Named> DeserializeSeed<'de> for OptionsOf<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, options: D) -> Result<T, D::Error> {
        T::named(&self.name, options)
    }
}

impl<'de> Deserialize<'de> for SourceFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for SinkFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor(PhantomData))
    }
}

/// The JSON Schema of a choice: its name, or an object with the name as its only key.
fn choice_schema(names: &[&str], options: &[(&str, Schema)]) -> Schema {
    let mut choices = vec![json!({ "type": "string", "enum": names })];
    choices.extend(options.iter().map(|(name, schema)| {
        json!({
            "type": "object",
            "properties": { *name: schema },
            "required": [name],
            "additionalProperties": false
        })
    }));
    json_schema!({ "anyOf": choices })
}

impl JsonSchema for SourceFormat {
    fn schema_name() -> Cow<'static, str> {
        "SourceFormat".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let csv = generator.subschema_for::<CsvSource>();
        let ndjson = generator.subschema_for::<NdjsonSource>();
        choice_schema(Self::NAMES, &[("csv", csv), ("ndjson", ndjson)])
    }
}

impl JsonSchema for SinkFormat {
    fn schema_name() -> Cow<'static, str> {
        "SinkFormat".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let csv = generator.subschema_for::<CsvSink>();
        let parquet = generator.subschema_for::<ParquetSink>();
        choice_schema(Self::NAMES, &[("csv", csv), ("parquet", parquet)])
    }
}
