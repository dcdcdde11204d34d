//! SQL names of column types, as they stand in `streams:`: the same names with the same meaning as in connectors.

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use millstream_sdk::{ConfigPath, Problem, StreamSchema, ValueFormat};
use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

/// Standard names first, then their synonyms.
const TYPES: &[(&str, DataType)] = &[
    ("BOOLEAN", DataType::Boolean),
    ("TINYINT", DataType::Int8),
    ("SMALLINT", DataType::Int16),
    ("INTEGER", DataType::Int32),
    ("BIGINT", DataType::Int64),
    ("TINYINT UNSIGNED", DataType::UInt8),
    ("SMALLINT UNSIGNED", DataType::UInt16),
    ("INTEGER UNSIGNED", DataType::UInt32),
    ("BIGINT UNSIGNED", DataType::UInt64),
    ("REAL", DataType::Float32),
    ("DOUBLE", DataType::Float64),
    ("VARCHAR", DataType::Utf8),
    ("BINARY", DataType::Binary),
    ("DATE", DataType::Date32),
    ("BOOL", DataType::Boolean),
    ("INT8", DataType::Int8),
    ("INT16", DataType::Int16),
    ("INT", DataType::Int32),
    ("INT32", DataType::Int32),
    ("INT64", DataType::Int64),
    ("UINT8", DataType::UInt8),
    ("UINT16", DataType::UInt16),
    ("INT UNSIGNED", DataType::UInt32),
    ("UINT32", DataType::UInt32),
    ("UINT64", DataType::UInt64),
    ("FLOAT", DataType::Float32),
    ("FLOAT32", DataType::Float32),
    ("DOUBLE PRECISION", DataType::Float64),
    ("FLOAT64", DataType::Float64),
    ("TEXT", DataType::Utf8),
    ("STRING", DataType::Utf8),
    ("UTF8", DataType::Utf8),
    ("CHAR", DataType::Utf8),
    ("VARBINARY", DataType::Binary),
    ("BYTEA", DataType::Binary),
    ("BLOB", DataType::Binary),
];

const HELP: &str = "known types: BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT (each also UNSIGNED), REAL, DOUBLE, \
                    DECIMAL(p, s), VARCHAR, BINARY, DATE, TIMESTAMP(0|3|6|9), TIMESTAMPTZ(0|3|6|9)";

/// A stream's columns as a schema; all problems at once.
pub(crate) fn schema(columns: &Map<String, Value>, path: &ConfigPath) -> Result<Schema, Vec<Problem>> {
    let mut fields = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in columns {
        let text = text.as_str().unwrap_or_default();
        let upper = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_uppercase();
        let (kind, nullable) = match upper.strip_suffix(" NOT NULL") {
            Some(kind) => (kind, false),
            None => (upper.as_str(), true),
        };
        match data_type(kind) {
            Some(data_type) => fields.push(Field::new(name, data_type, nullable)),
            None => {
                let names = TYPES.iter().map(|(name, _)| *name);
                let help = did_you_mean(kind, names).unwrap_or_else(|| HELP.into());
                let message = format!("'{text}' is not the type of a column");
                problems.push(Problem::new(path.clone().key(name), message).help(help));
            }
        }
    }
    if problems.is_empty() {
        Ok(Schema::new(fields))
    } else {
        Err(problems)
    }
}

/// The one column of values that nobody looks into.
pub(crate) fn raw() -> StreamSchema {
    StreamSchema {
        format: ValueFormat::Raw,
        columns: Schema::new(vec![Field::new("value", DataType::Utf8, true)]).into(),
    }
}

fn data_type(name: &str) -> Option<DataType> {
    let (word, arguments) = split_arguments(name)?;
    match (word.as_str(), arguments.as_slice()) {
        ("TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE", digits) => timestamp(digits, None),
        ("TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE", digits) => timestamp(digits, Some("UTC")),
        ("DECIMAL" | "NUMERIC", []) => decimal(38, 10),
        ("DECIMAL" | "NUMERIC", [precision]) => decimal(*precision, 0),
        ("DECIMAL" | "NUMERIC", [precision, scale]) => decimal(*precision, *scale),
        ("VARCHAR" | "CHAR", [_]) => Some(DataType::Utf8),
        (word, []) => {
            let known = TYPES.iter().find(|(known, _)| *known == word);
            known.map(|(_, data_type)| data_type.clone())
        }
        _ => None,
    }
}

/// `TIMESTAMP(3) WITH TIME ZONE` -> (`TIMESTAMP WITH TIME ZONE`, [3]).
fn split_arguments(name: &str) -> Option<(String, Vec<u8>)> {
    let Some((before, rest)) = name.split_once('(') else {
        return Some((name.into(), Vec::new()));
    };
    let (inside, after) = rest.split_once(')')?;
    let arguments: Option<Vec<u8>> = inside
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect();
    Some((
        format!("{} {}", before.trim(), after.trim()).trim_end().into(),
        arguments?,
    ))
}

fn decimal(precision: u8, scale: u8) -> Option<DataType> {
    let valid = (1..=38).contains(&precision) && scale <= precision;
    valid.then(|| DataType::Decimal128(precision, scale.cast_signed()))
}

/// With the digits of a second's fraction, as SQL counts them.
fn timestamp(digits: &[u8], zone: Option<&str>) -> Option<DataType> {
    let unit = match digits {
        [0] => TimeUnit::Second,
        [3] => TimeUnit::Millisecond,
        [] | [6] => TimeUnit::Microsecond,
        [9] => TimeUnit::Nanosecond,
        _ => return None,
    };
    Some(DataType::Timestamp(unit, zone.map(Into::into)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_sql_types() {
        let check = |text: &str, expected: Option<(DataType, bool)>| {
            let columns = json!({ "c": text });
            let found = schema(columns.as_object().unwrap(), &ConfigPath::default()).ok();
            let found = found.map(|s| (s.field(0).data_type().clone(), s.field(0).is_nullable()));
            assert_eq!(found, expected, "{text}");
        };
        check("bigint", Some((DataType::Int64, true)));
        check("Int  not null", Some((DataType::Int32, false)));
        check("varchar(20)", Some((DataType::Utf8, true)));
        check("decimal(10, 2)", Some((DataType::Decimal128(10, 2), true)));
        check("numeric(5)", Some((DataType::Decimal128(5, 0), true)));
        check("decimal(40, 2)", None);
        check("decimal(4, 5)", None);
        check(
            "timestamp",
            Some((DataType::Timestamp(TimeUnit::Microsecond, None), true)),
        );
        check(
            "timestamp(3) with time zone",
            Some((
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                true,
            )),
        );
        check("timestamp(4)", None);
        check("int unsigned", Some((DataType::UInt32, true)));
        check("decimal", Some((DataType::Decimal128(38, 10), true)));
        check("bigin", None);
        check("", None);
    }

    #[test]
    fn names_the_nearest_type() {
        let columns = json!({ "c": "bigin", "d": "POINT" });
        let problems = schema(columns.as_object().unwrap(), &ConfigPath::default()).unwrap_err();
        assert_eq!(problems[0].help.as_deref(), Some("did you mean 'BIGINT'?"));
        assert!(
            problems[1]
                .help
                .as_ref()
                .unwrap()
                .starts_with("known types: BOOLEAN, "),
            "{problems:?}"
        );
    }
}
