use futures::FutureExt;
use millstream_broker_storage::{Marker, Outcome, Ticket};
use millstream_protocol::{
    ErrorCode,
    messages::{
        WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
        write_txn_markers_response::{
            WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
        },
    },
};

use super::{Call, Handle, Node, Reply, errors::ToKafka, transactions};

/// Between brokers this ends transactions; here only administrators send it, to end one that hangs
/// (`kafka-transactions.sh abort`). Kafka without an authorizer allows that to everybody, and so does this broker.
impl Handle for WriteTxnMarkersRequest {
    async fn handle(self, call: Call) -> Reply<WriteTxnMarkersResponse> {
        call.node.storage().room().await;
        let mut writing = Vec::new();
        for marker in self.markers {
            let topics: Vec<_> = marker
                .topics
                .iter()
                .map(|topic| write_topic(&call.node, &marker, topic))
                .collect();
            writing.push((marker, topics));
        }
        let answer = async move {
            let mut markers = Vec::new();
            for (marker, topics) in writing {
                let mut results = Vec::new();
                for (topic, partitions) in marker.topics.into_iter().zip(topics) {
                    let partitions = durable(partitions).await;
                    let result = WritableTxnMarkerTopicResult::default().with_name(topic.name);
                    results.push(result.with_partitions(partitions));
                }
                let result = WritableTxnMarkerResult::default().with_producer_id(marker.producer_id);
                markers.push(result.with_topics(results));
            }
            WriteTxnMarkersResponse::default().with_markers(markers)
        };
        Reply::Later(answer.boxed())
    }
}

type Written = (i32, Result<Ticket<()>, ErrorCode>);

fn write_topic(node: &Node, marker: &WritableTxnMarker, topic: &WritableTxnMarkerTopic) -> Vec<Written> {
    let write = |index: i32| {
        let partition =
            transactions::partition(node, &topic.name, index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let marker = Marker {
            partition,
            producer: transactions::producer(marker.producer_id, marker.producer_epoch),
            outcome: if marker.transaction_result {
                Outcome::Commit
            } else {
                Outcome::Abort
            },
            coordinator_epoch: marker.coordinator_epoch,
        };
        node.broker.write_marker(marker).map_err(|error| error.code())
    };
    topic
        .partition_indexes
        .iter()
        .map(|index| (*index, write(*index)))
        .collect()
}

async fn durable(partitions: Vec<Written>) -> Vec<WritableTxnMarkerPartitionResult> {
    let mut results = Vec::new();
    for (index, written) in partitions {
        let code = match written {
            Ok(ticket) => ticket
                .await
                .map_or_else(|error| error.code(), |()| ErrorCode::None),
            Err(code) => code,
        };
        results.push(
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(code.code()),
        );
    }
    results
}
