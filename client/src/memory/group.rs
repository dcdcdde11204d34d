use std::collections::BTreeMap;

use async_trait::async_trait;
use millstream_types::{GroupId, TopicName};
use tokio::sync::watch;

use super::MemoryLog;
use crate::{Assignment, LogError, Member};

pub(super) type MemberId = u64;
pub(super) type Assignments = watch::Receiver<Assignment>;

/// The members of one group. Every change of membership is a new generation with a new assignment for all.
#[derive(Debug, Default)]
pub(super) struct Group {
    generation: i32,
    last_member: MemberId,
    members: BTreeMap<MemberId, MemberState>,
}

#[derive(Debug)]
struct MemberState {
    topic: TopicName,
    partitions: i32,
    assignments: watch::Sender<Assignment>,
}

impl Group {
    pub(super) fn join(&mut self, topic: TopicName, partitions: i32) -> (MemberId, Assignments) {
        self.last_member += 1;
        let nothing = Assignment {
            generation: self.generation,
            partitions: Vec::new(),
        };
        let (assignments, receiver) = watch::channel(nothing);
        self.members.insert(
            self.last_member,
            MemberState {
                topic,
                partitions,
                assignments,
            },
        );
        self.rebalance();
        (self.last_member, receiver)
    }

    pub(super) fn leave(&mut self, member: MemberId) {
        if self.members.remove(&member).is_some() {
            self.rebalance();
        }
    }

    /// Kafka's range assignment: contiguous shares, the first members get one more where it does not divide.
    fn rebalance(&mut self) {
        self.generation += 1;
        let mut of_topic: BTreeMap<&TopicName, Vec<&MemberState>> = BTreeMap::new();
        for member in self.members.values() {
            of_topic.entry(&member.topic).or_default().push(member);
        }
        for members in of_topic.into_values() {
            let partitions = members.iter().map(|m| m.partitions).max().unwrap_or(0);
            let count = i32::try_from(members.len()).unwrap_or(i32::MAX);
            let mut next = 0;
            for (index, member) in (0..count).zip(members) {
                let share = partitions / count + i32::from(index < partitions % count);
                member.assignments.send_replace(Assignment {
                    generation: self.generation,
                    partitions: (next..next + share).collect(),
                });
                next += share;
            }
        }
    }
}

/// Leaves its group when it is dropped.
pub(super) struct MemoryMember {
    log: MemoryLog,
    group: GroupId,
    id: MemberId,
    assignments: Assignments,
}

impl MemoryMember {
    pub(super) fn new(log: MemoryLog, group: GroupId, id: MemberId, mut assignments: Assignments) -> Self {
        assignments.mark_changed();
        Self {
            log,
            group,
            id,
            assignments,
        }
    }
}

#[async_trait]
impl Member for MemoryMember {
    async fn assignment(&mut self) -> Result<Assignment, LogError> {
        match self.assignments.changed().await {
            Ok(()) => Ok(self.assignments.borrow_and_update().clone()),
            Err(_) => Err(LogError::NotAMember {
                group: self.group.clone(),
            }),
        }
    }

    async fn leave(self: Box<Self>) -> Result<(), LogError> {
        Ok(())
    }
}

impl Drop for MemoryMember {
    fn drop(&mut self) {
        self.log.state().leave(&self.group, self.id);
    }
}
