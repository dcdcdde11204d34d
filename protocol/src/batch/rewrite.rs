//! Batches that the broker writes anew: with some of their records only (compaction), or with another codec
//! (`compression.type`). What says where a batch lies and who sent it stays: base offset, last offset delta, producer,
//! sequence.

use bytes::{Bytes, BytesMut};
use millstream_types::{Record, Timestamp};

use super::{
    BatchError, BatchHeader, Compression, HEADER_BYTES, MAX_DECOMPRESSED_BYTES, RecordBatch, TimestampType,
    builder::put_record,
    header::{CRC_AT, LENGTH_END},
    view::checksum,
};

/// Of a batch in which compaction left no record: it has no time either.
const NO_TIMESTAMP: Timestamp = Timestamp(-1);

impl RecordBatch {
    /// When compaction may drop the tombstones of the batch, or the batch if it is a marker (KIP-534).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        let header = self.header();
        header
            .attributes
            .has_delete_horizon()
            .then_some(header.base_timestamp)
    }

    /// The batch with those of its records that `keep` wants, at their offsets. `horizon` becomes its delete horizon, if it
    /// has none yet. A batch without records is legal: it says that its producer and its sequences were there.
    pub fn retain(
        &self,
        mut keep: impl FnMut(&Record) -> bool,
        horizon: Option<Timestamp>,
    ) -> Result<Self, BatchError> {
        let mut header = *self.header();
        let new_base = horizon.filter(|_| !header.attributes.has_delete_horizon());
        let mut records = self.records_within(MAX_DECOMPRESSED_BYTES)?;
        let mut out = BytesMut::zeroed(HEADER_BYTES);
        let mut newest = None;
        header.records_count = 0;
        loop {
            let from = records.position();
            let Some(record) = records.next().transpose()? else {
                break;
            };
            if !keep(&record) {
                continue;
            }
            header.records_count += 1;
            newest = newest.max(Some(record.timestamp));
            match new_base {
                None => out.extend_from_slice(records.since(from)),
                Some(base) => {
                    let time = record.timestamp.0.wrapping_sub(base.0);
                    let offset = record.offset.0.wrapping_sub(header.base_offset.0);
                    put_record(
                        &mut out,
                        time,
                        offset,
                        record.key.as_deref(),
                        record.value.as_deref(),
                        &record.headers,
                    );
                }
            }
        }
        if let Some(base) = new_base {
            header.attributes = header.attributes.with_delete_horizon(true);
            header.base_timestamp = base;
        }
        let by_producers = header.attributes.timestamp_type() == TimestampType::CreateTime;
        match newest {
            Some(newest) if by_producers => header.max_timestamp = newest,
            Some(_) => {}
            None => {
                header.max_timestamp = NO_TIMESTAMP;
                header.attributes = header.attributes.with_compression(Compression::None);
            }
        }
        assemble(header, out, None)
    }

    /// The batch with another codec; the same one if it has that already. `level` is the codec's own, `None` its default.
    pub fn recompress(self, codec: Compression, level: Option<i32>) -> Result<Self, BatchError> {
        let mut header = *self.header();
        let present = header.attributes.compression()?;
        if present == codec {
            return Ok(self);
        }
        let packed = self.bytes().slice(HEADER_BYTES..);
        let plain = present.decompress(&packed, MAX_DECOMPRESSED_BYTES)?;
        header.attributes = header.attributes.with_compression(codec);
        let mut out = BytesMut::zeroed(HEADER_BYTES);
        out.extend_from_slice(&plain);
        assemble(header, out, level)
    }
}

