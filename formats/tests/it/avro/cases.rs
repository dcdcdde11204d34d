use std::sync::Arc;

use arrow_array::{Array, BinaryArray, cast::AsArray, types::Int32Type};
use millstream_formats::avro::{Decoder, Layout, LayoutError, Types};
use millstream_sdk::{SchemaText, Schemas, SchemasError};
use millstream_types::{SchemaId, Subject};

use super::{datum, decode, parse, rows};

/// One datum, written as `writer` from JSON and read as `reader`: its columns, or the reason.
fn read(writer: &str, reader: &str, types: Types, json: &str) -> String {
    let (writer, reader) = (parse(writer), parse(reader));
    let layout = Layout::new(&reader, types).unwrap();
    let decoder = match Decoder::of_writer(&writer, &layout) {
        Ok(decoder) => decoder,
        Err(error) => return error.to_string(),
    };
    let datum = datum(&writer, json);
    let mut decoded = decoder
        .decode_values([Some(datum.as_slice())].into_iter())
        .unwrap();
    match decoded.failed.pop() {
        Some((index, reason)) => {
            assert_eq!((index, decoded.batch.num_rows(), decoded.rows.len()), (0, 0, 0));
            reason
        }
        None => rows(&decoded.batch).pop().unwrap(),
    }
}

pub(super) fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#)
}

