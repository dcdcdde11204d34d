//! Members within this process: they join, heartbeat and leave by calls.

use millstream_types::{GroupId, Timestamp, TopicName};

use super::{
    Assignment, Context, Effects, Group, GroupError, Groups, LocalGroup, LocalJoin, MemberId, UnknownMember,
};
use crate::Decision;

impl Groups {
    /// Adds a member of this process.
    pub fn join_local(
        &mut self,
        join: LocalJoin,
        now: Timestamp,
    ) -> Result<Decision<Assignment>, GroupError> {
        let id = join.group.clone();
        let generation = match self.groups.get(&id) {
            Some(Group::Local(group)) => group.generation,
            Some(Group::Classic(group)) if group.is_empty() => group.generation,
            Some(Group::Consumer(group)) if group.members.is_empty() => group.epoch,
            Some(Group::Classic(_) | Group::Consumer(_)) => {
                return Err(GroupError::InconsistentProtocol { group: id });
            }
            None => 0,
        };
        let (groups, mut context) = self.parts(now);
        if !matches!(groups.get(&id), Some(Group::Local(_))) {
            context.timers.cancel_all(&id);
            let group = Group::Local(LocalGroup::new(id.clone(), generation));
            groups.insert(id.clone(), group);
        }
        let Some(Group::Local(group)) = groups.get_mut(&id) else {
            unreachable!("it was put there above");
        };
        let response = group.join(join, &mut context);
        Ok(Decision::put(response, context.effects.puts))
    }

    /// Keeps a member of this process alive and answers what it owns.
    pub fn heartbeat_local(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        now: Timestamp,
    ) -> Result<Assignment, UnknownMember> {
        let (group, mut context) = self.local(group, member, now)?;
        group.heartbeat(member, &mut context)
    }

    pub fn assignment(&self, group: &GroupId, member: &MemberId) -> Result<Assignment, UnknownMember> {
        let assignment = match self.groups.get(group) {
            Some(Group::Local(group)) => group.assign(member),
            Some(Group::Classic(_) | Group::Consumer(_)) | None => None,
        };
        assignment.ok_or_else(|| unknown(group, member))
    }

    pub fn leave_local(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        now: Timestamp,
    ) -> Result<Decision<()>, UnknownMember> {
        let (group, mut context) = self.local(group, member, now)?;
        group.leave(member, &mut context)?;
        Ok(Decision::put((), context.effects.puts))
    }

    /// A topic has more partitions now: groups of this process share them anew.
    pub fn resize_topic(&mut self, topic: &TopicName, partitions: i32, now: Timestamp) -> Effects {
        let (groups, mut context) = self.parts(now);
        for group in groups.values_mut() {
            match group {
                Group::Local(group) => group.resize_topic(topic, partitions, &mut context),
                Group::Classic(_) | Group::Consumer(_) => {}
            }
        }
        context.effects
    }

    fn local(
        &mut self,
        id: &GroupId,
        member: &MemberId,
        now: Timestamp,
    ) -> Result<(&mut LocalGroup, Context<'_>), UnknownMember> {
        let (groups, context) = self.parts(now);
        match groups.get_mut(id) {
            Some(Group::Local(group)) => Ok((group, context)),
            Some(Group::Classic(_) | Group::Consumer(_)) | None => Err(unknown(id, member)),
        }
    }
}

fn unknown(group: &GroupId, member: &MemberId) -> UnknownMember {
    UnknownMember {
        group: group.clone(),
        member: member.clone(),
    }
}
