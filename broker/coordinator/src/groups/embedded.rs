//! What consumers say to each other in the classic protocol: subscriptions and assignments, which the broker reads and
//! writes only where members of both protocols are in one group (KIP-429, KIP-792, KIP-881).
//!
//! Each begins with its version; versions only add fields at the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_protocol::messages::{
    self, ConsumerProtocolAssignment, ConsumerProtocolSubscription, Encodable, StrBytes,
    consumer_protocol_assignment::TopicPartition, decode,
};
use millstream_types::TopicName;

use super::{Partitions, Topics};

/// The newest version of either that is known; a newer one is read as this.
const NEWEST: i16 = 3;

/// By names, as clients have them.
pub(super) type Named = BTreeMap<TopicName, BTreeSet<i32>>;

pub(super) struct Subscription {
    pub(super) topics: BTreeSet<String>,
    /// What the member has; before version 1 it could not say.
    pub(super) owned: Named,
    pub(super) rack: Option<String>,
}

pub(super) struct Assigned {
    pub(super) partitions: Named,
    pub(super) has_user_data: bool,
}

pub(super) fn version(bytes: &[u8]) -> i16 {
    bytes
        .first_chunk()
        .map_or(0, |version| i16::from_be_bytes(*version))
        .clamp(0, NEWEST)
}

/// `None` if it is malformed.
pub(super) fn read_subscription(mut bytes: Bytes) -> Option<Subscription> {
    let version = take_version(&mut bytes)?;
    let read: ConsumerProtocolSubscription = decode(&mut bytes, version).ok()?;
    let owned = read.owned_partitions.iter();
    let owned = owned.map(|part| (&part.topic, &part.partitions));
    Some(Subscription {
        topics: read.topics.iter().map(ToString::to_string).collect(),
        owned: named(owned),
        rack: read.rack_id.map(|rack| rack.to_string()),
    })
}

/// Nothing at all is an assignment of nothing: the member has never synced.
pub(super) fn read_assignment(mut bytes: Bytes) -> Option<Assigned> {
    if bytes.is_empty() {
        return Some(Assigned {
            partitions: Named::new(),
            has_user_data: false,
        });
    }
    let version = take_version(&mut bytes)?;
    let read: ConsumerProtocolAssignment = decode(&mut bytes, version).ok()?;
    let parts = read.assigned_partitions.iter();
    Some(Assigned {
        partitions: named(parts.map(|part| (&part.topic, &part.partitions))),
        has_user_data: read.user_data.is_some_and(|data| !data.is_empty()),
    })
}

pub(super) fn write_assignment(partitions: &Named, version: i16) -> Bytes {
    let part = |(topic, partitions): (&TopicName, &BTreeSet<i32>)| {
        TopicPartition::default()
            .with_topic(messages::TopicName(StrBytes::from_string(topic.to_string())))
            .with_partitions(partitions.iter().copied().collect())
    };
    let assignment =
        ConsumerProtocolAssignment::default().with_assigned_partitions(partitions.iter().map(part).collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    assignment
        .encode(&mut bytes, version)
        .expect("names and numbers fit into every version");
    bytes.freeze()
}

/// Those of topics that there are.
pub(super) fn by_id(partitions: &Named, topics: &dyn Topics) -> Partitions {
    let known = partitions.iter().filter_map(|(topic, partitions)| {
        let (id, _) = topics.get(topic)?;
        (!partitions.is_empty()).then(|| (id, partitions.clone()))
    });
    known.collect()
}

fn take_version(bytes: &mut Bytes) -> Option<i16> {
    let version = bytes.try_get_i16().ok()?;
    (version >= 0).then_some(version.min(NEWEST))
}

fn named<'a>(parts: impl Iterator<Item = (&'a messages::TopicName, &'a Vec<i32>)>) -> Named {
    let mut named = Named::new();
    for (topic, partitions) in parts {
        if let Ok(topic) = TopicName::new(topic.as_str()) {
            named.entry(topic).or_default().extend(partitions);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions() -> Named {
        let topic = |name: &str| TopicName::new(name).unwrap();
        [(topic("a"), [0, 2].into()), (topic("b"), [1].into())].into()
    }

    #[test]
    fn an_assignment_reads_back_in_every_version() {
        for version in 0..=NEWEST {
            let written = write_assignment(&partitions(), version);
            assert_eq!(super::version(&written), version);
            let read = read_assignment(written).unwrap();
            assert_eq!((read.partitions, read.has_user_data), (partitions(), false));
        }
        assert!(read_assignment(Bytes::new()).unwrap().partitions.is_empty());
        assert!(read_assignment(Bytes::from_static(b"\0")).is_none());
        assert!(read_assignment(Bytes::from_static(b"\0\0\x7f\xff\xff\xff")).is_none());
    }

    #[test]
    fn subscriptions_of_clients_are_understood() {
        // Version 1 of a cooperative consumer: topic "t", no user data, it owns 3 of "t".
        let cooperative = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03";
        let read = read_subscription(Bytes::from_static(cooperative)).unwrap();
        assert_eq!(read.topics, BTreeSet::from(["t".to_owned()]));
        assert_eq!(read.owned[&TopicName::new("t").unwrap()], [3].into());
        // Version 0, and the same with a version that does not exist yet and what it may add.
        let old = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
        let read = read_subscription(Bytes::from_static(old)).unwrap();
        assert!(read.owned.is_empty() && read.rack.is_none());
        let new = b"\0\x09\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x05\0\x02r1\x01\x02";
        let read = read_subscription(Bytes::from_static(new)).unwrap();
        assert_eq!(read.rack.as_deref(), Some("r1"));
    }
}
