//! Joining, heartbeats and leaving in both protocols of the port: which group a request goes to, and what becomes of the
//! group's type.
//!
//! A group that is empty becomes what the next member speaks. One that is not is entered by members of either protocol,
//! see [`super::convert`]; only members of this process share their groups with nobody.

use std::collections::BTreeMap;

use millstream_types::{GroupId, Timestamp};

use super::{
    Caller, ClassicGroup, ConsumerAnswer, ConsumerDescription, ConsumerGroup, ConsumerHeartbeat, Context,
    Effects, Group, GroupConfig, GroupError, Groups, JoinRefused, JoinRequest, MemberId, Reply, SyncRequest,
    Token, Topics, consumer, convert,
};

impl Groups {
    /// JoinGroup. The reply may come at once, or with later effects.
    pub fn join(
        &mut self,
        request: JoinRequest,
        topics: &dyn Topics,
        token: Token,
        now: Timestamp,
    ) -> Effects {
        let (groups, mut context) = self.parts(now);
        let id = request.group.clone();
        if let Err(error) = joinable(groups, &request, &context) {
            let member = request.member;
            context.reply(token, Reply::Join(Err(JoinRefused { member, error })));
            return context.effects;
        }
        match groups.get_mut(&id) {
            Some(Group::Classic(group)) => group.join(request, token, &mut context),
            Some(Group::Consumer(group)) => {
                let joined = group.join_classic(&request, topics, &mut context);
                context.reply(token, Reply::Join(joined));
                convert::finish(groups, &id, &mut context);
            }
            Some(Group::Local(_)) | None => unreachable!("it can be joined"),
        }
        context.effects
    }

    /// SyncGroup. The reply may come at once, or with later effects.
    pub fn sync(&mut self, request: SyncRequest, token: Token, now: Timestamp) -> Effects {
        let (groups, mut context) = self.parts(now);
        match find(groups, &request.group, &request.caller.member) {
            Ok(Spoken::Classic(group)) => group.sync(request, token, &mut context),
            Ok(Spoken::Consumer(group)) => {
                let synced = group.sync_classic(&request, &mut context);
                context.reply(token, Reply::Sync(synced));
            }
            Err(error) => context.reply(token, Reply::Sync(Err(error))),
        }
        context.effects
    }

    /// Heartbeat. Writes nothing.
    pub fn heartbeat(&mut self, group: &GroupId, caller: &Caller, now: Timestamp) -> Result<(), GroupError> {
        let (groups, mut context) = self.parts(now);
        match find(groups, group, &caller.member)? {
            Spoken::Classic(group) => group.heartbeat(caller, &mut context),
            Spoken::Consumer(group) => group.heartbeat_classic(caller, &mut context),
        }
    }

    /// LeaveGroup: an answer for each, by member id or by instance id. An administrator takes out members of either
    /// protocol.
    pub fn leave(
        &mut self,
        id: &GroupId,
        leaving: &[(MemberId, Option<String>)],
        now: Timestamp,
    ) -> Result<(Vec<Result<(), GroupError>>, Effects), GroupError> {
        let (groups, mut context) = self.parts(now);
        let results = match find(groups, id, &MemberId::new())? {
            Spoken::Classic(group) => group.leave(leaving, &mut context),
            Spoken::Consumer(group) => {
                let results = group.take_out(leaving, &mut context);
                convert::finish(groups, id, &mut context);
                results
            }
        };
        Ok((results, context.effects))
    }

    /// ConsumerGroupHeartbeat.
    pub fn consumer_heartbeat(
        &mut self,
        id: &GroupId,
        request: &ConsumerHeartbeat,
        topics: &dyn Topics,
        now: Timestamp,
    ) -> Result<(ConsumerAnswer, Effects), GroupError> {
        consumer::check_request(id, request, &self.config.consumer.assignors)?;
        let (groups, mut context) = self.parts(now);
        let joins = request.epoch == consumer::JOIN;
        let former = match groups.get_mut(id) {
            Some(Group::Consumer(group)) => {
                let answer = group.heartbeat(request, topics, &mut context)?;
                convert::finish(groups, id, &mut context);
                return Ok((answer, context.effects));
            }
            Some(Group::Classic(group)) if joins && !group.is_empty() => {
                let (upgraded, answer) = convert::upgrade(group, request, topics, &mut context)?;
                upgraded.save(&mut context);
                groups.insert(id.clone(), Group::Consumer(upgraded));
                return Ok((answer, context.effects));
            }
            Some(Group::Classic(group)) if joins => group.generation,
            Some(Group::Local(group)) if joins && group.members.is_empty() => group.generation,
            Some(Group::Classic(_) | Group::Local(_)) => {
                let (group, wanted) = (id.clone(), "consumer");
                return Err(GroupError::OtherType { group, wanted });
            }
            None if joins => 0,
            None => return Err(GroupError::UnknownGroup { group: id.clone() }),
        };
        let mut group = ConsumerGroup::new(id.clone(), former, now);
        let answer = group.heartbeat(request, topics, &mut context)?;
        // Of the group that was; those of the new one come after.
        context.timers.cancel_all(id);
        group.start(&mut context);
        group.save(&mut context);
        groups.insert(id.clone(), Group::Consumer(group));
        Ok((answer, context.effects))
    }

