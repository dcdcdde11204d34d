//! What a stream says of its format, as schemas.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use arrow_select::filter::filter;
use millstream_schema_registry_avro::{Schema, SchemaError, Strictness};
use millstream_sdk::{AvroFormat, SchemaText, SchemasError};
use millstream_types::Subject;

use super::{Decoder, DeriveError, EncodeError, Framed, Layout, LayoutError, Types, derive};
use crate::Decoded;

/// Why the values of a stream cannot be Avro data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AvroStreamError {
    #[error(transparent)]
    Derive(#[from] DeriveError),
    #[error("the schema of subject '{subject}' is wrong: {reason}")]
    Schema { subject: Subject, reason: SchemaError },
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("column '{column}' is {declared}, but the schema of subject '{subject}' makes it {found}")]
    Column {
        column: String,
        subject: Subject,
        declared: String,
        found: String,
    },
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Schemas(#[from] SchemasError),
}

/// The schema that the values of a stream are read as and written with.
pub fn schema_text(format: &AvroFormat, columns: &SchemaRef) -> Result<SchemaText, AvroStreamError> {
    match &format.schema {
        Some(schema) => Ok(schema.as_ref().clone()),
        None => Ok(SchemaText {
            text: derive(&format.record, columns)?,
            referenced: Vec::new(),
        }),
    }
}

/// As a schema that is registered.
pub(super) fn parse(text: &SchemaText) -> Result<Schema, SchemaError> {
    let referenced: Vec<_> = text.referenced.iter().map(String::as_str).collect();
    Schema::parse(&text.text, &referenced, Strictness::Stored)
}

fn parse_of(subject: &Subject, text: &SchemaText) -> Result<Schema, AvroStreamError> {
    parse(text).map_err(|reason| AvroStreamError::Schema {
        subject: subject.clone(),
        reason,
    })
}

pub(crate) fn schema(format: &AvroFormat, columns: &SchemaRef) -> Result<Schema, AvroStreamError> {
    parse_of(&format.subject, &schema_text(format, columns)?)
}

/// The columns that readers of a subject's schema see, of types that every format carries.
pub fn columns(subject: &Subject, text: &SchemaText) -> Result<SchemaRef, AvroStreamError> {
    let schema = parse_of(subject, text)?;
    Ok(Layout::new(&schema, Types::Plain)?.schema().clone())
}

/// Reads the wanted columns of a stream, as its declaration has them.
pub(crate) struct StreamDecoder {
    decoder: Decoder,
    declared: SchemaRef,
    /// Whether Avro has a wider type for one of the columns.
    is_narrower: bool,
}

impl StreamDecoder {
    pub(crate) fn new(
        format: &AvroFormat,
        declared: &SchemaRef,
        projection: &[usize],
    ) -> Result<Self, AvroStreamError> {
        let layout = Layout::new(&schema(format, declared)?, Types::Plain)?;
        let place = |index: &usize| {
            let field = declared.field(*index);
            match layout.schema().column_with_name(field.name()) {
                Some((place, found)) if is_carried_by(field.data_type(), found.data_type()) => Ok(place),
                other => Err(AvroStreamError::Column {
                    column: field.name().clone(),
                    subject: format.subject.clone(),
                    declared: name(field.data_type()),
                    found: other.map_or("nothing".into(), |(_, found)| name(found.data_type())),
                }),
            }
        };
        let places = projection.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let layout = layout.project(&places)?;
        let declared = Arc::new(declared.project(projection).expect("the columns were found"));
        let pairs = declared.fields().iter().zip(layout.schema().fields());
        let is_narrower = pairs
            .into_iter()
            .any(|(declared, found)| declared.data_type() != found.data_type());
        Ok(Self {
            decoder: Decoder::of_registered(format.schemas.clone(), &layout),
            declared,
            is_narrower,
        })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.declared
    }

    pub(crate) fn decode<'a>(
        &self,
        values: impl ExactSizeIterator<Item = Option<Framed<'a>>> + Clone,
    ) -> Result<Decoded, SchemasError> {
        let decoded = self.decoder.decode_framed(values)?;
        if self.is_narrower {
            return Ok(self.narrowed(decoded));
        }
        // The declaration may say less of what is never null.
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.rows.len()));
        let columns = decoded.batch.columns().to_vec();
        Ok(
            match RecordBatch::try_new_with_options(self.declared.clone(), columns, &options) {
                Ok(batch) => Decoded { batch, ..decoded },
                Err(_) => self.narrowed(decoded),
            },
        )
    }

    /// Columns of the declared types; rows with values that do not fit are named.
    fn narrowed(&self, decoded: Decoded) -> Decoded {
        let mut is_good = vec![true; decoded.rows.len()];
        let mut reasons = BTreeMap::new();
        let mut columns = Vec::with_capacity(decoded.batch.num_columns());
        for (wide, field) in decoded.batch.columns().iter().zip(self.declared.fields()) {
            let narrow = cast(wide, field.data_type()).expect("a wider type was taken for it");
            for (row, is_good) in is_good.iter_mut().enumerate() {
                let problem = match (narrow.is_null(row), wide.is_null(row), field.is_nullable()) {
                    (true, true, false) => "must not be NULL",
                    (true, false, _) => "is out of range",
                    _ => continue,
                };
                *is_good = false;
                let reason = || format!("column '{}' {problem}", field.name());
                reasons.entry(decoded.rows[row] as usize).or_insert_with(reason);
            }
            columns.push(narrow);
        }
        let mask = BooleanArray::from(is_good.clone());
        for column in &mut columns {
            *column = filter(column, &mask).expect("the mask has a bit for every row");
        }
        let good = decoded.rows.iter().zip(&is_good).filter(|(_, good)| **good);
        let rows: Vec<u32> = good.map(|(row, _)| *row).collect();
        reasons.extend(decoded.failed);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Decoded {
            batch: RecordBatch::try_new_with_options(self.declared.clone(), columns, &options)
                .expect("what does not fit the declaration was taken out"),
            rows,
            failed: reasons.into_iter().collect(),
        }
    }
}

/// Whether a column of the first type is written as the second one, or is it.
fn is_carried_by(declared: &DataType, found: &DataType) -> bool {
    use DataType::{Int8, Int16, Int32, Int64, Timestamp, UInt8, UInt16, UInt32, UInt64};
    match (declared, found) {
        (Int8 | Int16 | UInt8 | UInt16, Int32) | (UInt32 | UInt64, Int64) => true,
        (Timestamp(TimeUnit::Second, zone), Timestamp(TimeUnit::Millisecond, found)) => zone == found,
        _ => declared == found,
    }
}

fn name(data_type: &DataType) -> String {
    millstream_sdk::type_name(data_type).unwrap_or_else(|| data_type.to_string())
}
