use bytes::{Bytes, BytesMut};
use millstream_types::{Header, Offset, Producer, ProducerEpoch, ProducerId, Record, Timestamp};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn header() -> impl Strategy<Value = Header> {
    ("[a-zé]{0,6}", option::of(bytes())).prop_map(|(name, value)| Header {
        name: name.into(),
        value,
    })
}

fn record() -> impl Strategy<Value = Record> {
    let timestamp = prop_oneof![Just(0), 1_400_000_000_000_i64..1_400_000_100_000, any::<i64>()];
    (
        timestamp,
        option::of(bytes()),
        option::of(bytes()),
        vec(header(), 0..3),
    )
        .prop_map(|(timestamp, key, value, headers)| Record {
            offset: Offset::ZERO,
            timestamp: Timestamp(timestamp),
            key,
            value,
            headers,
        })
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(Compression::ALL.as_slice())
}

fn producer() -> impl Strategy<Value = Option<(Producer, i32, bool)>> {
    option::of((0..i64::MAX, 0..i16::MAX, 0..i32::MAX, any::<bool>()).prop_map(
        |(id, epoch, sequence, transactional)| {
            let producer = Producer {
                id: ProducerId(id),
                epoch: ProducerEpoch(epoch),
            };
            (producer, sequence, transactional)
        },
    ))
}

fn build(records: &[Record], codec: Compression, producer: Option<(Producer, i32, bool)>) -> Bytes {
    let mut batch = BatchBuilder::new(codec);
    if let Some((producer, sequence, transactional)) = producer {
        batch = batch.producer(producer, sequence);
        if transactional {
            batch = batch.transactional();
        }
    }
    for record in records {
        let most = batch.plain_bytes() + BatchBuilder::most_bytes_of(record);
        batch.push(record);
        assert!(batch.plain_bytes() <= most, "the estimate is an upper bound");
    }
    batch.build().unwrap()
}

/// What `records` become in a batch that begins at `base`.
fn placed(records: &[Record], base: i64) -> Vec<Record> {
    let offsets = (base..).map(Offset);
    let place = |(offset, record): (Offset, &Record)| Record {
        offset,
        ..record.clone()
    };
    offsets.zip(records).map(place).collect()
}

