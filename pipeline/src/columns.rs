//! The columns of a stream, as they stand in `streams:`.

use arrow_schema::{DataType, Field, Schema};
use millstream_sdk::{ConfigPath, Problem, StreamSchema, UnknownType, ValueFormat, parse_type, type_names};
use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

/// A stream's columns as a schema; all problems at once.
pub(crate) fn schema(columns: &Map<String, Value>, path: &ConfigPath) -> Result<Schema, Vec<Problem>> {
    let mut fields = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in columns {
        let text = text.as_str().unwrap_or_default();
        let lower = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        let (kind, nullable) = match lower.strip_suffix(" not null") {
            Some(kind) => (kind, false),
            None => (lower.as_str(), true),
        };
        match parse_type(kind) {
            Ok(data_type) => fields.push(Field::new(name, data_type, nullable)),
            Err(_) => {
                let help = did_you_mean(kind, type_names()).unwrap_or_else(|| UnknownType::HELP.into());
                let message = format!("'{text}' is not a column type");
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

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;
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
        assert_eq!(problems[0].help.as_deref(), Some("did you mean 'bigint'?"));
        assert!(
            problems[1]
                .help
                .as_ref()
                .unwrap()
                .starts_with("known types: boolean, "),
            "{problems:?}"
        );
    }
}
