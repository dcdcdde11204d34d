use arrow_array::RecordBatch;
use millstream_formats::{Decoder, Encoder, FormatError, KeyReader, key_text};
use millstream_sdk::{CsvDialect, StreamSchema, ValueFormat};
use millstream_types::Record;

use super::{csv_with_na, record, schema};

/// Decodes one value and shows the wanted columns as the JSON row that the encoder makes of them, or the reason.
fn decoded(schema: &StreamSchema, projection: &[usize], value: &str) -> String {
    let decoder = Decoder::new(schema, projection).unwrap();
    let decoded = decoder.decode(&[record(value.to_owned())]).unwrap();
    match decoded.failed.first() {
        Some((index, reason)) => {
            assert_eq!((*index, decoded.rows.len(), decoded.batch.num_rows()), (0, 0, 0));
            reason.clone()
        }
        None => as_json(&decoded.batch).pop().expect("the row did not fail"),
    }
}

fn as_json(batch: &RecordBatch) -> Vec<String> {
    let schema = StreamSchema {
        format: ValueFormat::Json,
        columns: batch.schema(),
    };
    let values = Encoder::new(&schema).unwrap().encode(batch).unwrap().values;
    values
        .iter()
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .collect()
}

#[test]
fn reads_csv_rows() {
    let schema = schema(
        csv_with_na(),
        "name varchar, delay integer, on_time boolean, at timestamp(0)",
    );
    let check =
        |row: &str, expected: &str| assert_eq!(decoded(&schema, &[0, 1, 2, 3], row), expected, "{row}");
    check(
        "EWR,12,true,2013-01-01T05:00:00Z",
        r#"{"name":"EWR","delay":12,"on_time":true,"at":"2013-01-01T05:00:00"}"#,
    );
    check(
        "NA,NA,NA,NA",
        r#"{"name":null,"delay":null,"on_time":null,"at":null}"#,
    );
    check(",,,", r#"{"name":null,"delay":null,"on_time":null,"at":null}"#);
    check(
        r##""NA","NA","","""##,
        r#"{"name":"NA","delay":null,"on_time":null,"at":null}"#,
    );
    check(r#""",0,F,"#, r#"{"name":"","delay":0,"on_time":false,"at":null}"#);
    check(
        r#""say ""hi"", Bob",-7,1,"#,
        r#"{"name":"say \"hi\", Bob","delay":-7,"on_time":true,"at":null}"#,
    );
    check(
        "two\nlines\"s,12.0,,",
        r#"{"name":"two\nlines\"s","delay":12,"on_time":null,"at":null}"#,
    );
    check("a,b", "2 fields, expected 4");
    check("a,1,,,", "5 fields, expected 4");
    check("a,1x,,", "column 'delay': '1x' is not a 32-bit integer");
    check(
        "a,99999999999,,",
        "column 'delay': '99999999999' is not a 32-bit integer",
    );
    check("a,,maybe,", "column 'on_time': 'maybe' is not true or false");
    check("a,,,noon", "column 'at': 'noon' is not a timestamp");
    check(r#""a,1,,"#, "field 1 has no closing quote");
    check(r#""a"b,1,,"#, "text after the closing quote of field 1");
}

#[test]
fn reads_json_objects() {
    let schema = schema(
        ValueFormat::Json,
        "name varchar, delay bigint, ratio double, raw binary",
    );
    let check =
        |json: &str, expected: &str| assert_eq!(decoded(&schema, &[0, 1, 2, 3], json), expected, "{json}");
    check(
        r#" {"delay": 9007199254740993, "x": [{"name": 1}], "name": "a\u00e9\n", "ratio": 1e-3, "raw": "AAE="} "#,
        r#"{"name":"aé\n","delay":9007199254740993,"ratio":0.001,"raw":"AAE="}"#,
    );
    check("{}", r#"{"name":null,"delay":null,"ratio":null,"raw":null}"#);
    check(
        r#"{"n\u0061me":"x","delay":"5","ratio":"Infinity","raw":null}"#,
        r#"{"name":"x","delay":5,"ratio":"Infinity","raw":null}"#,
    );
    check(
        r#"{"delay":1,"delay":2}"#,
        r#"{"name":null,"delay":2,"ratio":null,"raw":null}"#,
    );
    check(r#"{"name":5}"#, "column 'name': 5 is not text");
    check(r#"{"delay":""}"#, "column 'delay': '' is not a 64-bit integer");
    check(r#"{"delay":1.5}"#, "column 'delay': 1.5 is not a 64-bit integer");
    check(r#"{"raw":"%"}"#, "column 'raw': '%' is not base64 text");
    assert!(
        decoded(&schema, &[0], r#"{"name":{}}"#).contains("field 'name': an object, expected a single value")
    );
    for malformed in [
        "",
        "[]",
        "5",
        "{",
        r#"{"name":"#,
        r#"{"name":"x"} {}"#,
        r#"{"name":"\ud800"}"#,
        "{'a':1}",
    ] {
        assert!(
            decoded(&schema, &[0], malformed).starts_with("not a JSON object"),
            "{malformed}"
        );
    }
}

#[test]
fn deep_json_is_refused_and_never_overflows_the_stack() {
    let schema = schema(ValueFormat::Json, "a varchar");
    for unit in ["[", "{\"a\":"] {
        let deep = format!("{{\"b\":{}", unit.repeat(200_000));
        assert!(decoded(&schema, &[0], &deep).starts_with("not a JSON object"));
    }
}

#[test]
fn reads_raw_values() {
    let text = schema(ValueFormat::Raw, "value varchar");
    assert_eq!(decoded(&text, &[0], "a,b"), r#"{"value":"a,b"}"#);
    assert_eq!(decoded(&text, &[0], ""), r#"{"value":""}"#);
    let decoder = Decoder::new(&text, &[0]).unwrap();
    let failed = decoder.decode(&[record(vec![0xff])]).unwrap().failed;
    assert_eq!(
        failed,
        [(0, "column 'value': the value is not UTF-8 text".into())]
    );
    let bytes = schema(ValueFormat::Raw, "value binary");
    let decoder = Decoder::new(&bytes, &[0]).unwrap();
    assert_eq!(
        as_json(&decoder.decode(&[record(vec![0xff])]).unwrap().batch),
        [r#"{"value":"/w=="}"#]
    );
}

#[test]
fn a_record_that_fails_does_not_disturb_its_neighbours() {
    let schema = schema(csv_with_na(), "a integer not null, b varchar not null");
    let values = ["1,x", "oops", "NA,y", "z,", "5,v"];
    let mut records: Vec<Record> = values.map(record).into();
    records.push(Record::default());
    let decoded = Decoder::new(&schema, &[1, 0]).unwrap().decode(&records).unwrap();
    assert_eq!(
        as_json(&decoded.batch),
        [r#"{"b":"x","a":1}"#, r#"{"b":"v","a":5}"#]
    );
    assert_eq!(decoded.rows, [0, 4]);
    let reasons = [
        (1, "1 fields, expected 2"),
        (2, "column 'a' must not be NULL"),
        (3, "column 'b' must not be NULL"),
        (5, "the record has no value"),
    ];
    assert_eq!(
        decoded.failed,
        reasons.map(|(index, reason)| (index, reason.to_owned()))
    );
}

#[test]
fn only_wanted_columns_are_parsed() {
    let csv = schema(csv_with_na(), "a integer, b integer, c varchar");
    assert_eq!(decoded(&csv, &[2], "not,numbers,ok"), r#"{"c":"ok"}"#);
    let json = schema(ValueFormat::Json, "a integer, b integer, c varchar");
    assert_eq!(
        decoded(&json, &[2], r#"{"a":"no","b":{},"c":"ok"}"#),
        r#"{"c":"ok"}"#
    );
    assert_eq!(decoded(&csv, &[], "1,2,3"), "{}");
    assert_eq!(decoded(&csv, &[], "1,2"), "2 fields, expected 3");
}

#[test]
fn refuses_schemas_that_cannot_be_read() {
    let problem = |schema: &StreamSchema, projection: &[usize]| Decoder::new(schema, projection).err();
    let raw = schema(ValueFormat::Raw, "value integer");
    assert_eq!(problem(&raw, &[0]), Some(FormatError::RawColumns));
    let json = schema(ValueFormat::Json, "a integer, b integer");
    let projection = |index| Some(FormatError::Projection { index, columns: 2 });
    assert_eq!(problem(&json, &[2]), projection(2));
    assert_eq!(problem(&json, &[1, 1]), projection(1));
    let dialect = CsvDialect {
        quote: b',',
        ..CsvDialect::default()
    };
    assert_eq!(
        problem(&schema(ValueFormat::Csv(dialect), "a integer"), &[0]),
        Some(FormatError::CsvDialect)
    );
}

#[test]
fn keys_are_the_same_from_a_value_and_from_a_column() {
    let schema = schema(csv_with_na(), "name varchar, n integer, at date");
    let reader = |column| KeyReader::new(&schema, column).unwrap();
    let key = |column, row: &str| {
        let key = reader(column).read(row.as_bytes()).unwrap();
        key.map(|key| String::from_utf8(key.to_vec()).unwrap())
    };
    assert_eq!(key(0, r#""a ""b""",1,"#).as_deref(), Some(r#"a "b""#));
    assert_eq!(key(1, "x,007,").as_deref(), Some("7"));
    assert_eq!(key(2, "x,1,20130105").as_deref(), Some("2013-01-05"));
    assert_eq!(key(0, "NA,1,"), None);
    assert_eq!(
        reader(1).read(b"x,y,"),
        Err("column 'n': 'y' is not a 32-bit integer".into())
    );
    let batch = Decoder::new(&schema, &[1, 0])
        .unwrap()
        .decode(&[record("x,007,"), record("NA,NA,")])
        .unwrap()
        .batch;
    assert_eq!(key_text(batch.column(0), 0).as_deref(), Some(&b"7"[..]));
    assert_eq!(key_text(batch.column(0), 1), None);
}

#[test]
fn numbers_that_json_does_not_have_are_written_by_name() {
    let schema = schema(ValueFormat::Json, "a double, b real");
    let check = |json: &str| assert_eq!(decoded(&schema, &[0, 1], json), json);
    check(r#"{"a":"NaN","b":"-Infinity"}"#);
    check(r#"{"a":"Infinity","b":"NaN"}"#);
    check(r#"{"a":-0.0,"b":1.0e-7}"#);
}

#[test]
fn a_batch_of_other_columns_is_not_written() {
    let json = schema(ValueFormat::Json, "a integer");
    let other = schema(ValueFormat::Json, "a bigint");
    let batch = Decoder::new(&other, &[0])
        .unwrap()
        .decode(&[record("{}")])
        .unwrap()
        .batch;
    assert!(matches!(
        Encoder::new(&json).unwrap().encode(&batch),
        Err(FormatError::Mismatch { .. })
    ));
}
