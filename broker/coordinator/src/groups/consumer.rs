//! One group of the consumer protocol (KIP-848): the broker assigns, members follow at their own pace.
//!
//! Three epochs: the group's grows with every change of members, subscriptions or topics; the assignment's is that of the
//! group when its target was computed; a member's is that of the assignment it has reached. Invariants:
//! - A partition is in the assignment of a member only after the one who had it has said that it gave it back (or is
//!   gone): [`reconcile`]. So at any time it has at most one owner.
//! - The target is computed by the first heartbeat after a change, and all that a heartbeat answers is in its records.
//!   A heartbeat that changes nothing writes nothing.
//! - After a restart members have their epochs and partitions and heartbeat on.
//!
//! Members of the classic protocol may be in such a group too: [`classic`].
//!
//! Deliberately absent: rack aware assignment.

mod check;
mod classic;
mod reconcile;
mod records;

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{GroupId, Timestamp, TopicName};
use regex::Regex;
use uuid::Uuid;

use super::{
    Caller, ClientInfo, Context, GroupConfig, GroupError, MemberId,
    assign::{self, Partitions, Subscriber},
    embedded::Named,
    stored::StoredConsumerMember,
    timers::Timer,
};
pub(super) use check::check_request;
use check::{check_epoch, compile, is_subset};
pub(super) use reconcile::{Progress, union};

/// The epoch with which a member joins, and that with which a static one leaves to come back; -1 is for good.
pub(super) const JOIN: i32 = 0;
pub(super) const LEAVE_FOR_NOW: i32 = -2;
/// The topics that there are.
pub trait Topics {
    /// Id and partitions of a topic.
    fn get(&self, name: &TopicName) -> Option<(Uuid, i32)>;
    fn names(&self) -> Vec<TopicName>;
}

/// ConsumerGroupHeartbeat. What is `None` has not changed.
#[derive(Clone, Debug, Default)]
pub struct ConsumerHeartbeat {
    pub member: MemberId,
    pub epoch: i32,
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub client: ClientInfo,
    /// -1: has not changed.
    pub rebalance_timeout_ms: i32,
    pub topics: Option<Vec<String>>,
    /// Empty: none (librdkafka says so).
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// What the member has now.
    pub owned: Option<Partitions>,
    /// The version of the request knows regular expressions.
    pub may_use_regex: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerAnswer {
    pub member: MemberId,
    pub epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// `None`: has not changed.
    pub assignment: Option<Partitions>,
}

/// ConsumerGroupDescribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerDescription {
    pub state: &'static str,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: String,
    pub members: Vec<ConsumerMemberDescription>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    pub member: MemberId,
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub epoch: i32,
    pub client: ClientInfo,
    pub topics: Vec<String>,
    pub regex: Option<String>,
    /// It speaks the classic protocol.
    pub is_classic: bool,
    pub assigned: Vec<(Uuid, TopicName, Vec<i32>)>,
    pub target: Vec<(Uuid, TopicName, Vec<i32>)>,
}

#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    pub(super) id: GroupId,
    pub(super) epoch: i32,
    assignment_epoch: i32,
    /// The topics that members are subscribed to, as they were when the group's epoch last grew.
    topics: BTreeMap<TopicName, (Uuid, i32)>,
    pub(super) members: BTreeMap<MemberId, Member>,
    statics: BTreeMap<String, MemberId>,
    pub(super) since: Timestamp,
    /// What the request in hand took from the group, if that may leave none but classic members.
    pub(super) departure: Option<Departure>,
    unsaved: bool,
    unsaved_members: BTreeSet<MemberId>,
}

/// How a member of the consumer protocol came to be one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Left {
        /// Of the group before: nobody has heard of the next one.
        epoch: i32,
    },
    /// A static one came back as a classic member.
    Replaced { subscription_changed: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    durable: StoredConsumerMember,
    /// Of `durable.regex`.
    regex: Option<Regex>,
}

impl Member {
    fn new(durable: StoredConsumerMember) -> Self {
        let regex = durable.regex.as_deref().and_then(|regex| compile(regex).ok());
        Self { durable, regex }
    }

