//! The keys of all that the coordinator stores.
//!
//! ```text
//!  c o p                                  the producer ids that were given out
//!  c o t | transactional id               a transactional producer
//!  c o o | group | topic | partition i32  a committed offset
//!  c o g | group                          a group, with its members if it is a classic one
//!  c o m | group | member                 a member of a consumer group
//! ```
//! A text is its length (u32, big endian) and its bytes. `co` keeps these keys apart from any others in the same state.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_types::{GroupId, TopicName, TopicPartition, TransactionalId};

pub(crate) const PREFIX: &[u8] = b"co";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    ProducerIds,
    Transaction(TransactionalId),
    Offset(GroupId, TopicPartition),
    Group(GroupId),
    Member(GroupId, String),
}

impl Key {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::from(PREFIX);
        match self {
            Self::ProducerIds => out.put_u8(b'p'),
            Self::Transaction(id) => {
                out.put_u8(b't');
                put_text(&mut out, id.as_str());
            }
            Self::Offset(group, partition) => {
                out.put_u8(b'o');
                put_text(&mut out, group.as_str());
                put_text(&mut out, partition.topic.as_str());
                out.put_i32(partition.partition);
            }
            Self::Group(group) => {
                out.put_u8(b'g');
                put_text(&mut out, group.as_str());
            }
            Self::Member(group, member) => {
                out.put_u8(b'm');
                put_text(&mut out, group.as_str());
                put_text(&mut out, member);
            }
        }
        out.freeze()
    }

    /// What the keys of one group's offsets, or of all offsets, begin with.
    pub(crate) fn offsets_prefix(group: Option<&GroupId>) -> Bytes {
        let mut out = BytesMut::from(PREFIX);
        out.put_u8(b'o');
        if let Some(group) = group {
            put_text(&mut out, group.as_str());
        }
        out.freeze()
    }

    /// `None` if it is no key of this version.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        bytes = bytes.strip_prefix(PREFIX)?;
        let key = match bytes.try_get_u8().ok()? {
            b'p' => Self::ProducerIds,
            b't' => Self::Transaction(TransactionalId::new(take_text(&mut bytes)?)),
            b'o' => {
                let group = GroupId::new(take_text(&mut bytes)?);
                let topic = TopicName::new(take_text(&mut bytes)?).ok()?;
                Self::Offset(group, TopicPartition::new(topic, bytes.try_get_i32().ok()?))
            }
            b'g' => Self::Group(GroupId::new(take_text(&mut bytes)?)),
            b'm' => {
                let group = GroupId::new(take_text(&mut bytes)?);
                Self::Member(group, take_text(&mut bytes)?.to_owned())
            }
            _ => return None,
        };
        bytes.is_empty().then_some(key)
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(u32::try_from(text.len()).expect("names are far shorter than 4 GB"));
    out.put_slice(text.as_bytes());
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        let partition = ("[a-z0-9._-]{3,20}", any::<i32>())
            .prop_map(|(topic, partition)| TopicPartition::new(TopicName::new(topic).unwrap(), partition));
        prop_oneof![
            Just(Key::ProducerIds),
            any::<String>().prop_map(|id| Key::Transaction(TransactionalId::new(id))),
            any::<String>().prop_map(|id| Key::Group(GroupId::new(id))),
            any::<(String, String)>().prop_map(|(id, member)| Key::Member(GroupId::new(id), member)),
            (any::<String>(), partition).prop_map(|(group, p)| Key::Offset(GroupId::new(group), p)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_encoded_decodes_to_the_same(key in key()) {
            prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        }

        #[test]
        fn foreign_bytes_are_no_key_and_no_panic(mut bytes: Vec<u8>, prefixed: bool) {
            if prefixed {
                bytes.splice(0..0, *b"co");
            }
            if let Some(key) = Key::decode(&bytes) {
                prop_assert_eq!(key.encode().to_vec(), bytes);
            }
        }
    }
}
