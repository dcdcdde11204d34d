//! Decoding and encoding as their users see it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod avro;
mod cases;
mod properties;

use std::sync::Arc;

use arrow_schema::{Field, Schema};
use bytes::Bytes;
use millstream_sdk::{CsvDialect, StreamSchema, ValueFormat, parse_type};
use millstream_types::Record;

/// `carrier varchar, delay integer not null`.
fn schema(format: ValueFormat, columns: &str) -> StreamSchema {
    let field = |column: &str| {
        let (name, rest) = column.trim().split_once(' ').expect("a name and a type");
        let type_name = rest.trim_end_matches(" not null");
        Field::new(name, parse_type(type_name).unwrap(), type_name == rest)
    };
    let fields: Vec<_> = columns.split(", ").map(field).collect();
    StreamSchema {
        format,
        columns: Arc::new(Schema::new(fields)),
    }
}

fn csv_with_na() -> ValueFormat {
    ValueFormat::Csv(CsvDialect {
        null: Some("NA".into()),
        ..CsvDialect::default()
    })
}

fn record(value: impl Into<Bytes>) -> Record {
    Record {
        value: Some(value.into()),
        ..Record::default()
    }
}
