//! A group of members within this process (`Log::join`): they share the partitions of a topic by range.
//!
//! It is a type of its own because its promise is another one: every change of membership makes a new generation at once,
//! all members have it at the same moment, and none has to give partitions back first (the tasks behind them fence each
//! other by transactions). Both of Kafka's protocols let a new member wait for the old ones, which would put a round of
//! heartbeats between a dead task and its successor. Only the generation is stored: these members end with the process.

use std::collections::BTreeMap;

use millstream_types::{GroupId, TopicName};

use super::{Context, MemberId, UnknownMember, stored::Stored, timers::Timer};

/// What a member owns in a generation of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub generation: i32,
    /// Sorted.
    pub partitions: Vec<i32>,
}

/// A request to become a member.
#[derive(Clone, Debug)]
pub struct LocalJoin {
    pub group: GroupId,
    pub member: MemberId,
    pub topic: TopicName,
    /// Partitions of the topic.
    pub partitions: i32,
    pub session_timeout_ms: i64,
}

#[derive(Clone, Debug)]
pub(super) struct LocalGroup {
    pub(super) id: GroupId,
    pub(super) generation: i32,
    pub(super) members: BTreeMap<MemberId, Member>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) topic: TopicName,
    /// Partitions of the topic when it joined.
    partitions: i32,
    session_timeout_ms: i64,
}

impl LocalGroup {
    pub(super) fn new(id: GroupId, generation: i32) -> Self {
        Self {
            id,
            generation,
            members: BTreeMap::new(),
        }
    }

    /// Adds a member and answers its first assignment; the others learn theirs by [`Self::assign`].
    pub(super) fn join(&mut self, join: LocalJoin, context: &mut Context<'_>) -> Assignment {
        let member = Member {
            topic: join.topic,
            partitions: join.partitions,
            session_timeout_ms: join.session_timeout_ms,
        };
        self.members.insert(join.member.clone(), member);
        self.restart_session(&join.member, context);
        self.next_generation(context);
        self.assign(&join.member).expect("it was added above")
    }

    /// Keeps a member alive and answers what it owns.
    pub(super) fn heartbeat(
        &self,
        member: &MemberId,
        context: &mut Context<'_>,
    ) -> Result<Assignment, UnknownMember> {
        let assignment = self.assign(member).ok_or_else(|| self.unknown(member))?;
        self.restart_session(member, context);
        Ok(assignment)
    }

    pub(super) fn leave(
        &mut self,
        member: &MemberId,
        context: &mut Context<'_>,
    ) -> Result<(), UnknownMember> {
        self.members.remove(member).ok_or_else(|| self.unknown(member))?;
        context.timers.cancel(&self.id, &Timer::Session(member.clone()));
        self.next_generation(context);
        Ok(())
    }

    pub(super) fn expire(&mut self, timer: Timer, context: &mut Context<'_>) {
        match timer {
            Timer::Session(member) => {
                if self.members.remove(&member).is_some() {
                    self.next_generation(context);
                }
            }
            // of other types of groups
            Timer::Revocation(_) | Timer::Answer(_) | Timer::Join | Timer::Sync => {}
        }
    }

    /// A topic has more partitions now.
    pub(super) fn resize_topic(&mut self, topic: &TopicName, partitions: i32, context: &mut Context<'_>) {
        let mut readers = self.members.values_mut().filter(|m| m.topic == *topic).peekable();
        if readers.peek().is_some() {
            readers.for_each(|m| m.partitions = partitions);
            self.next_generation(context);
        }
    }

    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|m| m.topic.as_str() == topic)
    }

    pub(super) fn assign(&self, member: &MemberId) -> Option<Assignment> {
        let topic = &self.members.get(member)?.topic;
        let sharing = || self.members.iter().filter(|(_, m)| m.topic == *topic);
        let index = sharing().position(|(id, _)| id == member)?;
        let partitions = sharing().map(|(_, m)| m.partitions).max()?;
        Some(Assignment {
            generation: self.generation,
            partitions: range(partitions, sharing().count(), index),
        })
    }

    fn next_generation(&mut self, context: &mut Context<'_>) {
        self.generation += 1;
        context
            .effects
            .puts
            .push(Stored::Local(self.generation).put(&self.id));
        context.effects.reassigned = true;
    }

    fn restart_session(&self, member: &MemberId, context: &mut Context<'_>) {
        if let Some(state) = self.members.get(member) {
            context.start(&self.id, Timer::Session(member.clone()), state.session_timeout_ms);
        }
    }

    fn unknown(&self, member: &MemberId) -> UnknownMember {
        UnknownMember {
            group: self.id.clone(),
            member: member.clone(),
        }
    }
}

