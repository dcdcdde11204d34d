use arrow_schema::DataType;
use millstream_sdk::{SchemasError, StreamSchema, TaskError, ValueFormat};

use millstream_sdk::is_supported;

use crate::{avro::AvroStreamError, csv};

/// Why a stream's values cannot be read or written at all. (What is wrong with one record is a text beside its index.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("column '{column}' has type {data_type}, which no format can carry")]
    UnsupportedType { column: String, data_type: DataType },
    #[error("column '{column}' is declared twice")]
    DuplicateColumn { column: String },
    #[error("the projection names column {index}, there are {columns} columns and each may be named once")]
    Projection { index: usize, columns: usize },
    #[error("raw values have one column of type varchar or binary")]
    RawColumns,
    #[error("delimiter and quote of CSV must be two different ASCII characters and no line ends")]
    CsvDialect,
    #[error("the batch does not have the columns of the schema: expected {expected}, found {found}")]
    Mismatch { expected: String, found: String },
    #[error(transparent)]
    Avro(#[from] AvroStreamError),
}

/// A registry that does not answer may answer later; whatever else a batch as a whole fails with does not pass.
impl From<FormatError> for TaskError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Avro(AvroStreamError::Schemas(error @ SchemasError::Unavailable { .. })) => {
                Self::retry(error)
            }
            error => Self::fatal(error),
        }
    }
}

/// Whether values of this schema can be read and written.
pub(crate) fn check_columns(schema: &StreamSchema) -> Result<(), FormatError> {
    let fields = schema.columns.fields();
    for (index, field) in fields.iter().enumerate() {
        let column = field.name().clone();
        if !is_supported(field.data_type()) {
            return Err(FormatError::UnsupportedType {
                column,
                data_type: field.data_type().clone(),
            });
        }
        if fields[..index].iter().any(|earlier| *earlier.name() == column) {
            return Err(FormatError::DuplicateColumn { column });
        }
    }
    match &schema.format {
        ValueFormat::Json | ValueFormat::Avro(_) => Ok(()),
        ValueFormat::Csv(dialect) => csv::check(dialect),
        ValueFormat::Raw => match fields.iter().map(|field| field.data_type()).collect::<Vec<_>>()[..] {
            [DataType::Utf8 | DataType::Binary] => Ok(()),
            _ => Err(FormatError::RawColumns),
        },
    }
}
