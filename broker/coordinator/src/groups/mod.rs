//! All groups: who is a member, and what each reads.
//!
//! - [`classic`]: the protocol of all clients before 2024, JoinGroup and SyncGroup.
//! - [`consumer`]: KIP-848, where the broker assigns, by [`assign`]; it may have members of the classic protocol.
//! - [`local`]: members within this process.
//! - [`describe`]: what administrators see of all of them.
//! - [`timers`]: the one queue of deadlines.
//!
//! What is asked of groups, whatever their type: [`membership`], [`commits`], [`in_process`]. How a group gets from one
//! protocol to the other while it has members: [`convert`]. The way from and to the log: [`replay`].
//!
//! Unlike the rest of this crate a request changes the state at once: members, waiting requests and deadlines live in
//! memory, and only what must survive a restart becomes a record ([`stored`]). The records say all that a reply says, so
//! a reply goes out when they are durable. A decision that could not be written leaves memory ahead of the log; the next
//! change of that group writes it again. [`Groups::replay`] builds at start what [`Groups::stored`] shows.

mod assign;
mod bytes_as_text;
mod classic;
mod commits;
mod consumer;
mod convert;
mod describe;
mod embedded;
mod error;
mod in_process;
mod local;
mod membership;
mod replay;
mod requests;
mod stored;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;

use millstream_types::{GroupId, Timestamp};

use crate::{Put, key::Key};
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
    pub migration: MigrationPolicy,
}

/// `group.consumer.migration.policy`: whether a group may change its protocol while it has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationPolicy {
    /// The first member of the consumer protocol makes a classic group a consumer group.
    pub upgrade: bool,
    /// When the last one leaves, a consumer group with classic members becomes a classic one.
    pub downgrade: bool,
}

/// What a group has otherwise than [`ConsumerGroupConfig`] says: its own configuration (KIP-848). `None` is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupOverrides {
    /// `consumer.session.timeout.ms`
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: Option<i32>,
}

impl Default for ConsumerGroupConfig {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            max_size: i32::MAX as usize,
            assignors: [assign::UNIFORM, assign::RANGE].map(Into::into).to_vec(),
            migration: MigrationPolicy {
                upgrade: true,
                downgrade: true,
            },
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
    /// Also of groups that do not exist yet. Not stored here: the caller says it again after a start.
    overrides: BTreeMap<GroupId, GroupOverrides>,
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
    overrides: &'a BTreeMap<GroupId, GroupOverrides>,
    timers: &'a mut Timers,
    effects: Effects,
}

impl Context<'_> {
    fn reply(&mut self, token: Token, reply: Reply) {
        self.effects.replies.push((token, reply));
    }

    /// Sets a deadline, which is never due at once: a client may choose how long, and what is due is done until nothing is.
    fn start(&mut self, group: &GroupId, timer: Timer, after_ms: i64) {
        self.timers.set(
            group,
            timer,
            Timestamp(self.now.0.saturating_add(after_ms.max(1))),
        );
    }

    /// Sets one that is not set yet.
    fn start_once(&mut self, group: &GroupId, timer: Timer, after_ms: i64) {
        if !self.timers.is_set(group, &timer) {
            self.start(group, timer, after_ms);
        }
    }

    /// How long a member of the consumer protocol may be silent.
    fn session_ms(&self, group: &GroupId) -> i32 {
        let own = self.overrides.get(group).and_then(|own| own.session_timeout_ms);
        own.unwrap_or(self.config.consumer.session_timeout_ms)
    }

    fn heartbeat_ms(&self, group: &GroupId) -> i32 {
        let own = self
            .overrides
            .get(group)
            .and_then(|own| own.heartbeat_interval_ms);
        own.unwrap_or(self.config.consumer.heartbeat_interval_ms)
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

    /// Gives a group a configuration of its own, or takes it back. It counts from each member's next heartbeat on.
    pub fn configure(&mut self, group: GroupId, own: GroupOverrides) {
        if own == GroupOverrides::default() {
            self.overrides.remove(&group);
        } else {
            self.overrides.insert(group, own);
        }
    }

    /// After a start, when all records were replayed: members have their sessions to show that they live.
    pub fn start(&mut self, now: Timestamp) {
        let (groups, mut context) = self.parts(now);
        for group in groups.values() {
            match group {
                Group::Classic(group) => group.start(&mut context),
                Group::Consumer(group) => group.start(&mut context),
                Group::Local(_) => {}
            }
        }
    }

    /// What has become due.
    pub fn expire(&mut self, now: Timestamp) -> Effects {
        let (groups, mut context) = self.parts(now);
        while let Some((id, timer)) = context.timers.pop(now) {
            match groups.get_mut(&id) {
                Some(Group::Classic(group)) => group.expire(timer, &mut context),
                Some(Group::Consumer(group)) => {
                    group.expire(timer, &mut context);
                    convert::finish(groups, &id, &mut context);
                }
                Some(Group::Local(group)) => group.expire(timer, &mut context),
                None => {}
            }
        }
        context.effects
    }

    /// Somebody has set the clock by so much while no time passed: whoever has until then, has as long as before.
    pub fn clock_jumped(&mut self, by_ms: i64) {
        self.timers.shift(by_ms);
    }

    /// When [`Self::expire`] has something to do, as things are.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

    pub(crate) fn contains(&self, group: &GroupId) -> bool {
        self.groups.contains_key(group)
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

    /// The groups, and what they decide with.
    fn parts(&mut self, now: Timestamp) -> (&mut BTreeMap<GroupId, Group>, Context<'_>) {
        let context = Context {
            now,
            config: &self.config,
            overrides: &self.overrides,
            timers: &mut self.timers,
            effects: Effects::default(),
        };
        (&mut self.groups, context)
    }
}
