//! Membership of groups whose members share the partitions of a topic by range.
//!
//! This is what `Log::join` needs: a member joins with one topic, every change of membership makes a new generation, and
//! heartbeats answer whether the member still belongs to the group. Only the generation is stored: members of an
//! in-process log end with its process. The classic protocol (client-side assignment, SyncGroup) and KIP-848 (target
//! assignment, member epochs) will add their own states beside [`Group`], and more keys; generations carry over.

use std::collections::BTreeMap;

use millstream_types::{GroupId, Timestamp, TopicName};

use crate::{Decision, Put, codec, key::Key};

/// Chosen by the caller, who has the randomness.
pub type MemberId = String;

/// What a member owns in a generation of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub generation: i32,
    /// Sorted.
    pub partitions: Vec<i32>,
}

/// The member was removed, or never was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{member}' is not a member of group '{group}'")]
pub struct UnknownMember {
    pub group: GroupId,
    pub member: MemberId,
}

/// A request to become a member.
#[derive(Clone, Debug)]
pub struct Join {
    pub group: GroupId,
    pub member: MemberId,
    pub topic: TopicName,
    /// Partitions of the topic.
    pub partitions: i32,
    pub session_timeout_ms: i64,
}

/// The members of all groups. Members live here and not in records, see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    groups: BTreeMap<GroupId, Group>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    generation: i32,
    members: BTreeMap<MemberId, Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    topic: TopicName,
    /// Partitions of the topic when it joined.
    partitions: i32,
    session_timeout_ms: i64,
    expires_at: Timestamp,
}

impl Groups {
    /// Adds a member and answers its first assignment; the others learn theirs by [`Self::assignment`].
    pub fn join(&mut self, join: Join, now: Timestamp) -> Decision<Assignment> {
        let member = Member {
            topic: join.topic,
            partitions: join.partitions,
            session_timeout_ms: join.session_timeout_ms,
            expires_at: Timestamp(now.0.saturating_add(join.session_timeout_ms)),
        };
        let group = self.groups.entry(join.group.clone()).or_default();
        group.members.insert(join.member.clone(), member);
        let put = group.next_generation(&join.group);
        Decision::put(group.assign(&join.member).expect("it was added above"), vec![put])
    }

    /// Keeps a member alive and answers what it owns.
    pub fn heartbeat(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        now: Timestamp,
    ) -> Result<Assignment, UnknownMember> {
        let state = self
            .groups
            .get_mut(group)
            .and_then(|g| g.members.get_mut(member))
            .ok_or_else(|| unknown(group, member))?;
        state.expires_at = Timestamp(now.0.saturating_add(state.session_timeout_ms));
        self.assignment(group, member)
    }

    pub fn assignment(&self, group: &GroupId, member: &MemberId) -> Result<Assignment, UnknownMember> {
        let assignment = self.groups.get(group).and_then(|g| g.assign(member));
        assignment.ok_or_else(|| unknown(group, member))
    }

    pub fn leave(&mut self, group: &GroupId, member: &MemberId) -> Result<Decision<()>, UnknownMember> {
        let state = self.groups.get_mut(group).ok_or_else(|| unknown(group, member))?;
        state
            .members
            .remove(member)
            .ok_or_else(|| unknown(group, member))?;
        Ok(Decision::put((), vec![state.next_generation(group)]))
    }

    /// Removes the members that were silent for too long; answers the groups that changed.
    pub fn expire(&mut self, now: Timestamp) -> Decision<Vec<GroupId>> {
        let mut changed = Decision::answer(Vec::new());
        for (name, group) in &mut self.groups {
            let before = group.members.len();
            group.members.retain(|_, m| m.expires_at > now);
            if group.members.len() < before {
                changed.puts.push(group.next_generation(name));
                changed.response.push(name.clone());
            }
        }
        changed
    }

    /// A topic has more partitions now: its groups share them anew.
    pub fn resize_topic(&mut self, topic: &TopicName, partitions: i32) -> Decision<Vec<GroupId>> {
        let mut changed = Decision::answer(Vec::new());
        for (name, group) in &mut self.groups {
            let mut readers = group
                .members
                .values_mut()
                .filter(|m| m.topic == *topic)
                .peekable();
            if readers.peek().is_some() {
                readers.for_each(|m| m.partitions = partitions);
                changed.puts.push(group.next_generation(name));
                changed.response.push(name.clone());
            }
        }
        changed
    }

    /// Groups with members now, by name.
    pub fn active(&self) -> impl Iterator<Item = &GroupId> {
        self.groups
            .iter()
            .filter(|(_, g)| !g.members.is_empty())
            .map(|(name, _)| name)
    }

