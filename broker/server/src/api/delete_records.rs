use millstream_protocol::{
    ErrorCode,
    messages::{
        self, DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_request::DeleteRecordsPartition,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};
use millstream_types::Offset;

use super::{Call, Handle, Node, Reply, errors::ToKafka, transactions};

/// Stands for the high watermark.
const ALL: i64 = -1;

impl Handle for DeleteRecordsRequest {
    async fn handle(self, call: Call) -> Reply<DeleteRecordsResponse> {
        let mut topics = Vec::new();
        for topic in self.topics {
            let mut partitions = Vec::new();
            for wanted in topic.partitions {
                let answer =
                    DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
                partitions.push(match delete(&call.node, &topic.name, &wanted).await {
                    Ok(start) => answer.with_low_watermark(start.0),
                    Err(code) => answer.with_low_watermark(-1).with_error_code(code.code()),
                });
            }
            let answer = DeleteRecordsTopicResult::default().with_name(topic.name);
            topics.push(answer.with_partitions(partitions));
        }
        Reply::Now(DeleteRecordsResponse::default().with_topics(topics))
    }
}

/// Answers where the log begins now.
async fn delete(
    node: &Node,
    topic: &messages::TopicName,
    wanted: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let storage = node.storage();
    let partition = transactions::partition(node, topic, wanted.partition_index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if partition.topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let before = match wanted.offset {
        ALL => {
            storage
                .offsets(&partition)
                .map_err(|error| error.code())?
                .high_watermark
        }
        offset => Offset(offset),
    };
    storage.room().await;
    let deleted = storage
        .delete_records(&partition, before)
        .map_err(|error| error.code())?;
    deleted.await.map_err(|error| error.code())
}
