use std::sync::Arc;

use futures::FutureExt;
use millstream_broker_storage::{LEADER_EPOCH, ReadError, Storage};
use millstream_protocol::{
    ErrorCode,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};
use millstream_types::{Offset, Timestamp, TopicName, TopicPartition};
use tracing::error;

use super::{Call, Handle, Node, Reply, errors::ToKafka};

// What a negative timestamp asks for.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// Of the records on this machine's disk (KIP-405): here that is all of them.
const EARLIEST_LOCAL: i64 = -4;
/// The end of what was moved to tiered storage (KIP-1005): nothing.
const LATEST_TIERED: i64 = -5;

const READ_COMMITTED: i8 = 1;
/// From this version on, the answer has the leader epoch.
const LEADER_EPOCH_SINCE: i16 = 4;
/// There is no such offset, or no timestamp that belongs to it.
const UNKNOWN: i64 = -1;

impl Handle for ListOffsetsRequest {
    async fn handle(self, call: Call) -> Reply<ListOffsetsResponse> {
        let node = call.node;
        let look = Look {
            committed_only: self.isolation_level == READ_COMMITTED,
            with_epoch: call.version >= LEADER_EPOCH_SINCE,
        };
        // A timestamp is looked up on disk, which must not hold up other connections.
        let look_up = move || {
            let topics = self
                .topics
                .into_iter()
                .map(|topic| look_up_topic(&node, topic, look));
            ListOffsetsResponse::default().with_topics(topics.collect())
        };
        let found = async {
            tokio::task::spawn_blocking(look_up)
                .await
                .expect("looking up does not panic")
        };
        Reply::Later(found.boxed())
    }
}

/// How all partitions of a request are looked at.
#[derive(Clone, Copy)]
struct Look {
    /// Records of open transactions do not count.
    committed_only: bool,
    with_epoch: bool,
}

fn look_up_topic(node: &Arc<Node>, topic: ListOffsetsTopic, look: Look) -> ListOffsetsTopicResponse {
    let name = TopicName::new(topic.name.as_str());
    let partitions = topic.partitions.iter().map(|wanted| {
        let answer = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
        let found = match &name {
            Ok(name) => look_up(node.storage(), name, wanted, look),
            Err(_) => Err(ErrorCode::UnknownTopicOrPartition),
        };
        match found {
            Ok((offset, timestamp)) => answer
                .with_offset(offset)
                .with_timestamp(timestamp)
                .with_leader_epoch(if look.with_epoch && offset != UNKNOWN {
                    LEADER_EPOCH
                } else {
                    -1
                }),
            Err(code) => answer
                .with_error_code(code.code())
                .with_offset(UNKNOWN)
                .with_timestamp(UNKNOWN),
        }
    });
    let partitions = partitions.collect();
    ListOffsetsTopicResponse::default()
        .with_name(topic.name)
        .with_partitions(partitions)
}

/// The offset that is asked for and, when it was found by a record's timestamp, that.
fn look_up(
    storage: &Storage,
    topic: &TopicName,
    wanted: &ListOffsetsPartition,
    look: Look,
) -> Result<(i64, i64), ErrorCode> {
    if wanted.current_leader_epoch > LEADER_EPOCH {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    let partition = TopicPartition::new(topic.clone(), wanted.partition_index);
    let ends = storage
        .offsets(&partition)
        .map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
    let end = if look.committed_only {
        ends.last_stable
    } else {
        ends.high_watermark
    };
    let below_end = |found: Result<Option<(Offset, Timestamp)>, ReadError>| {
        let found = found.map_err(|failed| {
            error!(%partition, error = %failed, "cannot look a timestamp up");
            failed.code()
        })?;
        let seen = found.filter(|(offset, _)| *offset < end);
        Ok(seen.map_or((UNKNOWN, UNKNOWN), |(offset, timestamp)| (offset.0, timestamp.0)))
    };
    match wanted.timestamp {
        LATEST => Ok((end.0, UNKNOWN)),
        EARLIEST | EARLIEST_LOCAL => Ok((ends.log_start.0, UNKNOWN)),
        LATEST_TIERED => Ok((UNKNOWN, UNKNOWN)),
        MAX_TIMESTAMP => below_end(storage.max_timestamp(&partition)),
        timestamp if timestamp >= 0 => {
            below_end(storage.offset_for_timestamp(&partition, Timestamp(timestamp)))
        }
        _ => Err(ErrorCode::InvalidRequest),
    }
}
