//! Connectors that are just large enough to be planned: the real ones live in higher layers.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use millstream_pipeline::{Diagnostics, Pipeline, Plan, parse};
use millstream_sdk::{
    Catalog, Config, Finding, Guarantee, Output, Position, Problem, Processor, ProcessorFactory,
    ProcessorPlan, Sink, SinkFactory, SinkPlan, Source, SourceFactory, SourceTask, Spec, StreamDesc,
    StreamSchema, TaskContext, TaskError, ValueFormat,
};
use millstream_types::{HumanDuration, TopicPartition};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

pub(crate) fn catalog() -> Catalog {
    Catalog::default()
        .with_source(Shelf)
        .with_source(Tap)
        .with_processor(ToySql)
        .with_sink(Bucket)
}

/// Two variables are set.
pub(crate) fn env(name: &str) -> Option<String> {
    match name {
        "TOPIC" => Some("from-env".into()),
        "RECORDS" => Some("17".into()),
        _ => None,
    }
}

pub(crate) fn read(text: &str) -> Result<Pipeline, Diagnostics> {
    parse(text, Path::new("/etc/shop/pipeline.yaml"), &catalog(), &env)
}

/// Reads and plans. Every source has the stream `s` with `id BIGINT NOT NULL, name VARCHAR` in JSON, unless its
/// `streams:` says more names.
pub(crate) fn plan(text: &str) -> Result<Plan, Diagnostics> {
    plan_of(&read(text)?)
}

