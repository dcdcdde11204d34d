use millstream_client::LogError;
use millstream_protocol::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest,
    create_partitions_request::CreatePartitionsTopic,
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
};
use millstream_types::{Offset, TopicName, TopicPartition};

use super::{super::TIMEOUT_MS, super::wire, Client, missing, refused};

mod version {
    pub(super) const CREATE_PARTITIONS: i16 = 3;
    pub(super) const DELETE_RECORDS: i16 = 2;
}

/// Gives a topic more partitions: `count` is their new number.
pub(crate) async fn create_partitions(
    client: &Client,
    topic: &TopicName,
    count: i32,
) -> Result<(), LogError> {
    let wanted = CreatePartitionsTopic::default()
        .with_name(wire(topic))
        .with_count(count)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![wanted])
        .with_timeout_ms(TIMEOUT_MS);
    let answer = client.any(&request, version::CREATE_PARTITIONS).await?;
    let result = answer.results.first().ok_or_else(missing)?;
    refused(result.error_code, result.error_message.as_ref(), || {
        format!("topic '{topic}' does not get {count} partitions")
    })
}

/// Makes records before that offset unreadable and answers the new log start.
pub(crate) async fn delete_records(
    client: &Client,
    partition: &TopicPartition,
    before: Offset,
) -> Result<Offset, LogError> {
    let wanted = DeleteRecordsPartition::default()
        .with_partition_index(partition.partition)
        .with_offset(before.0);
    let topic = DeleteRecordsTopic::default()
        .with_name(wire(&partition.topic))
        .with_partitions(vec![wanted]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(TIMEOUT_MS);
    let leader = client.leader(partition).await?;
    let answer = client.call(&leader, &request, version::DELETE_RECORDS).await?;
    let mut results = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let result = results.next().ok_or_else(missing)?;
    refused(result.error_code, None, || {
        format!("the records of {partition} before {before} stay")
    })?;
    Ok(Offset(result.low_watermark))
}
