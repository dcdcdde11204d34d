use std::collections::{BTreeMap, BTreeSet, HashMap};

use millstream_protocol::batch::Outcome;
use millstream_types::{
    GroupId, Producer, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition, TransactionalId,
};
use serde::{Deserialize, Serialize};

use crate::{CommittedOffset, Decision, Marker, Offsets, Put, codec, key::Key};

/// The longest `transaction.timeout.ms` that is accepted: Kafka's `transaction.max.timeout.ms`.
pub const MAX_TRANSACTION_TIMEOUT_MS: i32 = 900_000;
/// The last epoch that a producer gets. The one above it is left to fence it for good.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// `transaction.timeout.ms` must be positive and at most [`MAX_TRANSACTION_TIMEOUT_MS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a transaction timeout of {timeout_ms} ms is not between 1 and {max}", max = MAX_TRANSACTION_TIMEOUT_MS)]
pub struct InvalidTimeout {
    pub timeout_ms: i32,
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
    #[error("transactional id '{id}' is not known")]
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
    /// How the last one ended, until the next begins: a repeated request to end it is answered alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ongoing: Option<Ongoing>,
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
    /// What the commit will commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    offsets: Vec<(GroupId, TopicPartition, CommittedOffset)>,
}

/// All transactional producers, and the producer ids that were given out.
///
/// A transactional id lives until it is used no more; forgetting unused ones (`transactional.id.expiration.ms`) is not
/// built yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    by_id: BTreeMap<TransactionalId, Transaction>,
    by_producer: HashMap<ProducerId, TransactionalId>,
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
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Decision<Producer>, InitProducerError> {
        if !(1..=MAX_TRANSACTION_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(InvalidTimeout { timeout_ms }.into());
        }
        let former = self.by_id.get(id).cloned();
        if expected.is_some_and(|e| former.as_ref().is_some_and(|f| f.producer != e)) {
            return Err(InitProducerError::Fenced { id: id.clone() });
        }
        let (producer, mut puts) = match &former {
            Some(former) if former.producer.epoch.0 < LAST_EPOCH => (next_epoch(former.producer), Vec::new()),
            // new, or it has used up the epochs of its producer id
            _ => {
                let (id, put) = self.allocate();
                (first_epoch(id), vec![put])
            }
        };
        let markers = former.map_or_else(Vec::new, |former| {
            let markers_producer = next_epoch(former.producer);
            former.markers(markers_producer, Outcome::Abort)
        });
        puts.push(put(
            id,
            &Transaction {
                producer,
                timeout_ms,
                ended: None,
                ongoing: None,
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
        id: &TransactionalId,
        producer: Producer,
        partitions: &[TopicPartition],
        now: Timestamp,
    ) -> Result<Decision<()>, TransactionError> {
        let transaction = self.current(id, producer)?;
        let known = |p| {
            transaction
                .ongoing
                .as_ref()
                .is_some_and(|o| o.partitions.contains(p))
        };
        if partitions.iter().all(known) {
            return Ok(Decision::answer(()));
        }
        let mut next = transaction.clone();
        next.ongoing(now).partitions.extend(partitions.iter().cloned());
        Ok(Decision::put((), vec![put(id, &next)]))
    }

    /// TxnOffsetCommit: offsets that become the group's with the commit. (AddOffsetsToTxn is this with no offsets.)
    pub fn add_offsets(
        &self,
        id: &TransactionalId,
        producer: Producer,
        group: &GroupId,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        now: Timestamp,
    ) -> Result<Decision<()>, TransactionError> {
        let mut next = self.current(id, producer)?.clone();
        let ongoing = next.ongoing(now);
        for (partition, offset) in offsets {
            ongoing.offsets.retain(|(g, p, _)| (g, p) != (group, &partition));
            ongoing.offsets.push((group.clone(), partition, offset));
        }
        Ok(Decision::put((), vec![put(id, &next)]))
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

    /// The transactional id and present incarnation behind a producer id.
    pub fn of_producer(&self, id: ProducerId) -> Option<(&TransactionalId, Producer)> {
        let name = self.by_producer.get(&id)?;
        Some((name, self.by_id.get(name)?.producer))
    }

    /// EndTxn. Offsets given here are committed with those that were added before, and may be all there is.
    pub fn end(
        &self,
        id: &TransactionalId,
        producer: Producer,
        outcome: Outcome,
        offsets: Option<(&GroupId, &[(TopicPartition, CommittedOffset)])>,
    ) -> Result<Decision<()>, TransactionError> {
        let transaction = self.current(id, producer)?;
        let mut puts = match (outcome, offsets) {
            (Outcome::Commit, Some((group, offsets))) => {
                Offsets::commit(group, offsets.iter().map(|(p, o)| (p, o)))
            }
            (Outcome::Abort, _) | (_, None) => Vec::new(),
        };
        let ended = match outcome {
            Outcome::Commit => Ended::Commit,
            Outcome::Abort => Ended::Abort,
        };
        let Some(ongoing) = &transaction.ongoing else {
            let repeated = transaction.ended == Some(ended);
            return if repeated || !puts.is_empty() {
                Ok(Decision::put((), puts))
            } else {
                Err(TransactionError::InvalidState { id: id.clone() })
            };
        };
        if outcome == Outcome::Commit {
            for (group, partition, offset) in &ongoing.offsets {
                puts.extend(Offsets::commit(group, [(partition, offset)]));
            }
        }
        puts.push(put(id, &transaction.ended(producer, ended)));
        Ok(Decision {
            response: (),
            puts,
            markers: transaction.markers(producer, outcome),
        })
    }

    /// Aborts the transactions that took longer than their producers allowed, and fences these; answers their ids.
    pub fn expire(&self, now: Timestamp) -> Decision<Vec<TransactionalId>> {
        let mut expired = Decision::answer(Vec::new());
        for (id, transaction) in &self.by_id {
            if transaction.deadline().is_some_and(|deadline| deadline <= now) {
                let fencing = next_epoch(transaction.producer);
                expired
                    .puts
                    .push(put(id, &transaction.ended(fencing, Ended::Abort)));
                expired
                    .markers
                    .extend(transaction.markers(fencing, Outcome::Abort));
                expired.response.push(id.clone());
            }
        }
        expired
    }

    pub(crate) fn forget_topic(&self, topic: &TopicName) -> Vec<Put> {
        let mut puts = Vec::new();
        for (id, transaction) in &self.by_id {
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

    fn current(&self, id: &TransactionalId, producer: Producer) -> Result<&Transaction, TransactionError> {
        match self.by_id.get(id) {
            Some(transaction) if transaction.producer == producer => Ok(transaction),
            Some(_) => Err(TransactionError::Fenced { id: id.clone() }),
            None => Err(TransactionError::UnknownProducer { id: id.clone() }),
        }
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
        }
        if let Some(transaction) = transaction {
            self.by_producer.insert(transaction.producer.id, id.clone());
            self.by_id.insert(id, transaction);
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

    fn deadline(&self) -> Option<Timestamp> {
        let started = self.started()?;
        Some(Timestamp(started.0.saturating_add(i64::from(self.timeout_ms))))
    }

    fn ongoing(&mut self, now: Timestamp) -> &mut Ongoing {
        self.ended = None;
        self.ongoing.get_or_insert_with(|| Ongoing {
            started: now,
            partitions: BTreeSet::new(),
            offsets: Vec::new(),
        })
    }

    fn ended(&self, producer: Producer, how: Ended) -> Self {
        Self {
            producer,
            timeout_ms: self.timeout_ms,
            ended: Some(how),
            ongoing: None,
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