    fn reads(&self, topic: &TopicName) -> bool {
        self.durable.topics.contains(topic.as_str())
            || self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(topic.as_str()))
    }
}

impl ConsumerGroup {
    /// A group without members; its epochs go on after `epoch`.
    pub(super) fn new(id: GroupId, epoch: i32, now: Timestamp) -> Self {
        Self {
            id,
            epoch,
            assignment_epoch: epoch,
            topics: BTreeMap::new(),
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            since: now,
            departure: None,
            unsaved: true,
            unsaved_members: BTreeSet::new(),
        }
    }

    /// Puts a member in that is not there yet.
    pub(super) fn enter(&mut self, id: MemberId, member: StoredConsumerMember) {
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.unsaved_members.insert(id.clone());
        self.members.insert(id, Member::new(member));
    }

    /// Takes the topics as they are.
    pub(super) fn look_at(&mut self, topics: &dyn Topics) {
        self.topics = self.subscribed(topics);
    }

    /// Partitions by the names of their topics, as far as members read these.
    pub(super) fn by_name(&self, partitions: &Partitions) -> Named {
        let named = self.topics.iter().filter_map(|(name, (id, _))| {
            let partitions = partitions.get(id)?;
            Some((name.clone(), partitions.clone()))
        });
        named.collect()
    }

