//! What administrators ask: groups are what has members, and what has committed offsets.
//!
//! A group with offsets alone is Kafka's simple group: an empty classic one without a protocol type.

use millstream_types::{GroupId, Timestamp, TopicPartition};

use crate::{Coordinator, Decision, GroupDescription, GroupError, GroupListing, Put};

impl Coordinator {
    /// ListGroups.
    pub fn list_groups(&self) -> Vec<GroupListing> {
        let mut groups: Vec<_> = self.groups.list().collect();
        let simple = self.offsets.groups().filter(|id| !self.groups.contains(id));
        groups.extend(simple.map(|id| GroupListing {
            group: id.clone(),
            group_type: "classic",
            protocol_type: String::new(),
            state: "Empty",
        }));
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups
    }

    /// DescribeGroups, of one.
    pub fn describe_group(&self, group: &GroupId) -> Result<GroupDescription, GroupError> {
        match self.groups.describe(group) {
            Err(GroupError::UnknownGroup { .. }) if self.is_simple(group) => Ok(GroupDescription {
                state: "Empty",
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            }),
            other => other,
        }
    }

    /// DeleteGroups, of one: with all that it committed.
    pub fn delete_group(&self, group: &GroupId) -> Result<Vec<Put>, GroupError> {
        self.check_known(group)?;
        if !self.groups.is_empty(group) {
            let group = group.clone();
            return Err(GroupError::NotEmpty { group });
        }
        let mut puts = self.groups.delete(group);
        puts.extend(self.offsets.delete_group(group));
        Ok(puts)
    }

    /// OffsetDelete: an answer per partition. What is not there is deleted already.
    pub fn delete_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<Decision<Vec<Result<(), GroupError>>>, GroupError> {
        self.check_known(group)?;
        if !self.groups.tells_topics(group) {
            let group = group.clone();
            return Err(GroupError::NotEmpty { group });
        }
        let mut puts = Vec::new();
        let mut delete = |partition: &TopicPartition| {
            self.groups.check_offset_delete(group, partition.topic.as_str())?;
            puts.extend(self.offsets.delete(group, partition));
            Ok(())
        };
        let results = partitions.iter().map(&mut delete).collect();
        Ok(Decision::put(results, puts))
    }

    /// Forgets the offsets that were committed longer ago than `retention_ms` and that nobody reads on from, and the
    /// groups that are empty and have none. Those of an open transaction stay.
    pub fn expire_offsets(&self, retention_ms: i64, now: Timestamp) -> Vec<Put> {
        let mut puts = Vec::new();
        let mut kept = std::collections::BTreeSet::new();
        for (group, partition, offset) in self.offsets.iter() {
            let since = self
                .groups
                .unused_since(group, partition.topic.as_str(), offset.committed_at);
            let expired = since.is_some_and(|since| now.0.saturating_sub(since.0) >= retention_ms);
            if expired && !self.transactions.holds_offset(group, partition) {
                puts.extend(self.offsets.delete(group, partition));
            } else {
                kept.insert(group);
            }
        }
        for group in self.groups.abandoned().filter(|group| !kept.contains(group)) {
            puts.extend(self.groups.delete(group));
        }
        puts
    }

    fn check_known(&self, group: &GroupId) -> Result<(), GroupError> {
        if group.as_str().is_empty() {
            Err(GroupError::NoGroupId)
        } else if self.groups.contains(group) || self.is_simple(group) {
            Ok(())
        } else {
            let group = group.clone();
            Err(GroupError::UnknownGroup { group })
        }
    }

    fn is_simple(&self, group: &GroupId) -> bool {
        !self.groups.contains(group) && self.offsets.of_group(group).is_some()
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::{Offset, TopicName};

    use super::*;
    use crate::{CommittedOffset, LocalJoin, Offsets};

    const DAY_MS: i64 = 86_400_000;

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), 0)
    }

    fn commit(coordinator: &mut Coordinator, group: &GroupId, topic: &str, at: i64) {
        let offset = CommittedOffset::new(Offset(1), Timestamp(at));
        for put in Offsets::commit(group, [(&partition(topic), &offset)]) {
            coordinator.replay(&put).unwrap();
        }
    }

    fn replay(coordinator: &mut Coordinator, puts: Vec<Put>) {
        puts.iter().for_each(|put| coordinator.replay(put).unwrap());
    }

    /// A group with a member that reads `read`, and offsets of that and of `left`.
    fn joined() -> (Coordinator, GroupId) {
        let group = GroupId::new("g");
        let mut coordinator = Coordinator::default();
        let join = LocalJoin {
            group: group.clone(),
            member: "m".into(),
            topic: partition("read").topic,
            partitions: 1,
            session_timeout_ms: 10,
        };
        let joined = coordinator.groups.join_local(join, Timestamp(0)).unwrap();
        replay(&mut coordinator, joined.puts);
        commit(&mut coordinator, &group, "read", 0);
        commit(&mut coordinator, &group, "left", 0);
        (coordinator, group)
    }

    #[test]
    fn a_group_with_offsets_alone_is_a_simple_one() {
        let mut coordinator = Coordinator::default();
        let group = GroupId::new("g");
        assert!(matches!(
            coordinator.describe_group(&group),
            Err(GroupError::UnknownGroup { .. })
        ));
        assert!(matches!(
            coordinator.delete_group(&group),
            Err(GroupError::UnknownGroup { .. })
        ));
        commit(&mut coordinator, &group, "t", 0);
        assert_eq!(coordinator.describe_group(&group).unwrap().state, "Empty");
        let listed = coordinator.list_groups();
        assert_eq!(
            (listed.len(), listed[0].state, listed[0].group_type),
            (1, "Empty", "classic")
        );
        let puts = coordinator.delete_group(&group).unwrap();
        replay(&mut coordinator, puts);
        assert!(coordinator.list_groups().is_empty());
    }

    #[test]
    fn what_somebody_reads_is_not_deleted() {
        let (mut coordinator, group) = joined();
        assert!(matches!(
            coordinator.delete_group(&group),
            Err(GroupError::NotEmpty { .. })
        ));
        let wanted = [partition("read"), partition("left"), partition("never")];
        let deleted = coordinator.delete_offsets(&group, &wanted).unwrap();
        assert!(matches!(deleted.response[0], Err(GroupError::Subscribed { .. })));
        assert_eq!(deleted.response[1..], [Ok(()), Ok(())]);
        assert_eq!(deleted.puts.len(), 1);
        replay(&mut coordinator, deleted.puts);
        assert!(coordinator.offsets.get(&group, &partition("left")).is_none());
        let other = coordinator.delete_offsets(&GroupId::new("x"), &wanted);
        assert!(matches!(other, Err(GroupError::UnknownGroup { .. })));
    }

    #[test]
    fn offsets_that_nobody_reads_on_from_expire() {
        let (mut coordinator, group) = joined();
        assert!(
            coordinator
                .expire_offsets(DAY_MS, Timestamp(DAY_MS - 1))
                .is_empty()
        );
        let puts = coordinator.expire_offsets(DAY_MS, Timestamp(DAY_MS));
        replay(&mut coordinator, puts);
        assert!(coordinator.offsets.get(&group, &partition("left")).is_none());
        assert!(coordinator.offsets.get(&group, &partition("read")).is_some());
        let left = coordinator
            .groups
            .leave_local(&group, &"m".into(), Timestamp(0))
            .unwrap();
        replay(&mut coordinator, left.puts);
        let puts = coordinator.expire_offsets(DAY_MS, Timestamp(DAY_MS));
        replay(&mut coordinator, puts);
        assert!(coordinator.list_groups().is_empty());
    }
}
