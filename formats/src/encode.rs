use std::sync::OnceLock;

use arrow_array::{ArrayRef, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, SchemaRef};
use bytes::Bytes;
use millstream_schema_registry_avro::wire;
use millstream_sdk::{AvroFormat, CsvDialect, SchemaText, StreamSchema, ValueFormat};

use crate::{
    FormatError,
    avro::{self, AvroStreamError},
    csv,
    error::check_columns,
    json,
    text::{self, Kind, Writer},
};

/// Writes rows as values. Decoding what it writes gives the same rows, except that a NULL raw value is written as an
/// empty one.
pub struct Encoder(Form);

enum Form {
    Text(TextEncoder),
    Avro(Box<AvroEncoder>),
}

/// Rows as values.
#[derive(Debug, Default)]
pub struct Encoded {
    /// One for each row that could be written, in order: slices of one buffer.
    pub values: Vec<Bytes>,
    /// Index and reason of the other rows. Ascending. Only Avro has some: a schema may know less than a column.
    pub failed: Vec<(usize, String)>,
}

/// Writes formats that are text.
struct TextEncoder {
    format: ValueFormat,
    columns: SchemaRef,
    /// What stands before each value of a row, for example `,"carrier":`.
    prefixes: Vec<Vec<u8>>,
}

struct AvroEncoder {
    encoder: avro::Encoder,
    format: AvroFormat,
    schema: SchemaText,
    /// The magic byte and the schema's id, once it was needed.
    prefix: OnceLock<Vec<u8>>,
}

impl Encoder {
    pub fn new(schema: &StreamSchema) -> Result<Self, FormatError> {
        check_columns(schema)?;
        if let ValueFormat::Avro(format) = &schema.format {
            let encoder = AvroEncoder::new(format, &schema.columns)?;
            return Ok(Self(Form::Avro(Box::new(encoder))));
        }
        let fields = schema.columns.fields().iter().enumerate();
        let prefix = |index: usize, name: &str| match &schema.format {
            ValueFormat::Raw | ValueFormat::Avro(_) => Vec::new(),
            ValueFormat::Csv(dialect) => {
                if index == 0 {
                    Vec::new()
                } else {
                    vec![dialect.delimiter]
                }
            }
            ValueFormat::Json => {
                let mut prefix = if index == 0 { b"{".to_vec() } else { b",".to_vec() };
                json::write_string(name, &mut prefix);
                prefix.push(b':');
                prefix
            }
        };
        Ok(Self(Form::Text(TextEncoder {
            prefixes: fields.map(|(index, field)| prefix(index, field.name())).collect(),
            format: schema.format.clone(),
            columns: schema.columns.clone(),
        })))
    }

    /// One value per row of a batch with the schema's columns.
    pub fn encode(&self, batch: &RecordBatch) -> Result<Encoded, FormatError> {
        match &self.0 {
            Form::Text(encoder) => Ok(Encoded {
                values: encoder.encode(batch)?,
                failed: Vec::new(),
            }),
            Form::Avro(encoder) => encoder.encode(batch),
        }
    }
}

impl AvroEncoder {
    fn new(format: &AvroFormat, columns: &SchemaRef) -> Result<Self, AvroStreamError> {
        let schema = avro::schema(format, columns)?;
        Ok(Self {
            encoder: avro::Encoder::new(&schema, columns)?,
            format: format.clone(),
            schema: avro::schema_text(format, columns)?,
            prefix: OnceLock::new(),
        })
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Encoded, FormatError> {
        let prefix = match self.prefix.get() {
            Some(prefix) => prefix,
            None => {
                let id = self.format.schemas.id_of(&self.format.subject, &self.schema);
                let mut prefix = Vec::with_capacity(wire::PREFIX_BYTES);
                wire::frame(id.map_err(AvroStreamError::from)?, &mut prefix);
                self.prefix.get_or_init(|| prefix)
            }
        };
        Ok(self
            .encoder
            .encode(batch, prefix)
            .map_err(AvroStreamError::from)?)
    }
}

impl TextEncoder {
    fn encode(&self, batch: &RecordBatch) -> Result<Vec<Bytes>, FormatError> {
        self.check(batch)?;
        let mut out = Vec::with_capacity(batch.num_rows() * self.row_bytes());
        let mut ends = Vec::with_capacity(batch.num_rows());
        match &self.format {
            ValueFormat::Raw => write_raw(batch.column(0), &mut out, &mut ends),
            ValueFormat::Csv(dialect) => self.write_csv(dialect, batch, &mut out, &mut ends),
            ValueFormat::Json => self.write_json(batch, &mut out, &mut ends),
            ValueFormat::Avro(_) => unreachable!("it has an encoder of its own"),
        }
        Ok(cut(out, &ends))
    }

