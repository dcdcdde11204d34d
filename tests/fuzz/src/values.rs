//! Values of text formats to columns and back: JSON, CSV, raw.
//!
//! ```text
//! form: 1 byte | values, a byte 0x1e between them
//! ```
//!
//! What was decoded is written and decoded again: the same rows.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use millstream_formats::{Decoder, Encoder, KeyReader, csv_field_end, key_texts};
use millstream_sdk::{CsvDialect, StreamSchema, ValueFormat, parse_type};

const BETWEEN_VALUES: u8 = 0x1e;

/// Every kind of column.
const TYPES: &[&str] = &[
    "varchar",
    "bigint",
    "boolean",
    "double",
    "tinyint unsigned",
    "smallint",
    "integer unsigned",
    "bigint unsigned",
    "real",
    "decimal(20,3)",
    "decimal(38,38)",
    "binary",
    "date",
    "timestamp(0)",
    "timestamp(3)",
    "timestamptz(6)",
    "timestamp(9)",
];

pub fn run(data: &[u8]) {
    let Some((form, values)) = data.split_first() else {
        return;
    };
    let schema = schema(*form);
    let values: Vec<&[u8]> = values.split(|byte| *byte == BETWEEN_VALUES).collect();
    let rows = decode(&schema, &values);
    if let ValueFormat::Csv(dialect) = &schema.format {
        values.iter().for_each(|row| fields_end(dialect, row));
    }
    let is_raw = schema.format == ValueFormat::Raw;
    let encoder = Encoder::new(&schema).expect("the schema is one that can be decoded");
    let written = encoder.encode(&rows).expect("the columns are the encoder's");
    assert!(written.failed.is_empty(), "text can say what text has said");
    let written: Vec<&[u8]> = written.values.iter().map(AsRef::as_ref).collect();
    let again = decode(&schema, &written);
    if !is_raw {
        assert_eq!(rows, again, "rows change when they are written and read");
    }
    for column in 0..schema.columns.fields().len() {
        let keys = KeyReader::new(&schema, column).expect("the column is there");
        let read = keys.read_all(written.iter().map(|value| Some(*value)));
        let read: Vec<_> = read
            .into_iter()
            .map(|key| key.expect("it was decoded before"))
            .collect();
        assert_eq!(
            read,
            key_texts(again.column(column)),
            "a key is the text of its column"
        );
    }
}

/// The rows that could be read.
fn decode(schema: &StreamSchema, values: &[&[u8]]) -> RecordBatch {
    let all: Vec<usize> = (0..schema.columns.fields().len()).collect();
    let decoder = Decoder::new(schema, &all).expect("the schema is one that can be decoded");
    let decoded = decoder
        .decode_values(values.iter().map(|value| Some(*value)))
        .expect("no registry is asked");
    assert_eq!(decoded.rows.len() + decoded.failed.len(), values.len());
    assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
    decoded.batch
}

/// Fields begin behind each other and end inside of the row.
fn fields_end(dialect: &CsvDialect, row: &[u8]) {
    let mut start = 0;
    while start <= row.len() {
        let end = csv_field_end(dialect.delimiter, row, start);
        assert!((start..=row.len()).contains(&end), "a field ends at {end}");
        start = end + 1;
    }
}

fn schema(form: u8) -> StreamSchema {
    let dialect = |delimiter, null: Option<&str>| {
        ValueFormat::Csv(CsvDialect {
            delimiter,
            null: null.map(str::to_owned),
            ..CsvDialect::default()
        })
    };
    let (format, types) = match form % 6 {
        0 => (ValueFormat::Json, TYPES),
        1 => (dialect(b',', None), TYPES),
        2 => (dialect(b';', Some("NA")), TYPES),
        3 => (dialect(b'\t', Some("\\N")), &TYPES[..4]),
        4 => (ValueFormat::Json, &TYPES[..4]),
        _ => (ValueFormat::Raw, &TYPES[..1]),
    };
    let columns = types.iter().enumerate().map(|(n, name)| {
        let data_type = parse_type(name).expect("a name of the table");
        Field::new(format!("c{n}"), data_type, true)
    });
    StreamSchema {
        format,
        columns: Arc::new(Schema::new(columns.collect::<Vec<_>>())),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let row = [
        "text",
        "-9223372036854775808",
        "true",
        "1.5e-300",
        "255",
        "-32768",
        "4294967295",
        "18446744073709551615",
        "-0.1",
        "-12345678901234567.891",
        "-0.5",
        "AAH/",
        "2024-02-29",
        "2024-02-29 23:59:59",
        "1969-12-31T23:59:59.999",
        "2024-06-30T12:00:00.000001+02:00",
        "2262-04-11 23:47:16.854775807",
    ];
    let quoted: Vec<String> = row.iter().map(|text| format!("\"{text}\"")).collect();
    let json: Vec<String> = row
        .iter()
        .enumerate()
        .map(|(n, text)| format!("\"c{n}\":\"{text}\""))
        .collect();
    vec![
        form(
            0,
            &[
                &format!("{{{}}}", json.join(",")),
                r#"{"c1":1,"c3":1e400,"c2":null,"x":[{"y":"\ud83d\ude00\u0000"}]}"#,
            ],
        ),
        form(
            1,
            &[
                &row.join(","),
                &quoted.join(","),
                "\"a\"\"b\",,,,",
                ",,,,,,,,,,,,,,,,",
            ],
        ),
        form(2, &[&row.join(";"), &["NA"; 17].join(";")]),
        form(3, &["a\\tb\t1\ttrue\tnan", "\"x\ty\"\t-1\t0\tinf"]),
        form(
            4,
            &[
                r#"{"c0":{"a":[1,2]},"c1":1.0,"c2":0,"c3":"NaN"}"#,
                "[]",
                "null",
                "{}",
            ],
        ),
        form(5, &["anything", "", "\u{fffd}"]),
    ]
}

fn form(form: u8, values: &[&str]) -> Vec<u8> {
    let mut input = vec![form];
    input.extend_from_slice(values.join("\u{1e}").as_bytes());
    input
}