    /// ConsumerGroupDescribe, of one.
    pub fn describe_consumer(&self, group: &GroupId) -> Result<ConsumerDescription, GroupError> {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(&self.config)),
            Some(Group::Classic(_) | Group::Local(_)) => Err(GroupError::OtherType {
                group: group.clone(),
                wanted: "consumer",
            }),
            None => Err(GroupError::UnknownGroup { group: group.clone() }),
        }
    }

    /// Topics were made, deleted, or got more partitions: consumer groups that read them assign anew.
    pub fn topics_changed(&mut self, topics: &dyn Topics, now: Timestamp) -> Effects {
        let (groups, mut context) = self.parts(now);
        for group in groups.values_mut() {
            match group {
                Group::Consumer(group) => group.topics_changed(topics, &mut context),
                Group::Classic(_) | Group::Local(_) => {}
            }
        }
        context.effects
    }
}

/// A group that requests of the classic protocol may go to.
enum Spoken<'a> {
    Classic(&'a mut ClassicGroup),
    Consumer(&'a mut ConsumerGroup),
}

fn find<'a>(
    groups: &'a mut BTreeMap<GroupId, Group>,
    id: &GroupId,
    member: &MemberId,
) -> Result<Spoken<'a>, GroupError> {
    if id.as_str().is_empty() {
        return Err(GroupError::NoGroupId);
    }
    match groups.get_mut(id) {
        Some(Group::Classic(group)) => Ok(Spoken::Classic(group)),
        Some(Group::Consumer(group)) => Ok(Spoken::Consumer(group)),
        Some(Group::Local(_)) | None => Err(GroupError::UnknownMember {
            group: id.clone(),
            member: member.clone(),
        }),
    }
}

/// Sees that there is a group for a member of the classic protocol to join.
fn joinable(
    groups: &mut BTreeMap<GroupId, Group>,
    request: &JoinRequest,
    context: &Context<'_>,
) -> Result<(), GroupError> {
    let id = &request.group;
    if id.as_str().is_empty() {
        return Err(GroupError::NoGroupId);
    }
    check_session_timeout(request.session_timeout_ms, context.config)?;
    let generation = match groups.get(id) {
        Some(Group::Classic(_)) => return Ok(()),
        Some(Group::Consumer(group)) if !group.members.is_empty() => return Ok(()),
        Some(Group::Consumer(group)) => group.epoch,
        Some(Group::Local(group)) if group.members.is_empty() => group.generation,
        Some(Group::Local(_)) => {
            return Err(GroupError::InconsistentProtocol { group: id.clone() });
        }
        None => 0,
    };
    if !request.member.is_empty() {
        return Err(GroupError::UnknownMember {
            group: id.clone(),
            member: request.member.clone(),
        });
    }
    if request.protocol_type.is_empty() || request.protocols.is_empty() {
        // No group is made for one who cannot be its member.
        return Err(GroupError::InconsistentProtocol { group: id.clone() });
    }
    let group = ClassicGroup::new(id.clone(), generation, context.now);
    groups.insert(id.clone(), Group::Classic(group));
    Ok(())
}

fn check_session_timeout(timeout_ms: i32, config: &GroupConfig) -> Result<(), GroupError> {
    let (min_ms, max_ms) = (config.min_session_timeout_ms, config.max_session_timeout_ms);
    if (min_ms..=max_ms).contains(&timeout_ms) {
        return Ok(());
    }
    Err(GroupError::InvalidSessionTimeout {
        timeout_ms,
        min_ms,
        max_ms,
    })
}
