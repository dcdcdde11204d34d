use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use millstream_broker_server::{Broker, CommittedOffset, GroupOffsets};
use millstream_broker_storage::{AppendOrigin, NewTopicSpec};
use millstream_client::{
    Consumed, Fetch, Fetched, Log, LogError, Member, NewTopic, OffsetAt, Topic, TransactionalProducer,
};
use millstream_types::{GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};

use crate::{
    batches::{self, Batch},
    error::{self, Translate},
    fetch,
    member::EmbeddedMember,
    producer::EmbeddedProducer,
};

/// A broker in this process as a log.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    broker: Arc<Broker>,
}

impl EmbeddedLog {
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker }
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    pub(crate) fn translate(&self) -> Translate<'_> {
        Translate(self.broker.storage())
    }

    /// The most bytes that a record batch of that partition may have.
    pub(crate) fn max_batch_bytes(&self, partition: &TopicPartition) -> Result<usize, LogError> {
        let storage = self.broker.storage();
        storage
            .offsets(partition)
            .map_err(|e| self.translate().unknown(e))?;
        let topic = storage
            .topic(&partition.topic)
            .ok_or_else(|| LogError::UnknownTopic {
                topic: partition.topic.clone(),
            })?;
        Ok(topic.config.max_message_bytes)
    }

    pub(crate) fn group_offsets(&self, consumed: Consumed) -> GroupOffsets {
        let now = self.broker.clock().now();
        let offset = |(partition, offset)| (partition, CommittedOffset::new(offset, now));
        (consumed.group, consumed.offsets.into_iter().map(offset).collect())
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let topics = self.broker.storage().topics();
        Ok(topics.iter().map(|t| topic(t)).collect())
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        Ok(self.broker.storage().topic(name).map(|t| topic(&t)))
    }

    async fn create_topic(&self, topic: NewTopic) -> Result<(), LogError> {
        let NewTopic {
            name,
            partitions,
            config,
        } = topic;
        let spec = NewTopicSpec {
            name,
            partitions,
            config,
        };
        self.broker.create_topic(spec).await.map_err(error::topic)?;
        Ok(())
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        self.broker.delete_topic(name).await.map_err(error::topic)
    }

    async fn append(&self, partition: &TopicPartition, records: Vec<Record>) -> Result<Offset, LogError> {
        let max_bytes = self.max_batch_bytes(partition)?;
        let batches = batches::build(&partition.topic, &records, max_bytes, None)?;
        drop(records);
        if batches.is_empty() {
            return self.offset(partition, OffsetAt::Latest).await;
        }
        self.broker.storage().room().await;
        let mut tickets = Vec::with_capacity(batches.len());
        for Batch { bytes, .. } in batches {
            let ticket = self.broker.produce(partition, bytes, AppendOrigin::Internal);
            tickets.push(ticket.map_err(|e| self.translate().append(e, None))?);
        }
        let mut first = None;
        for ticket in tickets {
            let appended = ticket.await.map_err(error::write)?;
            first.get_or_insert(appended.base_offset);
        }
        Ok(first.expect("there is at least one batch"))
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError> {
        fetch::fetch(self.broker.storage(), fetch).await
    }

    async fn offset(&self, partition: &TopicPartition, at: OffsetAt) -> Result<Offset, LogError> {
        let storage = self.broker.storage();
        let ends = storage
            .offsets(partition)
            .map_err(|e| self.translate().unknown(e))?;
        match at {
            OffsetAt::Earliest => Ok(ends.log_start),
            OffsetAt::Latest => Ok(ends.high_watermark),
            OffsetAt::LatestCommitted => Ok(ends.last_stable),
            OffsetAt::Time(time) => {
                let found = storage.offset_for_timestamp(partition, time);
                let found = found.map_err(|e| self.translate().read(e))?;
                Ok(found.map_or(ends.high_watermark, |(offset, _)| offset))
            }
        }
    }

    async fn committed(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError> {
        let committed = partitions
            .iter()
            .filter_map(|p| Some((p.clone(), self.broker.committed(group, p)?.offset)));
        Ok(committed.collect())
    }

    async fn all_committed(&self, group: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
        let offsets = self
            .broker
            .all_committed(Some(group))
            .remove(group)
            .unwrap_or_default();
        Ok(offsets.into_iter().map(|(p, o)| (p, o.offset)).collect())
    }

    async fn groups(&self) -> Result<Vec<GroupId>, LogError> {
        Ok(self.broker.all_committed(None).into_keys().collect())
    }

    async fn commit_offsets(&self, consumed: Consumed) -> Result<(), LogError> {
        let offsets = self.group_offsets(consumed);
        let committed = self.broker.commit_offsets(offsets).await;
        committed.map_err(|e| self.translate().commit_offsets(e))
    }

    async fn transactional(&self, id: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError> {
        Ok(Box::new(EmbeddedProducer::begin(self.clone(), id.clone()).await?))
    }

    async fn join(&self, group: &GroupId, topic: &TopicName) -> Result<Box<dyn Member>, LogError> {
        Ok(Box::new(EmbeddedMember::join(&self.broker, group, topic).await?))
    }
}

fn topic(topic: &millstream_broker_storage::Topic) -> Topic {
    Topic {
        name: topic.name.clone(),
        id: Some(topic.id.as_u128()),
        partitions: topic.partitions,
        config: topic.config.as_set().clone(),
    }
}