    pub(super) fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        topics: &dyn Topics,
        context: &mut Context<'_>,
    ) -> Result<ConsumerAnswer, GroupError> {
        if request.epoch < JOIN {
            return self.leave(request, context);
        }
        self.admit(request, context)?;
        let id = &request.member;
        let before = self.member(id).durable.clone();
        if self.update(request)? {
            self.look_at(topics);
            self.next_epoch(context.now);
        }
        if self.epoch > self.assignment_epoch {
            self.retarget(context);
        }
        self.reconcile(id, request.owned.as_ref());
        self.restart_timers(id, before.progress, before.epoch, context);
        let member = &self.member(id).durable;
        // A join, or a heartbeat that says all, is answered with all.
        let is_full = request.epoch == JOIN
            || (request.rebalance_timeout_ms != -1
                && (request.topics.is_some() || request.regex.is_some())
                && request.owned.is_some());
        let assignment = (is_full || member.assigned != before.assigned).then(|| member.assigned.clone());
        Ok(ConsumerAnswer {
            member: id.clone(),
            epoch: member.epoch,
            heartbeat_interval_ms: context.heartbeat_ms(&self.id),
            assignment,
        })
    }

    /// Sees that the member is there and says what fits to what is known of it.
    fn admit(&mut self, request: &ConsumerHeartbeat, context: &mut Context<'_>) -> Result<(), GroupError> {
        let id = &request.member;
        let max = context.config.consumer.max_size;
        if request.epoch == JOIN && !self.members.contains_key(id) && self.members.len() >= max {
            let group = self.id.clone();
            return Err(GroupError::Full { group, max });
        }
        let former = request
            .instance
            .as_ref()
            .and_then(|i| self.statics.get(i))
            .cloned();
        if request.epoch == JOIN {
            match (former, &request.instance) {
                (Some(former), Some(instance)) if former != *id => {
                    self.replace_static(&former, id, instance, context)?;
                }
                _ => self.add(request),
            }
            return Ok(());
        }
        self.check_instance(id, request.instance.as_ref())?;
        let member = self.members.get(id).ok_or_else(|| self.unknown(id))?;
        let current = member.durable.epoch;
        // The answer that told of the present epoch may have been lost.
        let owned_before = request
            .owned
            .as_ref()
            .is_some_and(|o| is_subset(o, &member.durable.assigned));
        let is_previous = request.epoch == member.durable.previous_epoch && request.epoch < current;
        if request.epoch == current || (is_previous && owned_before) {
            return Ok(());
        }
        Err(GroupError::FencedEpoch {
            member: id.clone(),
            epoch: request.epoch,
            current,
        })
    }

    fn check_instance(&self, id: &MemberId, instance: Option<&String>) -> Result<(), GroupError> {
        let Some(instance) = instance else { return Ok(()) };
        match self.statics.get(instance) {
            None => Err(self.unknown(id)),
            Some(current) if current != id => Err(GroupError::FencedInstance {
                group: self.id.clone(),
                instance: instance.clone(),
            }),
            Some(_) => Ok(()),
        }
    }

    fn add(&mut self, request: &ConsumerHeartbeat) {
        if self.members.contains_key(&request.member) {
            return;
        }
        let member = StoredConsumerMember {
            instance: request.instance.clone(),
            ..StoredConsumerMember::default()
        };
        self.enter(request.member.clone(), member);
    }

    /// A static member that has left for now comes back under a new id, to what it had; or it was of the classic
    /// protocol, which has no such leaving.
    fn replace_static(
        &mut self,
        former: &MemberId,
        id: &MemberId,
        instance: &str,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        let member = &self.member(former).durable;
        if member.epoch != LEAVE_FOR_NOW && member.classic.is_none() {
            return Err(GroupError::UnreleasedInstance {
                instance: instance.into(),
                member: former.clone(),
            });
        }
        self.take_over(former, id, instance, context);
        Ok(())
    }

    /// What a static member had goes to its next process; whoever has the former id is fenced.
    fn take_over(&mut self, former: &MemberId, id: &MemberId, instance: &str, context: &mut Context<'_>) {
        let mut member = self.members.remove(former).expect("static ids are of members");
        self.cancel_timers(former, context);
        member.durable.epoch = JOIN;
        member.durable.previous_epoch = JOIN;
        member.durable.progress = Progress::Stable;
        self.statics.insert(instance.into(), id.clone());
        self.members.insert(id.clone(), member);
        self.unsaved_members.extend([former.clone(), id.clone()]);
    }

    /// Takes over what the member says of itself; whether its subscription is another now.
    fn update(&mut self, request: &ConsumerHeartbeat) -> Result<bool, GroupError> {
        let id = &request.member;
        let member = self.members.get_mut(id).expect("it was admitted");
        let before = member.durable.clone();
        let next = &mut member.durable;
        if let Some(topics) = &request.topics {
            next.topics = topics.iter().cloned().collect();
        }
        if let Some(regex) = &request.regex {
            next.regex = (!regex.is_empty()).then(|| regex.clone());
        }
        if request.rebalance_timeout_ms != -1 {
            next.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        if request.rack.is_some() {
            next.rack.clone_from(&request.rack);
        }
        if request.assignor.is_some() {
            next.assignor.clone_from(&request.assignor);
        }
        next.client = request.client.clone().into();
        next.classic = None;
        let is_other = next.topics != before.topics || next.regex != before.regex;
        if next.regex != before.regex {
            member.regex = next.regex.as_deref().map(compile).transpose()?;
        }
        if member.durable != before {
            self.unsaved_members.insert(id.clone());
        }
        Ok(is_other)
    }

    /// Topics were made, deleted, or got more partitions.
    pub(super) fn topics_changed(&mut self, topics: &dyn Topics, context: &mut Context<'_>) {
        let subscribed = self.subscribed(topics);
        if subscribed != self.topics {
            self.topics = subscribed;
            self.next_epoch(context.now);
        }
        self.save(context);
    }

    fn subscribed(&self, topics: &dyn Topics) -> BTreeMap<TopicName, (Uuid, i32)> {
        let names = self.members.values().flat_map(|m| &m.durable.topics);
        let mut names: BTreeSet<TopicName> = names.filter_map(|n| TopicName::new(n).ok()).collect();
        let regexes: Vec<_> = self.members.values().filter_map(|m| m.regex.as_ref()).collect();
        if !regexes.is_empty() {
            let all = topics.names().into_iter();
            names.extend(all.filter(|name| regexes.iter().any(|r| r.is_match(name.as_str()))));
        }
        let with_partitions = |name: TopicName| topics.get(&name).map(|found| (name, found));
        names.into_iter().filter_map(with_partitions).collect()
    }

    fn next_epoch(&mut self, now: Timestamp) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.since = now;
        self.unsaved = true;
    }

    /// Computes anew who is to have what.
    fn retarget(&mut self, context: &Context<'_>) {
        let assignor = self.assignor(context.config);
        let subscriber = |(id, member): (&MemberId, &Member)| {
            let topics = self.topics.iter().filter(|(name, _)| member.reads(name));
            let subscriber = Subscriber {
                order: member.durable.instance.clone().unwrap_or_else(|| id.clone()),
                topics: topics.map(|(_, (topic, _))| *topic).collect(),
                target: member.durable.target.clone(),
            };
            (id.clone(), subscriber)
        };
        let members = self.members.iter().map(subscriber).collect();
        let topics = self.topics.values().copied().collect();
        for (id, target) in assign::assign(&assignor, &members, &topics) {
            let member = self.members.get_mut(&id).expect("shares are of members");
            if member.durable.target != target {
                member.durable.target = target;
                self.unsaved_members.insert(id);
            }
        }
        self.assignment_epoch = self.epoch;
        self.unsaved = true;
    }

    /// What most members want; the first of the broker's without a wish.
    fn assignor(&self, config: &GroupConfig) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for assignor in self
            .members
            .values()
            .filter_map(|m| m.durable.assignor.as_deref())
        {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes
            .into_iter()
            .max_by_key(|(_, votes)| *votes)
            .map(|(name, _)| name);
        let default = config.consumer.assignors.first().map(String::as_str);
        most.or(default).unwrap_or(assign::UNIFORM).to_owned()
    }

    fn leave(
        &mut self,
        request: &ConsumerHeartbeat,
        context: &mut Context<'_>,
    ) -> Result<ConsumerAnswer, GroupError> {
        let id = &request.member;
        self.check_instance(id, request.instance.as_ref())?;
        let member = self
            .members
            .get_mut(id)
            .ok_or_else(|| GroupError::UnknownMember {
                group: self.id.clone(),
                member: id.clone(),
            })?;
        if request.epoch == LEAVE_FOR_NOW {
            // Its session goes on; if it is not back by then, it is gone.
            member.durable.epoch = LEAVE_FOR_NOW;
            member.durable.progress = Progress::Stable;
            member.durable.revoking.clear();
            self.unsaved_members.insert(id.clone());
            context.timers.cancel(&self.id, &Timer::Revocation(id.clone()));
        } else {
            self.remove(id, context);
        }
        Ok(ConsumerAnswer {
            member: id.clone(),
            epoch: request.epoch,
            heartbeat_interval_ms: context.heartbeat_ms(&self.id),
            assignment: None,
        })
    }

    pub(super) fn expire(&mut self, timer: Timer, context: &mut Context<'_>) {
        match timer {
            Timer::Session(id) => self.remove(&id, context),
            Timer::Revocation(id) => {
                let late = self
                    .members
                    .get(&id)
                    .is_some_and(|m| m.durable.progress == Progress::Revoking);
                if late {
                    self.remove(&id, context);
                }
            }
            Timer::Answer(id) => {
                let is_classic = self.members.get(&id).is_some_and(|m| m.durable.classic.is_some());
                if is_classic {
                    self.remove(&id, context);
                }
            }
            // of another type of group
            Timer::Join | Timer::Sync => {}
        }
    }

    /// Its partitions are free at once; who gets them is found by the next heartbeat.
    fn remove(&mut self, id: &MemberId, context: &mut Context<'_>) {
        let Some(gone) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = &gone.durable.instance {
            self.statics.remove(instance);
        }
        let epoch = match self.departure {
            Some(Departure::Left { epoch }) => epoch,
            Some(Departure::Replaced { .. }) | None => self.epoch,
        };
        self.departure = Some(Departure::Left { epoch });
        self.cancel_timers(id, context);
        self.topics
            .retain(|topic, _| self.members.values().any(|m| m.reads(topic)));
        self.unsaved_members.insert(id.clone());
        self.next_epoch(context.now);
    }

    fn cancel_timers(&self, id: &MemberId, context: &mut Context<'_>) {
        context.timers.cancel(&self.id, &Timer::Session(id.clone()));
        context.timers.cancel(&self.id, &Timer::Revocation(id.clone()));
        context.timers.cancel(&self.id, &Timer::Answer(id.clone()));
    }

    fn restart_session(&self, id: &MemberId, context: &mut Context<'_>) {
        let classic = self.member(id).durable.classic.as_ref();
        let session_ms = classic.map_or(context.session_ms(&self.id), |c| c.session_timeout_ms);
        context.start(&self.id, Timer::Session(id.clone()), session_ms.into());
    }

    fn restart_timers(&self, id: &MemberId, progress: Progress, epoch: i32, context: &mut Context<'_>) {
        self.restart_session(id, context);
        let member = &self.member(id).durable;
        if member.classic.is_some() {
            return;
        }
        context.timers.cancel(&self.id, &Timer::Answer(id.clone()));
        let timer = Timer::Revocation(id.clone());
        let was_revoking = progress == Progress::Revoking && epoch == member.epoch;
        match member.progress {
            Progress::Revoking if was_revoking => {}
            Progress::Revoking => context.start(&self.id, timer, member.rebalance_timeout_ms.into()),
            Progress::Stable | Progress::Waiting => context.timers.cancel(&self.id, &timer),
        }
    }

    /// After a restart everybody has a whole session, and who gives partitions back its whole time for it.
    pub(super) fn start(&self, context: &mut Context<'_>) {
        for id in self.members.keys() {
            self.restart_timers(id, Progress::Stable, self.epoch, context);
        }
    }

    /// Whether offsets may be committed.
    pub(super) fn check_commit(&self, caller: &Caller, transactional: bool) -> Result<(), GroupError> {
        if caller.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if transactional && *caller == Caller::outsider() {
            return Ok(());
        }
        self.check_epoch(caller)
    }

    /// Whether a commit of that member must come with a version that has a place for its epoch.
    pub(super) fn wants_epoch_of(&self, caller: &Caller) -> bool {
        let member = self.members.get(&caller.member);
        !self.members.is_empty() && member.is_none_or(|m| m.durable.classic.is_none())
    }

    /// Whether offsets may be read: by everybody, and by members that know their epoch.
    pub(super) fn check_fetch(&self, caller: &Caller) -> Result<(), GroupError> {
        if caller.member.is_empty() && caller.generation < 0 {
            return Ok(());
        }
        self.check_epoch(caller)
    }

    fn check_epoch(&self, caller: &Caller) -> Result<(), GroupError> {
        let member = self.members.get(&caller.member);
        let member = &member.ok_or_else(|| self.unknown(&caller.member))?.durable;
        if member.classic.is_some() && caller.generation != member.epoch {
            return Err(GroupError::IllegalGeneration {
                group: self.id.clone(),
                generation: caller.generation,
                current: member.epoch,
            });
        }
        check_epoch(caller, member.epoch)
    }

    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.topics.keys().any(|name| name.as_str() == topic)
    }

    pub(super) fn state_name(&self) -> &'static str {
        let settled =
            |m: &Member| m.durable.progress == Progress::Stable && m.durable.epoch == self.assignment_epoch;
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(settled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    pub(super) fn describe(&self, config: &GroupConfig) -> ConsumerDescription {
        let named = |partitions: &Partitions| {
            let name = |(id, partitions): (&Uuid, &BTreeSet<i32>)| {
                let (name, _) = self.topics.iter().find(|(_, (topic, _))| topic == id)?;
                Some((*id, name.clone(), partitions.iter().copied().collect()))
            };
            partitions.iter().filter_map(name).collect()
        };
        let describe = |(id, m): (&MemberId, &Member)| ConsumerMemberDescription {
            member: id.clone(),
            instance: m.durable.instance.clone(),
            rack: m.durable.rack.clone(),
            epoch: m.durable.epoch,
            client: m.durable.client.clone().into(),
            topics: m.durable.topics.iter().cloned().collect(),
            regex: m.durable.regex.clone(),
            is_classic: m.durable.classic.is_some(),
            assigned: named(&m.durable.assigned),
            target: named(&m.durable.target),
        };
        ConsumerDescription {
            state: self.state_name(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor: self.assignor(config),
            members: self.members.iter().map(describe).collect(),
        }
    }

    fn member(&self, id: &MemberId) -> &Member {
        self.members.get(id).expect("it was admitted")
    }

    fn unknown(&self, member: &MemberId) -> GroupError {
        GroupError::UnknownMember {
            group: self.id.clone(),
            member: member.clone(),
        }
    }
}
