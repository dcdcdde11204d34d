//! Requests and responses: the crate `kafka-protocol`, and a decoder that is safe against strangers.
//!
//! The generated decoders reserve memory for as many array elements as a length field claims, before they look for the
//! elements; a claim of two thousand million would end the process. [`decode`] therefore reads the message twice: first
//! through [`Guard`], in which no length can exceed the bytes that are left, and only if that succeeds for real.

mod by_topic_id;

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;
pub use kafka_protocol::{
    messages::*,
    protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes, VersionRange},
};

pub use by_topic_id::{
    OFFSETS_BY_TOPIC_ID, decode_offset_commit_by_topic_id, decode_offset_fetch_by_topic_id,
};

/// Bytes that are not the message they should be.
#[derive(Debug, thiserror::Error)]
#[error("message is malformed: {reason}")]
pub struct MalformedMessage {
    reason: String,
}

/// Decodes a message that a stranger sent, and moves `bytes` past it. Allocates in proportion to the bytes given, never
/// to a length they claim.
pub fn decode<M: Decodable>(bytes: &mut Bytes, version: i16) -> Result<M, MalformedMessage> {
    let malformed = |error: &dyn std::fmt::Display| MalformedMessage {
        reason: error.to_string(),
    };
    M::decode(&mut Guard::new(bytes.clone()), version).map_err(|error| malformed(&error))?;
    M::decode(bytes, version).map_err(|error| malformed(&error))
}

/// Room for so many elements may be reserved for nothing.
const HARMLESS: usize = 64;

/// A buffer for a dry run.
///
/// - Compact lengths are unsigned varints; one that claims more than is left ends the run. Tag numbers are varints too, and
///   may be larger than what follows them; they are small, and so is what a small claim costs: up to [`HARMLESS`] all
///   pass.
/// - Other array lengths are plain 32-bit integers, which cannot be told from data. Each is cut to one more than the bytes
///   left: data does not matter here, and as an element takes at least a byte, an array that was cut cannot be read to
///   its end.
struct Guard {
    bytes: Bytes,
    /// The next byte goes on with a varint that was checked at its first byte.
    within_varint: bool,
}

impl Guard {
    fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            within_varint: false,
        }
    }

    fn check_varint(&self) -> Result<(), TryGetError> {
        let mut value = 0_u64;
        let mut length = 0;
        for byte in self.bytes.iter().take(5) {
            value |= u64::from(byte & 0x7f) << (7 * length);
            length += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        // Compact lengths are stored plus one.
        let claimed = usize::try_from(value).unwrap_or(usize::MAX).saturating_sub(1);
        let available = self.bytes.len() - length;
        if claimed > available.max(HARMLESS) {
            return Err(TryGetError {
                requested: claimed,
                available,
            });
        }
        Ok(())
    }
}

impl Buf for Guard {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        if !self.within_varint {
            self.check_varint()?;
        }
        let byte = self.bytes.try_get_u8()?;
        self.within_varint = byte & 0x80 != 0;
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.bytes.try_get_i32()?;
        let more_than_left = i32::try_from(self.bytes.len() + 1).unwrap_or(i32::MAX);
        Ok(value.min(more_than_left))
    }
}

impl ByteBuf for Guard {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    use super::*;

    fn check_refused<M: Decodable + std::fmt::Debug>(bytes: &[u8], version: i16) {
        let decoded = decode::<M>(&mut Bytes::copy_from_slice(bytes), version);
        assert!(decoded.is_err(), "{decoded:?}");
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        // Two thousand million topics, once as a 32-bit integer and once as a varint.
        check_refused::<MetadataRequest>(&[0x7f, 0xff, 0xff, 0xff, 0, 0], 1);
        check_refused::<MetadataRequest>(&[0x7f, 0xff, 0xff, 0xff], 1);
        check_refused::<MetadataRequest>(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], 12);
        // The same within an element.
        let mut nested = BytesMut::new();
        nested.put_slice(&[0, 0, 0, 1, 0, 1, b't', 0x7f, 0xff, 0xff, 0xff]);
        nested.put_slice(&[0; 40]);
        check_refused::<DeleteRecordsRequest>(&nested, 0);
    }

    #[test]
    fn a_tag_may_be_larger_than_what_follows_it() {
        // an answer without throttling, error, topics; then tagged fields: 9, which nobody knows yet, without content
        let empty = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 9, 0];
        let answer: FetchResponse = decode(&mut Bytes::copy_from_slice(&empty), 12).unwrap();
        assert_eq!(answer.unknown_tagged_fields.len(), 1);
    }

    #[test]
    fn what_clients_send_passes_unchanged() {
        let topic = metadata_request::MetadataRequestTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("flights"))));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(true);
        let produce = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(i32::MAX)
            .with_topic_data(vec![
                produce_request::TopicProduceData::default()
                    .with_name(TopicName(StrBytes::from_static_str("t")))
                    .with_partition_data(vec![
                        produce_request::PartitionProduceData::default()
                            .with_records(Some(vec![0xff; 300].into())),
                    ]),
            ]);
        for version in 4..=13 {
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).unwrap();
            let decoded: MetadataRequest = decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(decoded, request, "version {version}");
        }
        for version in 3..=11 {
            let mut bytes = BytesMut::new();
            produce.encode(&mut bytes, version).unwrap();
            let decoded: ProduceRequest = decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(decoded, produce, "version {version}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0_i16..14) {
            let bytes = Bytes::from(bytes);
            let _ = decode::<MetadataRequest>(&mut bytes.clone(), version);
            let _ = decode::<ProduceRequest>(&mut bytes.clone(), version);
            let _ = decode::<FetchRequest>(&mut bytes.clone(), version);
            let _ = decode::<CreateTopicsRequest>(&mut bytes.clone(), version);
            let _ = decode::<JoinGroupRequest>(&mut bytes.clone(), version);
        }
    }
}
