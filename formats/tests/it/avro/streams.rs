//! Streams whose format is Avro, as processors and sinks see them.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Int16Array, RecordBatch, StringArray, TimestampSecondArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use bytes::Bytes;
use millstream_formats::{
    Decoder, Encoder, FormatError,
    avro::{AvroStreamError, JsonDecoder, columns, schema_text},
    carried,
};
use millstream_sdk::{AvroFormat, NoSchemas, SchemaText, Schemas, SchemasError, StreamSchema, ValueFormat};
use millstream_types::{Header, Record, SchemaId, Subject, TopicName};

use super::{cases::record, datum, parse, rows};

/// Ids are given as they come: 1, 2, …
struct Registry(HashMap<SchemaId, SchemaText>);

impl Registry {
    fn of(texts: &[&str]) -> Arc<Self> {
        let texts = texts.iter().enumerate().map(|(n, text)| {
            let text = (*text).to_owned();
            let schema = SchemaText {
                text,
                referenced: Vec::new(),
            };
            (SchemaId(n as i32 + 1), schema)
        });
        Arc::new(Self(texts.collect()))
    }
}

impl Schemas for Registry {
    fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError> {
        self.0.get(&id).cloned().ok_or(SchemasError::UnknownId { id })
    }

    /// The last byte is the id.
    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, SchemasError> {
        let found = self.0.get(&SchemaId(guid[15].into())).cloned();
        found.ok_or(SchemasError::UnknownGuid)
    }

    fn id_of(&self, subject: &Subject, schema: &SchemaText) -> Result<SchemaId, SchemasError> {
        let found = self.0.iter().find(|(_, known)| *known == schema);
        let subject = subject.clone();
        found
            .map(|(id, _)| *id)
            .ok_or(SchemasError::NotRegistered { subject })
    }
}

fn stream(schemas: Arc<dyn Schemas>, fields: Vec<Field>) -> (AvroFormat, StreamSchema) {
    let format = AvroFormat::of_topic(&TopicName::new("shop.orders").unwrap(), schemas);
    let schema = StreamSchema {
        format: ValueFormat::Avro(format.clone()),
        columns: Arc::new(ArrowSchema::new(fields)),
    };
    (format, schema)
}

