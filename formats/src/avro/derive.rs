//! The Avro schema of columns: what a topic's values are registered as where nobody wrote a schema.
//!
//! The same columns always give the same text, and adding a column that may be NULL gives a schema that is compatible in
//! both directions: such a field is a union with null, whose default is null.

use arrow_schema::{DataType, Field, IntervalUnit, SchemaRef, TimeUnit};
use serde_json::{Map, Value, json};

/// The property that keeps a column's name where it is no name in Avro.
const COLUMN: &str = "millstream.column";

/// Why columns have no Avro schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    #[error("column '{column}' has type {data_type}, which has no counterpart in Avro")]
    Type { column: String, data_type: DataType },
    #[error("columns '{first}' and '{second}' would both be the field '{field}'")]
    SameField {
        first: String,
        second: String,
        field: String,
    },
}

/// The text of a record schema for rows of these columns. `name` is what the record is called: characters that Avro does
/// not allow become `_`; a dot ends a namespace.
pub fn derive(name: &str, columns: &SchemaRef) -> Result<String, DeriveError> {
    let name: Vec<_> = name.split('.').map(avro_name).collect();
    let name = name.join(".");
    let short = name.rsplit('.').next().unwrap_or(&name);
    let fields = fields(short, columns.fields())?;
    Ok(json!({ "type": "record", "name": name, "fields": fields }).to_string())
}

/// The column that a field belongs to.
pub(super) fn column_name(field: &millstream_schema_registry_avro::Field) -> &str {
    field
        .properties
        .get(COLUMN)
        .and_then(Value::as_str)
        .unwrap_or(&field.name)
}

/// Letters, digits and `_`, and no digit in front.
fn avro_name(name: &str) -> String {
    let allowed = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(allowed).collect();
    match name.chars().next() {
        None => "_".into(),
        Some('0'..='9') => format!("_{name}"),
        Some(_) => name,
    }
}

/// `around`: the names of the records around, from which those of inner types are made.
fn fields<'a>(
    around: &str,
    columns: impl IntoIterator<Item = &'a arrow_schema::FieldRef>,
) -> Result<Value, DeriveError> {
    let mut fields: Vec<Value> = Vec::new();
    let mut names: Vec<(String, &str)> = Vec::new();
    for column in columns {
        let name = avro_name(column.name());
        if let Some((_, first)) = names.iter().find(|(known, _)| *known == name) {
            return Err(DeriveError::SameField {
                first: (*first).into(),
                second: column.name().clone(),
                field: name,
            });
        }
        let mut field = Map::new();
        field.insert("name".into(), json!(name));
        field.insert("type".into(), of_field(around, column)?);
        if column.is_nullable() {
            field.insert("default".into(), Value::Null);
        }
        if name != *column.name() {
            field.insert(COLUMN.into(), json!(column.name()));
        }
        fields.push(field.into());
        names.push((name, column.name()));
    }
    Ok(Value::Array(fields))
}

fn of_field(around: &str, column: &Field) -> Result<Value, DeriveError> {
    let value = of_type(&format!("{around}_{}", avro_name(column.name())), column)?;
    Ok(match column.data_type() {
        DataType::Null => value,
        _ if column.is_nullable() => json!(["null", value]),
        _ => value,
    })
}

/// `name`: what the type is called, if it must have a name.
fn of_type(name: &str, column: &Field) -> Result<Value, DeriveError> {
    let logical = |of: &str, logical: &str| json!({ "type": of, "logicalType": logical });
    Ok(match column.data_type() {
        DataType::Null => json!("null"),
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            json!("int")
        }
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("bytes"),
        DataType::FixedSizeBinary(size) => json!({ "type": "fixed", "name": name, "size": size }),
        DataType::Date32 => logical("int", "date"),
        DataType::Time32(_) => logical("int", "time-millis"),
        DataType::Time64(TimeUnit::Microsecond) => logical("long", "time-micros"),
        DataType::Timestamp(unit, zone) => {
            let what = if zone.is_some() {
                "timestamp"
            } else {
                "local-timestamp"
            };
            let unit = match unit {
                TimeUnit::Second | TimeUnit::Millisecond => "millis",
                TimeUnit::Microsecond => "micros",
                TimeUnit::Nanosecond => "nanos",
            };
            logical("long", &format!("{what}-{unit}"))
        }
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            json!({ "type": "fixed", "name": name, "size": 12, "logicalType": "duration" })
        }
        DataType::List(items) => json!({ "type": "array", "items": of_field(name, items)? }),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(unknown(column));
            };
            match &pair[..] {
                [keys, values] if keys.data_type() == &DataType::Utf8 => {
                    json!({ "type": "map", "values": of_field(name, values)? })
                }
                _ => return Err(unknown(column)),
            }
        }
        DataType::Struct(columns) => {
            json!({ "type": "record", "name": name, "fields": fields(name, columns)? })
        }
        _ => return Err(unknown(column)),
    })
}

fn unknown(column: &Field) -> DeriveError {
    DeriveError::Type {
        column: column.name().clone(),
        data_type: column.data_type().clone(),
    }
}
