//! Topics that hold their records against something: refusals, dead letters, and what a crash leaves of them.

use std::sync::Arc;

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, AppendOrigin, ProducerError, RecordCheck, RecordChecks, RecordError,
};
use millstream_protocol::batch::{BatchBuilder, Compression, RecordBatch};
use millstream_types::{Offset, Timestamp, TopicName, TopicPartition};

use crate::kit::{Bench, START_MS, partition, producer};

/// Takes no value that begins with `bad`.
#[derive(Debug)]
struct NothingBad;

impl RecordCheck for NothingBad {
    fn check(
        &self,
        _topic: &TopicName,
        _checks: &RecordChecks,
        batch: &RecordBatch,
    ) -> Result<Vec<RecordError>, AppendError> {
        let is_bad = |value: &Option<Bytes>| value.as_ref().is_some_and(|v| v.starts_with(b"bad"));
        let records = batch.records()?;
        let bad = (0..).zip(&records).filter(|(_, record)| is_bad(&record.value));
        let error = |index| RecordError {
            index,
            reason: "it is bad".into(),
        };
        Ok(bad.map(|(index, _)| error(index)).collect())
    }

    fn letters(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        errors: &[RecordError],
        _max_bytes: usize,
    ) -> Result<Vec<Bytes>, AppendError> {
        let records = batch.records()?;
        let letter = |error: &RecordError| {
            let mut builder = BatchBuilder::new(Compression::None);
            let record = &records[error.index as usize];
            let key = format!("{partition}@{}", error.index);
            builder.push_parts(
                record.timestamp,
                Some(key.as_bytes()),
                record.value.as_deref(),
                &[],
            );
            builder.build().unwrap()
        };
        Ok(errors.iter().map(letter).collect())
    }
}

fn bench(on_invalid: &str) -> Bench {
    let bench = Bench::new();
    bench.storage.check_records_with(Arc::new(NothingBad));
    let set = [
        ("millstream.value.schema.validation", "id"),
        ("millstream.schema.on.invalid", on_invalid),
    ];
    bench.create("t", 2, &set);
    bench
}

