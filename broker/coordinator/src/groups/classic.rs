//! One group of the classic protocol: its members elect a leader among them, and that assigns.
//!
//! ```text
//!          join                       all joined, or time is up              the leader has synced
//!  Empty --------> PreparingRebalance -------------------> CompletingRebalance ----------> Stable
//!    ^                 |      ^                                   |                          |
//!    +-- nobody left --+      +--------- a member joins, leaves, or is silent ---------------+
//! ```
//!
//! Rules are Kafka's, case by case: [`join`], [`sync`] (with heartbeats and leaving). Invariants:
//! - The generation only grows, and is durable before a member learns of it.
//! - The durable part ([`StoredClassic`]) is written when a generation begins, when its assignment is known, and when a
//!   static member is replaced; heartbeats write nothing. Who waits, who has an id but has not joined, and all deadlines
//!   live in memory: after a restart clients ask again.
//! - A write that failed is made up by the next change: `unsaved` stays set until the record was replayed.
//!
//! Deliberately absent: Kafka's state Dead (a deleted group is not in the map any more).

mod join;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use millstream_types::{GroupId, Timestamp};

use super::{
    Context, GroupError, JoinRefused, Joined, JoinedMember, MemberId, Protocol, Reply, Token,
    bytes_as_text::Opaque,
    embedded::read_subscription,
    stored::{Stored, StoredClassic, StoredMember},
    timers::Timer,
};

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Empty,
    /// Members are to join. `from_empty`: the group is new, and waits a little for more of them.
    Preparing {
        from_empty: bool,
    },
    /// Members have joined and wait for the leader's assignment.
    Completing,
    Stable,
}

#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    pub(super) id: GroupId,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    statics: BTreeMap<String, MemberId>,
    /// Were given an id and have not joined with it yet.
    pending: BTreeSet<MemberId>,
    /// Have joined this generation and not synced yet.
    pending_sync: BTreeSet<MemberId>,
    /// How much longer the first rebalance may be put off, and whether somebody came since it was put off last.
    initial: InitialDelay,
    /// When its members changed last.
    pub(super) since: Timestamp,
    unsaved: bool,
    /// It was a consumer group, and the log does not know yet.
    converted: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct InitialDelay {
    remaining_ms: i64,
    member_added: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance: Option<String>,
    pub(super) client: super::ClientInfo,
    rebalance_timeout_ms: i32,
    session_timeout_ms: i32,
    protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    join: Option<Token>,
    sync: Option<Token>,
    /// It joined and was not answered yet, so it cannot heartbeat.
    is_new: bool,
}

impl Member {
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let spoken = self.protocols.iter().find(|p| Some(p.name.as_str()) == protocol);
        spoken.map_or_else(Bytes::new, |p| p.metadata.clone())
    }

    fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|p| p.name == protocol)
    }
}

