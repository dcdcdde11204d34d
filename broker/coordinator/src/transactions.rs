//! Transactional producers: who may write, what belongs to the open transaction, how it ends.
//!
//! Two generations of the protocol live side by side, chosen by the versions of the client's requests
//! ([`TransactionVersion`]). In the second (KIP-890) every transaction has its own epoch: its end bumps it, so a delayed
//! request of an earlier transaction is refused wherever it arrives.
//!
//! Invariants
//! - An id has one present incarnation; only requests with exactly its producer id and epoch change anything.
//! - The end of a transaction is one decision: markers, group offsets and the new state. There is no prepared state, so
//!   Kafka's CONCURRENT_TRANSACTIONS has no place here.
//! - Markers carry at least the epoch of the records; after a fence or with KIP-890 the next one.
//! - Time costs by what is due, not by how many ids there are: open transactions wait in the order of their deadlines, the
//!   others in the order of their last change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use millstream_protocol::batch::Outcome;
use millstream_types::{
    GroupId, Producer, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, TransactionalId,
};
use serde::{Deserialize, Serialize};

use crate::{CommittedOffset, Decision, Marker, Offsets, Put, codec, key::Key};

/// The longest `transaction.timeout.ms` that is accepted by default: Kafka's `transaction.max.timeout.ms`.
pub const MAX_TRANSACTION_TIMEOUT_MS: i32 = 900_000;
/// The last epoch that a producer gets. The one above it is left to fence it for good.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// Which rules a client follows (`transaction.version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionVersion {
    /// Partitions and groups are added before they are written to; the epoch stays from one transaction to the next.
    V1,
    /// Writing adds, ending bumps the epoch (KIP-890 part 2).
    V2,
}

/// `transaction.timeout.ms` must be positive and at most what the broker allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a transaction timeout of {timeout_ms} ms is not between 1 and {max_ms}")]
pub struct InvalidTimeout {
    pub timeout_ms: i32,
    pub max_ms: i32,
}

/// Why a producer could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitProducerError {
    #[error(transparent)]
    InvalidTimeout(#[from] InvalidTimeout),
    /// It claims to be a former incarnation (KIP-360).
    #[error("producer '{id}' was fenced by a newer one")]
    Fenced { id: TransactionalId },
}

/// Why a request of a transactional producer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The transactional id is not known, or not with that producer id.
    #[error("transactional id '{id}' is not known with that producer id")]
    UnknownProducer { id: TransactionalId },
    #[error("producer '{id}' was fenced by a newer one")]
    Fenced { id: TransactionalId },
    #[error("producer '{id}' has no transaction that this could belong to")]
    InvalidState { id: TransactionalId },
}

/// A transactional id with its present incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub producer: Producer,
    pub timeout_ms: i32,
    /// Who it was before it was given the present epoch in answer to a request that it may repeat: that request is
    /// answered alike. `None` after a fence, which nobody was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Producer>,
    /// How the last one ended, until the next begins: a repeated request to end it is answered alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ongoing: Option<Ongoing>,
    /// Of the last change. Ids of earlier versions never expire before they are used again.
    #[serde(default = "never")]
    updated: Timestamp,
}

fn never() -> Timestamp {
    Timestamp(i64::MAX)
}

/// What a transactional id is doing, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    Empty,
    Ongoing,
    CompleteCommit,
    CompleteAbort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ended {
    Commit,
    Abort,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ongoing {
    started: Timestamp,
    partitions: BTreeSet<TopicPartition>,
    /// The groups that offsets may be committed for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<GroupId>,
    /// What the commit will commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    offsets: Vec<(GroupId, TopicPartition, CommittedOffset)>,
}

/// A request of a transactional producer: who it says it is.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub id: &'a TransactionalId,
    pub producer: Producer,
    pub version: TransactionVersion,
}

