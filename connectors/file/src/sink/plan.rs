//! A sink's configuration, known to fit its input.

use std::{path::PathBuf, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use millstream_formats::{Decoder, Encoder};
use millstream_sdk::{Config, Problem, StreamSchema, ValueFormat};

use super::pattern::Pattern;
use crate::config::{MAX_ROLL_BYTES, ParquetSink, Roll, SinkCompression, SinkConfig, SinkFormat};

pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    pub(crate) pattern: Pattern,
    pub(crate) input: StreamSchema,
    /// The columns that are decoded: all, or those that the pattern names where values pass through as they are.
    pub(crate) projection: Vec<usize>,
    pub(crate) target: Target,
    pub(crate) roll: Roll,
    /// Pattern and file type, for the manifests.
    pub(crate) layout: String,
}

/// What is written.
#[derive(Clone)]
pub(crate) enum Target {
    Parquet(ParquetSink),
    Text(TextTarget),
}

#[derive(Clone)]
pub(crate) struct TextTarget {
    pub(crate) compression: SinkCompression,
    /// What stands before the first row, with its line end.
    pub(crate) header: Vec<u8>,
    /// `None`: the values pass through.
    pub(crate) encoder: Option<Arc<Encoder>>,
    extension: &'static str,
}

impl Plan {
    /// No I/O; all problems at once.
    pub(crate) fn new(config: &Config, input: &StreamSchema) -> Result<Self, Vec<Problem>> {
        let typed: SinkConfig = config.parse().map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let (root, pattern) = Pattern::parse(&typed.path).unwrap_or_else(|message| {
            problems.push(config.problem("path", message));
            Default::default()
        });
        let names = || {
            let names: Vec<_> = input
                .columns
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            format!("the columns are {}", names.join(", "))
        };
        let mut named = Vec::new();
        for column in pattern.columns() {
            match input.columns.index_of(column) {
                Ok(index) => named.push(index),
                Err(_) => {
                    let problem = config.problem("path", format!("there is no column '{column}'"));
                    problems.push(problem.help(names()));
                }
            }
        }
        if typed.roll.size.0 > MAX_ROLL_BYTES || typed.roll.size.0 == 0 {
            let path = config.path().clone().key("roll").key("size");
            problems
                .push(Problem::new(path, "must be between 1 byte and 1GB").help("a range is held in memory"));
        }
        if matches!(typed.format, SinkFormat::Parquet(_)) && typed.compression != SinkCompression::None {
            let problem = config.problem("compression", "a Parquet file is compressed inside");
            problems.push(problem.help("write format: { parquet: { compression: zstd } }"));
        }
        let target = Target::new(config, &typed, input)
            .map_err(|problem| problems.push(problem))
            .ok();
        let (Some(target), true) = (target, problems.is_empty()) else {
            return Err(problems);
        };
        let projection = if target.passes_through() {
            named
        } else {
            (0..input.columns.fields().len()).collect()
        };
        Decoder::new(input, &projection).map_err(|error| vec![config.problem("format", error)])?;
        Ok(Self {
            root: config.resolve(root),
            layout: format!("{} as {}", typed.path, target.extension()),
            pattern,
            input: input.clone(),
            projection,
            target,
            roll: typed.roll,
        })
    }

    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(&self.input, &self.projection).expect("planning built the same decoder")
    }
}

impl Target {
    fn new(config: &Config, typed: &SinkConfig, input: &StreamSchema) -> Result<Self, Problem> {
        let text = |format: ValueFormat, header: Vec<u8>, extension| {
            let schema = StreamSchema {
                format,
                columns: input.columns.clone(),
            };
            let encoder = Encoder::new(&schema).map_err(|error| config.problem("format", error))?;
            Ok(Self::Text(TextTarget {
                compression: typed.compression,
                header,
                encoder: Some(Arc::new(encoder)),
                extension,
            }))
        };
        match &typed.format {
            SinkFormat::Parquet(_) if input.columns.fields().is_empty() => {
                Err(config.problem("format", "a Parquet file needs columns, the topic has none"))
            }
            SinkFormat::Parquet(parquet) => Ok(Self::Parquet(parquet.clone())),
            SinkFormat::Ndjson if input.format == ValueFormat::Json => Ok(Self::Text(TextTarget {
                compression: typed.compression,
                header: Vec::new(),
                encoder: None,
                extension: "ndjson",
            })),
            SinkFormat::Ndjson => text(ValueFormat::Json, Vec::new(), "ndjson"),
            SinkFormat::Csv(csv) => {
                let dialect = csv.dialect().map_err(|message| {
                    let path = config.path().clone().key("format").key("csv").key("delimiter");
                    Problem::new(path, message)
                })?;
                let format = ValueFormat::Csv(dialect);
                let header = if csv.header {
                    header(&format, &input.columns)
                } else {
                    Vec::new()
                };
                text(format, header, "csv")
            }
        }
    }

    pub(crate) fn passes_through(&self) -> bool {
        matches!(self, Self::Text(TextTarget { encoder: None, .. }))
    }

    pub(crate) fn extension(&self) -> String {
        match self {
            Self::Parquet(_) => "parquet".into(),
            Self::Text(text) => match text.compression {
                SinkCompression::None => text.extension.into(),
                SinkCompression::Gzip => format!("{}.gz", text.extension),
                SinkCompression::Zstd => format!("{}.zst", text.extension),
            },
        }
    }
}

/// The names of the columns as a row.
fn header(format: &ValueFormat, columns: &SchemaRef) -> Vec<u8> {
    let names = columns.fields().iter().map(|field| field.name().as_str());
    let texts = names.clone().map(|name| Field::new(name, DataType::Utf8, false));
    let schema = StreamSchema {
        format: format.clone(),
        columns: Schema::new(texts.collect::<Vec<_>>()).into(),
    };
    let arrays = names.map(|name| ArrayRef::from(Arc::new(StringArray::from(vec![name])) as ArrayRef));
    let row = RecordBatch::try_new(schema.columns.clone(), arrays.collect());
    let encoded = Encoder::new(&schema)
        .ok()
        .zip(row.ok())
        .and_then(|(encoder, row)| Some(encoder.encode(&row).ok()?.values));
    let mut header = encoded
        .and_then(|rows| rows.first().map(|row| row.to_vec()))
        .unwrap_or_default();
    header.push(b'\n');
    header
}
