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
//! Deliberately absent: members of the classic protocol in such a group (`group.consumer.migration.policy` is disabled:
//! a group changes its type while it is empty), rack aware assignment.

mod reconcile;

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{GroupId, Timestamp, TopicName};
use regex::{Regex, RegexBuilder};
use uuid::Uuid;

use super::{
    Caller, ClientInfo, Context, GroupConfig, GroupError, MemberId,
    assign::{self, Partitions, Subscriber},
    stored::{Stored, StoredConsumer, StoredConsumerMember, put_member},
    timers::Timer,
};
pub(super) use reconcile::Progress;

/// The epoch with which a member joins, and that with which a static one leaves to come back; -1 is for good.
pub(super) const JOIN: i32 = 0;
pub(super) const LEAVE_FOR_NOW: i32 = -2;
/// What a compiled expression may take; the engine runs in linear time.
const MAX_REGEX_BYTES: usize = 1 << 20;

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
    unsaved: bool,
    unsaved_members: BTreeSet<MemberId>,
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
            unsaved: true,
            unsaved_members: BTreeSet::new(),
        }
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
            self.topics = self.subscribed(topics);
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
            heartbeat_interval_ms: context.config.consumer.heartbeat_interval_ms,
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
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), request.member.clone());
        }
        self.members.insert(request.member.clone(), Member::new(member));
        self.unsaved_members.insert(request.member.clone());
    }

    /// A static member that has left for now comes back under a new id, to what it had.
    fn replace_static(
        &mut self,
        former: &MemberId,
        id: &MemberId,
        instance: &str,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        let released = self.member(former).durable.epoch == LEAVE_FOR_NOW;
        if !released {
            return Err(GroupError::UnreleasedInstance {
                instance: instance.into(),
                member: former.clone(),
            });
        }
        let mut member = self.members.remove(former).expect("static ids are of members");
        self.cancel_timers(former, context);
        member.durable.epoch = JOIN;
        member.durable.previous_epoch = JOIN;
        member.durable.progress = Progress::Stable;
        self.statics.insert(instance.into(), id.clone());
        self.members.insert(id.clone(), member);
        self.unsaved_members.extend([former.clone(), id.clone()]);
        Ok(())
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
            heartbeat_interval_ms: context.config.consumer.heartbeat_interval_ms,
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
            // of another type of group
            Timer::Join | Timer::Sync => {}
        }
        self.save(context);
    }

    /// Its partitions are free at once; who gets them is found by the next heartbeat.
    fn remove(&mut self, id: &MemberId, context: &mut Context<'_>) {
        let Some(gone) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = &gone.durable.instance {
            self.statics.remove(instance);
        }
        self.cancel_timers(id, context);
        self.topics
            .retain(|topic, _| self.members.values().any(|m| m.reads(topic)));
        self.unsaved_members.insert(id.clone());
        self.next_epoch(context.now);
    }

    fn cancel_timers(&self, id: &MemberId, context: &mut Context<'_>) {
        context.timers.cancel(&self.id, &Timer::Session(id.clone()));
        context.timers.cancel(&self.id, &Timer::Revocation(id.clone()));
    }

    fn restart_timers(&self, id: &MemberId, progress: Progress, epoch: i32, context: &mut Context<'_>) {
        let member = &self.member(id).durable;
        let session_ms = context.config.consumer.session_timeout_ms;
        context.start(&self.id, Timer::Session(id.clone()), session_ms.into());
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
        check_epoch(caller, self.epoch_of(&caller.member)?)
    }

    /// Whether offsets may be read: by everybody, and by members that know their epoch.
    pub(super) fn check_fetch(&self, caller: &Caller) -> Result<(), GroupError> {
        if caller.member.is_empty() && caller.generation < 0 {
            return Ok(());
        }
        check_epoch(caller, self.epoch_of(&caller.member)?)
    }

    fn epoch_of(&self, member: &MemberId) -> Result<i32, GroupError> {
        let found = self.members.get(member).ok_or_else(|| self.unknown(member))?;
        Ok(found.durable.epoch)
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

    pub(super) fn stored(&self) -> StoredConsumer {
        StoredConsumer {
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            topics: self.topics.clone(),
            since: self.since,
        }
    }

    pub(super) fn stored_members(&self) -> impl Iterator<Item = (&MemberId, &StoredConsumerMember)> {
        self.members.iter().map(|(id, m)| (id, &m.durable))
    }

    pub(super) fn load(&mut self, stored: StoredConsumer) {
        if self.stored() != stored {
            self.epoch = stored.epoch;
            self.assignment_epoch = stored.assignment_epoch;
            self.topics = stored.topics;
            self.since = stored.since;
        }
        self.unsaved = false;
    }

    pub(super) fn load_member(&mut self, id: MemberId, stored: Option<StoredConsumerMember>) {
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
    pub(super) fn save(&self, context: &mut Context<'_>) {
        let puts = &mut context.effects.puts;
        if self.unsaved {
            puts.push(Stored::Consumer(self.stored()).put(&self.id));
        }
        for id in &self.unsaved_members {
            let member = self.members.get(id).map(|m| &m.durable);
            puts.push(put_member(&self.id, id, member));
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

/// What the request of a heartbeat must have, whatever the group.
pub(super) fn check_request(
    group: &GroupId,
    request: &ConsumerHeartbeat,
    assignors: &[String],
) -> Result<(), GroupError> {
    let invalid = |reason| Err(GroupError::InvalidRequest { reason });
    let is_blank = |text: &Option<String>| text.as_ref().is_some_and(|t| t.trim().is_empty());
    if group.as_str().trim().is_empty() {
        return invalid("the group has no name");
    }
    if request.member.trim().is_empty() {
        return invalid("the member has no id");
    }
    if is_blank(&request.instance) {
        return invalid("an instance id may not be empty");
    }
    if is_blank(&request.rack) {
        return invalid("a rack id may not be empty");
    }
    if request.epoch < LEAVE_FOR_NOW {
        return invalid("there is no such member epoch");
    }
    if request.epoch == LEAVE_FOR_NOW && request.instance.is_none() {
        return invalid("only a member with an instance id leaves for now");
    }
    if request.epoch == JOIN {
        if request.rebalance_timeout_ms == -1 {
            return invalid("a member joins with its rebalance timeout");
        }
        if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("a member joins without partitions");
        }
        let has_topics = request.topics.as_ref().is_some_and(|topics| !topics.is_empty());
        let is_subscribed = if request.may_use_regex {
            request.topics.is_some() || request.regex.is_some()
        } else {
            has_topics
        };
        if !is_subscribed {
            return invalid("a member joins with its subscription");
        }
    }
    if let Some(regex) = request.regex.as_deref().filter(|regex| !regex.is_empty()) {
        compile(regex)?;
    }
    match &request.assignor {
        Some(assignor) if !assignors.contains(assignor) => Err(GroupError::UnsupportedAssignor {
            assignor: assignor.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// An expression for whole names.
fn compile(regex: &str) -> Result<Regex, GroupError> {
    RegexBuilder::new(&format!("^(?:{regex})$"))
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| GroupError::InvalidRegex {
            regex: regex.into(),
            reason: error.to_string(),
        })
}

fn check_epoch(caller: &Caller, current: i32) -> Result<(), GroupError> {
    if caller.generation == current {
        return Ok(());
    }
    Err(GroupError::StaleEpoch {
        member: caller.member.clone(),
        epoch: caller.generation,
        current,
    })
}

fn is_subset(part: &Partitions, whole: &Partitions) -> bool {
    let has = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
        whole.get(topic).is_some_and(|all| partitions.is_subset(all)) || partitions.is_empty()
    };
    part.iter().all(has)
}
