use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use millstream_formats::avro::{Encoder, JsonEncoder, Layout, Types, derive};
use millstream_schema_registry_avro::Schema;

use super::{
    cases::{field, record},
    datum, decode, parse,
};

fn batch(columns: Vec<(&str, Arc<dyn Array>)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn the_schema_of_columns_is_stable_and_keeps_their_names() {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("count(*)", DataType::Utf8, true),
        Field::new("2nd", DataType::Decimal128(10, 2), true),
        Field::new(
            "at",
            DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("UTC".into())),
            false,
        ),
    ];
    let columns = Arc::new(ArrowSchema::new(fields));
    let text = derive("my-shop.orders", &columns).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"type":"record","name":"my_shop.orders","fields":[{"name":"id","type":"long"},"#,
            r#"{"name":"count___","type":["null","string"],"default":null,"millstream.column":"count(*)"},"#,
            r#"{"name":"_2nd","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}],"default":null,"millstream.column":"2nd"},"#,
            r#"{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#
        )
    );
    let schema = Schema::parse(&text, &[], millstream_schema_registry_avro::Strictness::New).unwrap();
    assert_eq!(*Layout::new(&schema, Types::Plain).unwrap().schema(), columns);
    Encoder::new(&schema, &columns).unwrap();

    let twice = vec![
        Field::new("a b", DataType::Int32, true),
        Field::new("a_b", DataType::Int32, true),
    ];
    let error = derive("x", &Arc::new(ArrowSchema::new(twice))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "columns 'a b' and 'a_b' would both be the field 'a_b'"
    );
}

#[test]
fn columns_that_do_not_fit_the_schema_are_refused_with_the_reason() {
    let check = |fields: &str, data_type: DataType, expected: &str| {
        let columns = Arc::new(ArrowSchema::new(vec![Field::new("a", data_type, true)]));
        let error = Encoder::new(&parse(&record(fields)), &columns).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("", DataType::Int32, "column 'a' is no field of the record R");
    check(
        r#"{"name": "a", "type": "int"}, {"name": "b", "type": "int"}"#,
        DataType::Int32,
        "field 'b' of the record R has no column, no default, and may not be null",
    );
    check(
        &field("a", r#""int""#),
        DataType::Int64,
        "column 'a': bigint cannot be written as int without a loss",
    );
    check(
        &field("a", r#""long""#),
        DataType::Utf8,
        "column 'a': varchar cannot be written as long without a loss",
    );
    check(
        &field("a", r#"{"type": "long", "logicalType": "timestamp-millis"}"#),
        DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None),
        "column 'a': timestamp(6) cannot be written as long (TimestampMillis) without a loss",
    );
    check(
        &field(
            "a",
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}"#,
        ),
        DataType::Decimal128(4, 1),
        "column 'a': decimal(4, 1) cannot be written as bytes (Decimal { precision: 4, scale: 2 }) without a loss",
    );
}

#[test]
fn a_row_that_does_not_fit_is_lost_alone() {
    let schema = parse(&record(
        r#"{"name": "n", "type": "int"}, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
           {"name": "u", "type": ["long", "null"]}, {"name": "d", "type": "string", "default": "x"}, {"name": "o", "type": ["null", "int"]}"#,
    ));
    let rows = batch(vec![
        ("e", Arc::new(StringArray::from(vec!["A", "B", "A", "A"]))),
        (
            "n",
            Arc::new(arrow_array::Int16Array::from(vec![
                Some(1),
                Some(2),
                None,
                Some(4),
            ])),
        ),
        (
            "u",
            Arc::new(UInt64Array::from(vec![Some(1), None, None, Some(u64::MAX)])),
        ),
    ]);
    let encoder = Encoder::new(&schema, &rows.schema()).unwrap();
    let encoded = encoder.encode(&rows, &[0, 0, 0, 0, 7]).unwrap();
    assert_eq!(encoded.values, [&[0, 0, 0, 0, 7, 2, 0, 0, 2, 2, b'x', 0][..]]);
    assert_eq!(
        encoded.failed,
        [
            (1, "column 'e': 'B' is no symbol of the enum E".to_owned()),
            (2, "column 'n': must not be NULL".to_owned()),
            (3, "column 'u': 18446744073709551615 is out of range".to_owned()),
        ]
    );
    let other = batch(vec![("n", Arc::new(StringArray::from(vec!["A"])))]);
    assert!(encoder.encode(&other, &[]).is_err());
}

#[test]
fn text_columns_are_written_back_as_what_they_were() {
    let schema = parse(&record(
        r#"{"name": "l", "type": {"type": "array", "items": "int"}}, {"name": "u", "type": ["null", "int", "string"]},
           {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}}"#,
    ));
    let data = [
        datum(&schema, r#"{"l": [1, 2], "u": "5", "t": "05:06:07"}"#),
        datum(&schema, r#"{"l": [], "u": null, "t": "00:00:00.001"}"#),
    ];
    let decoded = decode(&schema, &schema, Types::Plain, &data);
    let encoder = Encoder::new(&schema, &decoded.batch.schema()).unwrap();
    assert_eq!(encoder.encode(&decoded.batch, &[]).unwrap().values, data);
}

#[test]
fn json_that_does_not_fit_says_where() {
    let schema = parse(&record(
        r#"{"name": "a", "type": {"type": "array", "items": {"type": "record", "name": "I", "fields": [{"name": "x", "type": ["null", "int"]}]}}},
           {"name": "b", "type": "long", "default": 1}"#,
    ));
    let check = |json: &str, expected: &str| {
        let reason = JsonEncoder::new(&schema)
            .encode(json.as_bytes(), &[])
            .unwrap_err();
        assert_eq!(reason, expected, "{json}");
    };
    check("{", "not JSON: EOF while parsing an object at line 1 column 1");
    check("[]", "an array is no record");
    check("{}", "'a': is missing, and has no default");
    check(r#"{"a": [], "c": 1}"#, "the record R has no field 'c'");
    check(
        r#"{"a": [{"x": 1}, {"x": "y"}]}"#,
        r#"'a': [1] 'x': "y" is no null; "y" is no int"#,
    );
    check(r#"{"a": [], "b": 1.5}"#, "'b': 1.5 is no long");
    let data = JsonEncoder::new(&schema).encode(br#"{"a": [{}]}"#, &[9]).unwrap();
    assert_eq!(data[..], [9, 2, 0, 0, 2]);
}