pub(super) fn field(name: &str, schema: &str) -> String {
    format!(r#"{{"name": "{name}", "type": {schema}}}"#)
}

/// A field of this type, given as JSON, as what Arrow has for it and as a plain column.
fn check_type(schema: &str, json: &str, arrow: &str, plain: &str) {
    let schema = record(&field("f", schema));
    let json = format!(r#"{{"f": {json}}}"#);
    let read = |types| read(&schema, &schema, types, &json);
    assert_eq!(read(Types::Arrow), format!("f={arrow}"), "{schema}");
    assert_eq!(read(Types::Plain), format!("f={plain}"), "{schema}");
}

#[test]
fn types_become_the_columns_that_come_nearest() {
    let check = check_type;
    let same = |schema: &str, json: &str, value: &str| check(schema, json, value, value);
    same(r#""boolean""#, "true", "true");
    same(r#""int""#, "-2147483648", "-2147483648");
    same(r#""long""#, "9223372036854775807", "9223372036854775807");
    same(r#""float""#, "1.5", "1.5");
    same(r#""double""#, "-0.1", "-0.1");
    same(r#""string""#, r#""ä""#, "ä");
    same(r#""bytes""#, r#""AP8=""#, "00ff");
    same(r#"["null", "long"]"#, "null", "null");
    same(r#"["long", "null"]"#, "7", "7");
    same(r#"["long"]"#, "7", "7");
    same(
        r#"{"type": "fixed", "name": "F", "size": 2}"#,
        r#""AP8=""#,
        "00ff",
    );
    same(
        r#"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#,
        r#""B""#,
        "B",
    );
    check(
        r#"{"type": "array", "items": ["null", "int"]}"#,
        "[1, null]",
        "[1, null]",
        "[1,null]",
    );
    check(
        r#"{"type": "map", "values": "int"}"#,
        r#"{"a": 1}"#,
        "{a: 1}",
        r#"{"a":1}"#,
    );
    let inner = r#"{"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": ["null", "string"]}]}"#;
    check(
        inner,
        r#"{"x": 1, "y": null}"#,
        "{x: 1, y: null}",
        r#"{"x":1,"y":null}"#,
    );
    check(&format!(r#"["null", {inner}]"#), "null", "null", "null");
}

#[test]
fn logical_types_become_the_columns_that_come_nearest() {
    let check = check_type;
    let same = |schema: &str, json: &str, value: &str| check(schema, json, value, value);
    same(
        r#"{"type": "int", "logicalType": "date"}"#,
        r#""2013-01-01""#,
        "2013-01-01",
    );
    let time = r#"{"type": "int", "logicalType": "time-millis"}"#;
    check(time, r#""05:06:07.008""#, "05:06:07.008", "05:06:07.008");
    let time = r#"{"type": "long", "logicalType": "time-micros"}"#;
    check(time, r#""05:06:07.000008""#, "05:06:07.000008", "05:06:07.000008");
    let timestamp = |unit: &str| format!(r#"{{"type": "long", "logicalType": "{unit}"}}"#);
    same(
        &timestamp("timestamp-millis"),
        r#""2013-01-01T05:00:00.5Z""#,
        "2013-01-01T05:00:00.500Z",
    );
    same(
        &timestamp("timestamp-micros"),
        "1500000",
        "1970-01-01T00:00:01.500Z",
    );
    same(
        &timestamp("timestamp-nanos"),
        "1500000000",
        "1970-01-01T00:00:01.500Z",
    );
    same(
        &timestamp("local-timestamp-millis"),
        "1500",
        "1970-01-01T00:00:01.500",
    );
    let decimal = |precision, scale| {
        format!(
            r#"{{"type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#
        )
    };
    same(&decimal(6, 2), "-12.3", "-12.30");
    same(
        &decimal(60, 2),
        r#""-12345678901234567890123456789012345678901234567890.1""#,
        "-12345678901234567890123456789012345678901234567890.10",
    );
    let fixed =
        r#"{"type": "fixed", "name": "D", "size": 4, "logicalType": "decimal", "precision": 8, "scale": 3}"#;
    same(fixed, "-1.5", "-1.500");
    let uuid = r#"{"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}"#;
    let text = "01234567-89ab-cdef-0123-456789abcdef";
    same(uuid, &format!("\"{text}\""), text);
    same(
        r#"{"type": "string", "logicalType": "uuid"}"#,
        &format!("\"{text}\""),
        text,
    );
    let duration = r#"{"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}"#;
    check(
        duration,
        r#""P1M2DT3.004S""#,
        "1 mons 2 days 3.004000000 secs",
        "P1M2DT3.004S",
    );
}

#[test]
fn what_has_no_column_is_json() {
    let check = |schema: &str, json: &str, expected: &str| {
        let schema = record(&field("f", schema));
        let json = format!(r#"{{"f": {json}}}"#);
        assert_eq!(
            read(&schema, &schema, Types::Arrow, &json),
            format!("f={expected}"),
            "{schema}"
        );
    };
    check(r#"["null", "int", "string"]"#, "null", "null");
    check(r#"["null", "int", "string"]"#, "5", "5");
    check(r#"["null", "int", "string"]"#, r#""a\"b""#, r#""a\"b""#);
    check(r#"["int", "bytes"]"#, r#"{"bytes": "AP8="}"#, r#""AP8=""#);
    check(
        r#"["double", {"type": "long", "logicalType": "timestamp-millis"}]"#,
        r#"{"long": 1500}"#,
        r#""1970-01-01T00:00:01.500Z""#,
    );
    check(r#"["double", "null"]"#, "1e300", "1e300");
    let list = r#"{"type": "record", "name": "L", "fields": [{"name": "v", "type": "double"}, {"name": "next", "type": ["null", "L"]}]}"#;
    check(
        list,
        r#"{"v": 1.5, "next": {"v": "NaN", "next": null}}"#,
        r#"{"v":1.5,"next":{"v":"NaN","next":null}}"#,
    );
    // Only the part that contains itself.
    let around = format!(
        r#"{{"type": "record", "name": "O", "fields": [{{"name": "a", "type": "int"}}, {{"name": "l", "type": {list}}}]}}"#
    );
    check(
        &around,
        r#"{"a": 1, "l": {"v": 2, "next": null}}"#,
        r#"{a: 1, l: {"v":2.0,"next":null}}"#,
    );
}

#[test]
fn a_record_that_contains_itself_has_columns_up_to_there() {
    const TREE: &str = r#"{"type": "record", "name": "Tree", "fields": [
        {"name": "name", "type": "string"}, {"name": "children", "type": {"type": "array", "items": "Tree"}}]}"#;
    let json = r#"{"name": "a", "children": [{"name": "b", "children": []}]}"#;
    assert_eq!(
        read(TREE, TREE, Types::Arrow, json),
        r#"name=a children=[{"name":"b","children":[]}]"#
    );
}

#[test]
fn a_schema_that_is_no_record_is_one_column() {
    let check = |schema: &str, json: &str, expected: &str| {
        assert_eq!(read(schema, schema, Types::Plain, json), expected, "{schema}");
    };
    check(r#""string""#, r#""a""#, "value=a");
    check(r#"["null", "long"]"#, "null", "value=null");
    check(
        r#"{"type": "map", "values": "long"}"#,
        r#"{"a": 1}"#,
        r#"value={"a":1}"#,
    );
}

#[test]
fn numbers_and_texts_are_promoted() {
    let check = |writer: &str, reader: &str, json: &str, expected: &str| {
        let as_record = |schema: &str| record(&field("f", &format!("\"{schema}\"")));
        let json = format!(r#"{{"f": {json}}}"#);
        let read = read(&as_record(writer), &as_record(reader), Types::Arrow, &json);
        assert_eq!(read, expected, "{writer} as {reader}");
    };
    check("int", "long", "7", "f=7");
    check("int", "float", "7", "f=7.0");
    check("int", "double", "7", "f=7.0");
    check("long", "float", "7", "f=7.0");
    check("long", "double", "7", "f=7.0");
    check("float", "double", "1.5", "f=1.5");
    check("string", "bytes", r#""ab""#, "f=6162");
    check("bytes", "string", r#""YWI=""#, "f=ab");
    check(
        "bytes",
        "string",
        r#""/w==""#,
        "byte 0, f: a string that is not UTF-8",
    );
    check("long", "int", "7", "field 'f': long cannot be read as int");
    check(
        "string",
        "long",
        r#""7""#,
        "field 'f': string cannot be read as long",
    );
    check(
        "double",
        "float",
        "7",
        "field 'f': double cannot be read as float",
    );
}

#[test]
fn promoted_numbers_are_the_reader_s_within_json_too() {
    let check = |writer: &str, reader: &str, json: &str, expected: &str| {
        let as_list = |schema: &str| {
            record(&field(
                "f",
                &format!(r#"{{"type": "array", "items": "{schema}"}}"#),
            ))
        };
        let json = format!(r#"{{"f": [{json}]}}"#);
        let read = read(&as_list(writer), &as_list(reader), Types::Plain, &json);
        assert_eq!(read, format!("f=[{expected}]"), "{writer} as {reader}");
    };
    check("int", "long", "16777217", "16777217");
    check("int", "float", "16777217", "16777216.0");
    check("long", "double", "9007199254740993", "9.007199254740992e15");
    check("float", "double", "0.1", "0.10000000149011612");
    check("long", "float", "-1", "-1.0");
}

#[test]
fn fields_are_found_by_name_and_alias_wherever_they_stand() {
    let writer = record(
        r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "c", "type": {"type": "array", "items": "double"}}, {"name": "d", "type": "boolean"}"#,
    );
    let check = |fields: &str, expected: &str| {
        let json = r#"{"a": 1, "b": "x", "c": [1, 2], "d": true}"#;
        for types in [Types::Arrow, Types::Plain] {
            assert_eq!(read(&writer, &record(fields), types, json), expected, "{fields}");
        }
    };
    check(
        r#"{"name": "d", "type": "boolean"}, {"name": "a", "type": "int"}"#,
        "d=true a=1",
    );
    check(r#"{"name": "e", "type": "string", "aliases": ["x", "b"]}"#, "e=x");
    check(
        r#"{"name": "b", "type": "string"}, {"name": "e", "type": "string", "aliases": ["b"]}"#,
        "b=x e=x",
    );
    check(
        r#"{"name": "e", "type": "int", "default": 5}, {"name": "d", "type": "boolean"}"#,
        "e=5 d=true",
    );
    check("", "");
    check(
        r#"{"name": "e", "type": "int"}"#,
        "field 'e': the writer does not have it, and it has no default",
    );
}

#[test]
fn defaults_are_what_the_reader_says() {
    let check = |schema: &str, default: &str, expected: &str| {
        let reader = record(&format!(
            r#"{{"name": "f", "type": {schema}, "default": {default}}}"#
        ));
        assert_eq!(
            read(&record(""), &reader, Types::Plain, "{}"),
            expected,
            "{schema} = {default}"
        );
    };
    check(r#""bytes""#, r#""\u00ff\u0000""#, "f=ff00");
    check(
        r#"{"type": "fixed", "name": "F", "size": 2}"#,
        r#""\u00e4b""#,
        "f=e462",
    );
    check(r#"["null", "string"]"#, "null", "f=null");
    check(r#"["string", "null"]"#, r#""x""#, "f=x");
    check(r#""double""#, "1", "f=1.0");
    check(r#""long""#, "1.0", "f=1");
    check(
        r#"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#,
        r#""B""#,
        "f=B",
    );
    check(r#"{"type": "array", "items": "int"}"#, "[1, 2]", "f=[1,2]");
    check(
        r#"{"type": "map", "values": "int"}"#,
        r#"{"a": 1}"#,
        r#"f={"a":1}"#,
    );
    let inner = r#"{"type": "record", "name": "I", "fields": [{"name": "x", "type": "int", "default": 3}, {"name": "y", "type": "int", "default": 4}]}"#;
    check(inner, r#"{"x": 1}"#, r#"f={"x":1,"y":4}"#);
    check(inner, "{}", r#"f={"x":3,"y":4}"#);
    check(r#"{"type": "int", "logicalType": "date"}"#, "1", "f=1970-01-02");
    check(
        r#""int""#,
        r#""x""#,
        "field 'f': its default is wrong: \"x\" is no int",
    );
    let endless = r#"{"type": "record", "name": "I", "fields": [{"name": "x", "type": "I", "default": {}}]}"#;
    check(endless, "{}", "field 'f': its default is wrong: it never ends");
}

#[test]
fn symbols_that_the_reader_lacks_are_its_default_or_an_error() {
    let symbols = |list: &str, more: &str| {
        record(&field(
            "f",
            &format!(r#"{{"type": "enum", "name": "E", "symbols": [{list}]{more}}}"#),
        ))
    };
    let writer = symbols(r#""A", "B", "C""#, "");
    let check = |reader: &str, symbol: &str, expected: &str| {
        let json = format!(r#"{{"f": "{symbol}"}}"#);
        assert_eq!(read(&writer, reader, Types::Arrow, &json), expected);
    };
    check(&symbols(r#""C", "A""#, ""), "C", "f=C");
    check(
        &symbols(r#""C", "A""#, ""),
        "B",
        "byte 0, f: a symbol that the reader's enum does not have",
    );
    check(&symbols(r#""C", "A""#, r#", "default": "A""#), "B", "f=A");
}

#[test]
fn unions_are_resolved_as_in_java() {
    let check = |writer: &str, reader: &str, json: &str, expected: &str| {
        let (writer, reader) = (record(&field("f", writer)), record(&field("f", reader)));
        let read = read(&writer, &reader, Types::Plain, &format!(r#"{{"f": {json}}}"#));
        assert_eq!(read, expected, "{writer} as {reader}");
    };
    check(r#""int""#, r#"["null", "long"]"#, "5", "f=5");
    check(r#"["null", "int"]"#, r#""int""#, r#"{"int": 5}"#, "f=5");
    check(
        r#"["null", "int"]"#,
        r#""int""#,
        "null",
        "byte 1, f: null cannot be read as int",
    );
    check(r#"["null", "int"]"#, r#"["double", "null"]"#, "5", "f=5.0");
    check(r#"["int", "string"]"#, r#"["null", "int"]"#, "5", "f=5");
    check(
        r#"["int", "string"]"#,
        r#"["null", "int"]"#,
        r#""x""#,
        "byte 1, f: string is read as none of the branches of the union",
    );
    check(
        r#"["int", "string"]"#,
        r#""boolean""#,
        "5",
        "field 'f': int cannot be read as boolean",
    );
    // The exact type before any promotion, and then the first.
    check(r#""int""#, r#"["double", "long", "int"]"#, "5", "f=5");
    check(r#""int""#, r#"["string", "double", "long"]"#, "5", "f=5.0");
    // A record by its name before its structure.
    let shape = |name: &str, field: &str| {
        format!(r#"{{"type": "record", "name": "{name}", "fields": [{{"name": "{field}", "type": "int"}}]}}"#)
    };
    let both = format!(
        "[{}, {}]",
        r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}, {"name": "a", "type": "int", "default": 1}]}"#,
        r#"{"type": "record", "name": "B", "fields": [{"name": "x", "type": "int"}, {"name": "b", "type": "int", "default": 2}]}"#
    );
    check(&shape("B", "x"), &both, r#"{"x": 5}"#, r#"f={"x":5,"b":2}"#);
    check(&shape("C", "x"), &both, r#"{"x": 5}"#, r#"f={"x":5,"a":1}"#);
    check(
        &shape("C", "y"),
        &both,
        r#"{"y": 5}"#,
        "field 'f': record C is read as none of the branches of the union",
    );
    // What the reader calls by another name.
    check(
        &shape("Old", "x"),
        r#"["null", {"type": "record", "name": "New", "aliases": ["Old"], "fields": [{"name": "x", "type": "long"}]}]"#,
        r#"{"x": 5}"#,
        r#"f={"x":5}"#,
    );
}

#[test]
fn a_changed_unit_or_scale_changes_the_number_and_not_the_value() {
    let check = |writer: &str, reader: &str, json: &str, expected: &str| {
        let (writer, reader) = (record(&field("f", writer)), record(&field("f", reader)));
        for types in [Types::Arrow, Types::Plain] {
            assert_eq!(
                read(&writer, &reader, types, &format!(r#"{{"f": {json}}}"#)),
                expected
            );
        }
    };
    let long = |logical: &str| format!(r#"{{"type": "long", "logicalType": "{logical}"}}"#);
    check(
        &long("timestamp-millis"),
        &long("timestamp-micros"),
        "1500",
        "f=1970-01-01T00:00:01.500Z",
    );
    check(
        &long("timestamp-nanos"),
        &long("timestamp-millis"),
        "1500000001",
        "f=1970-01-01T00:00:01.500Z",
    );
    check(
        &long("timestamp-millis"),
        &long("timestamp-nanos"),
        "9223372036854775807",
        "byte 0, f: 9223372036854775807 is out of range in the reader's unit of time",
    );
    let decimal = |precision, scale| {
        format!(
            r#"{{"type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#
        )
    };
    check(&decimal(6, 2), &decimal(8, 4), "12.34", "f=12.3400");
    check(&decimal(8, 4), &decimal(6, 2), "12.34", "f=12.34");
    check(
        &decimal(8, 4),
        &decimal(6, 2),
        "12.3456",
        "byte 0, f: not a number of decimal(6, 2)",
    );
    check(
        &decimal(8, 2),
        &decimal(4, 2),
        "123.45",
        "byte 0, f: not a number of decimal(4, 2)",
    );
}

#[test]
fn a_bad_record_is_named_and_the_others_are_as_if_it_were_not_there() {
    let schema = parse(&record(
        r#"{"name": "a", "type": "int"}, {"name": "l", "type": {"type": "array", "items": ["null", "string"]}},
           {"name": "m", "type": {"type": "map", "values": {"type": "record", "name": "I", "fields": [{"name": "x", "type": "boolean"}]}}},
           {"name": "u", "type": ["null", "int", "string"]}, {"name": "z", "type": "string"}"#,
    ));
    let good = |n: usize| {
        datum(
            &schema,
            &format!(r#"{{"a": {n}, "l": ["x", null], "m": {{"k": {{"x": true}}}}, "u": "t", "z": "{n}"}}"#),
        )
    };
    let whole = good(1);
    let mut data = vec![good(0)];
    data.extend((0..whole.len()).map(|end| whole[..end].to_vec()));
    data.push(good(2));
    let last = data.len() - 1;
    let decoded = decode(&schema, &schema, Types::Arrow, &data);
    assert_eq!(decoded.rows, [0, last as u32]);
    assert_eq!(decoded.failed.len(), whole.len());
    assert_eq!(
        rows(&decoded.batch),
        [
            r#"a=0 l=[x, null] m={k: {x: true}} u="t" z=0"#,
            r#"a=2 l=[x, null] m={k: {x: true}} u="t" z=2"#
        ]
    );
    let reasons: Vec<_> = decoded.failed.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons[0], "byte 0, a: the data ends too early");
    assert_eq!(reasons[3], "byte 3, l[0]: the data ends too early");
    assert_eq!(
        reasons[4],
        "byte 3, l[0]: a length of 1, but only 0 bytes are left"
    );
    assert_eq!(
        reasons.last(),
        Some(&"byte 15, z: a length of 1, but only 0 bytes are left")
    );
}

#[test]
fn only_the_wanted_columns_are_decoded_and_the_rest_may_be_anything() {
    let schema = parse(&record(
        r#"{"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "c", "type": "int"}"#,
    ));
    let layout = Layout::new(&schema, Types::Plain).unwrap();
    let decoder = Decoder::of_writer(&schema, &layout.project(&[2, 0]).unwrap()).unwrap();
    let not_text = [2, 2, 0xff, 6];
    let decoded = decoder.decode_values([Some(&not_text[..])].into_iter()).unwrap();
    assert_eq!(rows(&decoded.batch), ["c=3 a=1"]);

    let none = Decoder::of_writer(&schema, &layout.project(&[]).unwrap()).unwrap();
    let decoded = none
        .decode_values([Some(&not_text[..]), Some(&[2][..])].into_iter())
        .unwrap();
    assert_eq!((decoded.batch.num_rows(), decoded.failed.len()), (1, 1));
    let error = |index| LayoutError::Projection { index, columns: 3 };
    assert_eq!(layout.project(&[3]).unwrap_err(), error(3));
    assert_eq!(layout.project(&[1, 1]).unwrap_err(), error(1));
}

#[test]
fn columns_that_multiply_are_refused() {
    let mut text = r#"{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}"#.to_owned();
    for n in 1..20 {
        let before = n - 1;
        text = record_of_two(n, &text, &format!("\"R{before}\""));
    }
    assert_eq!(
        Layout::new(&parse(&text), Types::Arrow).unwrap_err(),
        LayoutError::TooManyColumns
    );
    assert_eq!(
        Layout::new(&parse(&text), Types::Plain)
            .unwrap()
            .schema()
            .fields()
            .len(),
        2
    );
}

fn record_of_two(n: usize, first: &str, second: &str) -> String {
    format!(
        r#"{{"type": "record", "name": "R{n}", "fields": [{{"name": "a", "type": {first}}}, {{"name": "b", "type": {second}}}]}}"#
    )
}

/// Schemas 1 and 2; 3 cannot be read as 1; 4 cannot be had.
struct Registry;

impl Schemas for Registry {
    fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError> {
        let fields = match id.0 {
            1 => r#"{"name": "a", "type": "int"}"#,
            2 => r#"{"name": "b", "type": "string"}, {"name": "a", "type": "int"}"#,
            3 => r#"{"name": "a", "type": "string"}"#,
            4 => {
                let reason = "it does not answer".into();
                return Err(SchemasError::Unavailable { reason });
            }
            _ => return Err(SchemasError::UnknownId { id }),
        };
        Ok(SchemaText {
            text: record(fields),
            referenced: Vec::new(),
        })
    }

    fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, SchemasError> {
        Err(SchemasError::UnknownGuid)
    }

    fn id_of(&self, subject: &Subject, _: &SchemaText) -> Result<SchemaId, SchemasError> {
        let subject = subject.clone();
        Err(SchemasError::NotRegistered { subject })
    }
}

#[test]
fn records_of_several_writers_follow_each_other() {
    let reader = parse(&record(r#"{"name": "a", "type": "int"}"#));
    let layout = Layout::new(&reader, Types::Plain).unwrap();
    let decoder = Decoder::of_registered(Arc::new(Registry), &layout);
    let values: [Option<&[u8]>; 8] = [
        Some(&[0, 0, 0, 0, 1, 2]),
        Some(&[0, 0, 0, 0, 2, 2, b'x', 4]),
        Some(&[0, 0, 0, 0, 3, 2, b'x']),
        Some(&[0, 0, 0, 0, 9, 2]),
        Some(&[0, 0, 0]),
        Some(b"{\"a\": 1}"),
        None,
        Some(&[0, 0, 0, 0, 1, 6]),
    ];
    let decoded = decoder.decode_values(values.into_iter()).unwrap();
    assert_eq!(rows(&decoded.batch), ["a=1", "a=2", "a=3"]);
    assert_eq!(decoded.rows, [0, 1, 7]);
    let reason = |index: usize| {
        decoded
            .failed
            .iter()
            .find(|(failed, _)| *failed == index)
            .map(|(_, reason)| reason.as_str())
    };
    assert_eq!(
        reason(2),
        Some("data of schema 3 cannot be read: field 'a': string cannot be read as int")
    );
    assert_eq!(reason(3), Some("schema 9 is not registered"));
    let no_id = "the value names no schema: ";
    let too_short = "the payload has 3 bytes, too short for a magic byte and a schema id";
    assert_eq!(reason(4), Some(&*format!("{no_id}{too_short}")));
    assert_eq!(reason(5), Some(&*format!("{no_id}unknown magic byte 123")));
    assert_eq!(reason(6), Some("the record has no value"));

    let values: [Option<&[u8]>; 2] = [Some(&[0, 0, 0, 0, 1, 2]), Some(&[0, 0, 0, 0, 4, 2])];
    let error = decoder.decode_values(values.into_iter()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the schema registry is not available: it does not answer"
    );
    let decoded = decoder.decode_values(values[..1].iter().copied()).unwrap();
    assert_eq!(
        rows(&decoded.batch),
        ["a=1"],
        "nothing is left of the batch that was not finished"
    );
}

#[test]
fn nested_columns_are_arrow_s_own() {
    let schema = parse(&record(&field("l", r#"{"type": "array", "items": "int"}"#)));
    let data = [datum(&schema, r#"{"l": [1, 2]}"#), datum(&schema, r#"{"l": []}"#)];
    let decoded = decode(&schema, &schema, Types::Arrow, &data);
    let lists = decoded.batch.column(0).as_list::<i32>();
    assert_eq!(lists.value(0).as_primitive::<Int32Type>().values(), &[1, 2]);
    assert!(lists.value(1).is_empty());
    let bytes = parse(r#""bytes""#);
    let decoded = decode(&bytes, &bytes, Types::Arrow, &[vec![2, 0xff]]);
    assert_eq!(
        decoded.batch.column(0).as_binary::<i32>(),
        &BinaryArray::from_vec(vec![&[0xff]])
    );
}
