//! A consumer group and its members as records.

use std::collections::BTreeSet;

use super::{ConsumerGroup, Member};
use crate::groups::{
    Context, MemberId,
    stored::{Stored, StoredConsumer, StoredConsumerMember, put_member},
};

impl ConsumerGroup {
    pub(in crate::groups) fn stored(&self) -> StoredConsumer {
        StoredConsumer {
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            topics: self.topics.clone(),
            since: self.since,
        }
    }

    pub(in crate::groups) fn stored_members(
        &self,
    ) -> impl Iterator<Item = (&MemberId, &StoredConsumerMember)> {
        self.members.iter().map(|(id, m)| (id, &m.durable))
    }

    pub(in crate::groups) fn load(&mut self, stored: StoredConsumer) {
        if self.stored() != stored {
            self.epoch = stored.epoch;
            self.assignment_epoch = stored.assignment_epoch;
            self.topics = stored.topics;
            self.since = stored.since;
        }
        self.unsaved = false;
    }

    pub(in crate::groups) fn load_member(&mut self, id: MemberId, stored: Option<StoredConsumerMember>) {
        self.unsaved_members.remove(&id);
        let Some(stored) = stored else {
            self.members.remove(&id);
            self.statics.retain(|_, member| *member != id);
            return;
        };
        if self.members.get(&id).is_some_and(|m| m.durable == stored) {
            return;
        }
        if let Some(instance) = &stored.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, Member::new(stored));
    }

    /// Every request ends with this: what changed is written, and nothing else.
    pub(in crate::groups) fn save(&self, context: &mut Context<'_>) {
        let puts = &mut context.effects.puts;
        if self.unsaved {
            puts.push(Stored::Consumer(self.stored()).put(&self.id));
        }
        for id in &self.unsaved_members {
            let member = self.members.get(id).map(|m| &m.durable);
            puts.push(put_member(&self.id, id, member));
        }
    }

    /// All members that the log may have a record of.
    pub(in crate::groups) fn recorded_members(&self) -> BTreeSet<&MemberId> {
        self.members.keys().chain(&self.unsaved_members).collect()
    }
}
