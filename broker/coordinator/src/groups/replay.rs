//! Groups from their records, at the start and as they are written, and what a restart would find.

use std::collections::BTreeMap;

use millstream_types::{GroupId, Timestamp};

use super::{ClassicGroup, ConsumerGroup, Group, Groups, LocalGroup, MemberId, Stored, StoredConsumerMember};

impl Groups {
    /// All that is durable, by name.
    pub(super) fn stored(&self) -> BTreeMap<GroupId, Stored> {
        let stored = |group: &Group| match group {
            Group::Classic(group) => Stored::Classic(group.stored()),
            Group::Consumer(group) => Stored::Consumer(group.stored()),
            Group::Local(group) => Stored::Local(group.generation),
        };
        self.groups
            .iter()
            .map(|(id, group)| (id.clone(), stored(group)))
            .collect()
    }

    /// The members of consumer groups, as they are durable.
    pub(super) fn stored_members(&self) -> BTreeMap<(&GroupId, &MemberId), &StoredConsumerMember> {
        let groups = self.groups.iter().filter_map(|(id, group)| match group {
            Group::Consumer(group) => Some((id, group)),
            Group::Classic(_) | Group::Local(_) => None,
        });
        groups
            .flat_map(|(id, group)| group.stored_members().map(move |(m, stored)| ((id, m), stored)))
            .collect()
    }

    /// Records of members may come before that of their group.
    pub(crate) fn replay_member(
        &mut self,
        id: GroupId,
        member: MemberId,
        stored: Option<StoredConsumerMember>,
    ) {
        match (self.groups.get_mut(&id), stored) {
            (Some(Group::Consumer(group)), stored) => group.load_member(member, stored),
            (_, Some(stored)) => {
                let mut group = ConsumerGroup::new(id.clone(), 0, Timestamp(0));
                group.load_member(member, Some(stored));
                self.groups.insert(id, Group::Consumer(group));
            }
            (_, None) => {}
        }
    }

    /// Of a live group the record is what it has just decided; at start it is all there is.
    pub(crate) fn replay(&mut self, id: GroupId, stored: Option<Stored>) {
        let Some(stored) = stored else {
            self.timers.cancel_all(&id);
            self.groups.remove(&id);
            return;
        };
        match (self.groups.get_mut(&id), stored) {
            (Some(Group::Classic(group)), Stored::Classic(stored)) if group.stored() == stored => {
                group.saved()
            }
            (_, Stored::Classic(stored)) => {
                let group = ClassicGroup::load(id.clone(), stored);
                self.groups.insert(id, Group::Classic(group));
            }
            (Some(Group::Consumer(group)), Stored::Consumer(stored)) => group.load(stored),
            (_, Stored::Consumer(stored)) => {
                let mut group = ConsumerGroup::new(id.clone(), 0, Timestamp(0));
                group.load(stored);
                self.groups.insert(id, Group::Consumer(group));
            }
            (Some(Group::Local(group)), Stored::Local(generation)) => {
                group.generation = group.generation.max(generation);
            }
            (_, Stored::Local(generation)) => {
                let group = LocalGroup::new(id.clone(), generation);
                self.groups.insert(id, Group::Local(group));
            }
        }
    }
}
