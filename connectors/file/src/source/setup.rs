//! A source's configuration, checked: what follows can rely on it.

use std::path::{Path, PathBuf};

use arrow_schema::{DataType, Field, Schema};
use chrono::format::{Item, StrftimeItems};
use millstream_formats::Decoder;
use millstream_sdk::{
    Config, ConfigPath, CsvDialect, Problem, StreamSchema, UnknownType, ValueFormat, parse_type,
};
use serde_json::{Map, Value};

use super::files::Patterns;
use crate::config::{SourceCompression, SourceConfig, SourceFormat};

pub(crate) const MAX_TASKS: usize = 64;
/// Why a match on the format of rows has nothing to do for Avro.
pub(crate) const NO_AVRO: &str = "files have rows of text; Avro is made of them by the runtime";

pub(crate) struct Setup {
    pub(crate) config: SourceConfig,
    pub(crate) patterns: Patterns,
    /// The folder of the pipeline file, from which paths are shown.
    pub(crate) base: PathBuf,
    pub(crate) format: ValueFormat,
    /// Names and types that the user declared, in order.
    pub(crate) declared: Vec<(String, DataType)>,
    path: ConfigPath,
}

impl Setup {
    /// No I/O; all problems at once.
    pub(crate) fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        let typed: SourceConfig = config.parse().map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let mut path = config.path().clone().key("path");
        let files = typed.path.list();
        if files.is_empty() {
            problems.push(config.problem("path", "no path is given"));
        }
        let patterns = Patterns::new(files.iter().map(|file| config.resolve(file))).unwrap_or_else(|error| {
            let (index, message) = error;
            if files.len() > 1 {
                path = path.clone().index(index);
            }
            problems.push(Problem::new(path, format!("not a path or glob: {message}")));
            Patterns::default()
        });
        let format_path = config.path().clone().key("format");
        let (format, declared) = match &typed.format {
            SourceFormat::Csv(csv) => {
                let csv_path = format_path.key("csv");
                let dialect = csv.dialect().unwrap_or_else(|message| {
                    problems.push(Problem::new(csv_path.clone().key("delimiter"), message));
                    CsvDialect::default()
                });
                (
                    ValueFormat::Csv(dialect),
                    declared(&csv.columns, csv_path, &mut problems),
                )
            }
            SourceFormat::Ndjson(ndjson) => (
                ValueFormat::Json,
                declared(&ndjson.columns, format_path.key("ndjson"), &mut problems),
            ),
            SourceFormat::Parquet => (ValueFormat::Json, Vec::new()),
            SourceFormat::Lines => (ValueFormat::Raw, vec![("value".into(), DataType::Utf8)]),
        };
        check_options(config, &typed, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            patterns,
            base: config.resolve(""),
            format,
            declared,
            path: config.path().clone(),
            config: typed,
        })
    }

    pub(crate) fn problem(&self, key: &str, message: impl ToString) -> Problem {
        Problem::new(self.path.clone().key(key), message)
    }

    /// The stream's schema, once its columns are known. Looks whether formats can carry it.
    pub(crate) fn schema(&self, columns: Vec<(String, DataType)>) -> Result<StreamSchema, Vec<Problem>> {
        let fields = columns
            .into_iter()
            .map(|(name, data_type)| Field::new(name, data_type, true));
        let schema = StreamSchema {
            format: self.format.clone(),
            columns: Schema::new(fields.collect::<Vec<_>>()).into(),
        };
        Decoder::new(&schema, &[]).map_err(|error| vec![self.problem("format", error)])?;
        if let Some(time) = &self.config.event_time
            && schema.columns.index_of(&time.column).is_err()
        {
            let path = self.path.clone().key("event_time").key("column");
            let names: Vec<_> = schema
                .columns
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            let problem = Problem::new(path, format!("there is no column '{}'", time.column));
            return Err(vec![
                problem.help(format!("the columns are {}", names.join(", "))),
            ]);
        }
        Ok(schema)
    }

    /// A path as users see it, and as positions hold it.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.base)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    pub(crate) fn has_header(&self) -> bool {
        matches!(&self.config.format, SourceFormat::Csv(csv) if csv.header)
    }

    pub(crate) fn is_parquet(&self) -> bool {
        matches!(self.config.format, SourceFormat::Parquet)
    }
}

fn declared(
    columns: &Map<String, Value>,
    path: ConfigPath,
    problems: &mut Vec<Problem>,
) -> Vec<(String, DataType)> {
    let path = path.key("columns");
    let mut types = Vec::new();
    for (name, written) in columns {
        match written.as_str().map(parse_type) {
            Some(Ok(data_type)) => types.push((name.clone(), data_type)),
            Some(Err(error)) => {
                problems.push(Problem::new(path.clone().key(name), error).help(UnknownType::HELP));
            }
            None => {
                let problem = Problem::new(path.clone().key(name), "the type of a column is a text");
                problems.push(problem.help(UnknownType::HELP));
            }
        }
    }
    types
}

fn check_options(config: &Config, typed: &SourceConfig, problems: &mut Vec<Problem>) {
    if !(1..=MAX_TASKS).contains(&typed.tasks) {
        problems.push(config.problem("tasks", format!("tasks must be between 1 and {MAX_TASKS}")));
    }
    if typed.follow && typed.tasks > 1 {
        let problem = config.problem("tasks", "followed files are read by one task");
        problems.push(problem.help("a rotated file changes its name, by which files are dealt to tasks"));
    }
    if typed.follow && matches!(typed.format, SourceFormat::Parquet) {
        problems.push(config.problem("follow", "a Parquet file does not grow, so it cannot be followed"));
    }
    if typed.follow
        && !matches!(
            typed.compression,
            SourceCompression::Auto | SourceCompression::None
        )
    {
        problems.push(config.problem("follow", "a compressed file cannot be followed"));
    }
    if matches!(typed.format, SourceFormat::Parquet)
        && !matches!(
            typed.compression,
            SourceCompression::Auto | SourceCompression::None
        )
    {
        problems.push(config.problem("compression", "Parquet files carry their own compression"));
    }
    if typed.poll.0.is_zero() {
        problems.push(config.problem("poll", "the interval must not be zero"));
    }
    let format = typed.event_time.as_ref().and_then(|time| time.format.as_deref());
    if format.is_some_and(|format| StrftimeItems::new(format).any(|item| item == Item::Error)) {
        let path = config.path().clone().key("event_time").key("format");
        problems.push(Problem::new(path, "not a strftime format").help("for example %Y-%m-%d %H:%M:%S"));
    }
}