    /// A generation only grows, and the live state may be ahead of a record that is replayed late.
    pub(crate) fn replay(&mut self, group: GroupId, generation: Option<i32>) {
        match generation {
            Some(generation) => {
                let group = self.groups.entry(group).or_default();
                group.generation = group.generation.max(generation);
            }
            None => {
                self.groups.remove(&group);
            }
        }
    }
}

impl Group {
    fn next_generation(&mut self, name: &GroupId) -> Put {
        self.generation += 1;
        (
            Key::Group(name.clone()).encode(),
            Some(codec::encode(&self.generation)),
        )
    }

    fn assign(&self, member: &MemberId) -> Option<Assignment> {
        let topic = &self.members.get(member)?.topic;
        let sharing = || self.members.iter().filter(|(_, m)| m.topic == *topic);
        let index = sharing().position(|(id, _)| id == member)?;
        let partitions = sharing().map(|(_, m)| m.partitions).max()?;
        Some(Assignment {
            generation: self.generation,
            partitions: range(partitions, sharing().count(), index),
        })
    }
}

/// Kafka's `RangeAssignor`: contiguous shares, the first members get one more where it does not divide.
fn range(partitions: i32, members: usize, index: usize) -> Vec<i32> {
    let partitions = usize::try_from(partitions).unwrap_or(0);
    let (share, rest) = (partitions / members, partitions % members);
    let start = index * share + index.min(rest);
    let end = start + share + usize::from(index < rest);
    (start..end)
        .map(|p| i32::try_from(p).expect("a partition of the topic"))
        .collect()
}

fn unknown(group: &GroupId, member: &MemberId) -> UnknownMember {
    UnknownMember {
        group: group.clone(),
        member: member.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(member: &str, topic: &str) -> Join {
        Join {
            group: GroupId::new("g"),
            member: member.into(),
            topic: TopicName::new(topic).unwrap(),
            partitions: 4,
            session_timeout_ms: 10,
        }
    }

    #[test]
    fn a_silent_member_loses_its_partitions() {
        let group = GroupId::new("g");
        let mut groups = Groups::default();
        assert_eq!(
            groups.join(join("a", "t"), Timestamp(0)).response.partitions,
            [0, 1, 2, 3]
        );
        let joined = groups.join(join("b", "t"), Timestamp(5));
        assert_eq!(
            joined.response,
            Assignment {
                generation: 2,
                partitions: vec![2, 3]
            }
        );
        assert_eq!(
            groups.heartbeat(&group, &"b".into(), Timestamp(9)),
            Ok(joined.response)
        );
        assert!(groups.expire(Timestamp(9)).is_empty());
        assert_eq!(
            groups.expire(Timestamp(10)).response,
            std::slice::from_ref(&group)
        );
        assert_eq!(
            groups.heartbeat(&group, &"a".into(), Timestamp(10)),
            Err(unknown(&group, &"a".into()))
        );
        let rest = groups.assignment(&group, &"b".into()).unwrap();
        assert_eq!((rest.generation, rest.partitions), (3, vec![0, 1, 2, 3]));
        assert!(groups.leave(&group, &"a".into()).is_err());
        assert!(!groups.leave(&group, &"b".into()).unwrap().is_empty());
        assert_eq!(groups.active().count(), 0);
    }

    #[test]
    fn topics_of_one_group_are_shared_apart_and_grow() {
        let group = GroupId::new("g");
        let mut groups = Groups::default();
        groups.join(join("a", "t"), Timestamp(0));
        groups.join(join("b", "u"), Timestamp(0));
        let partitions = |groups: &Groups, m: &str| groups.assignment(&group, &m.into()).unwrap().partitions;
        assert_eq!(partitions(&groups, "a"), [0, 1, 2, 3]);
        assert_eq!(partitions(&groups, "b"), [0, 1, 2, 3]);
        let changed = groups.resize_topic(&TopicName::new("u").unwrap(), 6);
        assert_eq!(changed.response, std::slice::from_ref(&group));
        assert_eq!(partitions(&groups, "a").len(), 4);
        assert_eq!(partitions(&groups, "b").len(), 6);
        assert!(groups.resize_topic(&TopicName::new("v").unwrap(), 6).is_empty());
    }

    #[test]
    fn generations_go_on_after_a_restart() {
        let mut groups = Groups::default();
        groups.replay(GroupId::new("g"), Some(41));
        assert_eq!(groups.join(join("a", "t"), Timestamp(0)).response.generation, 42);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_partition_has_one_owner(partitions in 1..200_i32, members in 1..50_usize) {
            let shares: Vec<_> = (0..members).map(|index| range(partitions, members, index)).collect();
            let sizes = shares.iter().map(Vec::len);
            prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            prop_assert_eq!(shares.concat(), (0..partitions).collect::<Vec<_>>());
        }
    }
}
