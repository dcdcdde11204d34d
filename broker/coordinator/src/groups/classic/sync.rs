//! SyncGroup, Heartbeat, LeaveGroup.

use std::collections::BTreeMap;

use super::{ClassicGroup, State};
use crate::groups::{
    Caller, Context, GroupError, MemberId, Reply, SyncRequest, Synced, Token, timers::Timer,
};

impl ClassicGroup {
    pub(in crate::groups) fn sync(&mut self, request: SyncRequest, token: Token, context: &mut Context<'_>) {
        if let Err(error) = self.try_sync(request, token, context) {
            context.reply(token, Reply::Sync(Err(error)));
        }
        self.save(context);
    }

    fn try_sync(
        &mut self,
        request: SyncRequest,
        token: Token,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        let Caller {
            member,
            instance,
            generation,
        } = &request.caller;
        self.check_member(member, instance.as_deref())?;
        self.check_generation(*generation)?;
        let differs = |given: &Option<String>, ours: &Option<String>| given.is_some() && given != ours;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentProtocol {
                group: self.id.clone(),
            });
        }
        match self.state {
            State::Empty => Err(self.unknown(member)),
            State::Preparing { .. } => Err(self.rebalancing()),
            State::Completing => {
                self.synced(member, context);
                let state = self.members.get_mut(member).expect("checked above");
                if let Some(former) = state.sync.replace(token) {
                    // It asked twice; only the last one is still wanted.
                    let error = self.rebalancing();
                    context.reply(former, Reply::Sync(Err(error)));
                }
                if self.leader.as_ref() == Some(member) {
                    self.assign(request.assignments, context);
                }
                Ok(())
            }
            State::Stable => {
                self.synced(member, context);
                self.restart_session(member, context);
                let synced = self.assignment_of(member);
                context.reply(token, Reply::Sync(Ok(synced)));
                Ok(())
            }
        }
    }

    fn synced(&mut self, member: &MemberId, context: &mut Context<'_>) {
        self.pending_sync.remove(member);
        if self.pending_sync.is_empty() {
            context.timers.cancel(&self.id, &Timer::Sync);
        }
    }

    /// The leader has decided. Whom it left out gets nothing, but an answer.
    fn assign(&mut self, assignments: Vec<(MemberId, bytes::Bytes)>, context: &mut Context<'_>) {
        let mut assignments: BTreeMap<_, _> = assignments.into_iter().collect();
        self.state = State::Stable;
        self.unsaved = true;
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            let member = self.members.get_mut(&id).expect("its own key");
            member.assignment = assignments.remove(&id).unwrap_or_default();
            if let Some(token) = member.sync.take() {
                let synced = self.assignment_of(&id);
                context.reply(token, Reply::Sync(Ok(synced)));
                self.restart_session(&id, context);
            }
        }
    }

    fn assignment_of(&self, member: &MemberId) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(member)
                .map_or_else(bytes::Bytes::new, |m| m.assignment.clone()),
        }
    }

    /// Some members have joined and then not asked for their share: without them.
    pub(super) fn sync_phase_over(&mut self, context: &mut Context<'_>) {
        if !matches!(self.state, State::Completing | State::Stable) || self.pending_sync.is_empty() {
            return;
        }
        for member in std::mem::take(&mut self.pending_sync) {
            self.remove(&member, context);
        }
        self.prepare_rebalance(context);
    }

    pub(in crate::groups) fn heartbeat(
        &mut self,
        caller: &Caller,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        self.check_member(&caller.member, caller.instance.as_deref())?;
        self.check_generation(caller.generation)?;
        match self.state {
            State::Empty => Err(self.unknown(&caller.member)),
            State::Preparing { .. } => {
                self.restart_session(&caller.member, context);
                Err(self.rebalancing())
            }
            State::Completing | State::Stable => {
                self.restart_session(&caller.member, context);
                Ok(())
            }
        }
    }

    /// Members leave, by their own wish or, by instance id alone, by an administrator's.
    pub(in crate::groups) fn leave(
        &mut self,
        leaving: &[(MemberId, Option<String>)],
        context: &mut Context<'_>,
    ) -> Vec<Result<(), GroupError>> {
        let results: Vec<_> = leaving
            .iter()
            .map(|(member, instance)| self.leave_one(member, instance.as_deref(), context))
            .collect();
        if results.iter().any(Result::is_ok) {
            self.membership_changed(context);
        }
        self.save(context);
        results
    }

    fn leave_one(
        &mut self,
        member: &MemberId,
        instance: Option<&str>,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        if member.is_empty() {
            let named = instance.and_then(|instance| self.statics.get(instance)).cloned();
            let named = named.ok_or_else(|| self.unknown(member))?;
            self.remove(&named, context);
        } else if self.pending.remove(member) {
            context.timers.cancel(&self.id, &Timer::Session(member.clone()));
        } else {
            self.check_member(member, instance)?;
            self.remove(member, context);
        }
        Ok(())
    }
}
