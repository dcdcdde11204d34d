use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use millstream_broker_coordinator::{Assignment, Coordinator, Decision, Join, MemberId, UnknownMember};
use millstream_broker_storage::{CommitError, Topic, UnknownTopic, WriteError};
use millstream_types::{GroupId, TopicName};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{info, warn};
use uuid::Uuid;

use super::{Broker, only_write};

/// How late a session or a transaction may expire.
const TICK: Duration = Duration::from_millis(200);

/// Why a member could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    UnknownTopic(#[from] UnknownTopic),
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
        let member = Uuid::new_v4().to_string();
        let (assignment, ticket) = {
            let mut coordinator = self.lock();
            let Some(found) = self.storage().topic(topic) else {
                return Err(UnknownTopic { topic: topic.clone() }.into());
            };
            let join = Join {
                group: group.clone(),
                member: member.clone(),
                topic: topic.clone(),
                partitions: found.partitions,
                session_timeout_ms: i64::try_from(session_timeout.as_millis()).unwrap_or(i64::MAX),
            };
            let decision = coordinator.groups.join(join, self.clock().now());
            self.perform(&mut coordinator, decision).map_err(only_write)?
        };
        self.rebalanced.send_replace(());
        ticket.await?;
        Ok(Joined { member, assignment })
    }

    /// Keeps a member alive and answers what it owns now.
    pub fn heartbeat(&self, group: &GroupId, member: &MemberId) -> Result<Assignment, UnknownMember> {
        let now = self.clock().now();
        self.lock().groups.heartbeat(group, member, now)
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
        let decision = coordinator.groups.leave(group, member)?;
        self.rebalance(&mut coordinator, decision);
        Ok(())
    }

    pub(super) fn resize_groups(&self, topic: &Topic) {
        let mut coordinator = self.lock();
        let decision = coordinator.groups.resize_topic(&topic.name, topic.partitions);
        self.rebalance(&mut coordinator, decision);
    }

    fn expire_members(&self) {
        let mut coordinator = self.lock();
        let decision = coordinator.groups.expire(self.clock().now());
        if decision.is_empty() {
            return;
        }
        for group in &decision.response {
            info!(%group, "removing members that were silent for too long");
        }
        self.rebalance(&mut coordinator, decision);
    }

    /// The members have changed already. Nobody waits for the record of the generation: if it is lost with the process,
    /// so are the members that have seen it.
    fn rebalance<T>(&self, coordinator: &mut Coordinator, decision: Decision<T>) {
        if let Err(error) = self.perform(coordinator, decision) {
            warn!(%error, "a group's generation was not stored");
        }
        self.rebalanced.send_replace(());
    }
}

/// Runs until the broker is dropped or takes no more writes.
pub(super) fn start_timer(broker: &Arc<Broker>) {
    tokio::spawn(run_timer(Arc::downgrade(broker)));
}

async fn run_timer(broker: Weak<Broker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(broker) = broker.upgrade() else { return };
        broker.expire_members();
        match broker.expire_transactions() {
            Ok(()) => {}
            Err(CommitError::Write(WriteError::Closed)) => return,
            Err(error) => warn!(%error, "an expired transaction was not aborted; it is tried again"),
        }
        if let Err(error) = broker.expire_transactional_ids() {
            warn!(%error, "unused transactional ids were not forgotten; it is tried again");
        }
    }
}
