//! What other implementations make of the same data, where they are right.

use std::collections::HashMap;

use apache_avro::{reader::datum::GenericDatumReader, types::Value as Theirs};
use arrow_array::{Array, cast::AsArray, types::Int32Type};
use arrow_avro::{
    reader::ReaderBuilder,
    schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore},
};
use arrow_cast::{
    base64::{BASE64_STANDARD, Engine},
    cast,
};
use arrow_schema::DataType;
use millstream_formats::avro::{Decoder, Layout, Types};
use millstream_schema_registry_avro::{
    Schema,
    testing::{self, Random},
};
use serde_json::{Map, Value, json};

use super::{as_json, datum, evolve, parse};

/// A value of apache-avro as the JSON that decoding writes.
fn json_of(value: Theirs) -> Value {
    let float = |value: f64, text: String| match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => serde_json::from_str(&text).unwrap(),
    };
    let all = |values: HashMap<String, Theirs>| -> Map<String, Value> {
        values
            .into_iter()
            .map(|(key, value)| (key, json_of(value)))
            .collect()
    };
    match value {
        Theirs::Null => Value::Null,
        Theirs::Boolean(value) => json!(value),
        Theirs::Int(value) => json!(value),
        Theirs::Long(value) => json!(value),
        Theirs::Float(value) => float(value.into(), format!("{value:e}")),
        Theirs::Double(value) => float(value, format!("{value:e}")),
        Theirs::Bytes(bytes) | Theirs::Fixed(_, bytes) => json!(BASE64_STANDARD.encode(bytes)),
        Theirs::String(text) | Theirs::Enum(_, text) => json!(text),
        Theirs::Union(_, value) => json_of(*value),
        Theirs::Array(values) => values.into_iter().map(json_of).collect(),
        Theirs::Map(values) => all(values).into(),
        Theirs::Record(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, json_of(value)));
            fields.collect::<Map<_, _>>().into()
        }
        other => panic!("{other:?} has a logical type"),
    }
}

fn ours(writer: &Schema, reader: &Schema, datum: &[u8]) -> Value {
    normal(serde_json::from_str(&as_json(writer, reader, datum).unwrap()).unwrap())
}

/// The same without the last digits of floats, of which there are several spellings.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() => json!(format!("{float:.5e}")),
            _ => json!(number.as_i64()),
        },
        Value::Array(values) => values.into_iter().map(normal).collect(),
        Value::Object(values) => {
            let values = values.into_iter().map(|(key, value)| (key, normal(value)));
            values.collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[test]
fn apache_avro_reads_the_same_values() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let text = testing::schema_text(&mut random);
        let (schema, theirs) = (parse(&text), apache_avro::Schema::parse_str(&text).unwrap());
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();
        for _ in 0..5 {
            let datum = testing::datum(&schema, &mut random);
            let value = reader.read_value(&mut datum.as_slice()).unwrap();
            assert_eq!(
                ours(&schema, &schema, &datum),
                normal(json_of(value)),
                "seed {seed}: {text}"
            );
        }
    }
}

/// apache-avro does not know readers' aliases of fields and types, takes bytes' defaults for UTF-8, and looks for the branch of
/// a union by shape. Where it knows what to do, it does the same.
#[test]
fn apache_avro_resolves_to_the_same_values_where_it_can() {
    let mut compared = 0;
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let text = testing::schema_text(&mut random);
        let later = evolve::compatible(&text, &mut random);
        if later.contains("\"aliases\"") || later.contains("\"default\":\"\u{ff}a\"") {
            continue;
        }
        let (writer, reader) = (parse(&text), parse(&later));
        let (theirs, their_reader) = (
            apache_avro::Schema::parse_str(&text).unwrap(),
            apache_avro::Schema::parse_str(&later).unwrap(),
        );
        let their_reader = GenericDatumReader::builder(&theirs)
            .reader_schema(&their_reader)
            .build()
            .unwrap();
        for _ in 0..5 {
            let datum = testing::datum(&writer, &mut random);
            let Ok(value) = their_reader.read_value(&mut datum.as_slice()) else {
                continue;
            };
            assert_eq!(
                ours(&writer, &reader, &datum),
                normal(json_of(value)),
                "seed {seed}: {text} as {later}"
            );
            compared += 1;
        }
    }
    assert!(compared > 800, "only {compared} values were compared");
}

