//! JoinGroup, and the join phase of a rebalance.

use super::{ClassicGroup, InitialDelay, Member, State};
use crate::groups::{
    Context, GroupError, JoinRefused, JoinRequest, MemberId, Protocol, Reply, Token, timers::Timer,
};

/// How long a member may wait that cannot heartbeat yet. If its client gave up meanwhile, nobody would notice.
const NEW_MEMBER_TIMEOUT_MS: i64 = 300_000;
/// How long nobody looks whether one of the static members has come back, at least.
const ABSENT_WAIT_MS: i64 = 1_000;
/// Members that have an id and have not joined: what strangers can make this broker remember.
const MAX_PENDING: usize = 10_000;

impl ClassicGroup {
    pub(in crate::groups) fn join(&mut self, request: JoinRequest, token: Token, context: &mut Context<'_>) {
        if let Err(refused) = self.try_join(request, token, context) {
            context.reply(token, Reply::Join(Err(refused)));
        }
        self.save(context);
    }

    fn try_join(
        &mut self,
        request: JoinRequest,
        token: Token,
        context: &mut Context<'_>,
    ) -> Result<(), JoinRefused> {
        let refused = |member: &MemberId, error| {
            Err(JoinRefused {
                member: member.clone(),
                error,
            })
        };
        if !self.accepts(&request.member, context) {
            self.remove(&request.member, context);
            let (group, max) = (self.id.clone(), context.config.max_size);
            return refused(&MemberId::new(), GroupError::Full { group, max });
        }
        if !self.speaks(&request.protocol_type, &request.protocols) {
            let group = self.id.clone();
            return refused(&request.member, GroupError::InconsistentProtocol { group });
        }
        if request.member.is_empty() {
            return self.join_new(request, token, context);
        }
        if self.pending.remove(&request.member) {
            let id = request.member.clone();
            self.add(id, request, token, context);
            return Ok(());
        }
        if let Err(error) = self.check_member(&request.member, request.instance.as_deref()) {
            return refused(&request.member, error);
        }
        self.rejoin(request, token, context);
        Ok(())
    }

    /// Existing members are let in again, new ones up to the limit.
    fn accepts(&self, member: &MemberId, context: &Context<'_>) -> bool {
        let max = context.config.max_size;
        let known = self.members.get(member);
        match self.state {
            State::Empty => true,
            // Whoever waits counts: of a group that is too large, the last to come are turned away.
            State::Preparing { .. } => {
                known.is_some_and(|m| m.join.is_some())
                    || self.members.values().filter(|m| m.join.is_some()).count() < max
            }
            State::Completing | State::Stable => known.is_some() || self.members.len() < max,
        }
    }