    /// About what a row takes.
    fn row_bytes(&self) -> usize {
        const VALUE_BYTES: usize = 8;
        self.prefixes
            .iter()
            .map(|prefix| prefix.len() + VALUE_BYTES)
            .sum()
    }

    fn check(&self, batch: &RecordBatch) -> Result<(), FormatError> {
        let types = |schema: &SchemaRef| -> Vec<DataType> {
            schema
                .fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect()
        };
        let (expected, found) = (types(&self.columns), types(batch.schema_ref()));
        if expected == found {
            return Ok(());
        }
        Err(FormatError::Mismatch {
            expected: format!("{expected:?}"),
            found: format!("{found:?}"),
        })
    }

    fn write_csv(&self, dialect: &CsvDialect, batch: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let writers: Vec<_> = batch.columns().iter().map(text::writer).collect();
        let mut field = Vec::new();
        for row in 0..batch.num_rows() {
            for ((column, writer), prefix) in batch.columns().iter().zip(&writers).zip(&self.prefixes) {
                out.extend_from_slice(prefix);
                if column.is_valid(row) {
                    field.clear();
                    writer(row, &mut field);
                    csv::write_field(dialect, &field, out);
                }
            }
            ends.push(out.len());
        }
    }

    fn write_json(&self, batch: &RecordBatch, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
        let writers: Vec<_> = batch.columns().iter().map(JsonColumn::new).collect();
        for row in 0..batch.num_rows() {
            for (column, prefix) in writers.iter().zip(&self.prefixes) {
                out.extend_from_slice(prefix);
                column.write(row, out);
            }
            out.extend_from_slice(if writers.is_empty() { b"{}" } else { b"}" });
            ends.push(out.len());
        }
    }
}

/// A column with its writer; text goes straight into its string, without a detour.
struct JsonColumn<'a> {
    array: &'a ArrayRef,
    writer: Writer<'a>,
}

impl<'a> JsonColumn<'a> {
    fn new(array: &'a ArrayRef) -> Self {
        Self {
            array,
            writer: text::writer(array),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.array.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        if let Some(texts) = self.array.as_string_opt::<i32>() {
            json::write_string(texts.value(row), out);
            return;
        }
        let start = out.len();
        if (self.writer)(row, out) == Kind::Quoted {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }
}

fn write_raw(column: &ArrayRef, out: &mut Vec<u8>, ends: &mut Vec<usize>) {
    for row in 0..column.len() {
        if column.is_valid(row) {
            match column.data_type() {
                DataType::Binary => out.extend_from_slice(column.as_binary::<i32>().value(row)),
                _ => out.extend_from_slice(column.as_string::<i32>().value(row).as_bytes()),
            }
        }
        ends.push(out.len());
    }
}

/// The pieces of a buffer that end there.
pub(crate) fn cut(out: Vec<u8>, ends: &[usize]) -> Vec<Bytes> {
    let out = Bytes::from(out);
    let starts = [0].iter().chain(ends);
    starts
        .zip(ends)
        .map(|(start, end)| out.slice(*start..*end))
        .collect()
}
