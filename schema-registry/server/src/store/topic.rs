use std::{collections::BTreeMap, time::Duration};

use millstream_client::{Fetch, Fetched, Isolation, LogError, NewTopic, OffsetAt, Topic};
use millstream_types::{Offset, Record, TopicPartition};

use super::{OpenError, Store};

const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";
/// What is read at once. A batch that is larger comes whole.
const FETCH_BYTES: usize = 4 << 20;

/// The one partition of the topic.
pub(crate) struct SchemasTopic {
    store: Store,
    partition: TopicPartition,
}

impl SchemasTopic {
    pub(crate) fn new(store: Store) -> Self {
        let partition = TopicPartition::new(store.settings.topic.clone(), 0);
        Self { store, partition }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the topic is there; one that would lose schemas is refused.
    pub(crate) async fn exists(&self) -> Result<bool, OpenError> {
        let topic = self.store.log.topic(&self.partition.topic).await;
        match topic.map_err(|source| self.unreadable(source))? {
            Some(topic) => check(&topic).map(|()| true),
            None => Ok(false),
        }
    }

    /// Which of the topics it is that ever had the name, if the log tells them apart.
    pub(crate) async fn id(&self) -> Result<Option<u128>, LogError> {
        let topic = self.store.log.topic(&self.partition.topic).await?;
        Ok(topic.and_then(|topic| topic.id))
    }

    /// Makes it, unless somebody is quicker.
    pub(crate) async fn create(&self) -> Result<(), OpenError> {
        let topic = NewTopic {
            name: self.partition.topic.clone(),
            partitions: 1,
            config: BTreeMap::from([(CLEANUP_POLICY.to_owned(), COMPACT.to_owned())]),
        };
        match self.store.log.create_topic(topic).await {
            Ok(()) => {
                tracing::info!(topic = %self.partition.topic, "created the topic of schemas");
                Ok(())
            }
            Err(LogError::TopicExists { .. }) => self.exists().await.map(|_| ()),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    pub(super) fn unreadable(&self, source: LogError) -> OpenError {
        OpenError::Log {
            topic: self.partition.topic.clone(),
            source,
        }
    }

    pub(crate) async fn append(&self, records: Vec<Record>) -> Result<Offset, LogError> {
        self.store.log.append(&self.partition, records).await
    }

    pub(crate) async fn start(&self) -> Result<Offset, LogError> {
        self.store.log.offset(&self.partition, OffsetAt::Earliest).await
    }

    /// Where the next record will be.
    pub(crate) async fn end(&self) -> Result<Offset, LogError> {
        self.store
            .log
            .offset(&self.partition, OffsetAt::LatestCommitted)
            .await
    }

    pub(crate) async fn read(&self, offset: Offset, max_wait: Duration) -> Result<Fetched, LogError> {
        let fetch = Fetch {
            partition: self.partition.clone(),
            offset,
            max_bytes: FETCH_BYTES,
            max_wait,
            isolation: Isolation::ReadCommitted,
        };
        self.store.log.fetch(fetch).await
    }
}

fn check(topic: &Topic) -> Result<(), OpenError> {
    if topic.partitions != 1 {
        return Err(OpenError::Partitions {
            topic: topic.name.clone(),
            partitions: topic.partitions,
        });
    }
    let policy = topic.config.get(CLEANUP_POLICY).map_or("delete", String::as_str);
    if policy != COMPACT {
        return Err(OpenError::NotCompacted {
            topic: topic.name.clone(),
            policy: policy.to_owned(),
        });
    }
    Ok(())
}
