//! All groups: who is a member, and what each reads.
//!
//! - [`classic`]: the protocol of all clients before 2024, JoinGroup and SyncGroup.
//! - [`consumer`]: KIP-848, where the broker assigns, by [`assign`].
//! - [`local`]: members within this process.
//! - [`describe`]: what administrators see of all of them.
//! - [`timers`]: the one queue of deadlines.
//!
//! Unlike the rest of this crate a request changes the state at once: members, waiting requests and deadlines live in
//! memory, and only what must survive a restart becomes a record ([`stored`]). The records say all that a reply says, so
//! a reply goes out when they are durable. A decision that could not be written leaves memory ahead of the log; the next
//! change of that group writes it again. [`Groups::replay`] builds at start what [`Groups::stored`] shows.

mod assign;
mod bytes_as_text;
mod classic;
mod consumer;
mod describe;
mod error;
mod local;
mod requests;
mod stored;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;

use millstream_types::{GroupId, Timestamp, TopicName};

use crate::{Decision, Put, key::Key};
use classic::{ClassicGroup, State};
use consumer::ConsumerGroup;
use local::LocalGroup;
pub(crate) use stored::{Stored, StoredConsumerMember};
use timers::{Timer, Timers};

pub use assign::Partitions;
pub use consumer::{
    ConsumerAnswer, ConsumerDescription, ConsumerHeartbeat, ConsumerMemberDescription, Topics,
};
pub use describe::{GroupDescription, GroupListing, MemberDescription, MemberShare};
pub use error::GroupError;
pub use local::{Assignment, LocalJoin};
pub use requests::{
    Caller, ClientInfo, Effects, JoinRefused, JoinRequest, Joined, JoinedMember, Protocol, Reply,
    SyncRequest, Synced, Token,
};

/// Chosen by the caller, who has the randomness.
pub type MemberId = String;

/// The member was removed, or never was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{member}' is not a member of group '{group}'")]
pub struct UnknownMember {
    pub group: GroupId,
    pub member: MemberId,
}

/// Limits and times of groups, under Kafka's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members before it shares for the first
    /// time. Kafka waits 3 s, so that a large application that starts rebalances once; most of ours are one process,
    /// for which that is 3 s of nothing.
    pub initial_rebalance_delay_ms: i64,
    /// `group.max.size`
    pub max_size: usize,
    pub consumer: ConsumerGroupConfig,
}

/// Those of consumer groups: `group.consumer.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub max_size: usize,
    /// The default one first.
    pub assignors: Vec<String>,
}

impl Default for ConsumerGroupConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            max_size: i32::MAX as usize,
            assignors: [assign::UNIFORM, assign::RANGE].map(Into::into).to_vec(),
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 100,
            max_size: i32::MAX as usize,
            consumer: ConsumerGroupConfig::default(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: BTreeMap<GroupId, Group>,
    timers: Timers,
    config: GroupConfig,
}

#[derive(Clone, Debug)]
enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
    Local(LocalGroup),
}

/// What a group may use while it decides.
struct Context<'a> {
    now: Timestamp,
    config: &'a GroupConfig,
    timers: &'a mut Timers,
    effects: Effects,
}

impl Context<'_> {
    fn reply(&mut self, token: Token, reply: Reply) {
        self.effects.replies.push((token, reply));
    }

    /// Sets a deadline from now on.
    fn start(&mut self, group: &GroupId, timer: Timer, after_ms: i64) {
        self.timers
            .set(group, timer, Timestamp(self.now.0.saturating_add(after_ms)));
    }
}

/// Equal are those that a restart could not tell apart.
impl PartialEq for Groups {
    fn eq(&self, other: &Self) -> bool {
        self.stored() == other.stored() && self.stored_members() == other.stored_members()
    }
}

impl Eq for Groups {}

impl Groups {
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// After a start, when all records were replayed: members have their sessions to show that they live.
    pub fn start(&mut self, now: Timestamp) {
        let mut context = context(&self.config, &mut self.timers, now);
        for group in self.groups.values() {
            match group {
                Group::Classic(group) => group.start(&mut context),
                Group::Consumer(group) => group.start(&mut context),
                Group::Local(_) => {}
            }
        }
    }

    /// JoinGroup. The reply may come at once, or with later effects.
    pub fn join(&mut self, request: JoinRequest, token: Token, now: Timestamp) -> Effects {
        match self.joinable(&request, now) {
            Ok(()) => self.with_classic(&request.group.clone(), now, |group, context| {
                group.join(request, token, context);
            }),
            Err(error) => {
                let member = request.member;
                let reply = Reply::Join(Err(JoinRefused { member, error }));
                Effects {
                    replies: vec![(token, reply)],
                    ..Effects::default()
                }
            }
        }
    }

