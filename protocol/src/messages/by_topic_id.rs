//! OffsetCommit and OffsetFetch of version 10, which name topics by their ids (KIP-848). The message crate was made from a
//! Kafka in which that version was not final; it writes the answers, but does not read the requests.
//!
//! ```text
//!  OffsetCommit 10   group id | generation or epoch, 4 | member id | instance id or null | [topics] | tags
//!    topic           id, 16 | [partitions] | tags
//!    partition       index, 4 | offset, 8 | leader epoch, 4 | metadata or null | tags
//!  OffsetFetch 10    [groups] | require stable, 1 | tags
//!    group           group id | member id or null | epoch, 4 | [topics] or null | tags
//!    topic           id, 16 | [indexes, 4 each] | tags
//! ```
//!
//! Texts, lists and tags are compact: a length plus one as an unsigned varint, 0 is null.

use bytes::{Buf, Bytes};
use kafka_protocol::{
    messages::{
        GroupId, OffsetCommitRequest, OffsetFetchRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use super::MalformedMessage;

/// From this version on, OffsetCommit and OffsetFetch name topics by their ids.
pub const OFFSETS_BY_TOPIC_ID: i16 = 10;

/// Reads an OffsetCommit of that version, and moves `bytes` past it.
pub fn decode_offset_commit_by_topic_id(bytes: &mut Bytes) -> Result<OffsetCommitRequest, MalformedMessage> {
    let input = &mut Input(bytes);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(input.text()?))
        .with_generation_id_or_member_epoch(input.i32()?)
        .with_member_id(input.text()?)
        .with_group_instance_id(input.nullable_text()?)
        .with_topics(input.list(commit_topic)?);
    input.skip_tags()?;
    Ok(request)
}

fn commit_topic(input: &mut Input<'_>) -> Result<OffsetCommitRequestTopic, MalformedMessage> {
    let topic = OffsetCommitRequestTopic::default()
        .with_topic_id(input.uuid()?)
        .with_partitions(input.list(|input| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(input.i32()?)
                .with_committed_offset(input.i64()?)
                .with_committed_leader_epoch(input.i32()?)
                .with_committed_metadata(input.nullable_text()?);
            input.skip_tags()?;
            Ok(partition)
        })?);
    input.skip_tags()?;
    Ok(topic)
}

/// Reads an OffsetFetch of that version, and moves `bytes` past it.
pub fn decode_offset_fetch_by_topic_id(bytes: &mut Bytes) -> Result<OffsetFetchRequest, MalformedMessage> {
    let input = &mut Input(bytes);
    let request = OffsetFetchRequest::default()
        .with_groups(input.list(fetch_group)?)
        .with_require_stable(input.take(Bytes::try_get_u8)? != 0);
    input.skip_tags()?;
    Ok(request)
}

fn fetch_group(input: &mut Input<'_>) -> Result<OffsetFetchRequestGroup, MalformedMessage> {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(input.text()?))
        .with_member_id(input.nullable_text()?)
        .with_member_epoch(input.i32()?)
        .with_topics(input.nullable_list(|input| {
            let topic = OffsetFetchRequestTopics::default()
                .with_topic_id(input.uuid()?)
                .with_partition_indexes(input.list(|input| input.i32())?);
            input.skip_tags()?;
            Ok(topic)
        })?);
    input.skip_tags()?;
    Ok(group)
}

struct Input<'a>(&'a mut Bytes);

