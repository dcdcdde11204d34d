//! Avro data to columns and back.

mod cases;
mod encode;
mod evolve;
mod peers;
mod properties;
mod streams;

use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use millstream_formats::{
    Decoded,
    avro::{Decoder, JsonEncoder, Layout, Types},
};
use millstream_schema_registry_avro::{Schema, Strictness};

fn parse(text: &str) -> Schema {
    Schema::parse(text, &[], Strictness::Stored).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A datum, given as JSON.
fn datum(writer: &Schema, json: &str) -> Vec<u8> {
    let encoder = JsonEncoder::new(writer);
    encoder
        .encode(json.as_bytes(), &[])
        .unwrap_or_else(|reason| panic!("{json}: {reason}"))
        .to_vec()
}

fn decode(writer: &Schema, reader: &Schema, types: Types, data: &[Vec<u8>]) -> Decoded {
    let layout = Layout::new(reader, types).unwrap();
    let decoder = Decoder::of_writer(writer, &layout).unwrap_or_else(|error| {
        panic!("{error}: {writer:?} as {reader:?}");
    });
    decoder
        .decode_values(data.iter().map(|datum| Some(datum.as_slice())))
        .unwrap()
}

/// The whole datum as JSON.
fn as_json(writer: &Schema, reader: &Schema, datum: &[u8]) -> Result<String, String> {
    let decoder = Decoder::of_writer(writer, &Layout::json(reader));
    let decoder = decoder.unwrap_or_else(|error| panic!("{error}: {writer:?} as {reader:?}"));
    let mut decoded = decoder.decode_values([Some(datum)].into_iter()).unwrap();
    match decoded.failed.pop() {
        Some((_, reason)) => Err(reason),
        None => Ok(decoded.batch.column(0).as_string::<i32>().value(0).to_owned()),
    }
}

/// Each row as its columns' names and values.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let column = |(index, array)| {
        let name = batch.schema().field(index).name().clone();
        (name, ArrayFormatter::try_new(array, &options).unwrap())
    };
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(AsRef::<dyn Array>::as_ref)
        .enumerate()
        .map(column)
        .collect();
    let row = |row: usize| {
        let values = columns
            .iter()
            .map(|(name, values)| format!("{name}={}", values.value(row)));
        values.collect::<Vec<_>>().join(" ")
    };
    (0..batch.num_rows()).map(row).collect()
}
