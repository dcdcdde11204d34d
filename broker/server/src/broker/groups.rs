//! Groups: members of this process and the timer here, the port's requests in [`classic`], [`consumer`] and [`admin`].

mod admin;
mod classic;
mod consumer;
mod waiters;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use millstream_broker_coordinator::{
    Assignment, ConsumerGroupConfig, Coordinator, Decision, Effects, GroupConfig, GroupError, LocalJoin,
    MemberId, UnknownMember,
};
use millstream_broker_storage::{Topic, UnknownTopic, WriteError};
use millstream_types::{GroupId, Timestamp, TopicName};
use tokio::sync::watch;
use tracing::warn;

use super::{Broker, only_write};
use crate::BrokerSettings;
pub(super) use waiters::Waiters;
use waiters::{Durable, not_stored};

/// How late a deadline may be noticed that came up while the timer slept.
const TICK: Duration = Duration::from_millis(200);

/// Why a member could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    UnknownTopic(#[from] UnknownTopic),
    /// Members of the port have the group.
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A new membership.
#[derive(Clone, Debug)]
pub struct Joined {
    pub member: MemberId,
    pub assignment: Assignment,
}

impl Broker {
    /// Joins a group whose members share the partitions of a topic. The member must heartbeat within each session
    /// timeout, or it is removed.
    pub async fn join(
        &self,
        group: &GroupId,
        topic: &TopicName,
        session_timeout: Duration,
    ) -> Result<Joined, JoinError> {
        self.storage().room().await;
        let member = self.storage().new_id().to_string();
        let (assignment, ticket) = {
            let mut coordinator = self.lock();
            let Some(found) = self.storage().topic(topic) else {
                return Err(UnknownTopic { topic: topic.clone() }.into());
            };
            let join = LocalJoin {
                group: group.clone(),
                member: member.clone(),
                topic: topic.clone(),
                partitions: found.partitions,
                session_timeout_ms: i64::try_from(session_timeout.as_millis()).unwrap_or(i64::MAX),
            };
            let decision = coordinator.groups.join_local(join, self.clock().now())?;
            self.perform(&mut coordinator, decision).map_err(only_write)?
        };
        self.rebalanced.send_replace(());
        ticket.await?;
        Ok(Joined { member, assignment })
    }

    /// Keeps a member alive and answers what it owns now.
    pub fn heartbeat(&self, group: &GroupId, member: &MemberId) -> Result<Assignment, UnknownMember> {
        let now = self.clock().now();
        self.lock().groups.heartbeat_local(group, member, now)
    }

    /// What a member owns now.
    pub fn assignment(&self, group: &GroupId, member: &MemberId) -> Result<Assignment, UnknownMember> {
        self.lock().groups.assignment(group, member)
    }

    /// Changes when any member may have a new assignment.
    pub fn watch_assignments(&self) -> watch::Receiver<()> {
        self.rebalanced.subscribe()
    }

    /// Gives the member's partitions to the others at once.
    pub fn leave(&self, group: &GroupId, member: &MemberId) -> Result<(), UnknownMember> {
        let mut coordinator = self.lock();
        let now = self.clock().now();
        let decision = coordinator.groups.leave_local(group, member, now)?;
        self.rebalance(&mut coordinator, decision);
        Ok(())
    }

    pub(super) fn resize_groups(&self, topic: &Topic) {
        let mut coordinator = self.lock();
        let now = self.clock().now();
        let effects = coordinator
            .groups
            .resize_topic(&topic.name, topic.partitions, now);
        let _later = self.settle(&mut coordinator, effects);
        drop(coordinator);
        self.topics_changed();
    }

    /// What has become due, and when something will next.
    fn expire_members(&self) -> Option<Timestamp> {
        let mut coordinator = self.lock();
        let effects = coordinator.groups.expire(self.clock().now());
        // The timer itself need not be woken: it looks at the deadline that this answers.
        let _later = self.apply(&mut coordinator, effects);
        coordinator.groups.next_deadline()
    }

