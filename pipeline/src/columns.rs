//! SQL names of column types, as they stand in `streams:`.

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use millstream_sdk::{ConfigPath, Problem, StreamSchema, ValueFormat};
use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

const TYPES: &[(&str, DataType)] = &[
    ("BOOLEAN", DataType::Boolean),
    ("TINYINT", DataType::Int8),
    ("SMALLINT", DataType::Int16),
    ("INT", DataType::Int32),
    ("INTEGER", DataType::Int32),
    ("BIGINT", DataType::Int64),
    ("REAL", DataType::Float32),
    ("DOUBLE", DataType::Float64),
    ("DOUBLE PRECISION", DataType::Float64),
    ("VARCHAR", DataType::Utf8),
    ("TEXT", DataType::Utf8),
    ("STRING", DataType::Utf8),
    ("BYTEA", DataType::Binary),
    ("DATE", DataType::Date32),
    ("TIMESTAMP", DataType::Timestamp(TimeUnit::Microsecond, None)),
];

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
                let names = || TYPES.iter().map(|(name, _)| *name);
                let help = did_you_mean(kind, names()).unwrap_or_else(|| {
                    let names: Vec<&str> = names().collect();
                    format!("one of: {}, DECIMAL(p, s)", names.join(", "))
                });
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
    if let Some((_, data_type)) = TYPES.iter().find(|(known, _)| *known == name) {
        return Some(data_type.clone());
    }
    if name == "TIMESTAMP WITH TIME ZONE" || name == "TIMESTAMPTZ" {
        return Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    }
    if name
        .strip_prefix("VARCHAR(")
        .and_then(|rest| rest.strip_suffix(')'))
        .is_some_and(is_count)
    {
        return Some(DataType::Utf8);
    }
    let arguments = name
        .strip_prefix("DECIMAL")
        .or_else(|| name.strip_prefix("NUMERIC"))?;
    let arguments = arguments.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale) = (
        precision.trim().parse::<u8>().ok()?,
        scale.trim().parse::<u8>().ok()?,
    );
    let valid = (1..=38).contains(&precision) && scale <= precision;
    valid.then(|| DataType::Decimal128(precision, scale.cast_signed()))
}

fn is_count(text: &str) -> bool {
    text.trim().parse::<u32>().is_ok_and(|count| count > 0)
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
                .starts_with("one of: BOOLEAN, "),
            "{problems:?}"
        );
    }
}
