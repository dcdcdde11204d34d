//! Records walked without taking them apart, as they come out of the codec: what a stranger sent is proven so.

use millstream_types::Timestamp;

use super::{BatchError, BatchHeader, compression::Pieces, varint};

/// The times of the records of a batch, those without one left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordTimes {
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
}

impl RecordTimes {
    /// What a record says that has no time.
    pub const NONE: Timestamp = Timestamp(-1);

    fn note(&mut self, time: Timestamp) {
        if time != Self::NONE {
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
            self.newest = self.newest.max(Some(time));
        }
    }
}

/// What a topic may judge a record by, without taking it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its place in the batch, from 0.
    pub index: i32,
    pub timestamp: Timestamp,
    pub has_key: bool,
}

/// In front of the fields of a record.
const ATTRIBUTES_BYTES: usize = 1;

/// Walks plain records as a producer writes them. With `keyed`, each has a key. Answers their times.
pub(super) fn validate(
    header: &BatchHeader,
    plain: Pieces<'_>,
    keyed: bool,
) -> Result<RecordTimes, BatchError> {
    let mut times = RecordTimes::default();
    walk(header, plain, |record| {
        if keyed && !record.has_key {
            return Err(BatchError::MissingKey { index: record.index });
        }
        times.note(record.timestamp);
        Ok(())
    })?;
    Ok(times)
}

/// Shows every record to `see`, and checks it on the way: each field within its record, offset deltas 0, 1, 2, …, nothing
/// behind the last one. Keeps no more than one record, and allocates only for those that lie in two pieces.
pub(super) fn walk(
    header: &BatchHeader,
    mut plain: Pieces<'_>,
    see: impl FnMut(RecordFacts) -> Result<(), BatchError>,
) -> Result<(), BatchError> {
    let mut walk = Walk {
        header,
        index: 0,
        see,
    };
    let mut cut = Vec::new();
    loop {
        let mut piece = plain.next()?;
        if piece.is_empty() {
            return walk.end(&cut);
        }
        if !cut.is_empty() {
            walk.complete(&mut cut, &mut piece)?;
        }
        if cut.is_empty() {
            walk.records(&mut piece)?;
        }
        cut.extend_from_slice(piece);
    }
}

struct Walk<'a, F> {
    header: &'a BatchHeader,
    /// Of the next record.
    index: i32,
    see: F,
}

impl<F: FnMut(RecordFacts) -> Result<(), BatchError>> Walk<'_, F> {
    /// Those that lie in `plain` whole.
    fn records(&mut self, plain: &mut &[u8]) -> Result<(), BatchError> {
        let (first, base) = (self.index, self.header.base_timestamp.0);
        for index in first..self.header.records_count {
            self.index = index;
            let mut at = 0;
            let Some(Some(body)) = varint::sized_at(plain, &mut at) else {
                return Ok(());
            };
            let (delta, has_key) =
                validate_record(body, i64::from(index)).map_err(|reason| self.invalid(reason))?;
            (self.see)(RecordFacts {
                index,
                timestamp: Timestamp(base.wrapping_add(delta)),
                has_key,
            })?;
            *plain = &plain[at..];
        }
        self.index = self.header.records_count;
        if plain.is_empty() {
            return Ok(());
        }
        Err(self.invalid("bytes follow the last record"))
    }

    /// Moves what a record misses from the front of the next piece, and walks it if it is whole then.
    fn complete(&mut self, cut: &mut Vec<u8>, piece: &mut &[u8]) -> Result<(), BatchError> {
        while let Some((first, rest)) = piece.split_first() {
            let Some(missing) = missing_bytes(cut).map_err(|reason| self.invalid(reason))? else {
                cut.push(*first);
                *piece = rest;
                continue;
            };
            let (front, rest) = piece.split_at(missing.min(piece.len()));
            cut.extend_from_slice(front);
            *piece = rest;
            if front.len() == missing {
                self.records(&mut cut.as_slice())?;
                cut.clear();
            }
            return Ok(());
        }
        Ok(())
    }

    fn end(&self, cut: &[u8]) -> Result<(), BatchError> {
        if self.index == self.header.records_count {
            return Ok(());
        }
        missing_bytes(cut).map_err(|reason| self.invalid(reason))?;
        Err(self.invalid("its length is wrong"))
    }

    fn invalid(&self, reason: &'static str) -> BatchError {
        BatchError::InvalidRecord {
            index: self.index,
            reason,
        }
    }
}

/// How many bytes follow until the record that begins so is whole; `None` if its length itself is not.
fn missing_bytes(cut: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut body = cut;
    match varint::read(&mut body) {
        Some(-1) => Err("its length is negative"),
        Some(length) => {
            let length = usize::try_from(length).map_err(|_| "its length is wrong")?;
            Ok(Some(length.saturating_sub(body.len())))
        }
        None if cut.len() < varint::MAX_BYTES => Ok(None),
        None => Err("its length is wrong"),
    }
}

