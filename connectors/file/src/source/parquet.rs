//! Parquet files as JSON rows, from any row on: whole row groups before it are skipped unread.

use std::{collections::VecDeque, fs::File};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use millstream_formats::Encoder;
use millstream_sdk::{StreamSchema, is_supported};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ParquetError {
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error(transparent)]
    Format(#[from] millstream_formats::FormatError),
    #[error("column '{name}' has type {data_type}, which cannot be a column of a topic")]
    Type { name: String, data_type: DataType },
    #[error("its columns are {found}, expected {expected}")]
    Columns { found: String, expected: String },
    #[error("it has {rows} rows, {read} were read before")]
    Shorter { rows: u64, read: u64 },
}

/// Names and types of a file's columns, as a topic carries them.
pub(crate) fn columns(file: File) -> Result<Vec<(String, DataType)>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    columns_of(&builder)
}

fn columns_of(
    builder: &ParquetRecordBatchReaderBuilder<File>,
) -> Result<Vec<(String, DataType)>, ParquetError> {
    let fields = builder.schema().fields().iter();
    fields
        .map(|field| {
            let data_type = carried(field.data_type()).ok_or_else(|| ParquetError::Type {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
            })?;
            Ok((field.name().clone(), data_type))
        })
        .collect()
}

/// The type that a topic carries for it.
fn carried(data_type: &DataType) -> Option<DataType> {
    let carried = match data_type {
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Time32(_) | DataType::Time64(_) => {
            DataType::Utf8
        }
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) => carried(value)?,
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        other => other.clone(),
    };
    is_supported(&carried).then_some(carried)
}

pub(crate) struct ParquetRows {
    batches: ParquetRecordBatchReader,
    encoder: Encoder,
    schema: StreamSchema,
    ready: VecDeque<Bytes>,
}

impl ParquetRows {
    /// Begins at row `first`, counted from 0 over the whole file.
    pub(crate) fn open(file: File, schema: &StreamSchema, first: u64) -> Result<Self, ParquetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let fields = schema.columns.fields().iter();
        let expected: Vec<_> = fields
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        let found = columns_of(&builder)?;
        if found != expected {
            let show = |columns: &[(String, DataType)]| {
                let texts: Vec<_> = columns
                    .iter()
                    .map(|(name, kind)| format!("{name} {kind}"))
                    .collect();
                texts.join(", ")
            };
            return Err(ParquetError::Columns {
                found: show(&found),
                expected: show(&expected),
            });
        }
        let mut before = 0;
        let mut group = 0;
        for metadata in builder.metadata().row_groups() {
            let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
            if before + rows > first {
                break;
            }
            before += rows;
            group += 1;
        }
        let groups = builder.metadata().num_row_groups();
        if group == groups && before < first {
            return Err(ParquetError::Shorter {
                rows: before,
                read: first,
            });
        }
        let skipped = usize::try_from(first - before).unwrap_or(usize::MAX);
        Ok(Self {
            batches: builder
                .with_row_groups((group..groups).collect())
                .with_offset(skipped)
                .with_batch_size(BATCH_ROWS)
                .build()?,
            encoder: Encoder::new(schema)?,
            schema: schema.clone(),
            ready: VecDeque::new(),
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, ParquetError> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            let Some(batch) = self.batches.next() else {
                return Ok(None);
            };
            self.ready = self.encoder.encode(&self.carry(&batch?)?)?.values.into();
        }
    }

    fn carry(&self, batch: &RecordBatch) -> Result<RecordBatch, ParquetError> {
        let fields = self.schema.columns.fields().iter().zip(batch.columns());
        let arrays: Vec<ArrayRef> = fields
            .map(|(field, array)| {
                if array.data_type() == field.data_type() {
                    Ok(array.clone())
                } else {
                    cast(array, field.data_type())
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new(self.schema.columns.clone(), arrays)?)
    }
}
