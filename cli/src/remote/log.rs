//! [`Log`] over the Kafka port: what commands need of it that read, write and commit.
//!
//! Deliberately absent: transactions and membership, which those commands do not use, and idempotence: a line that is
//! appended twice because a connection broke is reported, not repeated.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
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
        CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, OffsetCommitRequest,
        OffsetCommitResponse, OffsetFetchRequest, ProduceRequest, ProduceResponse,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::PartitionData,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_response::MetadataResponseTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::PartitionProduceResponse,
    },
};
use millstream_types::{GroupId, Offset, Record, TopicName, TopicPartition, TransactionalId};

use super::{
    Client, Coordinator, TIMEOUT_MS, Whom, admin,
    errors::{Asked, check},
    is, malformed, text, wire,
};

/// The newest versions whose answers are understood here.
mod version {
    pub(super) const CREATE_TOPICS: i16 = 5;
    pub(super) const DELETE_TOPICS: i16 = 5;
    pub(super) const PRODUCE: i16 = 9;
    pub(super) const FETCH: i16 = 12;
    pub(super) const LIST_OFFSETS: i16 = 7;
    pub(super) const OFFSET_FETCH: i16 = 7;
    pub(super) const OFFSET_COMMIT: i16 = 8;
}

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// A commit of somebody who is no member of the group.
const NO_GENERATION: i32 = -1;
const UNKNOWN_EPOCH: i32 = -1;

pub(crate) struct RemoteLog(Arc<Client>);

