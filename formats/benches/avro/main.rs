//! Avro data: validation, decoding to Arrow and encoding, beside apache-avro and arrow-avro in the same run.
//!
//! Nanoseconds per record of CPU time of the thread, the median of several rounds in which all contenders take turns.
//! A plain program: `just bench-avro`.

mod order;

use std::{fs, hint::black_box, sync::Arc};

use apache_avro::{reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use arrow_avro::{
    reader::ReaderBuilder,
    schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, FingerprintStrategy, SchemaStore},
    writer::{WriterBuilder, format::AvroSoeFormat},
};
use millstream_formats::avro::{Decoder, Encoder, Layout, Types};
use millstream_schema_registry_avro::{Schema, Strictness, binary::Validator};
use millstream_sdk::{SchemaText, Schemas, SchemasError};
use millstream_types::{SchemaId, Subject};

const RECORDS: usize = 8_192;
const ROUNDS: usize = 7;
/// CPU time of one measurement, at least: the kernel's account is a few milliseconds coarse.
const SPAN_NS: u64 = 150_000_000;
const ID: SchemaId = SchemaId(7);
const PREFIX: [u8; 5] = [0, 0, 0, 0, 7];

struct One(Schema);

impl Schemas for One {
    fn by_id(&self, _: SchemaId) -> Result<SchemaText, SchemasError> {
        Ok(SchemaText {
            text: self.0.text().into(),
            referenced: Vec::new(),
        })
    }

    fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, SchemasError> {
        Err(SchemasError::UnknownGuid)
    }

    fn id_of(&self, _: &Subject, _: &SchemaText) -> Result<SchemaId, SchemasError> {
        Ok(ID)
    }
}

/// One contender: what it is, and one pass over all records.
struct Contender<'a> {
    name: String,
    pass: Box<dyn FnMut() + 'a>,
    ns: Vec<f64>,
}

impl<'a> Contender<'a> {
    fn new(name: impl Into<String>, pass: impl FnMut() + 'a) -> Self {
        Self {
            name: name.into(),
            pass: Box::new(pass),
            ns: Vec::new(),
        }
    }

    fn median(&self) -> f64 {
        let mut ns = self.ns.clone();
        ns.sort_by(f64::total_cmp);
        ns[ns.len() / 2]
    }
}

/// CPU time of this thread, as the scheduler counts it.
fn cpu_ns() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    let first = stat.split_whitespace().next().expect("the time comes first");
    first.parse().expect("the time is a number")
}

fn measure(contender: &mut Contender<'_>) {
    let started = cpu_ns();
    let mut passes = 0;
    let spent = loop {
        (contender.pass)();
        passes += 1;
        let spent = cpu_ns() - started;
        if spent >= SPAN_NS {
            break spent;
        }
    };
    contender
        .ns
        .push(spent as f64 / f64::from(passes) / RECORDS as f64);
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let writer = Schema::parse(order::SCHEMA, &[], Strictness::Stored).expect("the schema is right");
    let reader = Schema::parse(order::EVOLVED, &[], Strictness::Stored).expect("the schema is right");
    let data: Vec<_> = (0..RECORDS).map(order::datum).collect();
    let framed: Vec<_> = data
        .iter()
        .map(|datum| [&PREFIX, datum.as_slice()].concat())
        .collect();
    let bytes: usize = data.iter().map(Vec::len).sum();
    println!(
        "{RECORDS} records of 20 fields, {} bytes each on average",
        bytes / RECORDS
    );

    let mut contenders = vec![validation(&writer, &data)];
    contenders.extend(values(&data));
    for batch in [1, 16, 64, 256, 8_192] {
        contenders.push(decoding(
            format!("decode, batch {batch}"),
            &writer,
            &writer,
            None,
            batch,
            &framed,
        ));
        contenders.push(arrow_avro(batch, &framed));
    }
    let some = Some(&[0_usize, 3, 6][..]);
    contenders.push(decoding(
        "decode 3 of 20 columns, batch 256".into(),
        &writer,
        &writer,
        some,
        256,
        &framed,
    ));
    contenders.push(decoding(
        "decode with another reader's schema, batch 256".into(),
        &writer,
        &reader,
        None,
        256,
        &framed,
    ));
    contenders.extend(encoding(&writer, &data));
    for _ in 0..ROUNDS {
        contenders.iter_mut().for_each(measure);
    }
    let value = contenders
        .iter()
        .find(|contender| contender.name == VALUE)
        .expect("it took part")
        .median();
    for contender in &contenders {
        let (name, ns) = (&contender.name, contender.median());
        println!("{name:<52} {ns:>8.0} ns/record   {:>5.2}x of {VALUE}", value / ns);
    }
}

const VALUE: &str = "apache-avro, to Value";

fn validation<'a>(writer: &Schema, data: &'a [Vec<u8>]) -> Contender<'a> {
    let validator = Validator::compile(writer);
    Contender::new("validate", move || {
        for datum in data {
            validator.validate(black_box(datum)).expect("the data is right");
        }
    })
}