#[test]
fn rows_come_back_with_the_declared_types() {
    let fields = vec![
        Field::new("n", DataType::Int16, false),
        Field::new("u", DataType::UInt64, true),
        Field::new(
            "t",
            DataType::Timestamp(TimeUnit::Second, Some("UTC".into())),
            true,
        ),
        Field::new("s", DataType::Utf8, true),
    ];
    let (format, schema) = stream(Registry::of(&[]), fields.clone());
    let text = schema_text(&format, &schema.columns).unwrap();
    assert!(
        text.text
            .starts_with(r#"{"type":"record","name":"shop.orders","fields":[{"name":"n","type":"int"}"#)
    );
    let (_, schema) = stream(Registry::of(&[&text.text]), fields);
    let batch = RecordBatch::try_new(
        schema.columns.clone(),
        vec![
            Arc::new(Int16Array::from(vec![1, -2])),
            Arc::new(UInt64Array::from(vec![Some(7), None])),
            Arc::new(TimestampSecondArray::from(vec![None, Some(-5)]).with_timezone("UTC")),
            Arc::new(StringArray::from(vec![Some("a"), None])),
        ],
    )
    .unwrap();
    let encoded = Encoder::new(&schema).unwrap().encode(&batch).unwrap();
    assert_eq!(encoded.failed, []);
    assert_eq!(
        encoded.values[0],
        [&[0, 0, 0, 0, 1, 2, 2, 14, 0, 2, 2, b'a'][..]].concat()
    );
    let decoder = Decoder::new(&schema, &[0, 1, 2, 3]).unwrap();
    let values = encoded.values.iter().map(|value| Some(value.as_ref()));
    let decoded = decoder.decode_values(values).unwrap();
    assert_eq!(decoded.batch, batch);
    assert_eq!(*decoder.schema(), schema.columns);
}

#[test]
fn values_that_others_wrote_must_fit_the_declared_types() {
    let fields = vec![
        Field::new("n", DataType::Int8, false),
        Field::new("s", DataType::Utf8, true),
    ];
    let writer = record(r#"{"name": "s", "type": "string"}, {"name": "n", "type": "int"}"#);
    let (_, schema) = stream(Registry::of(&[&writer]), fields);
    let decoder = Decoder::new(&schema, &[1, 0]).unwrap();
    let value = |n: i32| {
        let datum = datum(&parse(&writer), &format!(r#"{{"s": "x{n}", "n": {n}}}"#));
        [&[0, 0, 0, 0, 1], datum.as_slice()].concat()
    };
    let values = [value(1), value(128), value(-128)];
    let decoded = decoder
        .decode_values(values.iter().map(|value| Some(value.as_slice())))
        .unwrap();
    assert_eq!(rows(&decoded.batch), ["s=x1 n=1", "s=x-128 n=-128"]);
    assert_eq!(decoded.rows, [0, 2]);
    assert_eq!(decoded.failed, [(1, "column 'n' is out of range".to_owned())]);
}

#[test]
fn a_schema_that_another_program_registered_gives_the_columns() {
    let text = SchemaText {
        text: record(
            r#"{"name": "b", "type": {"type": "array", "items": "int"}}, {"name": "a", "type": ["null", "int"]}"#,
        ),
        referenced: Vec::new(),
    };
    let subject = Subject::new("t-value").unwrap();
    let columns = columns(&subject, &text).unwrap();
    let fields: Vec<_> = columns
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .collect();
    assert_eq!(
        fields,
        [
            Field::new("b", DataType::Utf8, false),
            Field::new("a", DataType::Int32, true)
        ]
    );
    let (format, schema) = stream(Registry::of(&[&text.text]), fields);
    let schema = StreamSchema {
        format: ValueFormat::Avro(AvroFormat {
            schema: Some(Arc::new(text)),
            ..format
        }),
        ..schema
    };
    let decoder = Decoder::new(&schema, &[0, 1]).unwrap();
    let decoded = decoder
        .decode_values([Some(&[0, 0, 0, 0, 1, 4, 2, 4, 0, 2, 10][..])].into_iter())
        .unwrap();
    assert_eq!(rows(&decoded.batch), ["b=[1,2] a=5"]);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_decoded() {
    let (format, schema) = stream(Registry::of(&[]), vec![Field::new("a", DataType::Int32, true)]);
    let other = SchemaText {
        text: record(r#"{"name": "a", "type": "string"}"#),
        referenced: Vec::new(),
    };
    let schema_of = |text: SchemaText| StreamSchema {
        format: ValueFormat::Avro(AvroFormat {
            schema: Some(Arc::new(text)),
            ..format.clone()
        }),
        columns: schema.columns.clone(),
    };
    let reason = |schema: &StreamSchema| Decoder::new(schema, &[0]).err().unwrap().to_string();
    assert_eq!(
        reason(&schema_of(other)),
        "column 'a' is integer, but the schema of subject 'shop.orders-value' makes it varchar"
    );
    let wrong = SchemaText {
        text: "[".into(),
        referenced: Vec::new(),
    };
    assert!(reason(&schema_of(wrong)).starts_with("the schema of subject 'shop.orders-value' is wrong: "));
    assert_eq!(
        Decoder::new(&schema, &[1]).err().unwrap(),
        FormatError::Projection { index: 1, columns: 1 }
    );
}

#[test]
fn a_schema_that_is_not_registered_or_a_registry_that_is_not_there_stops_the_batch() {
    let check = |schemas: Arc<dyn Schemas>, expected: &SchemasError| {
        let (_, schema) = stream(schemas, vec![Field::new("a", DataType::Int16, true)]);
        let batch =
            RecordBatch::try_new(schema.columns.clone(), vec![Arc::new(Int16Array::from(vec![1]))]).unwrap();
        let error = Encoder::new(&schema).unwrap().encode(&batch).unwrap_err();
        assert_eq!(
            error,
            FormatError::Avro(AvroStreamError::Schemas(expected.clone()))
        );
    };
    let subject = Subject::new("shop.orders-value").unwrap();
    check(Registry::of(&[]), &SchemasError::NotRegistered { subject });
    let reason = "there is none here".to_owned();
    check(Arc::new(NoSchemas), &SchemasError::Unavailable { reason });
}

#[test]
fn values_of_any_schema_are_shown_as_json() {
    let decoder = JsonDecoder::new(Registry::of(&[
        &record(r#"{"name": "a", "type": ["null", "int"]}"#),
        r#""string""#,
    ]));
    let check = |value: &[u8], expected: Result<&str, &str>| {
        let record = Record {
            value: Some(Bytes::copy_from_slice(value)),
            ..Record::default()
        };
        let json = decoder.decode(&record).unwrap();
        assert_eq!(
            json.as_ref().map(|json| json.as_deref().map_err(String::as_str)),
            Some(expected)
        );
    };
    check(&[0, 0, 0, 0, 1, 2, 14], Ok(r#"{"a":7}"#));
    check(&[0, 0, 0, 0, 2, 4, b'h', b'i'], Ok(r#""hi""#));
    check(
        &[0, 0, 0, 0, 1, 4],
        Err("byte 0, a: branch 2 of a union that has 2"),
    );
    check(&[0, 0, 0, 0, 3, 2], Err("schema 3 is not registered"));
    check(b"x", Err("unknown magic byte 120"));
}

#[test]
fn a_header_may_name_the_schema_of_a_value() {
    let writers = [
        record(r#"{"name": "n", "type": "int"}"#),
        record(r#"{"name": "s", "type": "string"}, {"name": "n", "type": "int"}"#),
    ];
    let registry = Registry::of(&writers.each_ref().map(String::as_str));
    let record = |header: Option<&[u8]>, value: &[u8]| Record {
        value: Some(Bytes::copy_from_slice(value)),
        headers: header
            .map(|header| Header::new("__value_schema_id", Bytes::copy_from_slice(header)))
            .into_iter()
            .collect(),
        ..Record::default()
    };
    let guid = |id: u8| {
        let mut header = vec![1; 17];
        header[16] = id;
        header
    };
    let records = [
        record(Some(&guid(2)), &[2, b'x', 4]),
        record(None, &[0, 0, 0, 0, 1, 2]),
        record(Some(&[0, 0, 0, 0, 1]), &[6]),
        record(Some(&guid(9)), &[6]),
        record(Some(&[7]), &[6]),
    ];
    let (_, schema) = stream(registry.clone(), vec![Field::new("n", DataType::Int32, false)]);
    let decoded = Decoder::new(&schema, &[0]).unwrap().decode(&records).unwrap();
    assert_eq!(rows(&decoded.batch), ["n=2", "n=1", "n=3"]);
    let reasons: Vec<_> = decoded.failed.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "no schema that is registered has the GUID in the header",
            "the value names no schema: unknown magic byte 7"
        ]
    );

    let json = JsonDecoder::new(registry);
    let shown = records
        .each_ref()
        .map(|record| json.decode(record).unwrap().unwrap().ok());
    let [first, second, third, ..] = shown.each_ref().map(Option::as_deref);
    assert_eq!(
        [first, second, third],
        [Some(r#"{"s":"x","n":2}"#), Some(r#"{"n":1}"#), Some(r#"{"n":3}"#)]
    );
    // Who writes the value anew takes the other headers with it.
    let other = Header::new("source", Bytes::from_static(b"a"));
    let of_key = Header::new("__key_schema_id", Bytes::from_static(b"b"));
    let headers = [records[0].headers.clone(), vec![other.clone(), of_key.clone()]].concat();
    assert_eq!(carried(&headers, false), [other.clone(), of_key]);
    assert_eq!(carried(&headers, true), [other]);
}
