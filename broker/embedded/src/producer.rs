use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use millstream_broker_server::{Claim, TransactionError, TransactionRequestError, TransactionVersion};
use millstream_broker_storage::{AppendOrigin, Appended, Outcome, Ticket};
use millstream_client::{Consumed, LogError, TransactionalProducer};
use millstream_types::{Producer, Record, TopicPartition, TransactionalId};

use crate::{
    EmbeddedLog,
    batches::{self, Batch},
    error,
};

/// After that long the broker aborts a transaction by itself (Kafka's default of `transaction.timeout.ms`). A dead
/// producer in a process that lives on holds readers back for no longer.
const TRANSACTION_TIMEOUT_MS: i32 = 60_000;
/// Appended but not yet durable bytes of one producer; further appends wait.
const MAX_IN_FLIGHT_BYTES: usize = 16 << 20;

/// A transactional producer that keeps the disk busy: appends do not wait for the fsync, the commit does. The log has an
/// order, so a durable commit has everything before it durable too.
pub(crate) struct EmbeddedProducer {
    log: EmbeddedLog,
    id: TransactionalId,
    producer: Producer,
    /// The next sequence of each partition it has ever written to.
    sequences: HashMap<TopicPartition, i32>,
    /// The partitions of the open transaction.
    partitions: HashSet<TopicPartition>,
    /// Appends on their way to the disk, with their bytes.
    in_flight: VecDeque<(Ticket<Appended>, usize)>,
    in_flight_bytes: usize,
}

impl EmbeddedProducer {
    pub(crate) async fn begin(log: EmbeddedLog, id: TransactionalId) -> Result<Self, LogError> {
        let begun = log
            .broker()
            .init_producer(&id, TRANSACTION_TIMEOUT_MS, None)
            .await;
        let producer = begun.map_err(|e| log.translate().init(e))?;
        Ok(Self {
            log,
            id,
            producer,
            sequences: HashMap::new(),
            partitions: HashSet::new(),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
        })
    }

    /// In one process no request arrives late: the first version's rules save an epoch per transaction.
    fn claim(&self) -> Claim<'_> {
        Claim {
            id: &self.id,
            producer: self.producer,
            version: TransactionVersion::V1,
        }
    }

    fn enter(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        if self.partitions.contains(partition) {
            return Ok(());
        }
        let added = self
            .log
            .broker()
            .add_partitions(self.claim(), std::slice::from_ref(partition));
        // Nobody waits for it: it comes before the batches in the log.
        let _earlier = added.map_err(|e| self.log.translate().transaction(e))?;
        self.partitions.insert(partition.clone());
        Ok(())
    }

    fn send(&mut self, partition: &TopicPartition, batch: Batch) -> Result<(), LogError> {
        let bytes = batch.bytes.len();
        let sent = self
            .log
            .broker()
            .produce(partition, batch.bytes, AppendOrigin::Internal);
        let ticket = sent.map_err(|e| self.log.translate().append(e, Some(&self.id)))?;
        self.sequences.insert(partition.clone(), batch.next_sequence);
        self.in_flight.push_back((ticket, bytes));
        self.in_flight_bytes += bytes;
        Ok(())
    }

    /// Waits until no more than that is on its way to the disk.
    async fn settle(&mut self, max_bytes: usize) -> Result<(), LogError> {
        while self.in_flight_bytes > max_bytes
            && let Some((oldest, bytes)) = self.in_flight.front_mut()
        {
            let (durable, bytes) = (oldest.await, *bytes);
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
            durable.map_err(error::write)?;
        }
        Ok(())
    }

    fn ended(&mut self) {
        self.partitions.clear();
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }
}

#[async_trait]
impl TransactionalProducer for EmbeddedProducer {
    async fn append(&mut self, partition: &TopicPartition, records: &[Record]) -> Result<(), LogError> {
        let max_bytes = self.log.max_batch_bytes(partition)?;
        let sequence = self.sequences.get(partition).copied().unwrap_or(0);
        let producer = Some((self.producer, sequence));
        let batches = batches::build(&partition.topic, records, max_bytes, producer)?;
        for batch in batches {
            self.settle(MAX_IN_FLIGHT_BYTES).await?;
            self.log.broker().storage().room().await;
            self.enter(partition)?;
            self.send(partition, batch)?;
        }
        Ok(())
    }

    async fn commit(&mut self, consumed: Option<Consumed>) -> Result<(), LogError> {
        let consumed = consumed.filter(|c| !c.offsets.is_empty());
        if self.partitions.is_empty() && consumed.is_none() {
            return Ok(());
        }
        let offsets = consumed.map(|c| self.log.group_offsets(c));
        self.log.broker().storage().room().await;
        let committed = self
            .log
            .broker()
            .end_transaction(self.claim(), Outcome::Commit, offsets.as_ref());
        let (_same, ticket) = committed.map_err(|e| self.log.translate().transaction(e))?;
        ticket.await.map_err(error::write)?;
        self.ended();
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        self.log.broker().storage().room().await;
        let aborted = self
            .log
            .broker()
            .end_transaction(self.claim(), Outcome::Abort, None);
        match aborted {
            Ok((_same, ticket)) => ticket.await.map_err(error::write)?,
            // There was nothing to abort.
            Err(TransactionRequestError::Refused(TransactionError::InvalidState { .. })) => {}
            Err(refused) => return Err(self.log.translate().transaction(refused)),
        }
        self.ended();
        Ok(())
    }
}