/// Answers the record's timestamp delta, and whether it has a key.
#[expect(
    clippy::inline_always,
    reason = "it is all that a batch of small records takes"
)]
#[inline(always)]
fn validate_record(body: &[u8], offset_delta: i64) -> Result<(i64, bool), &'static str> {
    if body.is_empty() {
        return Err("it is empty");
    }
    let mut at = ATTRIBUTES_BYTES;
    let at = &mut at;
    let timestamp_delta = varint::read_at(body, at).ok_or("timestamp")?;
    if varint::read_at(body, at).ok_or("offset")? != offset_delta {
        return Err("its offset is not the next one");
    }
    let key = varint::sized_at(body, at).ok_or("key")?;
    varint::sized_at(body, at).ok_or("value")?;
    let headers = varint::read_at(body, at).ok_or("header count")?;
    if headers != 0 {
        walk_headers(body, at, headers)?;
    }
    if *at == body.len() {
        Ok((timestamp_delta, key.is_some()))
    } else {
        Err("it is longer than its fields")
    }
}

fn walk_headers(body: &[u8], at: &mut usize, count: i64) -> Result<(), &'static str> {
    if !usize::try_from(count).is_ok_and(|count| count <= (body.len() - *at) / 2) {
        return Err("header count is wrong");
    }
    for _ in 0..count {
        let name = varint::sized_at(body, at)
            .ok_or("header name")?
            .ok_or("header name is null")?;
        std::str::from_utf8(name).map_err(|_| "header name is not UTF-8")?;
        varint::sized_at(body, at).ok_or("header value")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use bytes::Bytes;
    use millstream_types::Record;
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::batch::{BatchBuilder, Compression, HEADER_BYTES, RecordBatch};

    /// Some with lengths and deltas of one byte, some of two, some of three.
    fn records() -> impl Strategy<Value = Vec<Record>> {
        let bytes = || {
            prop_oneof![
                4 => vec(any::<u8>(), 0..70),
                1 => vec(any::<u8>(), 70..9_000),
            ]
            .prop_map(Bytes::from)
        };
        let record = (any::<u16>(), option::of(bytes()), option::of(bytes()));
        vec(
            record.prop_map(|(time, key, value)| Record {
                timestamp: Timestamp(i64::from(time)),
                key,
                value,
                ..Record::default()
            }),
            1..100,
        )
    }

    fn batch(records: &[Record], codec: Compression) -> RecordBatch {
        let mut batch = BatchBuilder::new(codec);
        records.iter().for_each(|record| batch.push(record));
        RecordBatch::parse(batch.build().unwrap()).unwrap()
    }

    /// What the walk shows and answers, when the records come so many bytes at a time.
    fn walked(
        header: &BatchHeader,
        plain: &[u8],
        piece_bytes: usize,
    ) -> (Vec<RecordFacts>, Result<(), BatchError>) {
        let mut seen = Vec::new();
        let pieces = Pieces::of(
            Compression::None,
            BufReader::with_capacity(piece_bytes, plain),
            usize::MAX,
        );
        let end = walk(header, pieces, |record| {
            seen.push(record);
            Ok(())
        });
        (seen, end)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn records_are_the_same_wherever_they_are_cut(
            records in records(),
            damage in vec((any::<usize>(), any::<u8>()), 0..3),
            cut in option::of(any::<usize>()),
            piece_bytes in prop_oneof![1..40_usize, 40..20_000_usize],
        ) {
            let batch = batch(&records, Compression::None);
            let mut plain = batch.bytes()[HEADER_BYTES..].to_vec();
            let whole = damage.is_empty() && cut.is_none();
            for (at, byte) in damage {
                let at = at % plain.len();
                plain[at] = byte;
            }
            if let Some(cut) = cut {
                plain.truncate(cut % (plain.len() + 1));
            }
            let (seen, end) = walked(batch.header(), &plain, plain.len().max(1));
            if whole {
                let times = records.iter().map(|record| record.timestamp).collect::<Vec<_>>();
                prop_assert_eq!(seen.iter().map(|record| record.timestamp).collect::<Vec<_>>(), times);
                prop_assert_eq!(&end, &Ok(()));
            }
            prop_assert_eq!(walked(batch.header(), &plain, piece_bytes), (seen, end));
        }
    }

    #[test]
    fn a_batch_of_many_blocks_is_walked_with_every_codec() {
        let records = (0..40_000)
            .map(|index| Record {
                timestamp: Timestamp(index),
                value: Some(Bytes::from(format!(
                    "{index:0width$}",
                    width = index as usize % 50
                ))),
                ..Record::default()
            })
            .collect::<Vec<_>>();
        for codec in Compression::ALL {
            let times = batch(&records, codec).validate_records().unwrap();
            assert_eq!(times.oldest, Some(Timestamp(0)), "{codec}");
            assert_eq!(times.newest, Some(Timestamp(39_999)), "{codec}");
        }
    }
}
