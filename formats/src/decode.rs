use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{FieldRef, Schema, SchemaRef};
use arrow_select::filter::filter;
use millstream_sdk::{SchemasError, StreamSchema, ValueFormat};
use millstream_types::Record;

use crate::{
    FormatError,
    avro::{self, Framed},
    cell::{Cell, Cells},
    column::{Column, Failures},
    csv,
    error::check_columns,
    json,
};

/// Reads the wanted columns of records.
pub struct Decoder(Kind);

enum Kind {
    Text(TextDecoder),
    Avro(Box<avro::StreamDecoder>),
}

/// Reads formats that are text: splits values into cells, and parses them.
struct TextDecoder {
    splitter: Splitter,
    /// The wanted columns.
    schema: SchemaRef,
    null_texts: Vec<String>,
}

/// A micro-batch as columns. Every input record is in `rows` or in `failed`.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The columns of the projection, in its order.
    pub batch: RecordBatch,
    /// For each row the index of its record. Ascending.
    pub rows: Vec<u32>,
    /// Index and reason of each record that could not be read. Ascending.
    pub failed: Vec<(usize, String)>,
}

/// How a value falls apart into cells.
enum Splitter {
    Raw,
    Csv(csv::Splitter),
    Json(json::Splitter),
}

impl Decoder {
    /// `projection`: indices of the wanted columns, each at most once, in the wanted order. Others are not parsed.
    pub fn new(schema: &StreamSchema, projection: &[usize]) -> Result<Self, FormatError> {
        check_columns(schema)?;
        let columns = &schema.columns;
        let mut wanted = vec![None; columns.fields().len()];
        for (place, index) in projection.iter().enumerate() {
            match wanted.get_mut(*index) {
                Some(slot @ None) => *slot = Some(place),
                _ => {
                    return Err(FormatError::Projection {
                        index: *index,
                        columns: wanted.len(),
                    });
                }
            }
        }
        if let ValueFormat::Avro(format) = &schema.format {
            let decoder = avro::StreamDecoder::new(format, columns, projection)?;
            return Ok(Self(Kind::Avro(Box::new(decoder))));
        }
        let names = || {
            let places = columns.fields().iter().zip(&wanted);
            places.filter_map(|(field, place)| Some((field.name().clone(), (*place)?)))
        };
        let splitter = match &schema.format {
            ValueFormat::Raw => Splitter::Raw,
            ValueFormat::Json => Splitter::Json(json::Splitter::new(names().collect())),
            ValueFormat::Csv(dialect) => Splitter::Csv(csv::Splitter::new(dialect, wanted)?),
            ValueFormat::Avro(_) => unreachable!("it has a decoder of its own"),
        };
        let null_texts = match &schema.format {
            ValueFormat::Csv(dialect) => [Some(String::new()), dialect.null.clone()]
                .into_iter()
                .flatten()
                .collect(),
            ValueFormat::Raw | ValueFormat::Json | ValueFormat::Avro(_) => Vec::new(),
        };
        let fields: Vec<_> = projection
            .iter()
            .map(|index| columns.fields()[*index].clone())
            .collect();
        Ok(Self(Kind::Text(TextDecoder {
            splitter,
            schema: Arc::new(Schema::new(fields)),
            null_texts,
        })))
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        match &self.0 {
            Kind::Text(decoder) => &decoder.schema,
            Kind::Avro(decoder) => decoder.schema(),
        }
    }

    /// Decodes a micro-batch: a record that cannot be read is named, the rest goes on. The error is that a schema cannot be
    /// had, which only formats with a registry know: the same records may be tried again.
    pub fn decode(&self, records: &[Record]) -> Result<Decoded, SchemasError> {
        match &self.0 {
            Kind::Text(decoder) => {
                let values = records.iter().map(|record| record.value.as_deref());
                Ok(decoder.decode_values(values))
            }
            Kind::Avro(decoder) => decoder.decode(records.iter().map(Framed::of_record)),
        }
    }

    /// The same for values without records around them.
    pub fn decode_values<'a>(
        &self,
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
    ) -> Result<Decoded, SchemasError> {
        match &self.0 {
            Kind::Text(decoder) => Ok(decoder.decode_values(values)),
            Kind::Avro(decoder) => decoder.decode(values.map(|value| value.map(Framed::of_value))),
        }
    }
}

impl TextDecoder {
    fn decode_values<'a>(&self, values: impl ExactSizeIterator<Item = Option<&'a [u8]>>) -> Decoded {
        let mut cells = Cells::new(self.schema.fields().len(), values.len());
        let mut rows = Vec::with_capacity(values.len());
        let mut failed = BTreeMap::new();
        for (index, value) in values.enumerate() {
            cells.begin_row();
            match self.split(value, &mut cells) {
                Ok(()) => rows.push(u32::try_from(index).expect("a micro-batch has less than 2^32 records")),
                Err(reason) => {
                    cells.drop_row();
                    failed.insert(index, reason);
                }
            }
        }
        let mut failures = Failures::new();
        let mut columns = self.build(&cells, &mut failures);
        if !failures.is_empty() {
            let is_good: BooleanArray = (0..rows.len())
                .map(|row| Some(!failures.contains_key(&row)))
                .collect();
            for column in &mut columns {
                *column = filter(column, &is_good).expect("the mask has a bit for every row");
            }
            failed.extend(
                failures
                    .into_iter()
                    .map(|(row, reason)| (rows[row] as usize, reason)),
            );
            rows.retain(|index| !failed.contains_key(&(*index as usize)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Decoded {
            batch: RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
                .expect("every column was built from the same rows, of its own type"),
            rows,
            failed: failed.into_iter().collect(),
        }
    }

    fn split<'a>(&self, value: Option<&'a [u8]>, cells: &mut Cells<'a>) -> Result<(), String> {
        let value = value.ok_or("the record has no value")?;
        match &self.splitter {
            Splitter::Csv(csv) => csv.split(value, cells),
            Splitter::Json(json) => json.split(value, cells),
            Splitter::Raw => {
                if !cells.columns.is_empty() {
                    cells.set(0, Cell::Bytes(value));
                }
                Ok(())
            }
        }
    }

    fn build(&self, cells: &Cells<'_>, failures: &mut Failures) -> Vec<ArrayRef> {
        let columns = self.schema.fields().iter().zip(&cells.columns);
        let array = |(field, cells): (&FieldRef, &Vec<Cell<'_>>)| {
            let column = Column {
                field,
                null_texts: &self.null_texts,
            };
            column.build(cells, failures)
        };
        columns.map(array).collect()
    }
}
