//! Members of the classic protocol in a consumer group, while an application moves from one protocol to the other
//! (KIP-848).
//!
//! The broker assigns to them as to the others; their generation is their member epoch. What a member of the consumer
//! protocol hears in a heartbeat, such a one hears as a rebalance of its own: a heartbeat says REBALANCE_IN_PROGRESS, it
//! joins with what it has, and syncs for what it is to have. Whoever is told so and does not follow within its rebalance
//! timeout is removed.

use super::{ConsumerGroup, Departure, Progress, StoredConsumerMember, Topics};
use crate::groups::{
    Caller, Context, GroupError, JoinRefused, JoinRequest, Joined, MemberId, SyncRequest, Synced,
    bytes_as_text::Opaque,
    classic::CONSUMER,
    embedded::{self, Subscription},
    stored::StoredClassicMember,
    timers::Timer,
};

impl ConsumerGroup {
    /// JoinGroup of a group that is not empty.
    pub(in crate::groups) fn join_classic(
        &mut self,
        request: &JoinRequest,
        topics: &dyn Topics,
        context: &mut Context<'_>,
    ) -> Result<Joined, JoinRefused> {
        let refused = |member: &MemberId, error| JoinRefused {
            member: member.clone(),
            error,
        };
        let subscription = self
            .check_join(request, context)
            .map_err(|error| refused(&request.member, error))?;
        let is_new = request.member.is_empty();
        if is_new && request.instance.is_none() && request.requires_member_id {
            let member = request.new_member.clone();
            return Err(refused(&member.clone(), GroupError::MemberIdRequired { member }));
        }
        let (id, replaces) = self
            .admit_classic(request, context)
            .map_err(|error| refused(&request.member, error))?;
        let subscription_changed = self.update_classic(&id, request, &subscription);
        if subscription_changed {
            self.look_at(topics);
            self.next_epoch(context.now);
        }
        if self.epoch > self.assignment_epoch {
            self.retarget(context);
        }
        self.reconcile(&id, Some(&embedded::by_id(&subscription.owned, topics)));
        if replaces {
            self.departure = Some(Departure::Replaced { subscription_changed });
        }
        self.restart_session(&id, context);
        context.start(
            &self.id,
            Timer::Answer(id.clone()),
            request.rebalance_timeout_ms.into(),
        );
        Ok(Joined {
            generation: self.member(&id).durable.epoch,
            protocol_type: Some(CONSUMER.into()),
            protocol: request.protocols.first().map(|p| p.name.clone()),
            // The broker leads.
            leader: MemberId::new(),
            member: id,
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    /// What a request must have to be one of a member here.
    fn check_join(&self, request: &JoinRequest, context: &Context<'_>) -> Result<Subscription, GroupError> {
        let group = || self.id.clone();
        let max = context.config.consumer.max_size;
        let replaces = request
            .instance
            .as_ref()
            .is_some_and(|i| self.statics.contains_key(i));
        let is_known = self.members.contains_key(&request.member) || replaces;
        if !is_known && self.members.len() >= max {
            return Err(GroupError::Full { group: group(), max });
        }
        let inconsistent = || GroupError::InconsistentProtocol { group: group() };
        let first = request.protocols.first().ok_or_else(inconsistent)?;
        let others = || {
            let others = self.members.iter().filter(|(id, _)| **id != request.member);
            others.filter_map(|(_, member)| member.durable.classic.as_ref())
        };
        let is_common = |name: &str| others().all(|other| other.protocols.iter().any(|(n, _)| n == name));
        if request.protocol_type != CONSUMER || !request.protocols.iter().any(|p| is_common(&p.name)) {
            return Err(inconsistent());
        }
        embedded::read_subscription(first.metadata.clone()).ok_or_else(inconsistent)
    }

    /// Sees that the member is there; and whether a static member of the consumer protocol has become a classic one.
    fn admit_classic(
        &mut self,
        request: &JoinRequest,
        context: &mut Context<'_>,
    ) -> Result<(MemberId, bool), GroupError> {
        let is_new = request.member.is_empty();
        let given = if is_new {
            &request.new_member
        } else {
            &request.member
        };
        if let Some(instance) = &request.instance {
            match self.statics.get(instance).cloned() {
                Some(former) if is_new => {
                    let replaces = self.member(&former).durable.classic.is_none();
                    self.take_over(&former, given, instance, context);
                    return Ok((given.clone(), replaces));
                }
                Some(former) if former != *given => {
                    return Err(GroupError::FencedInstance {
                        group: self.id.clone(),
                        instance: instance.clone(),
                    });
                }
                None if !is_new => return Err(self.unknown(given)),
                Some(_) | None => {}
            }
        }
        if !self.members.contains_key(given) {
            let member = StoredConsumerMember {
                instance: request.instance.clone(),
                ..StoredConsumerMember::default()
            };
            self.enter(given.clone(), member);
        }
        Ok((given.clone(), false))
    }

    /// Takes over what the member says of itself; whether its subscription is another now.
    fn update_classic(&mut self, id: &MemberId, request: &JoinRequest, subscription: &Subscription) -> bool {
        let member = self.members.get_mut(id).expect("it was admitted");
        let before = member.durable.clone();
        let protocol = |p: &crate::groups::Protocol| (p.name.clone(), Opaque(p.metadata.clone()));
        let next = &mut member.durable;
        next.topics.clone_from(&subscription.topics);
        next.regex = None;
        member.regex = None;
        if subscription.rack.is_some() {
            next.rack.clone_from(&subscription.rack);
        }
        next.rebalance_timeout_ms = request.rebalance_timeout_ms;
        next.client = request.client.clone().into();
        next.classic = Some(StoredClassicMember {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.iter().map(protocol).collect(),
        });
        let is_other = next.topics != before.topics || next.regex != before.regex;
        if *next != before {
            self.unsaved_members.insert(id.clone());
        }
        is_other
    }

    /// SyncGroup: what the member is to have now.
    pub(in crate::groups) fn sync_classic(
        &self,
        request: &SyncRequest,
        context: &mut Context<'_>,
    ) -> Result<Synced, GroupError> {
        let caller = &request.caller;
        let (member, classic) = self.classic_member(caller)?;
        let first = classic.protocols.first();
        let is_other_type = request
            .protocol_type
            .as_deref()
            .is_some_and(|given| given != CONSUMER);
        let is_other = request
            .protocol
            .as_ref()
            .is_some_and(|given| first.is_none_or(|(name, _)| name != given));
        if is_other_type || is_other {
            let group = self.id.clone();
            return Err(GroupError::InconsistentProtocol { group });
        }
        // While it gives partitions back it has joined already, and will join again when it did.
        if self.epoch > member.epoch && member.progress != Progress::Revoking {
            return Err(self.is_to_rejoin(&caller.member, context));
        }
        context
            .timers
            .cancel(&self.id, &Timer::Answer(caller.member.clone()));
        self.restart_session(&caller.member, context);
        let version = first.map_or(0, |(_, Opaque(metadata))| embedded::version(metadata));
        Ok(Synced {
            protocol_type: Some(CONSUMER.into()),
            protocol: first.map(|(name, _)| name.clone()),
            assignment: embedded::write_assignment(&self.by_name(&member.assigned), version),
        })
    }

    /// Heartbeat. Whoever is to give something back, or can have something, is told to join again.
    pub(in crate::groups) fn heartbeat_classic(
        &self,
        caller: &Caller,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        let (member, _) = self.classic_member(caller)?;
        self.restart_session(&caller.member, context);
        let can_go_on = match member.progress {
            Progress::Stable => false,
            Progress::Revoking => true,
            Progress::Waiting => self.all_free(&caller.member),
        };
        if self.epoch > member.epoch || can_go_on {
            return Err(self.is_to_rejoin(&caller.member, context));
        }
        Ok(())
    }

    /// LeaveGroup: by their own wish or, by an administrator's, members of either protocol.
    pub(in crate::groups) fn take_out(
        &mut self,
        leaving: &[(MemberId, Option<String>)],
        context: &mut Context<'_>,
    ) -> Vec<Result<(), GroupError>> {
        let mut leave = |(member, instance): &(MemberId, Option<String>)| {
            let found = match instance {
                None => self.members.contains_key(member).then(|| member.clone()),
                Some(instance) => self.statics.get(instance).cloned(),
            };
            let found = found.ok_or_else(|| self.unknown(member))?;
            if let Some(instance) = instance
                .as_ref()
                .filter(|_| !member.is_empty() && *member != found)
            {
                return Err(GroupError::FencedInstance {
                    group: self.id.clone(),
                    instance: instance.clone(),
                });
            }
            self.remove(&found, context);
            Ok(())
        };
        leaving.iter().map(&mut leave).collect()
    }

    /// A member of the classic protocol that says who it is, and in which generation.
    fn classic_member(
        &self,
        caller: &Caller,
    ) -> Result<(&StoredConsumerMember, &StoredClassicMember), GroupError> {
        self.check_instance(&caller.member, caller.instance.as_ref())?;
        let member = self.members.get(&caller.member);
        let member = member.ok_or_else(|| self.unknown(&caller.member))?;
        let classic = member.durable.classic.as_ref();
        let classic = classic.ok_or_else(|| self.unknown(&caller.member))?;
        if caller.generation != member.durable.epoch {
            return Err(GroupError::IllegalGeneration {
                group: self.id.clone(),
                generation: caller.generation,
                current: member.durable.epoch,
            });
        }
        Ok((&member.durable, classic))
    }

    fn is_to_rejoin(&self, id: &MemberId, context: &mut Context<'_>) -> GroupError {
        let timeout_ms = self.member(id).durable.rebalance_timeout_ms;
        context.start_once(&self.id, Timer::Answer(id.clone()), timeout_ms.into());
        GroupError::RebalanceInProgress {
            group: self.id.clone(),
        }
    }
}