fn sample(count: i64) -> Vec<Record> {
    (0..count)
        .map(|index| Record {
            timestamp: Timestamp(1_000 + index),
            value: Some(format!("value {index}").into()),
            ..Record::default()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_reads_the_same(
        records in vec(record(), 1..20), codec in codec(), producer in producer(), base in 0..i64::MAX / 2,
    ) {
        let batch = RecordBatch::parse(build(&records, codec, producer)).unwrap();
        batch.validate_records().unwrap();
        prop_assert_eq!(batch.records().unwrap(), placed(&records, 0));

        let header = *batch.header();
        prop_assert_eq!(header.attributes.compression(), Ok(codec));
        prop_assert_eq!(header.producer(), producer.map(|(producer, ..)| producer));
        prop_assert_eq!(header.attributes.is_transactional(), producer.is_some_and(|(.., on)| on));
        prop_assert_eq!(Some(header.max_timestamp), records.iter().map(|r| r.timestamp).max());

        let batch = batch.assign(Offset(base), 7);
        prop_assert_eq!(batch.header().crc, header.crc);
        let again = RecordBatch::parse(batch.into_bytes()).unwrap();
        prop_assert_eq!(again.base_offset(), Offset(base));
        prop_assert_eq!(again.header().partition_leader_epoch, 7);
        prop_assert_eq!(again.records().unwrap(), placed(&records, base));
    }

    #[test]
    fn headers_read_as_they_are_written(bytes in vec(any::<u8>(), HEADER_BYTES)) {
        let mut written = BytesMut::new();
        BatchHeader::read(&bytes).unwrap().write(&mut written);
        prop_assert_eq!(written.as_ref(), bytes);
    }

    #[test]
    fn log_append_time_is_on_every_record(records in vec(record(), 1..5), codec in codec(), now in 0..i64::MAX) {
        let now = Timestamp(now);
        let batch = RecordBatch::parse(build(&records, codec, None)).unwrap().set_log_append_time(now);
        let again = RecordBatch::parse(batch.into_bytes()).unwrap();
        prop_assert_eq!(again.header().max_timestamp, now);
        prop_assert!(again.records().unwrap().iter().all(|record| record.timestamp == now));
    }

    #[test]
    fn a_flipped_byte_never_goes_unseen(codec in codec(), at in HEADER_BYTES.., flip in 1_u8..) {
        let mut bytes = build(&sample(3), codec, None).to_vec();
        let at = 12 + at % (bytes.len() - 12);
        let covered_by_crc = at >= 16;
        bytes[at] ^= flip;
        prop_assert_eq!(RecordBatch::parse(bytes.into()).is_err(), covered_by_crc);
    }

    #[test]
    fn mutated_batches_never_panic(
        records in vec(record(), 1..8), codec in codec(), changes in vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = BytesMut::from(build(&records, codec, None).as_ref());
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        walk_everything(reseal(bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), codec in codec()) {
        walk_everything(bytes.clone().into());
        // The same bytes as the records of a batch whose header is in order.
        let mut batch = BytesMut::from(&build(&sample(2), codec, None)[..HEADER_BYTES]);
        batch.extend_from_slice(&bytes);
        walk_everything(reseal(batch));
    }
}

/// Corrects length and CRC, so that the mutation reaches what lies behind them.
fn reseal(mut bytes: BytesMut) -> Bytes {
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let crc = view::checksum(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

fn walk_everything(bytes: Bytes) {
    for batch in split(bytes).flatten() {
        let (walked, read) = (batch.validate_records(), batch.records());
        assert!(walked.is_err() || read.is_ok(), "{walked:?}, but {read:?}");
        let _ = ControlRecord::read(&batch);
        let _ = batch.header().last_sequence();
        let _ = batch.assign(Offset(5), 1).set_log_append_time(Timestamp(9));
    }
}

#[test]
fn keys_and_values_are_slices_of_the_batch() {
    let bytes = build(&sample(1), Compression::None, None);
    let range = bytes.as_ptr_range();
    let records = RecordBatch::parse(bytes.clone()).unwrap().records().unwrap();
    assert!(range.contains(&records[0].value.as_ref().unwrap().as_ptr()));
}

#[test]
fn a_batch_whose_buffer_is_not_shared_is_edited_in_place() {
    let bytes = build(&sample(1), Compression::None, None);
    let at = bytes.as_ptr();
    let batch = RecordBatch::parse(bytes).unwrap().assign(Offset(3), 0);
    assert_eq!(batch.bytes().as_ptr(), at);
    let shared = batch.bytes().clone();
    let moved = batch.assign(Offset(9), 0);
    assert_eq!(BatchHeader::read(&shared).unwrap().base_offset, Offset(3));
    assert_eq!(moved.base_offset(), Offset(9));
}

#[test]
fn a_fetch_answer_may_end_within_a_batch() {
    let (first, second) = (
        build(&sample(2), Compression::Zstd, None),
        build(&sample(3), Compression::None, None),
    );
    let whole = [first.as_ref(), &second].concat();
    for cut in 0..whole.len() {
        let mut batches = split(Bytes::copy_from_slice(&whole[..cut]));
        let read = batches
            .by_ref()
            .map(|batch| batch.unwrap().into_bytes().len())
            .sum::<usize>();
        assert_eq!(read, if cut < first.len() { 0 } else { first.len() });
        assert_eq!(batches.rest().len(), cut - read);
    }
    assert_eq!(split(whole.into()).filter(Result::is_ok).count(), 2);
}

#[test]
fn split_stops_at_the_first_damage() {
    let good = build(&sample(1), Compression::None, None);
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let results: Vec<_> = split([good.as_ref(), &bad, &good].concat().into()).collect();
    assert!(
        matches!(results.as_slice(), [Ok(_), Err(BatchError::Corrupt { .. })]),
        "{results:?}"
    );
}

/// Edits a good batch, corrects its CRC and says what `parse` and then `validate_records` make of it.
fn check_refused(edit: impl FnOnce(&mut BytesMut), expected: impl Fn(&BatchError) -> bool) {
    let mut bytes = BytesMut::from(build(&sample(3), Compression::None, None).as_ref());
    edit(&mut bytes);
    let error = RecordBatch::parse(reseal_crc(bytes))
        .and_then(|batch| batch.validate_records())
        .expect_err("the batch is bad");
    assert!(expected(&error), "{error:?}");
}

fn reseal_crc(mut bytes: BytesMut) -> Bytes {
    let crc = view::checksum(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

#[test]
fn poison_is_refused_by_its_name() {
    use BatchError::{
        InvalidCount, InvalidLength, InvalidRecord, Truncated, UnknownCompression, UnsupportedMagic,
    };
    check_refused(|b| b[16] = 1, |e| *e == UnsupportedMagic { magic: 1 });
    check_refused(
        |b| b[60] = 2,
        |e| {
            matches!(
                e,
                InvalidCount {
                    records: 2,
                    last_offset_delta: 2
                }
            )
        },
    );
    check_refused(|b| b[57] = 0xff, |e| matches!(e, InvalidCount { .. }));
    check_refused(|b| b[8..12].fill(0), |e| *e == InvalidLength { length: 0 });
    check_refused(|b| b[8] = 0x7f, |e| matches!(e, Truncated { .. }));
    check_refused(
        |b| b.extend_from_slice(b"x"),
        |e| matches!(e, InvalidLength { .. }),
    );
    check_refused(|b| b[22] = 7, |e| *e == UnknownCompression { id: 7 });
    // More records are claimed than are there, and fewer.
    let claim = |records: u8| move |b: &mut BytesMut| (b[26], b[60]) = (records - 1, records);
    check_refused(claim(4), |e| matches!(e, InvalidRecord { index: 3, .. }));
    check_refused(claim(2), |e| matches!(e, InvalidRecord { index: 2, .. }));
    // The offset delta of the first record: 1 instead of 0, then beyond the batch.
    let first_offset_delta = HEADER_BYTES + 3;
    check_refused(
        |b| b[first_offset_delta] = 2,
        |e| matches!(e, InvalidRecord { index: 0, .. }),
    );
    check_refused(
        |b| b[first_offset_delta] = 8,
        |e| matches!(e, InvalidRecord { index: 0, .. }),
    );
}

#[test]
fn damage_is_told_by_the_checksum_before_what_the_header_says() {
    let mut bytes = BytesMut::from(build(&sample(3), Compression::None, None).as_ref());
    bytes[60] = 9;
    let bytes = bytes.freeze();
    let corrupt = RecordBatch::parse(bytes.clone());
    assert!(matches!(corrupt, Err(BatchError::Corrupt { .. })), "{corrupt:?}");
    // Where the checksum was verified before, the header still is.
    let unsound = RecordBatch::parse_verified(bytes.slice(..));
    assert!(
        matches!(unsound, Err(BatchError::InvalidCount { .. })),
        "{unsound:?}"
    );
    let mut bytes = BytesMut::from(bytes);
    bytes[60] = 3;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let bytes = bytes.freeze();
    assert!(RecordBatch::parse_verified(bytes.clone()).is_ok());
    assert!(RecordBatch::parse_stored(bytes).is_err());
}

#[test]
fn a_compacted_batch_is_read_but_not_taken_from_a_producer() {
    let mut bytes = BytesMut::from(build(&sample(2), Compression::None, None).as_ref());
    bytes[26] = 9;
    let bytes = reseal_crc(bytes);
    let batch = RecordBatch::parse_stored(bytes.clone()).unwrap();
    assert_eq!(batch.records().unwrap().len(), 2);
    assert_eq!(batch.next_offset(), Offset(10));
    assert!(matches!(
        RecordBatch::parse(bytes),
        Err(BatchError::InvalidCount { .. })
    ));
}

#[test]
fn markers_read_as_they_are_written() {
    let producer = Producer {
        id: ProducerId(4),
        epoch: ProducerEpoch(2),
    };
    for outcome in [Outcome::Commit, Outcome::Abort] {
        let marker = ControlRecord {
            outcome,
            coordinator_epoch: 5,
        };
        let batch = RecordBatch::parse(marker.batch(producer, Timestamp(8))).unwrap();
        assert!(batch.header().attributes.is_control() && batch.header().attributes.is_transactional());
        assert_eq!(batch.header().producer(), Some(producer));
        assert_eq!(ControlRecord::read(&batch), Ok(Some(marker)));
    }
    let data = RecordBatch::parse(build(&sample(1), Compression::None, None)).unwrap();
    assert_eq!(ControlRecord::read(&data), Ok(None));
}

#[test]
fn sequences_wrap_to_zero() {
    let producer = Producer {
        id: ProducerId(1),
        epoch: ProducerEpoch(0),
    };
    let bytes = build(
        &sample(3),
        Compression::None,
        Some((producer, i32::MAX - 1, false)),
    );
    assert_eq!(RecordBatch::parse(bytes).unwrap().header().last_sequence(), 0);
}
