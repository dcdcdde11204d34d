use bytes::Bytes;
use millstream_broker_coordinator::TransactionError;
use millstream_broker_storage::{AppendError, AppendOrigin, Appended, CommitError, ProducerError, Ticket};
use millstream_protocol::batch::BatchHeader;
use millstream_types::{Producer, TopicPartition};

use super::Broker;

impl Broker {
    /// Appends one record batch: in order at the call, durable when the ticket resolves. While the queue to the disk is
    /// full this blocks its thread: async callers await [`millstream_broker_storage::Storage::room`] first.
    pub fn produce(
        &self,
        partition: &TopicPartition,
        batch: Bytes,
        origin: AppendOrigin,
    ) -> Result<Ticket<Appended>, AppendError> {
        let bytes = batch.len();
        let ticket = self.append(partition, batch, origin)?;
        self.metrics().appended(&partition.topic, bytes);
        Ok(ticket)
    }

    fn append(
        &self,
        partition: &TopicPartition,
        batch: Bytes,
        origin: AppendOrigin,
    ) -> Result<Ticket<Appended>, AppendError> {
        let transactional = BatchHeader::read(&batch)
            .filter(|header| header.attributes.is_transactional())
            .and_then(|header| header.producer());
        let Some(producer) = transactional else {
            return self.storage().append(partition, batch, origin);
        };
        let coordinator = self.lock();
        if !coordinator.transactions.verify(producer, partition) {
            return Err(refusal(
                producer,
                coordinator.transactions.of_producer(producer.id).map(|(_, p)| p),
            )
            .into());
        }
        self.storage().append(partition, batch, origin)
    }
}

impl Broker {
    /// The same for a client of transaction version 2: a transactional batch adds its partition to the transaction, and
    /// begins it (KIP-890). The addition comes before the batch in the log, so that one ticket stands for both.
    pub fn produce_and_join(
        &self,
        partition: &TopicPartition,
        batch: Bytes,
        origin: AppendOrigin,
    ) -> Result<Ticket<Appended>, ProduceError> {
        let transactional = BatchHeader::read(&batch)
            .filter(|header| header.attributes.is_transactional())
            .and_then(|header| header.producer());
        let Some(producer) = transactional else {
            return Ok(self.storage().append(partition, batch, origin)?);
        };
        let mut coordinator = self.lock();
        self.storage().offsets(partition).map_err(AppendError::from)?;
        let now = self.clock().now();
        if let Some(joining) = coordinator.transactions.join(producer, partition, now)? {
            let _earlier = self.perform(&mut coordinator, joining)?;
        }
        Ok(self.storage().append(partition, batch, origin)?)
    }
}

/// Why a batch that may add its partition to a transaction was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

fn refusal(producer: Producer, current: Option<Producer>) -> ProducerError {
    match current {
        Some(current) if current.epoch != producer.epoch => ProducerError::InvalidEpoch {
            producer,
            current: current.epoch,
        },
        _ => ProducerError::NotInTransaction { id: producer.id },
    }
}
