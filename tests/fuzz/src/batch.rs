//! A batch as it comes: header, length, checksum, split.

use bytes::Bytes;
use millstream_protocol::batch::{BatchBuilder, Compression, ControlRecord, Outcome, RecordBatch, split};
use millstream_types::{Producer, ProducerEpoch, ProducerId, Timestamp};

pub fn run(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let _ = RecordBatch::parse(bytes.clone());
    let _ = RecordBatch::parse_stored(bytes.clone());
    for batch in split(bytes).flatten() {
        let _ = batch.validate_records();
        let _ = ControlRecord::read(&batch);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = samples().into_iter().map(Into::into).collect();
    seeds.push(seeds.concat());
    seeds
}

const PRODUCER: Producer = Producer {
    id: ProducerId(7),
    epoch: ProducerEpoch(1),
};

/// One of each kind.
pub(crate) fn samples() -> Vec<Bytes> {
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut samples: Vec<Bytes> = codecs
        .into_iter()
        .map(|codec| {
            let mut batch = BatchBuilder::new(codec);
            batch.push_parts(
                Timestamp(1_000),
                Some(b"key"),
                Some(b"a value, a value, a value"),
                &[],
            );
            batch.push_parts(Timestamp(1_001), Some(b"key"), None, &[]);
            batch.push_parts(Timestamp(999), None, Some(b"x"), &[]);
            batch.build().expect("a small batch")
        })
        .collect();
    let mut transactional = BatchBuilder::new(Compression::None)
        .producer(PRODUCER, 0)
        .transactional();
    transactional.push_parts(Timestamp(1_000), None, Some(b"in a transaction"), &[]);
    samples.push(transactional.build().expect("a small batch"));
    for outcome in [Outcome::Commit, Outcome::Abort] {
        let marker = ControlRecord {
            outcome,
            coordinator_epoch: 0,
        };
        samples.push(marker.batch(PRODUCER, Timestamp(1_000)));
    }
    samples
}
