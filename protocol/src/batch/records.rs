use bytes::Bytes;
use millstream_types::{Header, Offset, Record, Timestamp};

use super::{BatchError, BatchHeader, TimestampType, varint};

/// The records of one batch, in order; keys, values and headers are slices of the (decompressed) batch.
///
/// Ends after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    plain: Bytes,
    /// Where in `plain` the next record begins.
    at: usize,
    read: i32,
}

impl Records {
    pub(super) fn new(header: BatchHeader, plain: Bytes) -> Self {
        Self {
            header,
            plain,
            at: 0,
            read: 0,
        }
    }

    /// Where the next record begins among the plain records.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The bytes of all records from that position to here.
    pub(super) fn since(&self, position: usize) -> &[u8] {
        &self.plain[position..self.at]
    }

    fn next_record(&mut self) -> Result<Record, BatchError> {
        let invalid = |reason| BatchError::InvalidRecord {
            index: self.read,
            reason,
        };
        let mut rest = &self.plain[self.at..];
        let body = take_sized(&mut rest)
            .ok_or_else(|| invalid("its length is wrong"))?
            .ok_or_else(|| invalid("its length is negative"))?;
        let mut fields = Fields {
            plain: &self.plain,
            rest: body,
        };
        let record = fields.record(&self.header).map_err(invalid)?;
        self.at = self.plain.len() - rest.len();
        Ok(record)
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.header.records_count {
            let left = self.at < self.plain.len();
            self.at = self.plain.len();
            return left.then_some(Err(BatchError::InvalidRecord {
                index: self.read,
                reason: "bytes follow the last record",
            }));
        }
        let record = self.next_record();
        match record {
            Ok(_) => self.read += 1,
            Err(_) => {
                self.read = self.header.records_count;
                self.at = self.plain.len();
            }
        }
        Some(record)
    }
}

/// The fields of one record, front to back.
struct Fields<'a> {
    plain: &'a Bytes,
    rest: &'a [u8],
}

impl Fields<'_> {
    fn record(&mut self, batch: &BatchHeader) -> Result<Record, &'static str> {
        let (_attributes, rest) = self.rest.split_first().ok_or("it is empty")?;
        self.rest = rest;
        let timestamp_delta = self.varint("timestamp")?;
        let offset_delta = self.varint("offset")?;
        if !(0..=i64::from(batch.last_offset_delta)).contains(&offset_delta) {
            return Err("its offset lies outside of the batch");
        }
        let record = Record {
            offset: Offset(batch.base_offset.0.wrapping_add(offset_delta)),
            timestamp: match batch.attributes.timestamp_type() {
                TimestampType::CreateTime => Timestamp(batch.base_timestamp.0.wrapping_add(timestamp_delta)),
                TimestampType::LogAppendTime => batch.max_timestamp,
            },
            key: self.bytes("key")?,
            value: self.bytes("value")?,
            headers: self.headers()?,
        };
        if self.rest.is_empty() {
            Ok(record)
        } else {
            Err("it is longer than its fields")
        }
    }

    fn headers(&mut self) -> Result<Vec<Header>, &'static str> {
        let count = self.varint("header count")?;
        // A header takes at least two bytes: the count cannot make us allocate more than was sent.
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len() / 2)
            .ok_or("header count is wrong")?;
        (0..count)
            .map(|_| {
                let name = self.bytes("header name")?.ok_or("header name is null")?;
                std::str::from_utf8(&name).map_err(|_| "header name is not UTF-8")?;
                let value = self.bytes("header value")?;
                Ok(Header { name, value })
            })
            .collect()
    }

    fn varint(&mut self, field: &'static str) -> Result<i64, &'static str> {
        varint::read(&mut self.rest).ok_or(field)
    }

    fn bytes(&mut self, field: &'static str) -> Result<Option<Bytes>, &'static str> {
        let bytes = take_sized(&mut self.rest).ok_or(field)?;
        Ok(bytes.map(|bytes| self.plain.slice_ref(bytes)))
    }
}

/// Splits a length and that many bytes off the front, see [`varint::sized_at`].
fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let mut at = 0;
    let sized = varint::sized_at(rest, &mut at)?;
    *rest = &rest[at..];
    Some(sized)
}
