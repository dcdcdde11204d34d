use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_broker_server::{Broker, MemberId};
use millstream_client::{Assignment, LogError, Member};
use millstream_types::{GroupId, TopicName};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

use crate::error;

/// A member that was silent for so long is removed (README decision: tasks of a dead worker move within 10 s).
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// Leaves its group when it is dropped.
pub(crate) struct EmbeddedMember {
    broker: Arc<Broker>,
    group: GroupId,
    member: MemberId,
    changes: watch::Receiver<()>,
    last: Option<Assignment>,
    heartbeats: JoinHandle<()>,
}

impl EmbeddedMember {
    pub(crate) async fn join(
        broker: &Arc<Broker>,
        group: &GroupId,
        topic: &TopicName,
    ) -> Result<Self, LogError> {
        let changes = broker.watch_assignments();
        let joined = broker.join(group, topic, SESSION_TIMEOUT).await;
        let member = joined.map_err(error::join)?.member;
        let heartbeats = tokio::spawn(heartbeat(broker.clone(), group.clone(), member.clone()));
        Ok(Self {
            broker: broker.clone(),
            group: group.clone(),
            member,
            changes,
            last: None,
            heartbeats,
        })
    }

    fn current(&self) -> Result<Assignment, LogError> {
        let assignment = self
            .broker
            .assignment(&self.group, &self.member)
            .map_err(error::member)?;
        Ok(Assignment {
            generation: assignment.generation,
            partitions: assignment.partitions,
        })
    }
}

#[async_trait]
impl Member for EmbeddedMember {
    async fn assignment(&mut self) -> Result<Assignment, LogError> {
        loop {
            self.changes.mark_unchanged();
            let current = self.current()?;
            if self.last.as_ref() != Some(&current) {
                self.last = Some(current.clone());
                return Ok(current);
            }
            let open = self.changes.changed().await;
            open.expect("the sender lives as long as the broker, which this member holds");
        }
    }

    async fn leave(self: Box<Self>) -> Result<(), LogError> {
        Ok(())
    }
}

impl Drop for EmbeddedMember {
    fn drop(&mut self) {
        self.heartbeats.abort();
        // It may have been removed already.
        let _ = self.broker.leave(&self.group, &self.member);
    }
}

async fn heartbeat(broker: Arc<Broker>, group: GroupId, member: MemberId) {
    let mut beats = tokio::time::interval(HEARTBEAT_INTERVAL);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        // A removed member learns of it from its next assignment.
        if broker.heartbeat(&group, &member).is_err() {
            return;
        }
    }
}
