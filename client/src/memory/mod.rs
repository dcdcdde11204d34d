//! A log in memory, for tests: everything that [`Log`] promises but durability.
//!
//! One lock holds the whole state, so each call is atomic and the rules stay readable:
//! [`state`] knows topics, groups and transactions, [`partition`] the batches of one partition, [`group`] who owns what.
//! As in Kafka a transaction leaves a control record in each of its partitions, so offsets have gaps here too.
//! Deliberately absent: retention, compaction, transaction timeouts.

mod config;
mod group;
mod partition;
mod producer;
mod state;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use millstream_types::{Clock, GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};
use tokio::time::Instant;

use crate::{
    Consumed, Fetch, Fetched, Log, LogError, Member, NewTopic, OffsetAt, Topic, TransactionalProducer,
};
use state::State;

/// A log that lives as long as its last handle.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl MemoryLog {
    /// The clock stamps the records of topics with `message.timestamp.type=LogAppendTime`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State::default());
        Self {
            shared: Arc::new(Shared { clock, state }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that holds the lock of a memory log panics")
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self.state().topics())
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        Ok(self.state().topic(name))
    }

    async fn create_topic(&self, topic: NewTopic) -> Result<(), LogError> {
        self.state().create_topic(topic)
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        self.state().delete_topic(name)
    }

    async fn append(&self, partition: &TopicPartition, records: Vec<Record>) -> Result<Offset, LogError> {
        let now = self.shared.clock.now();
        self.state().append(partition, records, now)
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError> {
        let deadline = Instant::now() + fetch.max_wait;
        let mut grown = self.state().watch(&fetch.partition)?;
        loop {
            grown.mark_unchanged();
            let fetched = self.state().read(&fetch)?;
            if !fetched.records.is_empty() || fetch.max_wait.is_zero() {
                return Ok(fetched);
            }
            // An error says that the topic was deleted: the next read reports it.
            if tokio::time::timeout_at(deadline, grown.changed()).await.is_err() {
                return self.state().read(&fetch);
            }
        }
    }

    async fn offset(&self, partition: &TopicPartition, at: OffsetAt) -> Result<Offset, LogError> {
        Ok(self.state().partition(partition)?.offset(at))
    }

    async fn committed(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError> {
        let state = self.state();
        let offsets = state.committed(group);
        let known = partitions
            .iter()
            .filter_map(|p| Some((p.clone(), *offsets?.get(p)?)));
        Ok(known.collect())
    }

    async fn all_committed(&self, group: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
        Ok(self.state().committed(group).cloned().unwrap_or_default())
    }

    async fn groups(&self) -> Result<Vec<GroupId>, LogError> {
        Ok(self.state().groups())
    }

    async fn commit_offsets(&self, consumed: Consumed) -> Result<(), LogError> {
        self.state().commit_offsets(consumed)
    }

    async fn transactional(&self, id: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError> {
        Ok(producer::MemoryProducer::begin(self.clone(), id.clone()))
    }

    async fn join(&self, group: &GroupId, topic: &TopicName) -> Result<Box<dyn Member>, LogError> {
        let (id, assignments) = self.state().join(group, topic)?;
        Ok(Box::new(group::MemoryMember::new(
            self.clone(),
            group.clone(),
            id,
            assignments,
        )))
    }
}

#[cfg(test)]
mod tests;
