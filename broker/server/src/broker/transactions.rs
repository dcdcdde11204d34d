use std::collections::BTreeMap;

use millstream_broker_coordinator::{
    Caller, Claim, CommittedOffset, Decision, GroupError, InitProducerError, MetadataTooLarge, Offsets,
    TransactionError, TransactionState,
};
use millstream_broker_storage::{
    AtomicGroup, CommitError, Marker, Outcome, StateKey, Ticket, UnknownPartition, WriteError,
};
use millstream_types::{GroupId, Producer, ProducerId, Timestamp, TopicPartition, TransactionalId};
use tracing::{info, warn};

use super::{Broker, only_write};

/// Why a transactional producer could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    #[error(transparent)]
    Refused(#[from] InitProducerError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a request within a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRequestError {
    /// The member is not, or no longer, one of the group.
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Refused(#[from] TransactionError),
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error(transparent)]
    Metadata(#[from] MetadataTooLarge),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why offsets were not committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitOffsetsError {
    #[error(transparent)]
    UnknownPartition(#[from] UnknownPartition),
    #[error(transparent)]
    Metadata(#[from] MetadataTooLarge),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A transactional id at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    pub id: TransactionalId,
    pub producer: Producer,
    pub state: TransactionState,
    pub timeout_ms: i32,
    /// When the open transaction began.
    pub started: Option<Timestamp>,
    pub partitions: Vec<TopicPartition>,
}

/// Offsets of one group, next records to read.
pub type GroupOffsets = (GroupId, Vec<(TopicPartition, CommittedOffset)>);

impl Broker {
    /// A producer id for an idempotent producer; its epoch is 0.
    pub async fn allocate_producer_id(&self) -> Result<ProducerId, WriteError> {
        self.storage().room().await;
        let (producer, ticket) = {
            let mut coordinator = self.lock();
            let decision = coordinator.transactions.init_idempotent();
            self.perform(&mut coordinator, decision).map_err(only_write)?
        };
        ticket.await?;
        Ok(producer.id)
    }

    /// The next incarnation of a transactional id: the former one is fenced and its transaction aborted when this returns.
    pub async fn init_producer(
        &self,
        id: &TransactionalId,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Producer, InitError> {
        self.storage().room().await;
        let timeouts = (timeout_ms, self.settings().max_transaction_timeout_ms);
        let (producer, ticket) = {
            let mut coordinator = self.lock();
            let now = self.clock().now();
            let decision = coordinator.transactions.init(id, timeouts, expected, now)?;
            if !decision.markers.is_empty() {
                info!(%id, partitions = decision.markers.len(), "aborting the former producer's transaction");
            }
            self.perform(&mut coordinator, decision)?
        };
        ticket.await.map_err(CommitError::from)?;
        Ok(producer)
    }

    /// Adds partitions to the transaction, and begins it; must come before their first batch. Later calls may follow
    /// before the ticket resolves.
    pub fn add_partitions(
        &self,
        claim: Claim<'_>,
        partitions: &[TopicPartition],
    ) -> Result<Ticket<()>, TransactionRequestError> {
        let mut coordinator = self.lock();
        self.check_partitions(partitions)?;
        let now = self.clock().now();
        let decision = coordinator.transactions.add_partitions(claim, partitions, now)?;
        Ok(self.perform(&mut coordinator, decision)?.1)
    }

    /// Whether that producer's transaction is open and these partitions belong to it; answers for each.
    pub fn verify_partitions(
        &self,
        claim: Claim<'_>,
        partitions: &[TopicPartition],
    ) -> Result<Vec<bool>, TransactionError> {
        let coordinator = self.lock();
        coordinator.transactions.check(claim)?;
        let verify = |p| coordinator.transactions.verify(claim.producer, p);
        Ok(partitions.iter().map(verify).collect())
    }

    /// Announces that offsets of a group will be added.
    pub fn add_group(
        &self,
        claim: Claim<'_>,
        group: &GroupId,
    ) -> Result<Ticket<()>, TransactionRequestError> {
        let mut coordinator = self.lock();
        let now = self.clock().now();
        let decision = coordinator.transactions.add_group(claim, group, now)?;
        Ok(self.perform(&mut coordinator, decision)?.1)
    }

    /// Adds offsets that the commit will commit, in a member's name if the client knows it (KIP-447).
    pub fn add_offsets(
        &self,
        claim: Claim<'_>,
        member: &Caller,
        (group, offsets): GroupOffsets,
    ) -> Result<Ticket<()>, TransactionRequestError> {
        Offsets::check(&offsets)?;
        let mut coordinator = self.lock();
        self.check_partitions(offsets.iter().map(|(p, _)| p))?;
        let now = self.clock().now();
        let decision = coordinator
            .transactions
            .add_offsets(claim, &group, offsets, now)?;
        coordinator.groups.check_member(&group, member)?;
        Ok(self.perform(&mut coordinator, decision)?.1)
    }

    /// Commits or aborts: markers, group offsets and the coordinator's state are one atom in the log. Answers who the
    /// producer is from now on.
    pub fn end_transaction(
        &self,
        claim: Claim<'_>,
        outcome: Outcome,
        offsets: Option<&GroupOffsets>,
    ) -> Result<(Producer, Ticket<()>), TransactionRequestError> {
        let mut coordinator = self.lock();
        if let Some((_, offsets)) = offsets {
            Offsets::check(offsets)?;
            self.check_partitions(offsets.iter().map(|(p, _)| p))?;
        }
        let offsets = offsets.map(|(group, offsets)| (group, offsets.as_slice()));
        let now = self.clock().now();
        let decision = coordinator.transactions.end(claim, outcome, offsets, now)?;
        Ok(self.perform(&mut coordinator, decision)?)
    }

    /// Ends a producer's transaction in one partition, whatever the coordinator knows of it: the way out of a transaction
    /// that hangs (WriteTxnMarkers).
    pub fn write_marker(&self, marker: Marker) -> Result<Ticket<()>, CommitError> {
        let _order = self.lock();
        self.storage().commit(AtomicGroup {
            markers: vec![marker],
            puts: Vec::new(),
        })
    }

    pub fn describe_transaction(&self, id: &TransactionalId) -> Option<TransactionDescription> {
        let coordinator = self.lock();
        let transaction = coordinator.transactions.get(id)?;
        Some(describe(id, transaction))
    }

    /// All transactional ids, by name.
    pub fn describe_transactions(&self) -> Vec<TransactionDescription> {
        let coordinator = self.lock();
        let all = coordinator.transactions.iter();
        all.map(|(id, transaction)| describe(id, transaction)).collect()
    }

    /// Commits offsets of a group outside of a transaction.
    pub async fn commit_offsets(&self, (group, offsets): GroupOffsets) -> Result<(), CommitOffsetsError> {
        Offsets::check(&offsets)?;
        self.storage().room().await;
        let ticket = {
            let mut coordinator = self.lock();
            self.check_partitions(offsets.iter().map(|(p, _)| p))?;
            let puts = Offsets::commit(&group, offsets.iter().map(|(p, o)| (p, o)));
            self.perform(&mut coordinator, Decision::put((), puts))?.1
        };
        ticket.await.map_err(CommitError::from)?;
        Ok(())
    }

    /// The durable committed offset of a partition.
    pub fn committed(&self, group: &GroupId, partition: &TopicPartition) -> Option<CommittedOffset> {
        let key = Offsets::key(group, partition);
        let value = self.storage().get(&StateKey(key.clone()))?;
        let (_, _, offset) = Offsets::read(&key, &value).ok()?;
        Some(offset)
    }

    /// All durable committed offsets of a group, or of all groups.
    pub fn all_committed(
        &self,
        group: Option<&GroupId>,
    ) -> BTreeMap<GroupId, BTreeMap<TopicPartition, CommittedOffset>> {
        let mut groups: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (StateKey(key), value) in self.storage().scan(&Offsets::keys_of(group)) {
            match Offsets::read(&key, &value) {
                Ok((group, partition, offset)) => {
                    groups.entry(group).or_default().insert(partition, offset);
                }
                Err(error) => warn!(%error, "skipping a committed offset"),
            }
        }
        groups
    }

    /// Aborts the transactions that took too long, each as an atom of its own. An error is the log's and meets them all;
    /// what refuses one of them is logged, and that one is tried again.
    pub(super) fn expire_transactions(&self) -> Result<(), WriteError> {
        let mut coordinator = self.lock();
        for decision in coordinator.transactions.expire(self.clock().now()) {
            let id = decision.response.clone();
            match self.perform(&mut coordinator, decision) {
                Ok(_) => warn!(%id, "aborting a transaction that took longer than its timeout"),
                Err(CommitError::Write(error)) => return Err(error),
                Err(error) => warn!(%id, %error, "an expired transaction was not aborted; it is tried again"),
            }
        }
        Ok(())
    }

    /// Forgets transactional ids that nobody uses any more.
    pub(super) fn expire_transactional_ids(&self) -> Result<(), CommitError> {
        let unused_ms = self.settings().transactional_id_expiration_ms;
        let mut coordinator = self.lock();
        let decision = coordinator.transactions.expire_ids(self.clock().now(), unused_ms);
        if decision.is_empty() {
            return Ok(());
        }
        info!(ids = decision.response, "forgetting unused transactional ids");
        self.perform(&mut coordinator, decision).map(|_| ())
    }

    fn check_partitions<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(), UnknownPartition> {
        partitions
            .into_iter()
            .try_for_each(|p| self.storage().offsets(p).map(|_| ()))
    }
}

fn describe(
    id: &TransactionalId,
    transaction: &millstream_broker_coordinator::Transaction,
) -> TransactionDescription {
    TransactionDescription {
        id: id.clone(),
        producer: transaction.producer,
        state: transaction.state(),
        timeout_ms: transaction.timeout_ms,
        started: transaction.started(),
        partitions: transaction.partitions().cloned().collect(),
    }
}
