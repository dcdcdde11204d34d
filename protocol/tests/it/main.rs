//! Bytes that other clients wrote: `tests/vectors/` says how each file was made.

use std::path::Path;

use bytes::Bytes;
use millstream_protocol::batch::{BatchBuilder, Compression, RecordBatch};
use millstream_types::{Header, Offset, Producer, ProducerEpoch, ProducerId, Record, Timestamp};

fn vector(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

/// The records that `make.py` writes.
fn records() -> Vec<Record> {
    let text = |text: String| Some(Bytes::from(text));
    (0..40_i64)
        .map(|index| Record {
            offset: Offset(index),
            timestamp: Timestamp(1_357_000_000_000 + index * 1000),
            key: if index % 3 == 0 {
                None
            } else {
                text(format!("key {index}"))
            },
            value: if index % 5 == 0 {
                None
            } else {
                text(format!("value {index} ").repeat((index % 7) as usize))
            },
            headers: if index % 4 == 0 {
                let none = Header {
                    name: "none".into(),
                    value: None,
                };
                vec![Header::new("name", format!("header {index}")), none]
            } else {
                Vec::new()
            },
        })
        .collect()
}

#[test]
fn batches_of_kafka_python_read_with_every_codec() {
    for codec in Compression::ALL {
        let batch = RecordBatch::parse(vector(&format!("kafka-python-{codec}.bin"))).unwrap();
        batch.validate_records().unwrap();
        assert_eq!(batch.header().attributes.compression(), Ok(codec));
        assert_eq!(batch.records().unwrap(), records(), "{codec}");
        assert_eq!(batch.header().producer(), None);
    }
}

#[test]
fn batches_of_librdkafka_read_with_every_codec() {
    for codec in Compression::ALL {
        let batch = RecordBatch::parse(vector(&format!("librdkafka-{codec}.bin"))).unwrap();
        batch.validate_records().unwrap();
        assert_eq!(batch.header().attributes.compression(), Ok(codec));
        assert_eq!(batch.records().unwrap(), records(), "{codec}");
        assert!(batch.header().producer().is_some(), "it is idempotent");
        assert_eq!(batch.header().base_sequence, 0);
    }
}

#[test]
fn a_transactional_batch_of_kafka_python_names_its_producer() {
    let batch = RecordBatch::parse(vector("kafka-python-transactional.bin")).unwrap();
    let header = batch.header();
    let producer = Producer {
        id: ProducerId(7001),
        epoch: ProducerEpoch(3),
    };
    assert_eq!(header.producer(), Some(producer));
    assert!(header.attributes.is_transactional());
    assert_eq!((header.base_sequence, header.last_sequence()), (120, 159));
}

#[test]
fn we_write_the_same_bytes() {
    let producer = Producer {
        id: ProducerId(7001),
        epoch: ProducerEpoch(3),
    };
    let plain = BatchBuilder::new(Compression::None);
    let transactional = BatchBuilder::new(Compression::None)
        .producer(producer, 120)
        .transactional();
    for (mut builder, name) in [(plain, "none"), (transactional, "transactional")] {
        records().iter().for_each(|record| builder.push(record));
        let ours = RecordBatch::parse(builder.build().unwrap()).unwrap();
        let theirs = RecordBatch::parse(vector(&format!("kafka-python-{name}.bin"))).unwrap();
        // The leader epoch is the broker's to write: clients put what they like there.
        let (ours, theirs) = (ours.assign(Offset(0), 0), theirs.assign(Offset(0), 0));
        assert_eq!(ours.bytes(), theirs.bytes(), "{name}");
    }
}
