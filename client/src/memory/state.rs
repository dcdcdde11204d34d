use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{GroupId, Offset, Record, Timestamp, TopicName, TopicPartition, TransactionalId};
use tokio::sync::watch;

use super::{
    config,
    group::{Assignments, Group, MemberId},
    partition::{Partition, TransactionNumber},
};
use crate::{Consumed, Fetch, Fetched, LogError, NewTopic, Topic};

/// Everything a memory log holds.
#[derive(Debug, Default)]
pub(super) struct State {
    topics: BTreeMap<TopicName, TopicState>,
    offsets: BTreeMap<GroupId, BTreeMap<TopicPartition, Offset>>,
    members: BTreeMap<GroupId, Group>,
    producers: BTreeMap<TransactionalId, ProducerState>,
    last_transaction: u64,
    /// Topics that were ever created.
    created: u128,
}

#[derive(Debug)]
struct TopicState {
    id: u128,
    partitions: Vec<Partition>,
    config: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct ProducerState {
    incarnation: u64,
    open: Option<OpenTransaction>,
}

#[derive(Debug)]
struct OpenTransaction {
    number: TransactionNumber,
    partitions: BTreeSet<TopicPartition>,
}

impl State {
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.topics.keys().filter_map(|name| self.topic(name)).collect()
    }

    pub(super) fn topic(&self, name: &TopicName) -> Option<Topic> {
        let topic = self.topics.get(name)?;
        Some(Topic {
            name: name.clone(),
            id: Some(topic.id),
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            config: topic.config.clone(),
        })
    }

    pub(super) fn create_topic(&mut self, topic: NewTopic) -> Result<(), LogError> {
        let NewTopic {
            name,
            partitions,
            config,
        } = topic;
        if self.topics.contains_key(&name) {
            return Err(LogError::TopicExists { topic: name });
        }
        let count = usize::try_from(partitions).unwrap_or(0);
        if count == 0 {
            return Err(LogError::InvalidConfig {
                key: "partitions".into(),
                message: format!("{partitions} is less than 1"),
            });
        }
        config::validate(&config)?;
        let partitions = std::iter::repeat_with(Partition::default).take(count).collect();
        self.created += 1;
        let id = self.created;
        self.topics.insert(
            name,
            TopicState {
                id,
                partitions,
                config,
            },
        );
        Ok(())
    }

    /// Takes the committed offsets of the topic with it: they would point into a later topic of the same name.
    pub(super) fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError> {
        self.topics
            .remove(name)
            .ok_or_else(|| LogError::UnknownTopic { topic: name.clone() })?;
        for offsets in self.offsets.values_mut() {
            offsets.retain(|p, _| p.topic != *name);
        }
        self.offsets.retain(|_, offsets| !offsets.is_empty());
        for open in self.producers.values_mut().filter_map(|p| p.open.as_mut()) {
            open.partitions.retain(|p| p.topic != *name);
        }
        Ok(())
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Result<&Partition, LogError> {
        let topic = self
            .topics
            .get(&partition.topic)
            .ok_or_else(|| LogError::UnknownTopic {
                topic: partition.topic.clone(),
            })?;
        let index = usize::try_from(partition.partition).ok();
        index
            .and_then(|i| topic.partitions.get(i))
            .ok_or_else(|| LogError::UnknownPartition {
                partition: partition.clone(),
            })
    }

    fn partition_mut(&mut self, partition: &TopicPartition) -> Option<&mut Partition> {
        let index = usize::try_from(partition.partition).ok()?;
        self.topics.get_mut(&partition.topic)?.partitions.get_mut(index)
    }

    pub(super) fn watch(&self, partition: &TopicPartition) -> Result<watch::Receiver<()>, LogError> {
        Ok(self.partition(partition)?.watch())
    }

    pub(super) fn read(&self, fetch: &Fetch) -> Result<Fetched, LogError> {
        self.partition(&fetch.partition)?.read(fetch)
    }

    pub(super) fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<Offset, LogError> {
        self.append_as(None, partition, records, now)
    }

    fn append_as(
        &mut self,
        transaction: Option<TransactionNumber>,
        partition: &TopicPartition,
        mut records: Vec<Record>,
        now: Timestamp,
    ) -> Result<Offset, LogError> {
        self.partition(partition)?;
        let config = &self.topics[&partition.topic].config;
        let max = config::max_message_bytes(config);
        if let Some(size) = records.iter().map(Record::payload_bytes).find(|s| *s > max) {
            let topic = partition.topic.clone();
            return Err(LogError::TooLarge { topic, size, max });
        }
        let mut names = records.iter().flat_map(|r| &r.headers).map(|h| &h.name);
        if names.any(|name| std::str::from_utf8(name).is_err()) {
            return Err(LogError::InvalidRecord {
                message: "a header's name is not UTF-8".into(),
            });
        }
        if config::stamps_on_append(config) {
            records.iter_mut().for_each(|r| r.timestamp = now);
        }
        let partition = self
            .partition_mut(partition)
            .expect("the partition was found above");
        Ok(partition.append(records, transaction))
    }

    pub(super) fn committed(&self, group: &GroupId) -> Option<&BTreeMap<TopicPartition, Offset>> {
        self.offsets.get(group)
    }

    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.offsets.keys().cloned().collect()
    }