fn decoding<'a>(
    name: String,
    writer: &Schema,
    reader: &Schema,
    columns: Option<&[usize]>,
    batch: usize,
    framed: &'a [Vec<u8>],
) -> Contender<'a> {
    let layout = Layout::new(reader, Types::Arrow).expect("the schema has columns");
    let layout = match columns {
        Some(columns) => layout.project(columns).expect("the columns are there"),
        None => layout,
    };
    let decoder = Decoder::of_registered(Arc::new(One(writer.clone())), &layout);
    Contender::new(name, move || {
        for chunk in framed.chunks(batch) {
            let values = chunk.iter().map(|value| Some(value.as_slice()));
            let decoded = decoder.decode_values(values).expect("the schema is known");
            assert!(decoded.failed.is_empty(), "{:?}", decoded.failed.first());
            black_box(decoded.batch);
        }
    })
}

fn arrow_avro(batch: usize, framed: &[Vec<u8>]) -> Contender<'_> {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    let id = Fingerprint::Id(ID.0 as u32);
    store
        .set(id, AvroSchema::new(order::SCHEMA.into()))
        .expect("the schema is right");
    let decoder = ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(id)
        .with_batch_size(batch);
    let mut decoder = decoder.build_decoder().expect("the schema is right");
    Contender::new(format!("  arrow-avro, batch {batch}"), move || {
        for chunk in framed.chunks(batch) {
            for value in chunk {
                let read = decoder.decode(value).expect("the data is right");
                assert_eq!(read, value.len());
            }
            black_box(decoder.flush().expect("the data is right"));
        }
    })
}

/// The readers are made once and live as long as the program, as theirs borrow their schemas.
fn values(data: &[Vec<u8>]) -> [Contender<'_>; 2] {
    let parse = |text| {
        let schema = apache_avro::Schema::parse_str(text).expect("the schema is right");
        &*Box::leak(Box::new(schema))
    };
    let (writer, evolved) = (parse(order::SCHEMA), parse(order::EVOLVED));
    let plain = GenericDatumReader::builder(writer)
        .build()
        .expect("the schema is right");
    let resolving = GenericDatumReader::builder(writer).reader_schema(evolved).build();
    let resolving = resolving.expect("the schemas fit");
    let pass = |reader: GenericDatumReader<'static>| {
        move || {
            for datum in data {
                black_box(
                    reader
                        .read_value(&mut datum.as_slice())
                        .expect("the data is right"),
                );
            }
        }
    };
    [
        Contender::new(VALUE, pass(plain)),
        Contender::new(
            "apache-avro, to Value of another reader's schema",
            pass(resolving),
        ),
    ]
}

fn encoding<'a>(writer: &Schema, data: &'a [Vec<u8>]) -> [Contender<'a>; 3] {
    let layout = Layout::new(writer, Types::Arrow).expect("the schema has columns");
    let decoder = Decoder::of_writer(writer, &layout).expect("the schema reads itself");
    let values = data.iter().map(|datum| Some(datum.as_slice()));
    let batch = decoder.decode_values(values).expect("nothing is asked for").batch;
    let encoder = Encoder::new(writer, &batch.schema()).expect("the columns fit");
    let rows = batch.clone();
    let ours = move || {
        let encoded = encoder.encode(&rows, &PREFIX).expect("the columns fit");
        assert_eq!(encoded.values.len(), RECORDS);
        black_box(encoded);
    };

    let fields = batch.schema().as_ref().clone();
    let theirs = WriterBuilder::new(fields.clone()).with_fingerprint_strategy(FingerprintStrategy::Id(7));
    let mut theirs = theirs.build_encoder::<AvroSoeFormat>().expect("the columns fit");
    let arrow_avro = move || {
        theirs.encode(&batch).expect("the columns fit");
        black_box(theirs.flush());
    };

    let schema = apache_avro::Schema::parse_str(order::SCHEMA).expect("the schema is right");
    let schema = &*Box::leak(Box::new(schema));
    let reader = GenericDatumReader::builder(schema)
        .build()
        .expect("the schema is right");
    let read = |datum: &Vec<u8>| {
        reader
            .read_value(&mut datum.as_slice())
            .expect("the data is right")
    };
    let trees: Vec<_> = data.iter().map(read).collect();
    let datum_writer = GenericDatumWriter::builder(schema)
        .build()
        .expect("the schema is right");
    let apache_avro = move || {
        for tree in &trees {
            let mut out = Vec::with_capacity(256);
            datum_writer
                .write_value_ref(&mut out, tree)
                .expect("the value fits");
            black_box(out);
        }
    };
    [
        Contender::new("encode, batch 8192", ours),
        Contender::new("  arrow-avro, encode, batch 8192", arrow_avro),
        Contender::new("  apache-avro, encode from Value", apache_avro),
    ]
}
