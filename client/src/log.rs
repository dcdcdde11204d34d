use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use millstream_types::{GroupId, Offset, Record, Timestamp, TopicName, TopicPartition, TransactionalId};

use crate::LogError;

/// A partitioned, durable log. Cheap to share (`Arc<dyn Log>`); every call may be made concurrently.
///
/// Acknowledged means durable: when `append` or `commit` returns `Ok`, a power cut does not take it back.
#[async_trait]
pub trait Log: Send + Sync {
    /// All topics, by name.
    async fn topics(&self) -> Result<Vec<Topic>, LogError>;

    /// One topic; `None` if there is none of that name.
    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError>;

    /// Durable on return. Fails with [`LogError::TopicExists`].
    async fn create_topic(&self, topic: NewTopic) -> Result<(), LogError>;

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError>;

    /// Appends records outside of a transaction and answers the offset of the first. Order of calls by one caller
    /// that awaits each is the order in the log. `offset` of the records is ignored.
    async fn append(&self, partition: &TopicPartition, records: Vec<Record>) -> Result<Offset, LogError>;

    /// Reads one partition. Waits up to `max_wait` for the first record at or after `offset`; answers at least one
    /// batch if there is one, whatever its size. Control records are never answered; `next_offset` steps over them.
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError>;

    /// The offset that belongs to a point of the partition.
    async fn offset(&self, partition: &TopicPartition, at: OffsetAt) -> Result<Offset, LogError>;

    /// The committed (next) offsets of a group; partitions without a commit are absent.
    async fn committed(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError>;

    /// All committed offsets of a group.
    async fn all_committed(&self, group: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError>;

    /// Names of all groups with committed offsets.
    async fn groups(&self) -> Result<Vec<GroupId>, LogError>;

    /// Commits (next) offsets outside of a transaction, for tools.
    async fn commit_offsets(&self, consumed: Consumed) -> Result<(), LogError>;

    /// Becomes the producer of that transactional id: an open transaction of a former one is aborted and every former
    /// one is fenced, before this returns.
    async fn transactional(&self, id: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError>;

    /// Joins a group whose members share the partitions of one topic.
    async fn join(&self, group: &GroupId, topic: &TopicName) -> Result<Box<dyn Member>, LogError>;
}

/// One incarnation of a transactional id. A transaction begins with the first `append` and ends with `commit` or
/// `abort`. Dropping it aborts nothing by itself: the next incarnation does.
#[async_trait]
pub trait TransactionalProducer: Send {
    /// Adds records to the transaction. Order of calls is the order in each partition. May return before the records
    /// are durable; a failure then shows in a later call, at the latest in `commit`. Awaiting bounds the memory used.
    /// With [`LogError::TooLarge`] nothing of the call is kept and the transaction goes on without it.
    async fn append(&mut self, partition: &TopicPartition, records: &[Record]) -> Result<(), LogError>;

    /// Makes all appended records and the consumed offsets durable and visible at once, or fails and nothing is.
    /// After an error the transaction's fate is unknown to the caller: get a new producer and look at what is committed.
    /// Without records and offsets this does nothing.
    async fn commit(&mut self, consumed: Option<Consumed>) -> Result<(), LogError>;

    async fn abort(&mut self) -> Result<(), LogError>;
}

/// A membership in a group. Heartbeats run by themselves; dropping it leaves the group.
#[async_trait]
pub trait Member: Send {
    /// The first assignment, then each one that differs from the last. Cancel-safe.
    async fn assignment(&mut self) -> Result<Assignment, LogError>;

    async fn leave(self: Box<Self>) -> Result<(), LogError>;
}

/// The partitions that a member owns in a generation of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub generation: i32,
    /// Sorted.
    pub partitions: Vec<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: TopicName,
    /// Another one for every topic that ever had this name; `None`: the log does not tell them apart.
    pub id: Option<u128>,
    pub partitions: i32,
    /// Kafka's own keys, only those that were set.
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: TopicName,
    /// At least 1.
    pub partitions: i32,
    /// Kafka's own keys (`retention.ms`, `cleanup.policy`, …); unknown ones are refused.
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    /// Only committed records; ends at the last stable offset (KIP-98).
    ReadCommitted,
}

#[derive(Clone, Debug)]
pub struct Fetch {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub max_bytes: usize,
    pub max_wait: Duration,
    pub isolation: Isolation,
}

#[derive(Clone, Debug)]
pub struct Fetched {
    /// In offset order; may be empty.
    pub records: Vec<Record>,
    /// Where to go on; moves over control and aborted records too.
    pub next_offset: Offset,
    pub high_watermark: Offset,
    /// Equal to the high watermark when no transaction is open.
    pub last_stable_offset: Offset,
    pub log_start: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The log start offset.
    Earliest,
    /// The high watermark.
    Latest,
    /// The last stable offset: the end for read-committed readers.
    LatestCommitted,
    /// The first record whose timestamp is that or later; the high watermark if there is none.
    Time(Timestamp),
}

/// Next offsets to commit for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    pub group: GroupId,
    pub offsets: Vec<(TopicPartition, Offset)>,
}
