use arrow_schema::SchemaRef;

use crate::AvroFormat;

/// How the value bytes of a topic are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueFormat {
    /// Bytes or text that nobody looks into: one column `value`.
    Raw,
    /// One JSON object per record.
    Json,
    /// One CSV row per record, without header and line end; the columns stand in schema order.
    Csv(CsvDialect),
    /// Avro data of registered schemas.
    Avro(AvroFormat),
}

/// The characters of a CSV row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvDialect {
    pub delimiter: u8,
    pub quote: u8,
    /// The text that stands for NULL, besides the empty field; for example `NA`.
    pub null: Option<String>,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            null: None,
        }
    }
}

/// What is known of the records of a topic: the type of an edge.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSchema {
    pub format: ValueFormat,
    /// The columns of the value, in order, with Arrow's types.
    pub columns: SchemaRef,
}

/// Where a source or processor writes, as far as it must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The column whose text becomes the record key; NULL gives no key.
    pub key: Option<String>,
    /// The format to write values in, where the writer has a choice.
    pub format: Option<ValueFormat>,
}