    pub(super) fn commit_offsets(&mut self, consumed: Consumed) -> Result<(), LogError> {
        self.check_offsets(&consumed)?;
        if !consumed.offsets.is_empty() {
            self.offsets
                .entry(consumed.group)
                .or_default()
                .extend(consumed.offsets);
        }
        Ok(())
    }

    fn check_offsets(&self, consumed: &Consumed) -> Result<(), LogError> {
        consumed
            .offsets
            .iter()
            .try_for_each(|(p, _)| self.partition(p).map(|_| ()))
    }

    /// Starts a new incarnation: aborts what the former one left open and fences it.
    pub(super) fn begin_producer(&mut self, id: &TransactionalId) -> u64 {
        let producer = self.producers.entry(id.clone()).or_default();
        producer.incarnation += 1;
        let incarnation = producer.incarnation;
        if let Some(open) = producer.open.take() {
            self.end_transaction(&open, false);
        }
        incarnation
    }

    fn producer(&mut self, id: &TransactionalId, incarnation: u64) -> Result<&mut ProducerState, LogError> {
        self.producers
            .get_mut(id)
            .filter(|p| p.incarnation == incarnation)
            .ok_or_else(|| LogError::Fenced { id: id.clone() })
    }

    pub(super) fn append_transactional(
        &mut self,
        (id, incarnation): (&TransactionalId, u64),
        partition: &TopicPartition,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let fresh = TransactionNumber(self.last_transaction + 1);
        let open = &self.producer(id, incarnation)?.open;
        let number = open.as_ref().map_or(fresh, |open| open.number);
        if records.is_empty() {
            return Ok(());
        }
        self.append_as(Some(number), partition, records, now)?;
        self.last_transaction = self.last_transaction.max(number.0);
        let open = self
            .producer(id, incarnation)?
            .open
            .get_or_insert_with(|| OpenTransaction {
                number,
                partitions: BTreeSet::new(),
            });
        open.partitions.insert(partition.clone());
        Ok(())
    }

    pub(super) fn commit(
        &mut self,
        (id, incarnation): (&TransactionalId, u64),
        consumed: Option<Consumed>,
    ) -> Result<(), LogError> {
        self.producer(id, incarnation)?;
        if let Some(consumed) = consumed {
            self.commit_offsets(consumed)?;
        }
        if let Some(open) = self.producer(id, incarnation)?.open.take() {
            self.end_transaction(&open, true);
        }
        Ok(())
    }

    pub(super) fn abort(&mut self, (id, incarnation): (&TransactionalId, u64)) -> Result<(), LogError> {
        if let Some(open) = self.producer(id, incarnation)?.open.take() {
            self.end_transaction(&open, false);
        }
        Ok(())
    }

    fn end_transaction(&mut self, open: &OpenTransaction, committed: bool) {
        for partition in &open.partitions {
            if let Some(partition) = self.partition_mut(partition) {
                partition.end_transaction(open.number, committed);
            }
        }
    }

    pub(super) fn join(
        &mut self,
        group: &GroupId,
        topic: &TopicName,
    ) -> Result<(MemberId, Assignments), LogError> {
        let partitions = match self.topic(topic) {
            Some(topic) => topic.partitions,
            None => return Err(LogError::UnknownTopic { topic: topic.clone() }),
        };
        let members = self.members.entry(group.clone()).or_default();
        Ok(members.join(topic.clone(), partitions))
    }

    /// The group is kept when it is empty, so that its generations go on.
    pub(super) fn leave(&mut self, group: &GroupId, member: MemberId) {
        if let Some(members) = self.members.get_mut(group) {
            members.leave(member);
        }
    }
}
