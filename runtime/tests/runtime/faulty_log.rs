//! A log whose commits fail on demand, before or after they were done: the caller cannot tell which.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use millstream_client::{
    Consumed, Fetch, Fetched, Log, LogError, Member, NewTopic, OffsetAt, Topic, TransactionalProducer,
};
use millstream_types::{GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitFault {
    NotDone,
    DoneButLost,
}

/// Per commit with something to do: what goes wrong, if anything.
type Script = Arc<Mutex<VecDeque<Option<CommitFault>>>>;

pub(crate) struct FaultyLog {
    inner: Arc<dyn Log>,
    script: Script,
}

impl FaultyLog {
    pub(crate) fn new(inner: Arc<dyn Log>, script: impl IntoIterator<Item = Option<CommitFault>>) -> Self {
        Self {
            inner,
            script: Arc::new(Mutex::new(script.into_iter().collect())),
        }
    }
}

#[async_trait]
impl Log for FaultyLog {
    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        self.inner.topics().await
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        self.inner.topic(name).await
    }

    async fn create_topic(&self, topic: NewTopic) -> Result<(), LogError> {
        self.inner.create_topic(topic).await
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        self.inner.delete_topic(name).await
    }

    async fn append(&self, partition: &TopicPartition, records: Vec<Record>) -> Result<Offset, LogError> {
        self.inner.append(partition, records).await
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError> {
        self.inner.fetch(fetch).await
    }

    async fn offset(&self, partition: &TopicPartition, at: OffsetAt) -> Result<Offset, LogError> {
        self.inner.offset(partition, at).await
    }

    async fn committed(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError> {
        self.inner.committed(group, partitions).await
    }

    async fn all_committed(&self, group: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
        self.inner.all_committed(group).await
    }

    async fn groups(&self) -> Result<Vec<GroupId>, LogError> {
        self.inner.groups().await
    }

    async fn commit_offsets(&self, consumed: Consumed) -> Result<(), LogError> {
        self.inner.commit_offsets(consumed).await
    }

    async fn transactional(&self, id: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError> {
        Ok(Box::new(FaultyProducer {
            inner: self.inner.transactional(id).await?,
            script: Arc::clone(&self.script),
        }))
    }

    async fn join(&self, group: &GroupId, topic: &TopicName) -> Result<Box<dyn Member>, LogError> {
        self.inner.join(group, topic).await
    }
}

struct FaultyProducer {
    inner: Box<dyn TransactionalProducer>,
    script: Script,
}

#[async_trait]
impl TransactionalProducer for FaultyProducer {
    async fn append(&mut self, partition: &TopicPartition, records: &[Record]) -> Result<(), LogError> {
        self.inner.append(partition, records).await
    }

    async fn commit(&mut self, consumed: Option<Consumed>) -> Result<(), LogError> {
        let fault = self.script.lock().unwrap().pop_front().flatten();
        if fault != Some(CommitFault::NotDone) {
            self.inner.commit(consumed).await?;
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(LogError::Unavailable {
                message: "the answer was lost".into(),
            }),
        }
    }

    async fn abort(&mut self) -> Result<(), LogError> {
        self.inner.abort().await
    }
}