    /// Sees that there is a classic group for a member to join.
    fn joinable(&mut self, request: &JoinRequest, now: Timestamp) -> Result<(), GroupError> {
        let id = &request.group;
        if id.as_str().is_empty() {
            return Err(GroupError::NoGroupId);
        }
        let (min_ms, max_ms) = (
            self.config.min_session_timeout_ms,
            self.config.max_session_timeout_ms,
        );
        let timeout_ms = request.session_timeout_ms;
        if !(min_ms..=max_ms).contains(&timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout {
                timeout_ms,
                min_ms,
                max_ms,
            });
        }
        let generation = match self.groups.get(id) {
            Some(Group::Classic(_)) => return Ok(()),
            Some(Group::Consumer(group)) if group.members.is_empty() => group.epoch,
            Some(Group::Local(group)) if group.members.is_empty() => group.generation,
            Some(Group::Consumer(_) | Group::Local(_)) => {
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
        let group = ClassicGroup::new(id.clone(), generation, now);
        self.groups.insert(id.clone(), Group::Classic(group));
        Ok(())
    }

    /// SyncGroup. The reply may come at once, or with later effects.
    pub fn sync(&mut self, request: SyncRequest, token: Token, now: Timestamp) -> Effects {
        if let Err(error) = self.classic(&request.group, &request.caller.member) {
            return Effects {
                replies: vec![(token, Reply::Sync(Err(error)))],
                ..Effects::default()
            };
        }
        self.with_classic(&request.group.clone(), now, |group, context| {
            group.sync(request, token, context);
        })
    }

    /// Heartbeat. Writes nothing.
    pub fn heartbeat(&mut self, group: &GroupId, caller: &Caller, now: Timestamp) -> Result<(), GroupError> {
        self.classic(group, &caller.member)?;
        let mut result = Ok(());
        self.with_classic(group, now, |group, context| {
            result = group.heartbeat(caller, context);
        });
        result
    }

    /// LeaveGroup: an answer for each, by member id or by instance id.
    pub fn leave(
        &mut self,
        group: &GroupId,
        leaving: &[(MemberId, Option<String>)],
        now: Timestamp,
    ) -> Result<(Vec<Result<(), GroupError>>, Effects), GroupError> {
        self.classic(group, &MemberId::new())?;
        let mut results = Vec::new();
        let effects = self.with_classic(group, now, |group, context| {
            results = group.leave(leaving, context);
        });
        Ok((results, effects))
    }

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

    /// Members of a consumer group commit with versions that have a place for their epoch.
    pub fn check_commit_version(&self, group: &GroupId, has_epoch: bool) -> Result<(), GroupError> {
        match self.groups.get(group) {
            Some(Group::Consumer(members)) if !has_epoch && !members.members.is_empty() => {
                let group = group.clone();
                Err(GroupError::UnsupportedVersion { group })
            }
            Some(_) | None => Ok(()),
        }
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
        self.see_to_consumer(id, request.epoch, now)?;
        let Some(Group::Consumer(group)) = self.groups.get_mut(id) else {
            unreachable!("it was seen to above");
        };
        let mut context = context(&self.config, &mut self.timers, now);
        let answer = group.heartbeat(request, topics, &mut context)?;
        group.save(&mut context);
        Ok((answer, context.effects))
    }

    /// Sees that there is a consumer group; who joins makes it, or makes an empty group of another type one.
    fn see_to_consumer(&mut self, id: &GroupId, epoch: i32, now: Timestamp) -> Result<(), GroupError> {
        let joins = epoch == consumer::JOIN;
        let former = match self.groups.get(id) {
            Some(Group::Consumer(_)) => return Ok(()),
            Some(Group::Classic(group)) if joins && group.is_empty() => group.generation,
            Some(Group::Local(group)) if joins && group.members.is_empty() => group.generation,
            Some(Group::Classic(_) | Group::Local(_)) => {
                let (group, wanted) = (id.clone(), "consumer");
                return Err(GroupError::OtherType { group, wanted });
            }
            None if joins => 0,
            None => return Err(GroupError::UnknownGroup { group: id.clone() }),
        };
        self.timers.cancel_all(id);
        let group = ConsumerGroup::new(id.clone(), former, now);
        self.groups.insert(id.clone(), Group::Consumer(group));
        Ok(())
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
        let mut context = context(&self.config, &mut self.timers, now);
        for group in self.groups.values_mut() {
            match group {
                Group::Consumer(group) => group.topics_changed(topics, &mut context),
                Group::Classic(_) | Group::Local(_) => {}
            }
        }
        context.effects
    }

    /// [`Self::check_commit`] for TxnOffsetCommit.
    pub fn check_member(&self, group: &GroupId, caller: &Caller) -> Result<(), GroupError> {
        self.check_commit(group, caller, true)
    }

    /// A member has committed, so it lives.
    pub fn committed(&mut self, group: &GroupId, caller: &Caller, now: Timestamp) {
        if let Some(Group::Classic(_)) = self.groups.get(group) {
            self.with_classic(group, now, |group, context| {
                group.committed(&caller.member, context);
            });
        }
    }

    /// What has become due.
    pub fn expire(&mut self, now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        while let Some((id, timer)) = self.timers.pop(now) {
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            let mut context = context(&self.config, &mut self.timers, now);
            match group {
                Group::Classic(group) => group.expire(timer, &mut context),
                Group::Consumer(group) => group.expire(timer, &mut context),
                Group::Local(group) => group.expire(timer, &mut context),
            }
            effects.extend(context.effects);
        }
        effects
    }

    /// When [`Self::expire`] has something to do, as things are.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

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
        if !matches!(self.groups.get(&id), Some(Group::Local(_))) {
            self.timers.cancel_all(&id);
            let group = Group::Local(LocalGroup::new(id.clone(), generation));
            self.groups.insert(id.clone(), group);
        }
        let Some(Group::Local(group)) = self.groups.get_mut(&id) else {
            unreachable!("it was put there above");
        };
        let mut context = context(&self.config, &mut self.timers, now);
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
        let mut context = context(&self.config, &mut self.timers, now);
        for group in self.groups.values_mut() {
            match group {
                Group::Local(group) => group.resize_topic(topic, partitions, &mut context),
                Group::Classic(_) | Group::Consumer(_) => {}
            }
        }
        context.effects
    }