const TYPES: &str = r#"{"type": "record", "name": "R", "namespace": "n", "fields": [
    {"name": "boolean", "type": ["null", "boolean"]},
    {"name": "int", "type": "int"},
    {"name": "long", "type": ["long", "null"]},
    {"name": "float", "type": "float"},
    {"name": "double", "type": ["null", "double"]},
    {"name": "bytes", "type": "bytes"},
    {"name": "string", "type": ["null", "string"]},
    {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 3}},
    {"name": "enum", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    {"name": "date", "type": {"type": "int", "logicalType": "date"}},
    {"name": "time_millis", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "time_micros", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "timestamp_millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "timestamp_micros", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "local", "type": ["null", {"type": "long", "logicalType": "local-timestamp-millis"}]},
    {"name": "decimal", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "wide", "type": {"type": "fixed", "name": "W", "size": 24, "logicalType": "decimal", "precision": 50, "scale": 4}},
    {"name": "duration", "type": {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}},
    {"name": "list", "type": {"type": "array", "items": ["null", "int"]}},
    {"name": "map", "type": {"type": "map", "values": "string"}},
    {"name": "record", "type": ["null", {"type": "record", "name": "I", "fields": [
        {"name": "x", "type": "int"}, {"name": "y", "type": ["null", "string"]}]}]}]}"#;

const ROWS: [&str; 2] = [
    r#"{"boolean": true, "int": -5, "long": null, "float": 1.5, "double": -0.25, "bytes": "AP8=", "string": "ä", "fixed": "AQID", "enum": "B",
        "date": "2013-01-01", "time_millis": "05:06:07.008", "time_micros": "05:06:07.000009", "timestamp_millis": "2013-01-01T05:00:00.001Z",
        "timestamp_micros": "1969-12-31T23:59:59.999999Z", "local": "2013-01-01T05:00:00.001", "decimal": "-1234567890.12",
        "wide": "-1234567890123456789012345678901234567890.1234", "duration": "P1M2DT3.004S", "list": [1, null, 3], "map": {"a": "b"},
        "record": {"x": 1, "y": null}}"#,
    r#"{"boolean": null, "int": 2147483647, "long": -9223372036854775808, "float": "Infinity", "double": null, "bytes": "", "string": null,
        "fixed": "AAAA", "enum": "A", "date": -1, "time_millis": 0, "time_micros": 86399999999, "timestamp_millis": -1, "timestamp_micros": 0,
        "local": null, "decimal": 0, "wide": 5, "duration": "P0M0DT0S", "list": [], "map": {}, "record": null}"#,
];

#[test]
fn arrow_avro_makes_the_same_arrays_of_every_type() {
    let schema = parse(TYPES);
    let data = ROWS.map(|row| datum(&schema, row));
    let layout = Layout::new(&schema, Types::Arrow).unwrap();
    let decoder = Decoder::of_writer(&schema, &layout).unwrap();
    let ours = decoder
        .decode_values(data.iter().map(|datum| Some(datum.as_slice())))
        .unwrap();
    assert_eq!(ours.failed, []);

    let id = Fingerprint::Id(7);
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(id, AvroSchema::new(TYPES.into())).unwrap();
    let builder = ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(id);
    let mut theirs = builder.build_decoder().unwrap();
    for datum in &data {
        let framed = [&[0, 0, 0, 0, 7], datum.as_slice()].concat();
        assert_eq!(theirs.decode(&framed).unwrap(), framed.len());
    }
    let theirs = theirs.flush().unwrap().unwrap();
    for (column, field) in ours.batch.columns().iter().zip(ours.batch.schema().fields()) {
        let their_field = theirs.schema().field_with_name(field.name()).unwrap().clone();
        assert_eq!(field.is_nullable(), their_field.is_nullable(), "{field}");
        let their_column = theirs.column_by_name(field.name()).unwrap();
        // They make dictionaries of enums, write UTC as an offset, and call entries otherwise.
        let same = match field.data_type() {
            DataType::Utf8 | DataType::Timestamp(_, _) | DataType::Map(_, _) => {
                cast(their_column, field.data_type()).unwrap()
            }
            _ => their_column.clone(),
        };
        assert_eq!(&same, column, "{field}");
    }
    let ints = ours.batch.column_by_name("int").unwrap();
    assert_eq!(ints.as_primitive::<Int32Type>().values(), &[-5, i32::MAX]);
    assert_eq!(ints.null_count(), 0);
}
