//! The input as the records of a batch whose header and checksum are in order. The first byte chooses the codec and how
//! many records are claimed.

use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use millstream_protocol::batch::{Attributes, BatchHeader, ControlRecord, HEADER_BYTES, RecordBatch};
use millstream_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::batch::samples;

/// Small, so that a bomb shows as an error and not as a slow run.
const LIMIT: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let Some((choice, records)) = data.split_first() else {
        return;
    };
    let count = i32::from(choice >> 3) + 1;
    let header = BatchHeader {
        base_offset: Offset(0),
        batch_length: i32::try_from(HEADER_BYTES - 12 + records.len()).expect("inputs are small"),
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: Attributes(i16::from(choice & 7)),
        last_offset_delta: count - 1,
        base_timestamp: Timestamp(0),
        max_timestamp: Timestamp(0),
        producer_id: ProducerId(-1),
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        records_count: count,
    };
    let mut bytes = BytesMut::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(records);
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[21..]);
    let crc = u32::try_from(crc).expect("a 32-bit checksum");
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = RecordBatch::parse(bytes.freeze()).expect("the header is in order");
    if let Ok(records) = batch.records_within(LIMIT) {
        let read = records.collect::<Result<Vec<_>, _>>();
        let walked = batch.validate_records();
        // What the walk lets into the log, every consumer can read.
        assert!(walked.is_err() || read.is_ok(), "{walked:?}, but {read:?}");
        let _ = batch.validate_keyed_records();
    }
    let _ = ControlRecord::read(&batch);
    let _: Bytes = batch.into_bytes();
}

pub fn seeds() -> Vec<Vec<u8>> {
    let records_of = |bytes: Bytes| {
        let batch = RecordBatch::parse(bytes).expect("a sample");
        let header = batch.header();
        let codec = u8::try_from(header.attributes.0 & 7).expect("three bits");
        let count = u8::try_from(header.records_count - 1).expect("a few records");
        [&[codec | count << 3], &batch.bytes()[HEADER_BYTES..]].concat()
    };
    samples().into_iter().map(records_of).collect()
}