fn batch(values: &[&str], sequence: Option<i32>, codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    if let Some(sequence) = sequence {
        builder = builder.producer(producer(7, 0), sequence);
    }
    for value in values {
        builder.push_parts(Timestamp(START_MS), Some(b"k"), Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}

/// Offset and value of every record.
fn values(bench: &Bench, of: &TopicPartition) -> Vec<(i64, String)> {
    let pairs = bench.pairs(of).into_iter();
    pairs.map(|(offset, _, value)| (offset, value.unwrap())).collect()
}

fn expected(values: &[(i64, &str)]) -> Vec<(i64, String)> {
    values
        .iter()
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

#[test]
fn a_bad_record_refuses_its_batch_and_is_named() {
    let bench = bench("reject");
    let t = partition("t", 0);
    let refused = bench.append(
        &t,
        batch(&["good", "bad 1", "good", "bad 2"], None, Compression::None),
    );
    let Err(AppendError::InvalidRecords { records }) = refused else {
        panic!("{refused:?}");
    };
    let indexes: Vec<_> = records.iter().map(|record| record.index).collect();
    assert_eq!(indexes, [1, 3]);
    let good = bench.append(&t, batch(&["good"], None, Compression::None));
    assert_eq!(good.unwrap().base_offset, Offset(0));
}

#[test]
fn what_a_topic_asks_for_must_be_there() {
    let bench = Bench::new();
    bench.create("t", 1, &[("confluent.key.schema.validation", "true")]);
    let refused = bench.append(&partition("t", 0), batch(&["any"], None, Compression::None));
    assert!(
        matches!(&refused, Err(AppendError::NotJudged { reason, .. }) if reason.contains("no registry")),
        "{refused:?}"
    );
}

#[test]
fn bad_records_become_dead_letters_and_the_rest_is_where_its_producer_is_told() {
    for codec in Compression::ALL {
        let mut bench = bench("dlq");
        let t = partition("t", 1);
        let mixed = batch(&["a", "bad 1", "b", "bad 2"], Some(0), codec);
        let appended = bench.append(&t, mixed.clone()).unwrap();
        assert_eq!((appended.base_offset, appended.duplicate), (Offset(0), false));
        let next = bench.append(&t, batch(&["c"], Some(4), codec)).unwrap();
        assert_eq!(next.base_offset, Offset(4), "sequences and offsets go on");
        let again = bench.append(&t, mixed).unwrap();
        assert_eq!((again.base_offset, again.duplicate), (Offset(0), true));
        let gap = bench.append(&t, batch(&["x"], Some(9), codec));
        assert!(matches!(
            gap,
            Err(AppendError::Producer(ProducerError::OutOfOrderSequence {
                expected: 5,
                ..
            }))
        ));
        let kept = expected(&[(0, "a"), (2, "b"), (4, "c")]);
        let letters = expected(&[(0, "bad 1"), (1, "bad 2")]);
        let check = |bench: &Bench| {
            assert_eq!(values(bench, &t), kept, "{codec}");
            assert_eq!(values(bench, &partition("t.dlq", 1)), letters, "{codec}");
        };
        check(&bench);
        bench.crash();
        check(&bench);
        bench.storage.seal().unwrap();
        check(&bench);
        bench.reopen().unwrap();
        check(&bench);
    }
}

#[test]
fn a_batch_of_bad_records_alone_leaves_its_sequences() {
    let mut bench = bench("dlq");
    let t = partition("t", 0);
    let all_bad = batch(&["bad 1", "bad 2"], Some(0), Compression::Lz4);
    assert_eq!(bench.append(&t, all_bad.clone()).unwrap().base_offset, Offset(0));
    bench.crash();
    bench.storage.check_records_with(Arc::new(NothingBad));
    let again = bench.append(&t, all_bad).unwrap();
    assert!(again.duplicate, "it is remembered");
    let next = bench
        .append(&t, batch(&["good"], Some(2), Compression::None))
        .unwrap();
    assert_eq!(next.base_offset, Offset(2));
    assert_eq!(values(&bench, &t), expected(&[(2, "good")]));
    assert_eq!(values(&bench, &partition("t.dlq", 0)).len(), 2);
}

#[test]
fn a_crash_leaves_a_batch_with_its_letters_or_neither() {
    for lives in 0..60 {
        let mut bench = bench("dlq");
        let t = partition("t", 0);
        // The topic of the letters is there already.
        bench
            .append(&t, batch(&["bad 0"], Some(0), Compression::None))
            .unwrap();
        for life in 0..lives % 6 {
            let sequence = 1 + 2 * life;
            let mixed = batch(&["good", "bad"], Some(sequence), Compression::None);
            drop(bench.storage.append(&t, mixed, AppendOrigin::Client).unwrap());
        }
        // They are written, and any part of that reaches the disk.
        bench.disk.fail_syncs_after(Some(0));
        bench.storage.step();
        bench.disk.crash();
        bench.disk.fail_syncs_after(None);
        bench.reopen().unwrap();
        let kept = values(&bench, &t).len();
        let letters = values(&bench, &partition("t.dlq", 0)).len();
        assert_eq!(letters, kept + 1, "life {lives}");
    }
}

#[test]
fn letters_of_a_topic_with_fewer_partitions_share_them() {
    let bench = bench("dlq");
    bench.create("t.dlq", 1, &[("message.timestamp.type", "LogAppendTime")]);
    bench
        .append(&partition("t", 1), batch(&["bad"], None, Compression::None))
        .unwrap();
    let letters = bench.read(&partition("t.dlq", 0), 0);
    let key = letters[0].records().unwrap()[0].key.clone().unwrap();
    assert_eq!(key, "t-1@0", "where it was to go");
}