/// All transactional producers, and the producer ids that were given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    by_id: BTreeMap<TransactionalId, Transaction>,
    by_producer: HashMap<ProducerId, TransactionalId>,
    /// The ids with an open transaction, by when it expires.
    open: BTreeSet<(Timestamp, TransactionalId)>,
    /// All others, by their last change.
    idle: BTreeSet<(Timestamp, TransactionalId)>,
    next_producer_id: i64,
}

impl Transactions {
    pub fn get(&self, id: &TransactionalId) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    /// All transactional ids, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&TransactionalId, &Transaction)> {
        self.by_id.iter()
    }

    /// A producer that is idempotent only.
    pub fn init_idempotent(&self) -> Decision<Producer> {
        let (id, put) = self.allocate();
        Decision::put(first_epoch(id), vec![put])
    }

    /// InitProducerId: the next incarnation of a transactional id. It aborts what the former one left open; `expected`
    /// is who the caller thinks it is (KIP-360).
    pub fn init(
        &self,
        id: &TransactionalId,
        (timeout_ms, max_ms): (i32, i32),
        expected: Option<Producer>,
        now: Timestamp,
    ) -> Result<Decision<Producer>, InitProducerError> {
        if !(1..=max_ms).contains(&timeout_ms) {
            return Err(InvalidTimeout { timeout_ms, max_ms }.into());
        }
        let former = self.by_id.get(id);
        if let (Some(former), Some(expected)) = (former, expected)
            && former.producer != expected
        {
            let repeated = former.previous == Some(expected) && former.ongoing.is_none();
            return if repeated {
                Ok(Decision::answer(former.producer))
            } else {
                Err(InitProducerError::Fenced { id: id.clone() })
            };
        }
        let (producer, mut puts) = match former {
            Some(former) => self.bump(former.producer),
            None => {
                let (id, put) = self.allocate();
                (first_epoch(id), vec![put])
            }
        };
        let markers = former.map_or_else(Vec::new, |former| {
            former.markers(next_epoch(former.producer), Outcome::Abort)
        });
        puts.push(put(
            id,
            &Transaction {
                producer,
                timeout_ms,
                previous: expected.filter(|_| former.is_some()),
                ended: None,
                ongoing: None,
                updated: now,
            },
        ));
        Ok(Decision {
            response: producer,
            puts,
            markers,
        })
    }

    /// AddPartitionsToTxn: must come before the first batch of each partition.
    pub fn add_partitions(
        &self,
        claim: Claim<'_>,
        partitions: &[TopicPartition],
        now: Timestamp,
    ) -> Result<Decision<()>, TransactionError> {
        let transaction = self.current(claim)?;
        let known = |o: &Ongoing| partitions.iter().all(|p| o.partitions.contains(p));
        if transaction.ongoing.as_ref().is_some_and(known) {
            return Ok(Decision::answer(()));
        }
        let mut next = transaction.clone();
        next.ongoing(now).partitions.extend(partitions.iter().cloned());
        Ok(Decision::put((), vec![put(claim.id, &next)]))
    }

    /// AddOffsetsToTxn: must come before the first TxnOffsetCommit of the group.
    pub fn add_group(
        &self,
        claim: Claim<'_>,
        group: &GroupId,
        now: Timestamp,
    ) -> Result<Decision<()>, TransactionError> {
        let mut next = self.current(claim)?.clone();
        if !next.ongoing(now).groups.insert(group.clone()) {
            return Ok(Decision::answer(()));
        }
        Ok(Decision::put((), vec![put(claim.id, &next)]))
    }

    /// TxnOffsetCommit: offsets that become the group's with the commit.
    pub fn add_offsets(
        &self,
        claim: Claim<'_>,
        group: &GroupId,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        now: Timestamp,
    ) -> Result<Decision<()>, TransactionError> {
        let transaction = self.current(claim)?;
        let added = |o: &Ongoing| o.groups.contains(group);
        if claim.version == TransactionVersion::V1 && !transaction.ongoing.as_ref().is_some_and(added) {
            return Err(TransactionError::InvalidState { id: claim.id.clone() });
        }
        let mut next = transaction.clone();
        let ongoing = next.ongoing(now);
        ongoing.groups.insert(group.clone());
        for (partition, offset) in offsets {
            ongoing.offsets.retain(|(g, p, _)| (g, p) != (group, &partition));
            ongoing.offsets.push((group.clone(), partition, offset));
        }
        Ok(Decision::put((), vec![put(claim.id, &next)]))
    }

    /// A batch of that producer for that partition, which adds the partition to the transaction if need be. `None` if
    /// it was added before.
    pub fn join(
        &self,
        producer: Producer,
        partition: &TopicPartition,
        now: Timestamp,
    ) -> Result<Option<Decision<()>>, TransactionError> {
        if self.verify(producer, partition) {
            return Ok(None);
        }
        let Some(id) = self.by_producer.get(&producer.id) else {
            let id = TransactionalId::new(String::new());
            return Err(TransactionError::UnknownProducer { id });
        };
        let claim = Claim {
            id,
            producer,
            version: TransactionVersion::V2,
        };
        self.add_partitions(claim, std::slice::from_ref(partition), now)
            .map(Some)
    }

    /// Whether a transactional batch of that producer may be appended to that partition now.
    pub fn verify(&self, producer: Producer, partition: &TopicPartition) -> bool {
        let transaction = self
            .by_producer
            .get(&producer.id)
            .and_then(|id| self.by_id.get(id));
        transaction
            .filter(|t| t.producer == producer)
            .and_then(|t| t.ongoing.as_ref())
            .is_some_and(|o| o.partitions.contains(partition))
    }

    /// Whether it is the present incarnation.
    pub fn check(&self, claim: Claim<'_>) -> Result<(), TransactionError> {
        self.current(claim).map(|_| ())
    }

    /// The transactional id and present incarnation behind a producer id.
    pub fn of_producer(&self, id: ProducerId) -> Option<(&TransactionalId, Producer)> {
        let name = self.by_producer.get(&id)?;
        Some((name, self.by_id.get(name)?.producer))
    }

    /// Whether an open transaction holds an offset of that group: what is committed may change (`require_stable`).
    pub fn holds_offset(&self, group: &GroupId, partition: &TopicPartition) -> bool {
        let mut ongoing = self.open().filter_map(|(_, t)| t.ongoing.as_ref());
        ongoing.any(|o| o.offsets.iter().any(|(g, p, _)| (g, p) == (group, partition)))
    }

    /// EndTxn; answers who the producer is from now on. Offsets given here are committed with those that were added
    /// before, and may be all there is.
    pub fn end(
        &self,
        claim: Claim<'_>,
        outcome: Outcome,
        offsets: Option<(&GroupId, &[(TopicPartition, CommittedOffset)])>,
        now: Timestamp,
    ) -> Result<Decision<Producer>, TransactionError> {
        let ended = match outcome {
            Outcome::Commit => Ended::Commit,
            Outcome::Abort => Ended::Abort,
        };
        if offsets.is_none()
            && let Some(repeated) = self.repeated_end(claim, ended)
        {
            return repeated.map(Decision::answer);
        }
        let transaction = self.current(claim)?;
        let mut puts = match (outcome, offsets) {
            (Outcome::Commit, Some((group, offsets))) => {
                Offsets::commit(group, offsets.iter().map(|(p, o)| (p, o)))
            }
            (Outcome::Abort, _) | (_, None) => Vec::new(),
        };
        if transaction.ongoing.is_none() {
            let may_end = match claim.version {
                TransactionVersion::V1 if !puts.is_empty() => {
                    return Ok(Decision::put(transaction.producer, puts));
                }
                TransactionVersion::V1 => false,
                // It takes the next epoch: a batch may be under way that would have begun the transaction.
                TransactionVersion::V2 => outcome == Outcome::Abort,
            };
            if !may_end {
                return Err(TransactionError::InvalidState { id: claim.id.clone() });
            }
        }
        if outcome == Outcome::Commit {
            for (group, partition, offset) in transaction.ongoing.iter().flat_map(|o| &o.offsets) {
                puts.extend(Offsets::commit(group, [(partition, offset)]));
            }
        }
        let (next, marked_by) = match claim.version {
            TransactionVersion::V1 => (transaction.producer, transaction.producer),
            TransactionVersion::V2 => {
                let (next, allocated) = self.bump(transaction.producer);
                puts.extend(allocated);
                (next, next_epoch(transaction.producer))
            }
        };
        let previous = (claim.version == TransactionVersion::V2).then_some(transaction.producer);
        puts.push(put(claim.id, &transaction.ended(next, previous, ended, now)));
        Ok(Decision {
            response: next,
            puts,
            markers: transaction.markers(marked_by, outcome),
        })
    }

    /// The answer to a request to end a transaction that has ended before, if it is one.
    fn repeated_end(&self, claim: Claim<'_>, ended: Ended) -> Option<Result<Producer, TransactionError>> {
        let transaction = self.by_id.get(claim.id)?;
        let before = transaction.ended?;
        let by = match claim.version {
            TransactionVersion::V1 => Some(transaction.producer),
            TransactionVersion::V2 => transaction.previous,
        };
        (by == Some(claim.producer)).then(|| {
            if before == ended {
                Ok(transaction.producer)
            } else {
                Err(TransactionError::InvalidState { id: claim.id.clone() })
            }
        })
    }

    /// Aborts the transactions that took longer than their producers allowed, and fences these. Each is a decision of its
    /// own, which answers the id: what refuses the marker of one must not hold up the others.
    pub fn expire(&self, now: Timestamp) -> Vec<Decision<TransactionalId>> {
        let due = self.open.iter().take_while(|(deadline, _)| *deadline <= now);
        let abort = |(_, id): &(Timestamp, TransactionalId)| {
            let transaction = &self.by_id[id];
            let fencing = next_epoch(transaction.producer);
            Decision {
                response: id.clone(),
                puts: vec![put(id, &transaction.ended(fencing, None, Ended::Abort, now))],
                markers: transaction.markers(fencing, Outcome::Abort),
            }
        };
        due.map(abort).collect()
    }

    /// Forgets the transactional ids that were not used for that long (`transactional.id.expiration.ms`).
    pub fn expire_ids(&self, now: Timestamp, unused_ms: i64) -> Decision<usize> {
        let is_unused = |updated: &Timestamp| updated.0.saturating_add(unused_ms) <= now.0;
        let unused = self.idle.iter().take_while(|(updated, _)| is_unused(updated));
        let puts: Vec<_> = unused
            .map(|(_, id)| (Key::Transaction(id.clone()).encode(), None))
            .collect();
        Decision::put(puts.len(), puts)
    }

    pub(crate) fn forget_topic(&self, topic: &TopicName) -> Vec<Put> {
        let mut puts = Vec::new();
        for (id, transaction) in self.open() {
            let touches = |o: &Ongoing| {
                o.partitions.iter().any(|p| p.topic == *topic)
                    || o.offsets.iter().any(|(_, p, _)| p.topic == *topic)
            };
            if transaction.ongoing.as_ref().is_some_and(touches) {
                let mut next = transaction.clone();
                let ongoing = next.ongoing.as_mut().expect("it was there a line ago");
                ongoing.partitions.retain(|p| p.topic != *topic);
                ongoing.offsets.retain(|(_, p, _)| p.topic != *topic);
                puts.push(put(id, &next));
            }
        }
        puts
    }

    fn open(&self) -> impl Iterator<Item = (&TransactionalId, &Transaction)> {
        self.open.iter().map(|(_, id)| (id, &self.by_id[id]))
    }

    fn current(&self, claim: Claim<'_>) -> Result<&Transaction, TransactionError> {
        let id = || claim.id.clone();
        match self.by_id.get(claim.id) {
            Some(transaction) if transaction.producer == claim.producer => Ok(transaction),
            Some(transaction) if transaction.producer.id == claim.producer.id => {
                Err(TransactionError::Fenced { id: id() })
            }
            Some(_) | None => Err(TransactionError::UnknownProducer { id: id() }),
        }
    }

    /// The next epoch of a producer or, if it has used them up, the first of a new producer id.
    fn bump(&self, producer: Producer) -> (Producer, Vec<Put>) {
        if producer.epoch.0 < LAST_EPOCH {
            return (next_epoch(producer), Vec::new());
        }
        let (id, put) = self.allocate();
        (first_epoch(id), vec![put])
    }

    /// The next free producer id, and the record that takes it.
    fn allocate(&self) -> (ProducerId, Put) {
        let id = self.next_producer_id;
        (
            ProducerId(id),
            (Key::ProducerIds.encode(), Some(codec::encode(&(id + 1)))),
        )
    }

    pub(crate) fn replay_producer_ids(&mut self, next: Option<i64>) {
        self.next_producer_id = self.next_producer_id.max(next.unwrap_or(0));
    }

    pub(crate) fn replay_transaction(&mut self, id: TransactionalId, transaction: Option<Transaction>) {
        if let Some(former) = self.by_id.remove(&id) {
            self.by_producer.remove(&former.producer.id);
            self.queue_of(&former).remove(&(former.due_by(), id.clone()));
        }
        if let Some(transaction) = transaction {
            self.by_producer.insert(transaction.producer.id, id.clone());
            self.queue_of(&transaction)
                .insert((transaction.due_by(), id.clone()));
            self.by_id.insert(id, transaction);
        }
    }

    fn queue_of(&mut self, transaction: &Transaction) -> &mut BTreeSet<(Timestamp, TransactionalId)> {
        match transaction.ongoing {
            Some(_) => &mut self.open,
            None => &mut self.idle,
        }
    }
}