/// Plans a file that was read.
pub(crate) fn plan_of(pipeline: &Pipeline) -> Result<Plan, Diagnostics> {
    let discovered = pipeline.sources().map(|source| {
        let names = source.config.value()["streams"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut names: Vec<String> = names
            .iter()
            .filter_map(|name| name.as_str().map(Into::into))
            .collect();
        if names.is_empty() {
            names.push("s".into());
        }
        let desc = |name| StreamDesc {
            name,
            schema: people(),
        };
        (source.name.to_owned(), names.into_iter().map(desc).collect())
    });
    let discovered = discovered.collect();
    pipeline.plan(&discovered)
}

pub(crate) fn people() -> StreamSchema {
    let id = Field::new("id", DataType::Int64, false);
    let name = Field::new("name", DataType::Utf8, true);
    StreamSchema {
        format: ValueFormat::Json,
        columns: Arc::new(Schema::new(vec![id, name])),
    }
}

/// Every problem as `line:column message (help)`.
pub(crate) fn shown(diagnostics: &Diagnostics) -> Vec<String> {
    let one = |p: &millstream_pipeline::Located| match &p.help {
        Some(help) => format!("{}:{} {} ({help})", p.line, p.column, p.message),
        None => format!("{}:{} {}", p.line, p.column, p.message),
    };
    diagnostics.list().iter().map(one).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter here")]
struct ShelfConfig {
    /// What to read.
    path: Paths,
    #[serde(default)]
    format: ShelfFormat,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    poll: Option<HumanDuration>,
    #[serde(default)]
    streams: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its types matter here")]
enum Paths {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its types matter here")]
enum ShelfFormat {
    #[default]
    Ndjson,
    Lines,
    Csv(ShelfCsv),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter here")]
struct ShelfCsv {
    delimiter: char,
}

/// A source whose keys resemble those of files.
struct Shelf;

#[async_trait]
impl SourceFactory for Shelf {
    fn spec(&self) -> Spec {
        Spec {
            kind: "shelf",
            about: "Reads a shelf.",
            config: schema_for!(ShelfConfig),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn validate(&self, config: &Config) -> Vec<Problem> {
        config.parse::<ShelfConfig>().err().into_iter().collect()
    }

    async fn check(&self, _: &Config) -> Vec<Finding> {
        Vec::new()
    }

    async fn discover(&self, _: &Config) -> Result<Vec<StreamDesc>, Vec<Problem>> {
        Ok(Vec::new())
    }

    async fn plan(&self, _: &Config, _: usize) -> Result<Vec<SourceTask>, Vec<Problem>> {
        Ok(Vec::new())
    }

    async fn open(
        &self,
        _: &Config,
        _: SourceTask,
        _: Output,
        _: Option<Position>,
        _: TaskContext,
    ) -> Result<Box<dyn Source>, TaskError> {
        Err(TaskError::fatal("only planned"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter here")]
struct TapConfig {
    /// A common key that this connector wants to see too.
    #[serde(default)]
    tasks: Option<u32>,
}

/// A source without keys of its own that are needed.
struct Tap;

#[async_trait]
impl SourceFactory for Tap {
    fn spec(&self) -> Spec {
        Spec {
            kind: "tap",
            about: "Runs.",
            config: schema_for!(TapConfig),
            guarantee: Guarantee::AtLeastOnce,
        }
    }

    fn validate(&self, config: &Config) -> Vec<Problem> {
        config.parse::<TapConfig>().err().into_iter().collect()
    }

    async fn check(&self, _: &Config) -> Vec<Finding> {
        Vec::new()
    }

    async fn discover(&self, _: &Config) -> Result<Vec<StreamDesc>, Vec<Problem>> {
        Ok(Vec::new())
    }

    async fn plan(&self, _: &Config, _: usize) -> Result<Vec<SourceTask>, Vec<Problem>> {
        Ok(Vec::new())
    }

    async fn open(
        &self,
        _: &Config,
        _: SourceTask,
        _: Output,
        _: Option<Position>,
        _: TaskContext,
    ) -> Result<Box<dyn Source>, TaskError> {
        Err(TaskError::fatal("only planned"))
    }
}

/// `SELECT a, b AS c FROM t` and no more: words in this order. `*` stands for all columns. New names, quotes,
/// brackets and everything behind FROM's table are passed over.
struct ToySql;

struct ToyPlan(StreamSchema);

impl ToySql {
    fn words(sql: &str) -> Vec<(&str, (usize, usize))> {
        let mut words = Vec::new();
        for (n, line) in sql.lines().enumerate() {
            let mut from = 0;
            for word in line.split([' ', ',', '(', ')', '"']) {
                let at = from + line[from..].find(word).unwrap_or(0);
                from = at + word.len();
                if !word.is_empty() {
                    words.push((word, (n + 1, line[..at].chars().count() + 1)));
                }
            }
        }
        words
    }
}

impl ProcessorFactory for ToySql {
    fn spec(&self) -> Spec {
        Spec {
            kind: "sql",
            about: "Selects.",
            config: schema_for!(String),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn inputs(&self, config: &Config) -> Result<Vec<String>, Vec<Problem>> {
        let sql: String = config.parse().map_err(|problem| vec![problem])?;
        let words = Self::words(&sql);
        if words.first().is_none_or(|(word, _)| *word != "SELECT") {
            return Err(vec![
                Problem::new(config.path().clone(), "SELECT is expected").within(1, 1),
            ]);
        }
        let tables = words
            .windows(2)
            .filter(|pair| pair[0].0 == "FROM" || pair[0].0 == "JOIN");
        Ok(tables.map(|pair| pair[1].0.to_owned()).collect())
    }

    fn plan(
        &self,
        config: &Config,
        inputs: &BTreeMap<String, StreamSchema>,
        output: &Output,
    ) -> Result<Box<dyn ProcessorPlan>, Vec<Problem>> {
        let sql: String = config.parse().map_err(|problem| vec![problem])?;
        let input = inputs.values().next().expect("one input is given");
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        let words = Self::words(&sql);
        for (n, (word, (line, column))) in words.iter().enumerate().skip(1) {
            match input.columns.field_with_name(word) {
                _ if *word == "FROM" => break,
                _ if *word == "AS" || words[n - 1].0 == "AS" => {}
                _ if *word == "*" => fields.extend(input.columns.fields().iter().cloned()),
                Ok(field) => fields.push(Arc::new(field.clone())),
                Err(_) => {
                    let problem =
                        Problem::new(config.path().clone(), format!("column '{word}' is not known"));
                    problems.push(problem.within(*line, *column));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let format = output.format.clone().unwrap_or(ValueFormat::Json);
        Ok(Box::new(ToyPlan(StreamSchema {
            format,
            columns: Arc::new(Schema::new(fields)),
        })))
    }
}

impl ProcessorPlan for ToyPlan {
    fn output(&self) -> &StreamSchema {
        &self.0
    }

    fn explain(&self) -> String {
        "selects".into()
    }

    fn open(&self) -> Result<Box<dyn Processor>, TaskError> {
        Err(TaskError::fatal("only planned"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only some are looked at")]
struct BucketConfig {
    /// Where to write.
    path: String,
    /// A column that must be there.
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    roll: Option<Roll>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter here")]
struct Roll {
    #[serde(default)]
    records: Option<u64>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    every: Option<HumanDuration>,
}

/// A sink that may insist on a column.
struct Bucket;

struct BucketPlan;

#[async_trait]
impl SinkFactory for Bucket {
    fn spec(&self) -> Spec {
        Spec {
            kind: "bucket",
            about: "Fills a bucket.",
            config: schema_for!(BucketConfig),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn plan(&self, config: &Config, input: &StreamSchema) -> Result<Box<dyn SinkPlan>, Vec<Problem>> {
        let bucket: BucketConfig = config.parse().map_err(|problem| vec![problem])?;
        match bucket.column {
            Some(column) if input.columns.column_with_name(&column).is_none() => Err(vec![
                config.problem("column", format!("column '{column}' is not known")),
            ]),
            _ => Ok(Box::new(BucketPlan)),
        }
    }

    async fn check(&self, _: &Config) -> Vec<Finding> {
        Vec::new()
    }
}

#[async_trait]
impl SinkPlan for BucketPlan {
    async fn open(&self, _: TopicPartition, _: TaskContext) -> Result<Box<dyn Sink>, TaskError> {
        Err(TaskError::fatal("only planned"))
    }
}
