use bytes::{BufMut, Bytes, BytesMut};
use millstream_types::{Header, Offset, Producer, ProducerEpoch, Record, Timestamp};

use super::{
    Attributes, BatchError, BatchHeader, Compression, HEADER_BYTES, NO_PRODUCER_ID, NO_SEQUENCE,
    header::{CRC_AT, LENGTH_END, MAGIC},
    varint,
    view::checksum,
};

/// Writes records into one batch. Their offsets are 0, 1, 2, … until the broker assigns the base offset.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: Attributes,
    producer: Option<(Producer, i32)>,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    count: i32,
    /// Room for the header, then the plain records.
    buffer: BytesMut,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            attributes: Attributes::default().with_compression(compression),
            producer: None,
            base_timestamp: Timestamp(-1),
            max_timestamp: Timestamp(-1),
            count: 0,
            buffer: BytesMut::zeroed(HEADER_BYTES),
        }
    }

    /// Makes it a batch of an idempotent producer; `base_sequence` is the sequence of its first record.
    #[must_use]
    pub fn producer(mut self, producer: Producer, base_sequence: i32) -> Self {
        self.producer = Some((producer, base_sequence));
        self
    }

    /// Makes it part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional(true);
        self
    }

    /// Makes it a control batch. Callers outside want [`super::ControlRecord::batch`].
    pub(super) fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control(true);
        self
    }

    /// Appends a record; its offset is ignored.
    pub fn push(&mut self, record: &Record) {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.push_parts(record.timestamp, key, value, &record.headers);
    }

    /// Appends a record from its parts.
    pub fn push_parts(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = i64::from(self.count);

        put_record(
            &mut self.buffer,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers,
        );
        self.count += 1;
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far before compression, header included.
    pub fn plain_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The most bytes that `record` adds before compression, so that a caller can stop in time.
    pub fn most_bytes_of(record: &Record) -> usize {
        let body = record_body_bytes(
            i64::MAX,
            i64::from(i32::MAX),
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
        varint::len(body as i64) + body
    }

    /// The batch, with base offset 0. An empty one is of no use to a broker: callers check [`Self::is_empty`].
    pub fn build(self) -> Result<Bytes, BatchError> {
        let Self {
            compression,
            count,
            mut buffer,
            ..
        } = self;
        let header = self.attributes;
        let plain_bytes = buffer.len();
        if compression != Compression::None {
            let packed = compression
                .compress(&buffer[HEADER_BYTES..], None)
                .map_err(|error| BatchError::Compress {
                    codec: compression,
                    reason: error.to_string(),
                })?;
            buffer.truncate(HEADER_BYTES);
            buffer.extend_from_slice(&packed);
        }
        let batch_length = i32::try_from(buffer.len() - LENGTH_END)
            .map_err(|_| BatchError::TooManyBytes { bytes: plain_bytes })?;
        let (producer_id, producer_epoch, base_sequence) = match self.producer {
            Some((producer, sequence)) => (producer.id, producer.epoch, sequence),
            None => (NO_PRODUCER_ID, ProducerEpoch(-1), NO_SEQUENCE),
        };
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            batch_length,
            partition_leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: header,
            last_offset_delta: count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            records_count: count,
        };
        header.write(&mut &mut buffer[..HEADER_BYTES]);
        let crc = checksum(&buffer);
        buffer[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        Ok(buffer.freeze())
    }
}

/// Writes one record, its length first.
pub(super) fn put_record(
    out: &mut BytesMut,
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) {
    let body_bytes = record_body_bytes(timestamp_delta, offset_delta, key, value, headers);
    out.reserve(varint::len(body_bytes as i64) + body_bytes);
    varint::write(out, body_bytes as i64);
    out.put_i8(0);
    varint::write(out, timestamp_delta);
    varint::write(out, offset_delta);
    put_sized(out, key);
    put_sized(out, value);
    varint::write(out, headers.len() as i64);
    for header in headers {
        put_sized(out, Some(&header.name));
        put_sized(out, header.value.as_deref());
    }
}

fn record_body_bytes(
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) -> usize {
    let headers_bytes: usize = headers
        .iter()
        .map(|header| sized_bytes(Some(&header.name)) + sized_bytes(header.value.as_deref()))
        .sum();
    let attributes_bytes = 1;
    attributes_bytes
        + varint::len(timestamp_delta)
        + varint::len(offset_delta)
        + sized_bytes(key)
        + sized_bytes(value)
        + varint::len(headers.len() as i64)
        + headers_bytes
}

fn sized_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint::len(-1), |bytes| {
        varint::len(bytes.len() as i64) + bytes.len()
    })
}

fn put_sized(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.put_slice(bytes);
        }
    }
}