/// A batch from its header and, behind room for it, its plain records.
fn assemble(
    mut header: BatchHeader,
    mut plain: BytesMut,
    level: Option<i32>,
) -> Result<RecordBatch, BatchError> {
    let plain_bytes = plain.len();
    let codec = header.attributes.compression()?;
    if codec != Compression::None {
        let packed = codec
            .compress(&plain[HEADER_BYTES..], level)
            .map_err(|error| BatchError::Compress {
                codec,
                reason: error.to_string(),
            })?;
        plain.truncate(HEADER_BYTES);
        plain.extend_from_slice(&packed);
    }
    header.batch_length = i32::try_from(plain.len() - LENGTH_END)
        .map_err(|_| BatchError::TooManyBytes { bytes: plain_bytes })?;
    header.write(&mut &mut plain[..HEADER_BYTES]);
    let crc = checksum(&plain);
    plain[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    RecordBatch::parse_stored(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use millstream_types::{Offset, Producer, ProducerEpoch, ProducerId};

    use super::*;
    use crate::batch::BatchBuilder;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    /// Records 0 to 9 with their number as key; every third is a tombstone.
    fn batch(codec: Compression) -> RecordBatch {
        let producer = Producer {
            id: ProducerId(5),
            epoch: ProducerEpoch(2),
        };
        let mut builder = BatchBuilder::new(codec).producer(producer, 70).transactional();
        for i in 0..10_u8 {
            let value = (i % 3 != 0).then_some(&b"a value that compresses, compresses, compresses"[..]);
            builder.push_parts(Timestamp(START.0 + i64::from(i)), Some(&[i]), value, &[]);
        }
        RecordBatch::parse(builder.build().unwrap())
            .unwrap()
            .assign(Offset(1000), 0)
    }

    fn numbers(batch: &RecordBatch) -> Vec<(i64, i64, u8)> {
        let records = batch.records().unwrap();
        let fields = |r: &Record| (r.offset.0, r.timestamp.0, r.key.as_ref().unwrap()[0]);
        records.iter().map(fields).collect()
    }

    #[test]
    fn what_is_kept_keeps_its_offset_and_time() {
        for codec in Compression::ALL {
            for horizon in [None, Some(Timestamp(START.0 + 86_400_000))] {
                let all = batch(codec);
                let some = all.retain(|r| r.offset.0 % 4 == 1, horizon).unwrap();
                let expected: Vec<_> = numbers(&all).into_iter().filter(|r| r.0 % 4 == 1).collect();
                assert_eq!(numbers(&some), expected, "{codec} {horizon:?}");
                assert_eq!(some.delete_horizon(), horizon);
                let (before, after) = (all.header(), some.header());
                assert_eq!(after.base_offset, before.base_offset);
                assert_eq!(after.last_offset(), before.last_offset());
                assert_eq!(after.producer(), before.producer());
                assert_eq!(after.last_sequence(), before.last_sequence());
                assert_eq!(after.max_timestamp.0, START.0 + 9);
                assert!(after.attributes.is_transactional());
                assert_eq!(after.attributes.compression(), Ok(codec));
            }
        }
    }

    #[test]
    fn a_horizon_is_set_once() {
        let first = Some(Timestamp(7));
        let once = batch(Compression::Lz4).retain(|_| true, first).unwrap();
        let twice = once.retain(|r| r.value.is_some(), Some(Timestamp(8))).unwrap();
        assert_eq!(twice.delete_horizon(), first);
        assert_eq!(numbers(&twice).len(), 6);
        assert_eq!(numbers(&once), numbers(&batch(Compression::Lz4)));
    }

    #[test]
    fn a_batch_without_records_still_names_its_producer() {
        let empty = batch(Compression::Zstd).retain(|_| false, None).unwrap();
        assert_eq!(empty.bytes().len(), HEADER_BYTES);
        assert_eq!(empty.header().records_count, 0);
        assert_eq!(empty.last_offset(), Offset(1009));
        assert_eq!(empty.header().last_sequence(), 79);
        assert_eq!(empty.records().unwrap(), []);
        let again = empty.retain(|_| true, None).unwrap();
        assert_eq!(again, empty);
    }

    #[test]
    fn a_stamped_batch_keeps_the_brokers_time() {
        let now = Timestamp(START.0 + 500);
        let stamped = batch(Compression::None).set_log_append_time(now);
        let some = stamped
            .retain(|r| r.offset.0 == 1003, Some(Timestamp(1)))
            .unwrap();
        assert_eq!(numbers(&some), [(1003, now.0, 3)]);
    }

    #[test]
    fn another_codec_holds_the_same_records() {
        for from in Compression::ALL {
            for to in Compression::ALL {
                let before = batch(from);
                let after = before.clone().recompress(to, None).unwrap();
                assert_eq!(after.records(), before.records(), "{from} to {to}");
                assert_eq!(after.header().attributes.compression(), Ok(to));
                assert_eq!(after == before, from == to);
            }
        }
    }

    #[test]
    fn levels_are_the_codecs_own() {
        let text: Vec<u8> = (0..60_000_u32)
            .flat_map(|i| (i * i % 977).to_string().into_bytes())
            .collect();
        for (codec, fast, strong) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -5, 19)] {
            let packed = |level| codec.compress(&text, Some(level)).unwrap().len();
            assert!(packed(strong) < packed(fast), "{codec}");
        }
    }
}
