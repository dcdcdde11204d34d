use std::{collections::BTreeMap, sync::Arc};

use millstream_types::{GroupId, Offset, Timestamp, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use bytes::Bytes;

use crate::{CorruptRecord, Put, codec, key::Key};

/// Kafka's `offset.metadata.max.bytes`.
pub const MAX_METADATA_BYTES: usize = 4096;

/// How far a group has read a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// Of the next record to read.
    pub offset: Offset,
    /// Of the last record read; -1 if the client did not say.
    pub leader_epoch: i32,
    /// The client's own words.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub metadata: Arc<str>,
    pub committed_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metadata of a committed offset has {bytes} bytes, {max} are allowed", max = MAX_METADATA_BYTES)]
pub struct MetadataTooLarge {
    pub partition: TopicPartition,
    pub bytes: usize,
}

impl CommittedOffset {
    /// An offset without epoch and metadata.
    pub fn new(offset: Offset, committed_at: Timestamp) -> Self {
        Self {
            offset,
            leader_epoch: -1,
            metadata: Arc::from(""),
            committed_at,
        }
    }
}

/// The committed offsets of all groups, as decided: the log may not have made the last ones durable yet. Who answers
/// readers takes what is durable from the log, by [`Self::key`], [`Self::keys_of`] and [`Self::read`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    groups: BTreeMap<GroupId, BTreeMap<TopicPartition, CommittedOffset>>,
}

impl Offsets {
    /// The key under which an offset is stored.
    pub fn key(group: &GroupId, partition: &TopicPartition) -> Bytes {
        Key::Offset(group.clone(), partition.clone()).encode()
    }

    /// What all keys of a group's offsets begin with; without a group, those of all.
    pub fn keys_of(group: Option<&GroupId>) -> Bytes {
        Key::offsets_prefix(group)
    }

    /// What is stored under such a key.
    pub fn read(
        key: &[u8],
        value: &[u8],
    ) -> Result<(GroupId, TopicPartition, CommittedOffset), CorruptRecord> {
        match Key::decode(key) {
            Some(Key::Offset(group, partition)) => Ok((group, partition, codec::decode(key, value)?)),
            _ => Err(codec::corrupt(key, "not the key of a committed offset")),
        }
    }

    /// All offsets of a group; `None` if it has none.
    pub fn of_group(&self, group: &GroupId) -> Option<&BTreeMap<TopicPartition, CommittedOffset>> {
        self.groups.get(group)
    }

    pub fn get(&self, group: &GroupId, partition: &TopicPartition) -> Option<&CommittedOffset> {
        self.groups.get(group)?.get(partition)
    }

    /// Groups that have committed offsets, by name.
    pub fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }

    /// Whether offsets may be kept: their metadata is bounded.
    pub fn check(offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), MetadataTooLarge> {
        let too_large = |o: &CommittedOffset| o.metadata.len() > MAX_METADATA_BYTES;
        match offsets.iter().find(|(_, o)| too_large(o)) {
            Some((partition, offset)) => Err(MetadataTooLarge {
                partition: partition.clone(),
                bytes: offset.metadata.len(),
            }),
            None => Ok(()),
        }
    }

    /// The records that commit these offsets.
    pub fn commit<'a>(
        group: &GroupId,
        offsets: impl IntoIterator<Item = (&'a TopicPartition, &'a CommittedOffset)>,
    ) -> Vec<Put> {
        let put = |(partition, offset): (&TopicPartition, &CommittedOffset)| {
            (Self::key(group, partition), Some(codec::encode(offset)))
        };
        offsets.into_iter().map(put).collect()
    }

    /// All offsets, by group and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupId, &TopicPartition, &CommittedOffset)> {
        self.groups
            .iter()
            .flat_map(|(group, offsets)| offsets.iter().map(move |(p, o)| (group, p, o)))
    }

    /// The record that forgets one offset, if there is one.
    pub(crate) fn delete(&self, group: &GroupId, partition: &TopicPartition) -> Option<Put> {
        self.get(group, partition).map(|_| delete(group, partition))
    }

    /// The records that forget what a group committed.
    pub fn delete_group(&self, group: &GroupId) -> Vec<Put> {
        let partitions = self.groups.get(group).into_iter().flat_map(|g| g.keys());
        partitions.map(|p| delete(group, p)).collect()
    }

    /// The records that forget a topic: its offsets would point into a later topic of the same name.
    pub fn delete_topic(&self, topic: &TopicName) -> Vec<Put> {
        let all = self
            .groups
            .iter()
            .flat_map(|(group, offsets)| offsets.keys().map(move |p| (group, p)));
        all.filter(|(_, p)| p.topic == *topic)
            .map(|(g, p)| delete(g, p))
            .collect()
    }

    pub(crate) fn replay(
        &mut self,
        group: GroupId,
        partition: TopicPartition,
        offset: Option<CommittedOffset>,
    ) {
        match offset {
            Some(offset) => {
                self.groups.entry(group).or_default().insert(partition, offset);
            }
            None => {
                if let Some(offsets) = self.groups.get_mut(&group) {
                    offsets.remove(&partition);
                    if offsets.is_empty() {
                        self.groups.remove(&group);
                    }
                }
            }
        }
    }
}

fn delete(group: &GroupId, partition: &TopicPartition) -> Put {
    (Offsets::key(group, partition), None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn an_offset_is_stored_as_it_was(offset: i64, leader_epoch: i32, metadata: String, at: i64) {
            let committed = CommittedOffset {
                offset: Offset(offset),
                leader_epoch,
                metadata: metadata.into(),
                committed_at: Timestamp(at),
            };
            let group = GroupId::new("g");
            let partition = TopicPartition::new(TopicName::new("t").unwrap(), 3);
            let puts = Offsets::commit(&group, [(&partition, &committed)]);
            let (key, value) = &puts[0];
            prop_assert!(key.starts_with(&Offsets::keys_of(Some(&group))));
            prop_assert!(key.starts_with(&Offsets::keys_of(None)));
            prop_assert_eq!(Offsets::read(key, value.as_ref().unwrap()), Ok((group, partition, committed)));
        }
    }

    #[test]
    fn metadata_is_bounded() {
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 0);
        let with = |bytes: usize| CommittedOffset {
            metadata: "x".repeat(bytes).into(),
            ..CommittedOffset::new(Offset(1), Timestamp(1))
        };
        assert_eq!(Offsets::check(&[(partition.clone(), with(4096))]), Ok(()));
        let refused = Offsets::check(&[(partition.clone(), with(4096)), (partition.clone(), with(4097))]);
        assert_eq!(
            refused,
            Err(MetadataTooLarge {
                partition,
                bytes: 4097
            })
        );
    }
}
