//! What administrators ask of groups, and the commits of members.

use millstream_broker_coordinator::{
    Caller, CommittedOffset, Decision, GroupDescription, GroupError, GroupListing, Offsets,
};
use millstream_types::{GroupId, TopicPartition};
use tracing::info;

use super::{Broker, waiters::Durable};

impl Broker {
    pub fn list_groups(&self) -> Vec<GroupListing> {
        self.lock().list_groups()
    }

    pub fn describe_group(&self, group: &GroupId) -> Result<GroupDescription, GroupError> {
        self.lock().describe_group(group)
    }

    /// Deletes a group without members, with all that it committed.
    pub async fn delete_group(&self, group: &GroupId) -> Result<(), GroupError> {
        self.storage().room().await;
        let durable = {
            let mut coordinator = self.lock();
            let puts = coordinator.delete_group(group)?;
            self.write(&mut coordinator, Decision::put((), puts)).1
        };
        durable.await
    }

    /// Deletes offsets of topics that no member reads: an answer for each.
    pub async fn delete_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.storage().room().await;
        let (results, durable) = {
            let mut coordinator = self.lock();
            let decision = coordinator.delete_offsets(group, partitions)?;
            self.write(&mut coordinator, decision)
        };
        durable.await?;
        Ok(results)
    }

    /// Commits offsets in a member's name, or in nobody's if the group has no members. The partitions were checked;
    /// `has_epoch`: the request has a place for the epoch of a consumer group's member. What this returns resolves when they are durable.
    pub(crate) async fn commit_as(
        &self,
        group: &GroupId,
        caller: &Caller,
        has_epoch: bool,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Durable, GroupError> {
        self.storage().room().await;
        let mut coordinator = self.lock();
        coordinator.groups.check_commit(group, caller, false)?;
        coordinator
            .groups
            .check_commit_version(group, caller, has_epoch)?;
        coordinator.groups.committed(group, caller, self.clock().now());
        let puts = Offsets::commit(group, offsets.iter().map(|(p, o)| (p, o)));
        Ok(self.write(&mut coordinator, Decision::put((), puts)).1)
    }

    /// Whether somebody may read the offsets of a group; members of a consumer group say who they are.
    pub(crate) fn check_offset_fetch(&self, group: &GroupId, caller: &Caller) -> Result<(), GroupError> {
        self.lock().groups.check_offset_fetch(group, caller)
    }

    /// Whether a transaction may yet commit an offset of that partition.
    pub(crate) fn has_pending_offset(&self, group: &GroupId, partition: &TopicPartition) -> bool {
        self.lock().transactions.holds_offset(group, partition)
    }

    /// Forgets what nobody has read on from for `offsets.retention.minutes`.
    pub(super) fn expire_offsets(&self) {
        let retention_ms = self.settings().offsets_retention_ms;
        let mut coordinator = self.lock();
        let puts = coordinator.expire_offsets(retention_ms, self.clock().now());
        if !puts.is_empty() {
            info!(records = puts.len(), "forgetting offsets and groups that expired");
            // If it cannot be written, the next time will.
            let _later = self.write(&mut coordinator, Decision::put((), puts));
        }
    }
}
