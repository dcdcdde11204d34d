//! Columns to Avro data of a given schema.
//!
//! A column goes to the field of its name. What the types do not allow is said when the encoder is made, what a value does
//! not allow (a NULL, a symbol that an enum does not have) when it occurs, and its row alone is lost.

mod json;
mod writer;

use arrow_array::{RecordBatch, new_empty_array};
use arrow_schema::SchemaRef;
use millstream_schema_registry_avro::{Kind, Record, Schema};

use super::{derive::column_name, literal};
use crate::Encoded;
use writer::{Writer, writer};

pub use json::JsonEncoder;

/// Why rows cannot be written as data of a schema at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("rows need a schema that is a record, not {found}")]
    NoRecord { found: &'static str },
    #[error("column '{column}' is no field of the record {record}")]
    NoField { column: String, record: String },
    #[error("field '{field}' of the record {record} has no column, no default, and may not be null")]
    NoColumn { field: String, record: String },
    #[error("column '{column}': {reason}")]
    Type { column: String, reason: String },
    #[error("the batch does not have the encoder's columns: expected {expected}, found {found}")]
    Mismatch { expected: String, found: String },
}

/// Writes rows as data of a schema.
#[derive(Debug)]
pub struct Encoder {
    schema: Schema,
    columns: SchemaRef,
    fields: Vec<Source>,
}

/// Where the value of a field comes from.
#[derive(Clone, Debug)]
enum Source {
    Column(usize),
    /// Always the same data.
    Constant(Vec<u8>),
}

impl Encoder {
    pub fn new(schema: &Schema, columns: &SchemaRef) -> Result<Self, EncodeError> {
        let record = match schema.kind(schema.root()) {
            Kind::Record(record) => record,
            other => {
                return Err(EncodeError::NoRecord {
                    found: other.type_name(),
                });
            }
        };
        let names: Vec<_> = record.fields.iter().map(column_name).collect();
        let unknown = columns
            .fields()
            .iter()
            .find(|column| !names.contains(&column.name().as_str()));
        if let Some(column) = unknown {
            return Err(EncodeError::NoField {
                column: column.name().clone(),
                record: record.name.full(),
            });
        }
        let fields = sources(schema, record, columns)?;
        let encoder = Self {
            schema: schema.clone(),
            columns: columns.clone(),
            fields,
        };
        // Whether each column's type can be written shows with no rows as well.
        encoder.writers(&RecordBatch::new_empty(columns.clone()))?;
        Ok(encoder)
    }

    /// One datum for each row of a batch with the encoder's columns. `prefix` stands before each: the magic byte and the
    /// schema's id, or nothing.
    pub fn encode(&self, batch: &RecordBatch, prefix: &[u8]) -> Result<Encoded, EncodeError> {
        self.check(batch)?;
        let writers = self.writers(batch)?;
        let mut out = Vec::with_capacity(batch.num_rows() * (prefix.len() + 8 * self.fields.len()));
        let mut ends = Vec::with_capacity(batch.num_rows());
        let mut failed = Vec::new();
        for row in 0..batch.num_rows() {
            let start = out.len();
            out.extend_from_slice(prefix);
            match self.write_row(&writers, row, &mut out) {
                Ok(()) => ends.push(out.len()),
                Err(reason) => {
                    out.truncate(start);
                    failed.push((row, reason));
                }
            }
        }
        Ok(Encoded {
            values: crate::encode::cut(out, &ends),
            failed,
        })
    }

    fn write_row(&self, writers: &[Option<Writer<'_>>], row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        for (source, writer) in self.fields.iter().zip(writers) {
            match (source, writer) {
                (Source::Column(column), Some(writer)) => writer(row, out)
                    .map_err(|reason| format!("column '{}': {reason}", self.columns.field(*column).name()))?,
                (Source::Constant(data), _) => out.extend_from_slice(data),
                (Source::Column(_), None) => unreachable!("each column has a writer"),
            }
        }
        Ok(())
    }

    /// For each field the writer of its column, if it has one.
    fn writers<'a>(&'a self, batch: &'a RecordBatch) -> Result<Vec<Option<Writer<'a>>>, EncodeError> {
        let Kind::Record(record) = self.schema.kind(self.schema.root()) else {
            unreachable!("it was a record when the encoder was made");
        };
        let sources = self.fields.iter().zip(&record.fields);
        let writer = |(source, field): (&Source, &millstream_schema_registry_avro::Field)| match source {
            Source::Constant(_) => Ok(None),
            Source::Column(column) => writer(&self.schema, field.schema, batch.column(*column))
                .map(Some)
                .map_err(|reason| EncodeError::Type {
                    column: self.columns.field(*column).name().clone(),
                    reason,
                }),
        };
        sources.map(writer).collect()
    }

    fn check(&self, batch: &RecordBatch) -> Result<(), EncodeError> {
        let types = |schema: &SchemaRef| -> Vec<_> {
            let fields = schema.fields().iter();
            fields.map(|field| field.data_type().clone()).collect()
        };
        let (expected, found) = (types(&self.columns), types(batch.schema_ref()));
        if expected == found {
            return Ok(());
        }
        Err(EncodeError::Mismatch {
            expected: format!("{expected:?}"),
            found: format!("{found:?}"),
        })
    }
}

/// The column of each field; one without a column has its default, or null.
fn sources(schema: &Schema, record: &Record, columns: &SchemaRef) -> Result<Vec<Source>, EncodeError> {
    let source = |field: &millstream_schema_registry_avro::Field| {
        if let Some((index, _)) = columns.column_with_name(column_name(field)) {
            return Ok(Source::Column(index));
        }
        let default = field.default.as_ref();
        let default = default.and_then(|value| literal::encode(schema, field.schema, value).ok());
        let null = || {
            let nulls = new_empty_array(&arrow_schema::DataType::Null);
            let writer = writer(schema, field.schema, &nulls).ok()?;
            let mut data = Vec::new();
            writer(0, &mut data).ok()?;
            Some(data)
        };
        match default.or_else(null) {
            Some(data) => Ok(Source::Constant(data)),
            None => Err(EncodeError::NoColumn {
                field: field.name.clone(),
                record: record.name.full(),
            }),
        }
    };
    record.fields.iter().map(source).collect()
}