    /// Whether the group can go on with a member that offers these protocols.
    fn speaks(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|p| self.members.values().all(|m| m.speaks(&p.name)))
    }

    fn join_new(
        &mut self,
        request: JoinRequest,
        token: Token,
        context: &mut Context<'_>,
    ) -> Result<(), JoinRefused> {
        let member = request.new_member.clone();
        if let Some(instance) = &request.instance {
            match self.statics.get(instance).cloned() {
                Some(former) => self.replace_static(&former, request, token, context),
                None => self.add(member, request, token, context),
            }
            return Ok(());
        }
        if !request.requires_member_id {
            self.add(member, request, token, context);
            return Ok(());
        }
        if self.pending.len() >= MAX_PENDING {
            let (group, max) = (self.id.clone(), MAX_PENDING);
            let member = MemberId::new();
            return Err(JoinRefused {
                member,
                error: GroupError::Full { group, max },
            });
        }
        self.pending.insert(member.clone());
        context.start(
            &self.id,
            Timer::Session(member.clone()),
            request.session_timeout_ms.into(),
        );
        let error = GroupError::MemberIdRequired {
            member: member.clone(),
        };
        Err(JoinRefused { member, error })
    }

    fn add(&mut self, id: MemberId, request: JoinRequest, token: Token, context: &mut Context<'_>) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        let member = Member {
            instance: request.instance,
            client: request.client,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            join: Some(token),
            sync: None,
            is_new: true,
        };
        self.members.insert(id.clone(), member);
        self.since = context.now;
        self.initial.member_added = self.state == State::Preparing { from_empty: true };
        context.start(&self.id, Timer::Session(id), NEW_MEMBER_TIMEOUT_MS);
        self.rebalance(context);
    }

    /// A known member joins: often only because the last answer did not reach it.
    fn rejoin(&mut self, request: JoinRequest, token: Token, context: &mut Context<'_>) {
        let id = request.member.clone();
        let member = self.members.get(&id).expect("checked before");
        let unchanged = member.protocols == request.protocols;
        let is_leader = self.leader.as_ref() == Some(&id);
        let current = match self.state {
            State::Completing => unchanged,
            // When the leader comes back, it may have seen new partitions.
            State::Stable => unchanged && !is_leader,
            State::Empty | State::Preparing { .. } => false,
        };
        if current {
            let joined = self.joined(&id);
            context.reply(token, Reply::Join(Ok(joined)));
            return;
        }
        self.update(&id, request, token, context);
        self.rebalance(context);
    }

    fn update(&mut self, id: &MemberId, request: JoinRequest, token: Token, context: &mut Context<'_>) {
        let member = self.members.get_mut(id).expect("callers have it");
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        member.client = request.client;
        if let Some(former) = member.join.replace(token) {
            // The same member asked twice; whoever asked first has most likely given up.
            let error = GroupError::RebalanceInProgress {
                group: self.id.clone(),
            };
            let refused = JoinRefused {
                member: id.clone(),
                error,
            };
            context.reply(former, Reply::Join(Err(refused)));
        }
    }

    /// A static member is started anew, with a new id (KIP-345): whoever had the old one is fenced. What it owned stays
    /// with it, and the others notice nothing.
    fn replace_static(
        &mut self,
        former: &MemberId,
        request: JoinRequest,
        token: Token,
        context: &mut Context<'_>,
    ) {
        let id = request.new_member.clone();
        let instance = request.instance.clone().expect("a static member has one");
        let leader_before = self.leader.clone().unwrap_or_default();
        let mut member = self.members.remove(former).expect("static ids are of members");
        context.timers.cancel(&self.id, &Timer::Session(former.clone()));
        let fenced = GroupError::FencedInstance {
            group: self.id.clone(),
            instance: instance.clone(),
        };
        member.answer(former, fenced, context);
        member.is_new = false;
        if self.pending_sync.remove(former) {
            self.pending_sync.insert(id.clone());
        }
        if self.leader.as_ref() == Some(former) {
            self.leader = Some(id.clone());
        }
        self.statics.insert(instance, id.clone());
        self.members.insert(id.clone(), member);
        let can_skip = request.can_skip_assignment;
        self.update(&id, request, token, context);
        self.restart_session(&id, context);
        match self.state {
            State::Stable if self.protocol == self.select_protocol() => {
                self.members.get_mut(&id).expect("added above").join = None;
                let mut joined = self.joined(&id);
                if can_skip {
                    joined.skip_assignment = self.leader.as_ref() == Some(&id);
                } else {
                    // An old client must not take itself for the leader, it would assign anew.
                    joined.leader = leader_before;
                    joined.members = Vec::new();
                }
                self.unsaved = true;
                context.reply(token, Reply::Join(Ok(joined)));
            }
            // The leader may be assigning to the former id already.
            State::Stable | State::Completing => self.prepare_rebalance(context),
            State::Empty | State::Preparing { .. } => self.maybe_complete_join(context),
        }
    }

    fn rebalance(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::Preparing { .. } => self.maybe_complete_join(context),
            State::Empty | State::Completing | State::Stable => self.prepare_rebalance(context),
        }
    }

    pub(super) fn prepare_rebalance(&mut self, context: &mut Context<'_>) {
        let rebalancing = self.rebalancing();
        let mut told = Vec::new();
        for (id, member) in &mut self.members {
            if self.state == State::Completing {
                member.assignment.clear();
            }
            if let Some(token) = member.sync.take() {
                context.reply(token, Reply::Sync(Err(rebalancing.clone())));
                told.push(id.clone());
            }
        }
        for member in told {
            self.restart_session(&member, context);
        }
        self.pending_sync.clear();
        context.timers.cancel(&self.id, &Timer::Sync);
        if self.state == State::Empty {
            self.state = State::Preparing { from_empty: true };
            let delay_ms = context.config.initial_rebalance_delay_ms;
            self.initial = InitialDelay {
                remaining_ms: (self.rebalance_timeout_ms() - delay_ms).max(0),
                member_added: false,
            };
            if delay_ms > 0 {
                context.start(&self.id, Timer::Join, delay_ms);
            } else {
                self.complete_join(context);
            }
            return;
        }
        self.state = State::Preparing { from_empty: false };
        if self.all_joined() {
            self.complete_join(context);
        } else {
            context.start(&self.id, Timer::Join, self.rebalance_timeout_ms());
        }
    }

    fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|m| m.join.is_some())
    }

    pub(super) fn maybe_complete_join(&mut self, context: &mut Context<'_>) {
        if self.state == (State::Preparing { from_empty: false }) && self.all_joined() {
            self.complete_join(context);
        }
    }

    /// Time is up; a new group gets more of it while members keep coming.
    pub(super) fn join_phase_over(&mut self, context: &mut Context<'_>) {
        let delay_ms = context.config.initial_rebalance_delay_ms;
        match self.state {
            State::Preparing { from_empty: true }
                if self.initial.member_added && self.initial.remaining_ms > 0 =>
            {
                let next_ms = delay_ms.min(self.initial.remaining_ms);
                self.initial = InitialDelay {
                    remaining_ms: (self.initial.remaining_ms - delay_ms).max(0),
                    member_added: false,
                };
                context.start(&self.id, Timer::Join, next_ms);
            }
            State::Preparing { .. } => self.complete_join(context),
            State::Empty | State::Completing | State::Stable => {}
        }
    }

    fn complete_join(&mut self, context: &mut Context<'_>) {
        context.timers.cancel(&self.id, &Timer::Join);
        let is_late = |m: &Member| m.join.is_none() && m.instance.is_none();
        let late: Vec<_> = self
            .members
            .iter()
            .filter(|(_, m)| is_late(m))
            .map(|(id, _)| id.clone())
            .collect();
        for member in late {
            self.remove(&member, context);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none is here: they have until their sessions end.
            let wait_ms = self.rebalance_timeout_ms().max(ABSENT_WAIT_MS);
            context.start(&self.id, Timer::Join, wait_ms);
            return;
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        self.unsaved = true;
        self.since = context.now;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.protocol = None;
            return;
        }
        self.protocol = self.select_protocol();
        self.state = State::Completing;
        self.pending_sync = self.members.keys().cloned().collect();
        let answers: Vec<_> = self
            .members
            .keys()
            .map(|id| (id.clone(), self.joined(id)))
            .collect();
        for (id, joined) in answers {
            let member = self.members.get_mut(&id).expect("its own key");
            member.is_new = false;
            if let Some(token) = member.join.take() {
                context.reply(token, Reply::Join(Ok(joined)));
            }
            self.restart_session(&id, context);
        }
        context.start(&self.id, Timer::Sync, self.rebalance_timeout_ms());
    }

    /// Whether there is a leader that has joined.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &MemberId| self.members.get(id).is_some_and(|m| m.join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let next = self.members.keys().find(|id| has_joined(id)).cloned();
        match next {
            Some(leader) => {
                self.leader = Some(leader);
                true
            }
            None => false,
        }
    }

    /// The protocol with the most first choices among those that all members speak.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let common = first.protocols.iter().map(|p| p.name.as_str());
        let common: Vec<&str> = common
            .filter(|name| self.members.values().all(|m| m.speaks(name)))
            .collect();
        let votes = |name: &str| {
            let choice = |m: &Member| {
                m.protocols
                    .iter()
                    .find(|p| common.contains(&p.name.as_str()))
                    .map(|p| p.name.clone())
            };
            self.members
                .values()
                .filter(|m| choice(m).as_deref() == Some(name))
                .count()
        };
        // of several with as many, the first one's first
        let best = common.iter().rev().max_by_key(|name| votes(name))?;
        Some((*best).to_owned())
    }
}
