//! Requests about replicas and leaders, as Kafka answers them in a cluster of one node: what is asked for is so already,
//! or cannot be.

use millstream_protocol::{
    ErrorCode,
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterReplicaLogDirsRequest,
        AlterReplicaLogDirsResponse, ElectLeadersRequest, ElectLeadersResponse,
        ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
        alter_partition_reassignments_request::ReassignablePartition,
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
};

use super::{
    Call, Handle, Node, Reply,
    refusal::{Refusal, outcome},
    transactions,
};

/// From this version on, the answer has an error for the request as a whole.
const ELECTION_TYPES_SINCE: i16 = 1;

impl Handle for ElectLeadersRequest {
    async fn handle(self, call: Call) -> Reply<ElectLeadersResponse> {
        let answer = ElectLeadersResponse::default();
        if call.version >= ELECTION_TYPES_SINCE && ![0, 1].contains(&self.election_type) {
            return Reply::Now(answer.with_error_code(ErrorCode::InvalidRequest.code()));
        }
        // Without a list Kafka elects where it is needed, which is nowhere.
        let topics = self.topic_partitions.into_iter().flatten().map(|topic| {
            let partition = |index: &i32| {
                let code = match transactions::partition(&call.node, &topic.topic, *index) {
                    Some(_) => ErrorCode::ElectionNotNeeded,
                    None => ErrorCode::UnknownTopicOrPartition,
                };
                let refusal = Refusal::of(code);
                PartitionResult::default()
                    .with_partition_id(*index)
                    .with_error_code(code.code())
                    .with_error_message(refusal.text)
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            ReplicaElectionResult::default()
                .with_topic(topic.topic)
                .with_partition_result(partitions)
        });
        Reply::Now(answer.with_replica_election_results(topics.collect()))
    }
}

impl Handle for AlterPartitionReassignmentsRequest {
    async fn handle(self, call: Call) -> Reply<AlterPartitionReassignmentsResponse> {
        let topics = self.topics.into_iter().map(|topic| {
            let partition = |wanted: &ReassignablePartition| {
                let known =
                    transactions::partition(&call.node, &topic.name, wanted.partition_index).is_some();
                let (code, text) = outcome(reassign(known, wanted));
                ReassignablePartitionResponse::default()
                    .with_partition_index(wanted.partition_index)
                    .with_error_code(code)
                    .with_error_message(text)
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            ReassignableTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let answer = AlterPartitionReassignmentsResponse::default().with_error_message(None);
        Reply::Now(answer.with_responses(topics.collect()))
    }
}

fn reassign(is_known: bool, wanted: &ReassignablePartition) -> Result<(), Refusal> {
    if !is_known {
        return Err(Refusal::of(ErrorCode::UnknownTopicOrPartition));
    }
    match &wanted.replicas {
        None => Err(Refusal::of(ErrorCode::NoReassignmentInProgress)),
        Some(replicas) if *replicas == [Node::ID] => Ok(()),
        Some(_) => {
            let text = format!("the one replica of a partition is on broker {}", Node::ID.0);
            Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text))
        }
    }
}

impl Handle for ListPartitionReassignmentsRequest {
    async fn handle(self, _call: Call) -> Reply<ListPartitionReassignmentsResponse> {
        Reply::Now(ListPartitionReassignmentsResponse::default().with_error_message(None))
    }
}

impl Handle for AlterReplicaLogDirsRequest {
    async fn handle(self, call: Call) -> Reply<AlterReplicaLogDirsResponse> {
        let here = call.node.storage().log_dir().display().to_string();
        let mut results = Vec::new();
        for dir in self.dirs {
            for topic in dir.topics {
                let partition = |index: &i32| {
                    let known = transactions::partition(&call.node, &topic.name, *index).is_some();
                    let code = match known {
                        false => ErrorCode::UnknownTopicOrPartition,
                        true if dir.path.as_str() == here => ErrorCode::None,
                        true => ErrorCode::LogDirNotFound,
                    };
                    AlterReplicaLogDirPartitionResult::default()
                        .with_partition_index(*index)
                        .with_error_code(code.code())
                };
                let partitions = topic.partitions.iter().map(partition).collect();
                let result = AlterReplicaLogDirTopicResult::default().with_topic_name(topic.name);
                results.push(result.with_partitions(partitions));
            }
        }
        Reply::Now(AlterReplicaLogDirsResponse::default().with_results(results))
    }
}