    /// Writes what groups decided and hands out their replies. What this returns resolves when all of it is durable.
    fn settle(&self, coordinator: &mut Coordinator, effects: Effects) -> Durable {
        let durable = self.apply(coordinator, effects);
        let next = coordinator.groups.next_deadline();
        if next.is_some_and(|at| at.0 - self.clock().now().0 < TICK.as_millis() as i64) {
            self.deadline_near.notify_one();
        }
        durable
    }

    fn apply(&self, coordinator: &mut Coordinator, effects: Effects) -> Durable {
        let written = if effects.puts.is_empty() {
            None
        } else {
            Some(self.write(coordinator, Decision::put((), effects.puts)).1)
        };
        if effects.reassigned {
            self.rebalanced.send_replace(());
        }
        self.waiters.answer(effects.replies, written)
    }

    /// Writes a decision about groups; the other half resolves when it is durable.
    fn write<T>(&self, coordinator: &mut Coordinator, decision: Decision<T>) -> (T, Durable) {
        let Decision { response, puts, .. } = decision;
        let durable = match self.perform(coordinator, Decision::put((), puts)) {
            Ok(((), ticket)) => self.waiters.written(ticket),
            Err(error) => {
                warn!(%error, "what a group decided was not stored");
                not_stored()
            }
        };
        (response, durable)
    }

    /// The members have changed already. Nobody waits for the record of the generation: if it is lost with the process,
    /// so are the members that have seen it.
    fn rebalance<T>(&self, coordinator: &mut Coordinator, decision: Decision<T>) {
        let _later = self.write(coordinator, decision);
        self.rebalanced.send_replace(());
    }
}

/// The limits of groups, as they are set.
pub(super) fn config(settings: &BrokerSettings) -> GroupConfig {
    GroupConfig {
        min_session_timeout_ms: settings.group.min_session_timeout_ms,
        max_session_timeout_ms: settings.group.max_session_timeout_ms,
        initial_rebalance_delay_ms: settings.group.initial_rebalance_delay_ms.into(),
        max_size: settings.group.max_size,
        consumer: ConsumerGroupConfig {
            session_timeout_ms: settings.consumer_group.session_timeout_ms,
            heartbeat_interval_ms: settings.consumer_group.heartbeat_interval_ms,
            max_size: settings.consumer_group.max_size,
            assignors: settings.consumer_group.assignors.clone(),
            migration: settings.consumer_group.migration,
        },
    }
}

/// Runs until the broker is dropped or takes no more writes.
pub(super) fn start_timer(broker: &Arc<Broker>) {
    tokio::spawn(run_timer(Arc::downgrade(broker)));
}

async fn run_timer(broker: Weak<Broker>) {
    // As in Kafka the first check comes after the first interval: groups that were just left keep their generation.
    let Some(mut offsets_checked) = broker.upgrade().map(|broker| broker.clock().steady()) else {
        return;
    };
    loop {
        let Some(broker) = broker.upgrade() else { return };
        let next = broker.expire_members();
        match broker.expire_transactions() {
            Ok(()) => {}
            Err(WriteError::Closed) => return,
            Err(error) => warn!(%error, "expired transactions were not aborted; it is tried again"),
        }
        if let Err(error) = broker.expire_transactional_ids() {
            warn!(%error, "unused transactional ids were not forgotten; it is tried again");
        }
        let steady = broker.clock().steady();
        let every_ms = broker.settings().offsets_retention_check_ms;
        if steady.0.saturating_sub(offsets_checked.0) >= every_ms {
            broker.expire_offsets();
            offsets_checked = steady;
        }
        let now = broker.clock().now();
        let until_next = next.map_or(TICK, |at| {
            Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
        });
        let pause = until_next.clamp(Duration::from_millis(1), TICK);
        let deadline_near = broker.deadline_near.clone();
        // Not held while asleep: it may be dropped meanwhile.
        drop(broker);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = deadline_near.notified() => {}
        }
    }
}