impl RemoteLog {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Log for RemoteLog {
    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let metadata = self.0.metadata(None).await?;
        let mut topics = metadata.topics.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    async fn topic(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        let metadata = self.0.metadata(Some(&[name])).await?;
        let found = metadata.topics.iter().find(|topic| is(topic.name.as_ref(), name));
        match found {
            Some(found) if found.error_code == ErrorCode::UnknownTopicOrPartition.code() => Ok(None),
            None => Ok(None),
            Some(found) => {
                let mut topic = topic(found)?;
                topic.config = admin::set_configs_of(&self.0, name).await?;
                Ok(Some(topic))
            }
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
        let answer = self.0.any(&request, version::CREATE_TOPICS).await?;
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
        let answer = self.0.any(&request, version::DELETE_TOPICS).await?;
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
        let leader = self.0.leader(partition).await?;
        let code = |answer: &ProduceResponse| appended(answer).map_or(0, |result| result.error_code);
        let answer = self
            .0
            .patiently(Whom::At(&leader), &request, version::PRODUCE, code)
            .await;
        let answer = self.0.forget_leader(partition, answer)?;
        let result = appended(&answer)
            .cloned()
            .ok_or_else(|| malformed("the answer names no partition"))?;
        let mut asked = Asked::of(partition).message(result.error_message);
        asked.bytes = bytes;
        self.0.forget_leader(partition, check(result.error_code, asked))?;
        Ok(Offset(result.base_offset))
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, LogError> {
        let leader = self.0.leader(&fetch.partition).await?;
        let answer = self.0.call(&leader, &fetch_request(&fetch), version::FETCH).await;
        let answer = self.0.forget_leader(&fetch.partition, answer)?;
        let data = answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let data = data.ok_or_else(|| malformed("the answer names no partition"))?;
        let mut asked = Asked::of(&fetch.partition);
        asked.offset = fetch.offset;
        self.0
            .forget_leader(&fetch.partition, check(data.error_code, asked))?;
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
        let leader = self.0.leader(partition).await?;
        let answer = self.0.call(&leader, &request, version::LIST_OFFSETS).await;
        let answer = self.0.forget_leader(partition, answer)?;
        let found = answer
            .topics
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .next();
        let found = found.ok_or_else(|| malformed("the answer names no partition"))?;
        self.0
            .forget_leader(partition, check(found.error_code, Asked::of(partition)))?;
        match at {
            // No record is that young.
            OffsetAt::Time(_) if found.offset < 0 => self.offset(partition, OffsetAt::Latest).await,
            _ => Ok(Offset(found.offset)),
        }
    }

    async fn committed(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, LogError> {
        let all = self.all_committed(group).await?;
        let wanted = all
            .into_iter()
            .filter(|(partition, _)| partitions.contains(partition));
        Ok(wanted.collect())
    }

    async fn all_committed(&self, group: &GroupId) -> Result<BTreeMap<TopicPartition, Offset>, LogError> {
        let request = OffsetFetchRequest::default()
            .with_group_id(text(group.as_str()).into())
            .with_topics(None);
        let whom = Whom::CoordinatorOf(Coordinator::Group, group.as_str());
        let answer = self
            .0
            .patiently(whom, &request, version::OFFSET_FETCH, |answer| answer.error_code);
        let answer = answer.await?;
        of_group(answer.error_code, group)?;
        let mut offsets = BTreeMap::new();
        for topic in answer.topics {
            let name = TopicName::new(topic.name.as_str())?;
            for partition in topic.partitions {
                of_group(partition.error_code, group)?;
                if partition.committed_offset >= 0 {
                    let at = TopicPartition::new(name.clone(), partition.partition_index);
                    offsets.insert(at, Offset(partition.committed_offset));
                }
            }
        }
        Ok(offsets)
    }

    async fn groups(&self) -> Result<Vec<GroupId>, LogError> {
        let groups = admin::list_groups(&self.0).await?;
        Ok(groups
            .into_iter()
            .map(|group| GroupId::new(group.group))
            .collect())
    }

    async fn commit_offsets(&self, consumed: Consumed) -> Result<(), LogError> {
        let Consumed { group, offsets } = consumed;
        let mut topics: BTreeMap<TopicName, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (partition, offset) in offsets {
            let commit = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(offset.0)
                .with_committed_leader_epoch(UNKNOWN_EPOCH)
                .with_committed_metadata(Some(text("")));
            topics.entry(partition.topic).or_default().push(commit);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            OffsetCommitRequestTopic::default()
                .with_name(wire(&name))
                .with_partitions(partitions)
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(text(group.as_str()).into())
            .with_generation_id_or_member_epoch(NO_GENERATION)
            .with_topics(topics.collect());
        let whom = Whom::CoordinatorOf(Coordinator::Group, group.as_str());
        let first = |answer: &OffsetCommitResponse| {
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.next().map_or(0, |partition| partition.error_code)
        };
        let answer = self
            .0
            .patiently(whom, &request, version::OFFSET_COMMIT, first)
            .await?;
        let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        partitions
            .into_iter()
            .try_for_each(|partition| of_group(partition.error_code, &group))
    }

    async fn transactional(&self, _: &TransactionalId) -> Result<Box<dyn TransactionalProducer>, LogError> {
        Err(not_served("transactions"))
    }

    async fn join(&self, _: &GroupId, _: &TopicName) -> Result<Box<dyn Member>, LogError> {
        Err(not_served("groups"))
    }
}

/// What the answer says of its one partition.
fn appended(answer: &ProduceResponse) -> Option<&PartitionProduceResponse> {
    let mut partitions = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    partitions.next()
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
        // Brokers that are older than the id answer none.
        id: Some(entry.topic_id.as_u128()).filter(|id| *id != 0),
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

fn not_served(what: &str) -> LogError {
    LogError::Unavailable {
        message: format!("{what} are not reached over the Kafka port by this command"),
    }
}

/// What a group's coordinator answers for one of its partitions.
fn of_group(code: i16, group: &GroupId) -> Result<(), LogError> {
    let Some(error) = ErrorCode::from_code(code) else {
        return Err(malformed(format_args!("error code {code}")));
    };
    match error {
        ErrorCode::None => Ok(()),
        ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress => {
            Err(LogError::Unavailable {
                message: format!("group '{group}' has members: stop its consumers first"),
            })
        }
        // Kafka has more than a hundred.
        error => Err(LogError::Unavailable {
            message: format!("group '{group}': {error}: {}", error.message()),
        }),
    }
}
