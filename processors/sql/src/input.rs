//! Records to the columns that a query reads: those of the value, and `_key`, `_ts`, `_offset` of the record itself.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use millstream_formats::{Decoder, FormatError};
use millstream_sdk::{SchemasError, StreamSchema};
use millstream_types::Record;

use crate::operator::{Rows, keep_rows};

/// What a record has beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    Key,
    Timestamp,
    Offset,
}

impl Meta {
    const ALL: [Self; 3] = [Self::Key, Self::Timestamp, Self::Offset];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "_key",
            Self::Timestamp => "_ts",
            Self::Offset => "_offset",
        }
    }

    fn field(self) -> Field {
        match self {
            Self::Key => Field::new(self.name(), DataType::Utf8, true),
            Self::Timestamp => {
                let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
                Field::new(self.name(), utc, false)
            }
            Self::Offset => Field::new(self.name(), DataType::Int64, false),
        }
    }

    /// Those that a stream offers: a column of the value with the same name hides one.
    pub(crate) fn of(stream: &StreamSchema) -> impl Iterator<Item = Self> {
        let columns = stream.columns.clone();
        Self::ALL
            .into_iter()
            .filter(move |meta| columns.column_with_name(meta.name()).is_none())
    }

    /// `origin`: the records of the rows.
    fn column<'r>(self, origin: impl Iterator<Item = &'r Record>) -> ArrayRef {
        match self {
            Self::Key => Arc::new(StringArray::from_iter(origin.map(key_text))),
            Self::Timestamp => {
                let times =
                    TimestampMillisecondArray::from_iter_values(origin.map(|record| record.timestamp.0));
                Arc::new(times.with_timezone("UTC"))
            }
            Self::Offset => Arc::new(Int64Array::from_iter_values(origin.map(|record| record.offset.0))),
        }
    }
}

/// NULL where there is none or it is no text.
fn key_text(record: &Record) -> Option<&str> {
    str::from_utf8(record.key.as_deref()?).ok()
}

/// The table that SQL sees: the columns of the value, then the others.
pub(crate) fn table(stream: &StreamSchema) -> Schema {
    let columns = stream.columns.fields().iter().cloned();
    Schema::new(
        columns
            .chain(Meta::of(stream).map(|meta| FieldRef::new(meta.field())))
            .collect::<Vec<_>>(),
    )
}

/// Reads the wanted columns of [`table`].
pub(crate) struct Scan {
    decoder: Decoder,
    columns: Vec<Column>,
    schema: SchemaRef,
}

#[derive(Debug, Clone, Copy)]
enum Column {
    /// Index in the decoder's batch.
    Value(usize),
    Meta(Meta),
}

impl Scan {
    /// `projection`: the wanted columns of [`table`].
    pub(crate) fn new(stream: &StreamSchema, projection: &[usize]) -> Result<Self, FormatError> {
        let width = stream.columns.fields().len();
        let metas: Vec<_> = Meta::of(stream).collect();
        let mut wanted = Vec::new();
        let mut columns = Vec::new();
        for index in projection {
            match index.checked_sub(width).and_then(|index| metas.get(index)) {
                Some(meta) => columns.push(Column::Meta(*meta)),
                None => {
                    columns.push(Column::Value(wanted.len()));
                    wanted.push(*index);
                }
            }
        }
        let table = table(stream);
        let fields: Vec<_> = projection
            .iter()
            .map(|index| table.fields()[*index].clone())
            .collect();
        Ok(Self {
            decoder: Decoder::new(stream, &wanted)?,
            columns,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The names of the columns that are decoded.
    pub(crate) fn decoded(&self) -> Vec<&str> {
        self.decoder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect()
    }

    /// The rows of a micro-batch, and the records that cannot be read with the reasons.
    pub(crate) fn read(&self, records: &[Record]) -> Result<(Rows, Vec<(usize, String)>), SchemasError> {
        let mut decoded = self.decoder.decode(records)?;
        let column = |column: &Column| match column {
            Column::Value(index) => decoded.batch.column(*index).clone(),
            Column::Meta(meta) => meta.column(decoded.rows.iter().map(|row| &records[*row as usize])),
        };
        let columns = self.columns.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.rows.len()));
        let rows = Rows {
            batch: RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
                .expect("every column has a value for each decoded row"),
            origin: UInt32Array::from(std::mem::take(&mut decoded.rows)),
        };
        Ok(self.drop_binary_keys(rows, records, decoded.failed))
    }

    /// A key that is no text cannot be a `_key`: silently reading it as NULL would be wrong.
    fn drop_binary_keys(
        &self,
        rows: Rows,
        records: &[Record],
        mut failed: Vec<(usize, String)>,
    ) -> (Rows, Vec<(usize, String)>) {
        let key = self
            .columns
            .iter()
            .position(|column| matches!(column, Column::Meta(Meta::Key)));
        let Some(keys) = key.map(|index| rows.batch.column(index).clone()) else {
            return (rows, failed);
        };
        let record = |row: usize| rows.origin.value(row) as usize;
        let is_text = |row: usize| keys.is_valid(row) || records[record(row)].key.is_none();
        let bad = (0..rows.len()).filter(|row| !is_text(*row)).map(record);
        let failed_before = failed.len();
        failed.extend(bad.map(|index| (index, "the key is not UTF-8 text, which `_key` needs".into())));
        if failed.len() == failed_before {
            return (rows, failed);
        }
        let keep: BooleanArray = (0..rows.len()).map(|row| Some(is_text(row))).collect();
        let rows = keep_rows(rows, &keep).expect("the mask has a bit for every row");
        (rows, failed)
    }
}