/// Kafka's `RangeAssignor`: contiguous shares, the first members get one more where it does not divide.
pub(super) fn range(partitions: i32, members: usize, index: usize) -> Vec<i32> {
    let partitions = usize::try_from(partitions).unwrap_or(0);
    let (share, rest) = (partitions / members, partitions % members);
    let start = index * share + index.min(rest);
    let end = start + share + usize::from(index < rest);
    (start..end)
        .map(|p| i32::try_from(p).expect("a partition of the topic"))
        .collect()
}

#[cfg(test)]
mod tests {
    use millstream_types::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::Groups;

    fn join(member: &str, topic: &str) -> LocalJoin {
        LocalJoin {
            group: GroupId::new("g"),
            member: member.into(),
            topic: TopicName::new(topic).unwrap(),
            partitions: 4,
            session_timeout_ms: 10,
        }
    }

    fn joined(groups: &mut Groups, member: &str, topic: &str, now: i64) -> Assignment {
        groups
            .join_local(join(member, topic), Timestamp(now))
            .unwrap()
            .response
    }

    #[test]
    fn a_silent_member_loses_its_partitions() {
        let group = GroupId::new("g");
        let mut groups = Groups::default();
        assert_eq!(joined(&mut groups, "a", "t", 0).partitions, [0, 1, 2, 3]);
        let second = joined(&mut groups, "b", "t", 5);
        let expected = Assignment {
            generation: 2,
            partitions: vec![2, 3],
        };
        assert_eq!(second, expected);
        let beat =
            |groups: &mut Groups, m: &str, at| groups.heartbeat_local(&group, &m.into(), Timestamp(at));
        assert_eq!(beat(&mut groups, "b", 9), Ok(second));
        assert!(groups.expire(Timestamp(9)).puts.is_empty());
        assert_eq!(groups.next_deadline(), Some(Timestamp(10)));
        assert!(groups.expire(Timestamp(10)).reassigned);
        assert!(beat(&mut groups, "a", 10).is_err());
        let rest = groups.assignment(&group, &"b".into()).unwrap();
        assert_eq!((rest.generation, rest.partitions), (3, vec![0, 1, 2, 3]));
        assert!(groups.leave_local(&group, &"a".into(), Timestamp(10)).is_err());
        assert!(
            !groups
                .leave_local(&group, &"b".into(), Timestamp(10))
                .unwrap()
                .puts
                .is_empty()
        );
        assert_eq!(groups.next_deadline(), None);
    }

    #[test]
    fn topics_of_one_group_are_shared_apart_and_grow() {
        let group = GroupId::new("g");
        let mut groups = Groups::default();
        joined(&mut groups, "a", "t", 0);
        joined(&mut groups, "b", "u", 0);
        let partitions = |groups: &Groups, m: &str| groups.assignment(&group, &m.into()).unwrap().partitions;
        assert_eq!(partitions(&groups, "a"), [0, 1, 2, 3]);
        assert_eq!(partitions(&groups, "b"), [0, 1, 2, 3]);
        let resize = |groups: &mut Groups, topic: &str| {
            groups
                .resize_topic(&TopicName::new(topic).unwrap(), 6, Timestamp(1))
                .reassigned
        };
        assert!(resize(&mut groups, "u"));
        assert_eq!(partitions(&groups, "a").len(), 4);
        assert_eq!(partitions(&groups, "b").len(), 6);
        assert!(!resize(&mut groups, "v"));
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