    pub(crate) fn contains(&self, group: &GroupId) -> bool {
        self.groups.contains_key(group)
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

    /// The groups that nobody is in, or about to be in.
    pub(crate) fn abandoned(&self) -> impl Iterator<Item = &GroupId> {
        let is_abandoned = |group: &Group| match group {
            Group::Classic(group) => group.is_empty() && !group.has_pending(),
            Group::Consumer(group) => group.members.is_empty(),
            Group::Local(group) => group.members.is_empty(),
        };
        self.groups
            .iter()
            .filter(move |(_, g)| is_abandoned(g))
            .map(|(id, _)| id)
    }

    /// The records that forget a group.
    pub(crate) fn delete(&self, group: &GroupId) -> Vec<Put> {
        match self.groups.get(group) {
            Some(Group::Classic(_) | Group::Consumer(_) | Group::Local(_)) => {
                vec![(Key::Group(group.clone()).encode(), None)]
            }
            None => Vec::new(),
        }
    }

    /// Whether there is nobody in it; also if there is no such group.
    pub(crate) fn is_empty(&self, group: &GroupId) -> bool {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => group.is_empty(),
            Some(Group::Consumer(group)) => group.members.is_empty(),
            Some(Group::Local(group)) => group.members.is_empty(),
            None => true,
        }
    }

    /// All that is durable, by name.
    fn stored(&self) -> BTreeMap<GroupId, Stored> {
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
    fn stored_members(&self) -> BTreeMap<(&GroupId, &MemberId), &StoredConsumerMember> {
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

    /// Whether a classic request has a group to go to.
    fn classic(&self, id: &GroupId, member: &MemberId) -> Result<(), GroupError> {
        if id.as_str().is_empty() {
            return Err(GroupError::NoGroupId);
        }
        match self.groups.get(id) {
            Some(Group::Classic(_)) => Ok(()),
            Some(Group::Consumer(_) | Group::Local(_)) | None => Err(GroupError::UnknownMember {
                group: id.clone(),
                member: member.clone(),
            }),
        }
    }

    fn with_classic(
        &mut self,
        id: &GroupId,
        now: Timestamp,
        act: impl FnOnce(&mut ClassicGroup, &mut Context<'_>),
    ) -> Effects {
        let mut context = context(&self.config, &mut self.timers, now);
        match self.groups.get_mut(id) {
            Some(Group::Classic(group)) => act(group, &mut context),
            Some(Group::Consumer(_) | Group::Local(_)) | None => unreachable!("callers have looked"),
        }
        context.effects
    }

    fn local(
        &mut self,
        id: &GroupId,
        member: &MemberId,
        now: Timestamp,
    ) -> Result<(&mut LocalGroup, Context<'_>), UnknownMember> {
        match self.groups.get_mut(id) {
            Some(Group::Local(group)) => Ok((group, context(&self.config, &mut self.timers, now))),
            Some(Group::Classic(_) | Group::Consumer(_)) | None => Err(unknown(id, member)),
        }
    }
}

impl Effects {
    fn extend(&mut self, more: Self) {
        self.replies.extend(more.replies);
        self.puts.extend(more.puts);
        self.reassigned |= more.reassigned;
    }
}

fn context<'a>(config: &'a GroupConfig, timers: &'a mut Timers, now: Timestamp) -> Context<'a> {
    Context {
        now,
        config,
        timers,
        effects: Effects::default(),
    }
}

fn unknown(group: &GroupId, member: &MemberId) -> UnknownMember {
    UnknownMember {
        group: group.clone(),
        member: member.clone(),
    }
}