impl Transaction {
    /// When it began, if one is open.
    pub fn started(&self) -> Option<Timestamp> {
        self.ongoing.as_ref().map(|o| o.started)
    }

    /// The partitions of the open transaction.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.ongoing.iter().flat_map(|o| &o.partitions)
    }

    /// Its place in the queue of open or of idle ids.
    fn due_by(&self) -> Timestamp {
        match self.started() {
            Some(started) => Timestamp(started.0.saturating_add(i64::from(self.timeout_ms))),
            None => self.updated,
        }
    }

    pub fn state(&self) -> TransactionState {
        match (&self.ongoing, self.ended) {
            (Some(_), _) => TransactionState::Ongoing,
            (None, Some(Ended::Commit)) => TransactionState::CompleteCommit,
            (None, Some(Ended::Abort)) => TransactionState::CompleteAbort,
            (None, None) => TransactionState::Empty,
        }
    }

    fn ongoing(&mut self, now: Timestamp) -> &mut Ongoing {
        self.ended = None;
        self.updated = now;
        self.ongoing.get_or_insert_with(|| Ongoing {
            started: now,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            offsets: Vec::new(),
        })
    }

    fn ended(&self, producer: Producer, previous: Option<Producer>, how: Ended, now: Timestamp) -> Self {
        Self {
            producer,
            timeout_ms: self.timeout_ms,
            previous,
            ended: Some(how),
            ongoing: None,
            updated: now,
        }
    }

    fn markers(&self, producer: Producer, outcome: Outcome) -> Vec<Marker> {
        let marker = |partition: &TopicPartition| Marker {
            partition: partition.clone(),
            producer,
            outcome,
        };
        self.partitions().map(marker).collect()
    }
}

impl TransactionState {
    pub const ALL: [Self; 4] = [
        Self::Empty,
        Self::Ongoing,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

fn put(id: &TransactionalId, transaction: &Transaction) -> Put {
    (
        Key::Transaction(id.clone()).encode(),
        Some(codec::encode(transaction)),
    )
}

fn first_epoch(id: ProducerId) -> Producer {
    Producer {
        id,
        epoch: ProducerEpoch(0),
    }
}

/// At most `i16::MAX`, see [`LAST_EPOCH`].
fn next_epoch(producer: Producer) -> Producer {
    Producer {
        id: producer.id,
        epoch: ProducerEpoch(producer.epoch.0.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests;
