//! Who may commit and read offsets of a group, and from when on its offsets grow old.

use millstream_types::{GroupId, Timestamp};

use super::{Caller, Group, GroupError, Groups, State};

impl Groups {
    /// Whether a member may commit offsets of its group now. Of a transactional commit (KIP-447) less is asked.
    pub fn check_commit(
        &self,
        group: &GroupId,
        caller: &Caller,
        transactional: bool,
    ) -> Result<(), GroupError> {
        if group.as_str().is_empty() {
            return Err(GroupError::NoGroupId);
        }
        match self.groups.get(group) {
            Some(Group::Classic(group)) => group.check_commit(caller, transactional),
            Some(Group::Consumer(group)) => group.check_commit(caller, transactional),
            Some(Group::Local(members)) if caller.generation < 0 && members.members.is_empty() => Ok(()),
            Some(Group::Local(_)) if transactional && *caller == Caller::outsider() => Ok(()),
            Some(Group::Local(_)) => Err(GroupError::UnknownMember {
                group: group.clone(),
                member: caller.member.clone(),
            }),
            None if caller.generation < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration {
                group: group.clone(),
                generation: caller.generation,
                current: -1,
            }),
        }
    }

    /// OffsetFetch. Everybody may read the offsets of a group, but who says to be a member of a consumer group must be.
    pub fn check_offset_fetch(&self, group: &GroupId, caller: &Caller) -> Result<(), GroupError> {
        if group.as_str().is_empty() {
            return Err(GroupError::NoGroupId);
        }
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => group.check_fetch(caller),
            Some(Group::Classic(_) | Group::Local(_)) | None => Ok(()),
        }
    }

    /// Members of the consumer protocol commit with versions that have a place for their epoch.
    pub fn check_commit_version(
        &self,
        group: &GroupId,
        caller: &Caller,
        has_epoch: bool,
    ) -> Result<(), GroupError> {
        match self.groups.get(group) {
            Some(Group::Consumer(members)) if !has_epoch && members.wants_epoch_of(caller) => {
                let group = group.clone();
                Err(GroupError::UnsupportedVersion { group })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// [`Self::check_commit`] for TxnOffsetCommit.
    pub fn check_member(&self, group: &GroupId, caller: &Caller) -> Result<(), GroupError> {
        self.check_commit(group, caller, true)
    }

    /// A member has committed, so it lives.
    pub fn committed(&mut self, group: &GroupId, caller: &Caller, now: Timestamp) {
        let (groups, mut context) = self.parts(now);
        if let Some(Group::Classic(group)) = groups.get_mut(group) {
            group.committed(&caller.member, &mut context);
        }
    }

    /// Whether the offsets of a topic may be deleted by hand.
    pub(crate) fn check_offset_delete(&self, group: &GroupId, topic: &str) -> Result<(), GroupError> {
        let subscribed = match self.groups.get(group) {
            Some(Group::Classic(group)) => group.is_subscribed(topic),
            Some(Group::Consumer(group)) => group.is_subscribed(topic),
            Some(Group::Local(group)) => group.is_subscribed(topic),
            None => false,
        };
        if subscribed {
            let group = group.clone();
            return Err(GroupError::Subscribed { group });
        }
        Ok(())
    }

    /// Whether what members read can be told at all, or there are none.
    pub(crate) fn tells_topics(&self, group: &GroupId) -> bool {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => group.is_empty() || group.uses_consumer_protocol(),
            Some(Group::Consumer(_) | Group::Local(_)) | None => true,
        }
    }

    /// From when on the offsets of a topic grow old; `None` while somebody may read it.
    pub(crate) fn unused_since(
        &self,
        group: &GroupId,
        topic: &str,
        committed: Timestamp,
    ) -> Option<Timestamp> {
        match self.groups.get(group) {
            None => Some(committed),
            Some(Group::Classic(group)) if group.is_empty() && group.protocol_type.is_none() => {
                Some(committed)
            }
            Some(Group::Classic(group)) if group.is_empty() => Some(group.since.max(committed)),
            Some(Group::Classic(group)) => {
                let known = group.state == State::Stable && group.uses_consumer_protocol();
                (known && !group.is_subscribed(topic)).then_some(committed)
            }
            Some(Group::Consumer(group)) => (!group.is_subscribed(topic)).then_some(committed),
            Some(Group::Local(group)) => (!group.is_subscribed(topic)).then_some(committed),
        }
    }
}