impl ClassicGroup {
    /// A group without members; its generations go on after `generation`.
    pub(super) fn new(id: GroupId, generation: i32, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Empty,
            generation,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            initial: InitialDelay::default(),
            since: now,
            unsaved: false,
            converted: false,
        }
    }

    /// What is left of a consumer group: its members, and what they were to have.
    pub(super) fn converted(id: GroupId, stored: StoredClassic) -> Self {
        let mut group = Self::load(id, stored);
        group.protocol = group.select_protocol();
        group.unsaved = true;
        group.converted = true;
        group
    }

    /// Begins to be a group of its own, with a rebalance if somebody is gone.
    pub(super) fn begin(&mut self, rebalances: bool, context: &mut Context<'_>) {
        self.start(context);
        if rebalances {
            self.prepare_rebalance(context);
        }
        self.save(context);
    }

    /// The group becomes another: whoever waits is to ask again.
    pub(super) fn abandon(&mut self, context: &mut Context<'_>) {
        let rebalancing = self.rebalancing();
        for (id, member) in &mut self.members {
            member.answer(id, rebalancing.clone(), context);
        }
    }

    /// What a member said for the protocol that was chosen, or else for its first.
    pub(super) fn subscription_of(&self, member: &MemberId) -> Option<Bytes> {
        let member = self.members.get(member)?;
        let chosen = self
            .protocol
            .as_deref()
            .filter(|protocol| member.speaks(protocol));
        let first = member.protocols.first().map(|p| p.name.as_str());
        Some(member.metadata(chosen.or(first)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether its consumers are subscribed to a topic. One whose subscription cannot be read may be.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        if !self.uses_consumer_protocol() || self.protocol.is_none() {
            return false;
        }
        let protocol = self.protocol.as_deref();
        self.members
            .values()
            .any(|member| match read_subscription(member.metadata(protocol)) {
                Some(subscription) => subscription.topics.contains(topic),
                None => true,
            })
    }

    /// Why a request of that member is refused, if it is.
    fn check_member(&self, member: &MemberId, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                Some(current) if current != member => {
                    return Err(GroupError::FencedInstance {
                        group: self.id.clone(),
                        instance: instance.into(),
                    });
                }
                Some(_) => {}
                None => return Err(self.unknown(member)),
            }
        }
        if self.members.contains_key(member) {
            Ok(())
        } else {
            Err(self.unknown(member))
        }
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.generation {
            return Ok(());
        }
        Err(GroupError::IllegalGeneration {
            group: self.id.clone(),
            generation,
            current: self.generation,
        })
    }

    /// Whether offsets may be committed; `transactional` commits may come without a member (KIP-447).
    pub(super) fn check_commit(&self, caller: &super::Caller, transactional: bool) -> Result<(), GroupError> {
        if caller.generation < 0 && self.is_empty() {
            return Ok(());
        }
        if caller.generation >= 0 || !caller.member.is_empty() || caller.instance.is_some() {
            self.check_member(&caller.member, caller.instance.as_deref())?;
            self.check_generation(caller.generation)?;
        } else if !transactional && !self.is_empty() {
            return Err(self.unknown(&caller.member));
        }
        if !transactional && self.state == State::Completing {
            return Err(self.rebalancing());
        }
        Ok(())
    }

    /// A commit is a sign of life.
    pub(super) fn committed(&mut self, member: &MemberId, context: &mut Context<'_>) {
        if self.members.contains_key(member) && matches!(self.state, State::Stable | State::Preparing { .. })
        {
            self.restart_session(member, context);
        }
    }

    pub(super) fn expire(&mut self, timer: Timer, context: &mut Context<'_>) {
        match timer {
            Timer::Session(member) => self.session_expired(&member, context),
            Timer::Join => self.join_phase_over(context),
            Timer::Sync => self.sync_phase_over(context),
            // of another type of group
            Timer::Revocation(_) | Timer::Answer(_) => {}
        }
        self.save(context);
    }

    fn session_expired(&mut self, member: &MemberId, context: &mut Context<'_>) {
        if self.pending.remove(member) {
            self.maybe_complete_join(context);
            return;
        }
        let waits = |m: &Member| !m.is_new && (m.join.is_some() || m.sync.is_some());
        // Whoever waits for the others is alive; its session goes on when it is answered.
        if self.members.get(member).is_some_and(|m| !waits(m)) {
            self.remove(member, context);
            self.membership_changed(context);
        }
    }

    /// Somebody is gone: the others share anew, or need not wait for it any more.
    fn membership_changed(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Empty => {}
            State::Stable | State::Completing => self.prepare_rebalance(context),
            State::Preparing { .. } => self.maybe_complete_join(context),
        }
    }

    /// Takes a member out; if it waits, it is told that it is unknown and joins again.
    fn remove(&mut self, member: &MemberId, context: &mut Context<'_>) {
        context.timers.cancel(&self.id, &Timer::Session(member.clone()));
        let Some(mut gone) = self.members.remove(member) else {
            return;
        };
        let unknown = self.unknown(member);
        gone.answer(member, unknown, context);
        if let Some(instance) = &gone.instance {
            self.statics.remove(instance);
        }
        self.pending_sync.remove(member);
        if self.leader.as_ref() == Some(member) {
            self.leader = self.members.keys().next().cloned();
        }
        self.since = context.now;
    }

    fn restart_session(&self, member: &MemberId, context: &mut Context<'_>) {
        if let Some(state) = self.members.get(member) {
            context.start(
                &self.id,
                Timer::Session(member.clone()),
                state.session_timeout_ms.into(),
            );
        }
    }

    /// The longest time that a member wants for a rebalance.
    fn rebalance_timeout_ms(&self) -> i64 {
        let longest = self.members.values().map(|m| m.rebalance_timeout_ms).max();
        longest.unwrap_or(0).into()
    }

    /// What is left when the process ends.
    pub(super) fn stored(&self) -> StoredClassic {
        let member = |(id, m): (&MemberId, &Member)| StoredMember {
            id: id.clone(),
            instance: m.instance.clone(),
            client: m.client.clone().into(),
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            session_timeout_ms: m.session_timeout_ms,
            protocols: m
                .protocols
                .iter()
                .map(|p| (p.name.clone(), Opaque(p.metadata.clone())))
                .collect(),
            assignment: Opaque(m.assignment.clone()),
        };
        StoredClassic {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            assigned: self.state == State::Stable,
            rejoin: self.state == State::Preparing { from_empty: false },
            since: self.since,
            members: self.members.iter().map(member).collect(),
        }
    }

    pub(super) fn load(id: GroupId, stored: StoredClassic) -> Self {
        let mut group = Self::new(id, stored.generation, stored.since);
        group.protocol_type = stored.protocol_type;
        group.protocol = stored.protocol;
        group.leader = stored.leader;
        for member in stored.members {
            if let Some(instance) = &member.instance {
                group.statics.insert(instance.clone(), member.id.clone());
            }
            if !stored.assigned && !stored.rejoin {
                group.pending_sync.insert(member.id.clone());
            }
            let protocol = |(name, Opaque(metadata))| Protocol { name, metadata };
            let state = Member {
                instance: member.instance,
                client: member.client.into(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.into_iter().map(protocol).collect(),
                assignment: member.assignment.0,
                join: None,
                sync: None,
                is_new: false,
            };
            group.members.insert(member.id, state);
        }
        group.state = if group.members.is_empty() {
            State::Empty
        } else if stored.assigned {
            State::Stable
        } else if stored.rejoin {
            State::Preparing { from_empty: false }
        } else {
            State::Completing
        };
        group
    }

    /// After a restart every member gets a whole session to show that it lives.
    pub(super) fn start(&self, context: &mut Context<'_>) {
        for member in self.members.keys() {
            self.restart_session(member, context);
        }
        let timer = match self.state {
            State::Completing => Timer::Sync,
            State::Preparing { .. } => Timer::Join,
            State::Empty | State::Stable => return,
        };
        context.start(&self.id, timer, self.rebalance_timeout_ms());
    }

    /// The record that was made of this state is in the log.
    pub(super) fn saved(&mut self) {
        self.unsaved = false;
        self.converted = false;
    }

    /// Every request ends with this: what changed is written.
    fn save(&self, context: &mut Context<'_>) {
        // While members join, what they had together before is what is true after a crash.
        let is_on_the_way = matches!(self.state, State::Preparing { .. }) && !self.converted;
        if self.unsaved && !is_on_the_way {
            let stored = Stored::Classic(self.stored());
            context.effects.puts.push(stored.put(&self.id));
        }
    }

    fn joined(&self, member: &MemberId) -> Joined {
        let is_leader = self.leader.as_ref() == Some(member);
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member: member.clone(),
            skip_assignment: false,
            members: if is_leader {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref();
        let joined = |(id, m): (&MemberId, &Member)| JoinedMember {
            member: id.clone(),
            instance: m.instance.clone(),
            metadata: m.metadata(protocol),
        };
        self.members.iter().map(joined).collect()
    }

    fn unknown(&self, member: &MemberId) -> GroupError {
        GroupError::UnknownMember {
            group: self.id.clone(),
            member: member.clone(),
        }
    }

    fn rebalancing(&self) -> GroupError {
        GroupError::RebalanceInProgress {
            group: self.id.clone(),
        }
    }
}

impl Member {
    /// Ends whatever it waits for.
    fn answer(&mut self, id: &MemberId, error: GroupError, context: &mut Context<'_>) {
        if let Some(token) = self.join.take() {
            let refused = JoinRefused {
                member: id.clone(),
                error: error.clone(),
            };
            context.reply(token, Reply::Join(Err(refused)));
        }
        if let Some(token) = self.sync.take() {
            context.reply(token, Reply::Sync(Err(error)));
        }
    }
}
