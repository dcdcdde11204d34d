//! A log that another process serves on its Kafka port: what `topic` commands need of it, for a running pipeline.
//!
//! Each call takes an idle connection or opens one, so that waiting fetches do not stand in each other's way.
//! Deliberately absent: transactions and groups, which those commands do not use, and idempotence: a line that is
//! appended twice because a connection broke is reported, not repeated.

mod connection;
mod errors;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use millstream_client::{
    Consumed, Fetch, Fetched, Isolation, Log, LogError, Member, NewTopic, OffsetAt, Topic,
    TransactionalProducer,
};
use millstream_protocol::{
    ErrorCode,
    batch::{self, BatchBuilder, Compression},
    messages::{
        self, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
        MetadataResponse, ProduceRequest, Request, StrBytes,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::PartitionData,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        metadata_response::MetadataResponseTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use millstream_types::{GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};

use self::{
    connection::Connection,
    errors::{Asked, check},
};

/// The newest versions whose answers are understood here.
mod version {
    pub(super) const METADATA: i16 = 9;
    pub(super) const CREATE_TOPICS: i16 = 5;
    pub(super) const DELETE_TOPICS: i16 = 5;
    pub(super) const PRODUCE: i16 = 9;
    pub(super) const FETCH: i16 = 12;
    pub(super) const LIST_OFFSETS: i16 = 7;
}

const TIMEOUT_MS: i32 = 20_000;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

pub(crate) struct RemoteLog {
    bootstrap: String,
    /// Connections that nobody uses at the moment, by address.
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    /// The address of the leader of each partition that was used.
    leaders: Mutex<HashMap<TopicPartition, String>>,
}

impl RemoteLog {
    /// Fails if nobody answers there.
    pub(crate) async fn connect(bootstrap: &str) -> io::Result<Self> {
        let log = Self {
            bootstrap: bootstrap.to_owned(),
            idle: Mutex::default(),
            leaders: Mutex::default(),
        };
        let connection = Connection::open(bootstrap).await?;
        log.put_back(bootstrap, connection);
        Ok(log)
    }

    async fn call<R: Request>(&self, address: &str, request: &R, most: i16) -> Result<R::Response, LogError> {
        let unavailable = |error: io::Error| LogError::Unavailable {
            message: format!("{address}: {error}"),
        };
        let idle = lock(&self.idle).get_mut(address).and_then(Vec::pop);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(address).await.map_err(unavailable)?,
        };
        // A connection on which something went wrong is dropped: its place in the stream may be lost.
        let answer = connection.call(request, most).await.map_err(unavailable)?;
        self.put_back(address, connection);
        Ok(answer)
    }

    fn put_back(&self, address: &str, connection: Connection) {
        lock(&self.idle)
            .entry(address.to_owned())
            .or_default()
            .push(connection);
    }

    async fn metadata(&self, topics: Option<&[&TopicName]>) -> Result<MetadataResponse, LogError> {
        let topics = topics.map(|names| {
            let named = |name: &&TopicName| MetadataRequestTopic::default().with_name(Some(wire(name)));
            names.iter().map(named).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false);
        self.call(&self.bootstrap, &request, version::METADATA).await
    }

    async fn leader(&self, partition: &TopicPartition) -> Result<String, LogError> {
        if let Some(leader) = lock(&self.leaders).get(partition) {
            return Ok(leader.clone());
        }
        let metadata = self.metadata(Some(&[&partition.topic])).await?;
        let found = metadata
            .topics
            .iter()
            .find(|topic| is(topic.name.as_ref(), &partition.topic));
        let topic = found.ok_or_else(|| malformed("the topic is missing in the metadata"))?;
        check(
            topic.error_code,
            Asked::of(&TopicPartition::new(partition.topic.clone(), 0)),
        )?;
        let wanted = |index| index == partition.partition;
        let entry = topic
            .partitions
            .iter()
            .find(|entry| wanted(entry.partition_index));
        let leader = entry
            .map(|entry| entry.leader_id)
            .ok_or_else(|| LogError::UnknownPartition {
                partition: partition.clone(),
            })?;
        let broker = metadata.brokers.iter().find(|broker| broker.node_id == leader);
        let broker = broker.ok_or_else(|| LogError::Unavailable {
            message: format!("partition {partition} has no leader"),
        })?;
        let address = format!("{}:{}", broker.host, broker.port);
        lock(&self.leaders).insert(partition.clone(), address.clone());
        Ok(address)
    }

    /// Forgets the leader, in case that it moved; the next call asks again.
    fn forget_leader<T>(
        &self,
        partition: &TopicPartition,
        outcome: Result<T, LogError>,
    ) -> Result<T, LogError> {
        if outcome.is_err() {
            lock(&self.leaders).remove(partition);
        }
        outcome
    }
}

#[async_trait]
impl Log for RemoteLog {
    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let metadata = self.metadata(None).await?;
        let mut topics = metadata.topics.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        let metadata = self.metadata(Some(&[name])).await?;
        let found = metadata.topics.iter().find(|topic| is(topic.name.as_ref(), name));
        match found {
            Some(found) if found.error_code == ErrorCode::UnknownTopicOrPartition.code() => Ok(None),
            found => found.map(topic).transpose(),
        }
    }

    async fn create_topic(&self, new: NewTopic) -> Result<(), LogError> {
        let configs = new.config.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let creatable = CreatableTopic::default()
            .with_name(wire(&new.name))
            .with_num_partitions(new.partitions)
            .with_replication_factor(-1)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![creatable])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self
            .call(&self.bootstrap, &request, version::CREATE_TOPICS)
            .await?;
        let result = answer.topics.into_iter().next();
        let result = result.ok_or_else(|| malformed("the answer names no topic"))?;
        check(
            result.error_code,
            Asked::of(&TopicPartition::new(new.name, 0)).message(result.error_message),
        )
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![wire(name)])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self
            .call(&self.bootstrap, &request, version::DELETE_TOPICS)
            .await?;
        let result = answer.responses.into_iter().next();
        let result = result.ok_or_else(|| malformed("the answer names no topic"))?;
        check(
            result.error_code,
            Asked::of(&TopicPartition::new(name.clone(), 0)).message(result.error_message),
        )
    }

    async fn append(&self, partition: &TopicPartition, records: Vec<Record>) -> Result<Offset, LogError> {
        let mut builder = BatchBuilder::new(Compression::None);
        for record in &records {
            builder.push(record);
        }
        let batch = builder.build().map_err(|error| LogError::InvalidRecord {
            message: error.to_string(),
        })?;
        let bytes = batch.len();
        let data = PartitionProduceData::default()
            .with_index(partition.partition)
            .with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(wire(&partition.topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        let leader = self.leader(partition).await?;
        let answer = self.call(&leader, &request, version::PRODUCE).await;
        let answer = self.forget_leader(partition, answer)?;
        let result = answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partition_responses)
            .next();
        let result = result.ok_or_else(|| malformed("the answer names no partition"))?;
        let mut asked = Asked::of(partition).message(result.error_message);
        asked.bytes = bytes;
        self.forget_leader(partition, check(result.error_code, asked))?;
        Ok(Offset(result.base_offset))
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError> {
        let leader = self.leader(&fetch.partition).await?;
        let answer = self.call(&leader, &fetch_request(&fetch), version::FETCH).await;
        let answer = self.forget_leader(&fetch.partition, answer)?;
        let data = answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let data = data.ok_or_else(|| malformed("the answer names no partition"))?;
        let mut asked = Asked::of(&fetch.partition);
        asked.offset = fetch.offset;
        self.forget_leader(&fetch.partition, check(data.error_code, asked))?;
        read(&fetch, data)
    }

    async fn offset(&self, partition: &TopicPartition, at: OffsetAt) -> Result<Offset, LogError> {
        let (timestamp, isolation) = match at {
            OffsetAt::Earliest => (EARLIEST, Isolation::ReadUncommitted),
            OffsetAt::Latest => (LATEST, Isolation::ReadUncommitted),
            OffsetAt::LatestCommitted => (LATEST, Isolation::ReadCommitted),
            OffsetAt::Time(time) => (time.0, Isolation::ReadUncommitted),
        };
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(partition.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(wire(&partition.topic))
            .with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(level(isolation))
            .with_topics(vec![topic]);
        let leader = self.leader(partition).await?;
        let answer = self.call(&leader, &request, version::LIST_OFFSETS).await;
        let answer = self.forget_leader(partition, answer)?;
        let found = answer
            .topics
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let found = found.ok_or_else(|| malformed("the answer names no partition"))?;
        self.forget_leader(partition, check(found.error_code, Asked::of(partition)))?;
        match at {
            // No record is that young.
            OffsetAt::Time(_) if found.offset < 0 => self.offset(partition, OffsetAt::Latest).await,
            _ => Ok(Offset(found.offset)),
        }
    }

    async fn committed(
        &self,
        _: &GroupId,
        _: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError> {
        Err(not_served("committed offsets"))
    }

    async fn all_committed(&self, _: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
        Err(not_served("committed offsets"))
    }

    async fn groups(&self) -> Result<Vec<GroupId>, LogError> {
        Err(not_served("groups"))
    }

    async fn commit_offsets(&self, _: Consumed) -> Result<(), LogError> {
        Err(not_served("committed offsets"))
    }

    async fn transactional(&self, _: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError> {
        Err(not_served("transactions"))
    }

    async fn join(&self, _: &GroupId, _: &TopicName) -> Result<Box<dyn Member>, LogError> {
        Err(not_served("groups"))
    }
}

fn fetch_request(fetch: &Fetch) -> FetchRequest {
    let max_bytes = i32::try_from(fetch.max_bytes).unwrap_or(i32::MAX);
    let partition = FetchPartition::default()
        .with_partition(fetch.partition.partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(fetch.offset.0)
        .with_last_fetched_epoch(-1)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(max_bytes);
    let topic = FetchTopic::default()
        .with_topic(wire(&fetch.partition.topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(i32::try_from(fetch.max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(max_bytes)
        .with_isolation_level(level(fetch.isolation))
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// The records of an answer: those of aborted transactions and those before the wanted offset left out.
fn read(fetch: &Fetch, data: PartitionData) -> Result<Fetched, LogError> {
    let mut aborted: Vec<_> = data.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|transaction| transaction.first_offset);
    let mut aborted = aborted.into_iter().peekable();
    let mut open = Vec::new();
    let mut next_offset = fetch.offset;
    let mut records = Vec::new();
    for batch in batch::split(data.records.unwrap_or_default()) {
        let batch = batch.map_err(malformed)?;
        while let Some(transaction) = aborted.next_if(|next| next.first_offset <= batch.last_offset().0) {
            open.push(transaction.producer_id.0);
        }
        let header = batch.header();
        let producer = header.producer().map(|producer| producer.id.0);
        next_offset = next_offset.max(batch.next_offset());
        if header.attributes.is_control() {
            // The marker ends the transaction of its producer.
            open.retain(|id| Some(*id) != producer);
            continue;
        }
        let is_aborted =
            header.attributes.is_transactional() && producer.is_some_and(|id| open.contains(&id));
        if !is_aborted {
            records.extend(batch.records().map_err(malformed)?);
        }
    }
    records.retain(|record| record.offset >= fetch.offset);
    Ok(Fetched {
        records,
        next_offset,
        high_watermark: Offset(data.high_watermark),
        last_stable_offset: Offset(data.last_stable_offset),
        log_start: Offset(data.log_start_offset),
    })
}

fn topic(entry: &MetadataResponseTopic) -> Result<Topic, LogError> {
    let name = entry.name.as_ref().map_or("", |name| name.as_str());
    let name = TopicName::new(name)?;
    check(entry.error_code, Asked::of(&TopicPartition::new(name.clone(), 0)))?;
    Ok(Topic {
        name,
        partitions: i32::try_from(entry.partitions.len()).unwrap_or(i32::MAX),
        config: BTreeMap::new(),
    })
}

fn level(isolation: Isolation) -> i8 {
    match isolation {
        Isolation::ReadUncommitted => 0,
        Isolation::ReadCommitted => 1,
    }
}

fn wire(name: &TopicName) -> messages::TopicName {
    text(name.as_str()).into()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn is(wire: Option<&messages::TopicName>, name: &TopicName) -> bool {
    wire.is_some_and(|wire| wire.as_str() == name.as_str())
}

fn malformed(error: impl ToString) -> LogError {
    LogError::Unavailable {
        message: format!("the broker's answer is malformed: {}", error.to_string()),
    }
}

fn not_served(what: &str) -> LogError {
    LogError::Unavailable {
        message: format!("{what} are not reached over the Kafka port by this command"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
