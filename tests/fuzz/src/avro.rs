//! Avro data, and the schemas with which it was written and is read.
//!
//! ```text
//! length of the writer's schema, 2 bytes | schema | length of the reader's schema, 2 bytes | schema | data
//! ```

use millstream_formats::avro::{Decoder, Encoder, JsonEncoder, Layout, Types};
use millstream_schema_registry_avro::{
    Schema, Strictness,
    binary::Validator,
    testing::{Random, datum, schema_text},
};

/// A batch, so that good rows stand beside what the bytes are.
const COPIES: usize = 2;

pub fn run(data: &[u8]) {
    let Some((writer, rest)) = part(data) else { return };
    let Some((reader, datum)) = part(rest) else { return };
    let Some(writer) = schema(writer) else { return };
    let verdict = Validator::compile(&writer).validate(datum);
    let json = decode(&writer, &Layout::json(&writer), datum);
    if verdict.is_err() {
        assert_eq!(json, Some(0), "what is not valid was decoded");
    }
    let Some(reader) = schema(reader) else { return };
    for types in [Types::Arrow, Types::Plain] {
        if let Ok(layout) = Layout::new(&reader, types) {
            decode(&writer, &layout, datum);
        }
    }
    let _ = JsonEncoder::new(&writer).encode(datum, &[]);
}

/// How many of the copies were read; `None`: the schemas do not fit.
fn decode(writer: &Schema, layout: &Layout, datum: &[u8]) -> Option<usize> {
    let decoder = Decoder::of_writer(writer, layout).ok()?;
    let decoded = decoder.decode_values([Some(datum); COPIES].into_iter());
    let decoded = decoded.expect("no registry is asked");
    assert_eq!(decoded.rows.len() + decoded.failed.len(), COPIES);
    if let Ok(encoder) = Encoder::new(layout.reader(), decoder.schema()) {
        let encoded = encoder
            .encode(&decoded.batch, &[])
            .expect("the columns are the encoder's");
        assert_eq!(encoded.values.len() + encoded.failed.len(), decoded.rows.len());
    }
    Some(decoded.rows.len())
}

fn part(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

fn schema(text: &[u8]) -> Option<Schema> {
    Schema::parse(str::from_utf8(text).ok()?, &[], Strictness::Stored).ok()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = (0..40).map(seed).collect();
    for (writer, reader, datum) in SCHEMAS {
        seeds.push(input(writer, reader, datum));
    }
    seeds
}

/// Logical types, recursion, defaults, aliases.
const SCHEMAS: &[(&str, &str, &[u8])] = &[
    (
        r#"{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"n","type":["null","L"]}]}"#,
        r#"{"type":"record","name":"M","aliases":["L"],"fields":[{"name":"w","type":"long","aliases":["v"]},{"name":"n","type":["null","M"]},{"name":"d","type":{"type":"map","values":"bytes"},"default":{"k":"\u00ff"}}]}"#,
        &[2, 2, 4, 2, 6, 0],
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"u","type":{"type":"fixed","name":"U","size":12,"logicalType":"duration"}}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":60,"scale":4}},{"name":"t","type":{"type":"long","logicalType":"timestamp-nanos"}},{"name":"u","type":{"type":"fixed","name":"U","size":12,"logicalType":"duration"}}]}"#,
        &[4, 4, 210, 200, 1, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
    ),
    (
        r#"{"type":"array","items":["int","string",{"type":"enum","name":"E","symbols":["A","B"]}]}"#,
        r#"{"type":"array","items":["double","bytes",{"type":"enum","name":"E","symbols":["B"],"default":"B"}]}"#,
        &[3, 10, 0, 2, 2, 2, b'x', 2, 4, 0, 0],
    ),
];

fn seed(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let text = schema_text(&mut random);
    let schema = schema(text.as_bytes()).expect("random schemas are right");
    input(&text, &text, &datum(&schema, &mut random))
}

fn input(writer: &str, reader: &str, datum: &[u8]) -> Vec<u8> {
    let mut input = Vec::new();
    for text in [writer, reader] {
        let length = u16::try_from(text.len()).expect("a short schema");
        input.extend(length.to_be_bytes());
        input.extend(text.as_bytes());
    }
    input.extend(datum);
    input
}