impl Input<'_> {
    fn take<T>(
        &mut self,
        get: impl FnOnce(&mut Bytes) -> Result<T, bytes::TryGetError>,
    ) -> Result<T, MalformedMessage> {
        get(self.0).map_err(|error| malformed(&error.to_string()))
    }

    fn i32(&mut self) -> Result<i32, MalformedMessage> {
        self.take(Bytes::try_get_i32)
    }

    fn i64(&mut self) -> Result<i64, MalformedMessage> {
        self.take(Bytes::try_get_i64)
    }

    fn uuid(&mut self) -> Result<Uuid, MalformedMessage> {
        self.take(Bytes::try_get_u128).map(Uuid::from_u128)
    }

    fn varint(&mut self) -> Result<u32, MalformedMessage> {
        let mut value = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.take(Bytes::try_get_u8)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a varint has more than 5 bytes"))
    }

    /// A length that is no more than the bytes that are left; `None` is null.
    fn length(&mut self) -> Result<Option<usize>, MalformedMessage> {
        let Some(length) = self.varint()?.checked_sub(1) else {
            return Ok(None);
        };
        let length = length as usize;
        if length > self.0.len() {
            return Err(malformed("a length is larger than the message"));
        }
        Ok(Some(length))
    }

    fn nullable_text(&mut self) -> Result<Option<StrBytes>, MalformedMessage> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let text = StrBytes::from_utf8(self.0.split_to(length));
        text.map(Some).map_err(|error| malformed(&error.to_string()))
    }

    fn text(&mut self) -> Result<StrBytes, MalformedMessage> {
        self.nullable_text()?.ok_or_else(|| malformed("a text is null"))
    }

    fn nullable_list<T>(
        &mut self,
        item: impl FnMut(&mut Input<'_>) -> Result<T, MalformedMessage>,
    ) -> Result<Option<Vec<T>>, MalformedMessage> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let mut item = item;
        // Not allocated by the claimed length: an item in memory is larger than on the wire.
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(item(self)?);
        }
        Ok(Some(items))
    }

    fn list<T>(
        &mut self,
        item: impl FnMut(&mut Input<'_>) -> Result<T, MalformedMessage>,
    ) -> Result<Vec<T>, MalformedMessage> {
        self.nullable_list(item)?
            .ok_or_else(|| malformed("a list is null"))
    }

    /// None that are known.
    fn skip_tags(&mut self) -> Result<(), MalformedMessage> {
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let bytes = self.varint()? as usize;
            if bytes > self.0.len() {
                return Err(malformed("a tagged field is larger than the message"));
            }
            self.0.advance(bytes);
        }
        Ok(())
    }
}

fn malformed(reason: &str) -> MalformedMessage {
    MalformedMessage {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    use super::*;

    fn fetch() -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&[3, 2, b'g', 0]);
        bytes.put_i32(-1);
        bytes.put_slice(&[0, 0]);
        bytes.put_slice(&[2, b'h', 2, b'm']);
        bytes.put_i32(7);
        bytes.put_u8(2);
        bytes.put_u128(5);
        bytes.put_u8(3);
        bytes.put_i32(0);
        bytes.put_i32(3);
        // a tag that is not known
        bytes.put_slice(&[1, 9, 2, 0xaa, 0xbb]);
        bytes.put_slice(&[0, 1, 0]);
        bytes
    }

    #[test]
    fn a_fetch_reads_null_and_named_topics() {
        let mut bytes = fetch().freeze();
        let request = decode_offset_fetch_by_topic_id(&mut bytes).unwrap();
        assert!(bytes.is_empty() && request.require_stable);
        assert_eq!(request.groups[0].topics, None);
        let group = &request.groups[1];
        assert_eq!((group.group_id.as_str(), group.member_epoch), ("h", 7));
        assert_eq!(group.member_id.as_deref(), Some("m"));
        let topic = &group.topics.as_ref().unwrap()[0];
        assert_eq!(topic.topic_id, Uuid::from_u128(5));
        assert_eq!(topic.partition_indexes, [0, 3]);
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = fetch().freeze();
        for length in 0..whole.len() {
            let cut = decode_offset_fetch_by_topic_id(&mut whole.slice(..length));
            assert!(cut.is_err(), "cut at {length}: {cut:?}");
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f, 0][..], &[0xff; 12], &[100, 1, 1]] {
            assert!(decode_offset_fetch_by_topic_id(&mut Bytes::copy_from_slice(claim)).is_err());
            assert!(decode_offset_commit_by_topic_id(&mut Bytes::copy_from_slice(claim)).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = decode_offset_commit_by_topic_id(&mut bytes.clone());
            let _ = decode_offset_fetch_by_topic_id(&mut bytes.clone());
        }
    }
}
