//! Every API of the port: how its messages are read and written again.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use millstream_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterClientQuotasRequest, AlterConfigsRequest,
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, AlterUserScramCredentialsRequest, ApiKey,
    ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreateAclsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, Decodable, DeleteAclsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTopicPartitionsRequest, DescribeTransactionsRequest,
    DescribeUserScramCredentialsRequest, ElectLeadersRequest, Encodable, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, ListTransactionsRequest, MalformedMessage, MetadataRequest,
    OFFSETS_BY_TOPIC_ID, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, Request, SaslAuthenticateRequest, SaslHandshakeRequest,
    SyncGroupRequest, TxnOffsetCommitRequest, UpdateFeaturesRequest, WriteTxnMarkersRequest, decode,
    decode_offset_commit_by_topic_id, decode_offset_fetch_by_topic_id,
};

type Read = fn(&mut Bytes, i16) -> Result<(), MalformedMessage>;

pub(crate) struct Api {
    key: i16,
    pub(crate) request: Read,
    pub(crate) answer: Read,
}

impl Api {
    /// With a reader for the versions that the message crate does not read.
    const fn read_by(mut self, request: Read) -> Self {
        self.request = request;
        self
    }

    const fn of<R: Request<Response: Debug> + Debug>() -> Self {
        Self {
            key: R::KEY,
            request: read::<R>,
            answer: read::<R::Response>,
        }
    }
}

pub(crate) fn api(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key as i16)
}

/// Reads a message. What was understood is written and read again, and must not have changed.
fn read<M: Decodable + Encodable + Debug>(bytes: &mut Bytes, version: i16) -> Result<(), MalformedMessage> {
    let message: M = decode(bytes, version)?;
    let mut once = BytesMut::new();
    if message.encode(&mut once, version).is_err() {
        // such as a field that has no value in this version
        return Ok(());
    }
    // by the library itself: `decode` refuses some large tag numbers if little follows them
    let again = match M::decode(&mut once.clone().freeze(), version) {
        Ok(again) => again,
        // The library counts tagged fields beyond 31 bits, and does not write them; nobody writes what a peer sent.
        Err(_) if format!("{message:?}").contains("unknown_tagged_fields: {-") => return Ok(()),
        Err(error) => panic!("what was written can be read: {error}"),
    };
    let mut twice = BytesMut::new();
    again
        .encode(&mut twice, version)
        .expect("it could be written before");
    assert_eq!(once, twice, "a message changes when it is read and written");
    Ok(())
}

const APIS: &[Api] = &[
    Api::of::<ProduceRequest>(),
    Api::of::<FetchRequest>(),
    Api::of::<ListOffsetsRequest>(),
    Api::of::<MetadataRequest>(),
    Api::of::<OffsetCommitRequest>().read_by(|bytes, version| {
        if version < OFFSETS_BY_TOPIC_ID {
            return read::<OffsetCommitRequest>(bytes, version);
        }
        decode_offset_commit_by_topic_id(bytes).map(drop)
    }),
    Api::of::<OffsetFetchRequest>().read_by(|bytes, version| {
        if version < OFFSETS_BY_TOPIC_ID {
            return read::<OffsetFetchRequest>(bytes, version);
        }
        decode_offset_fetch_by_topic_id(bytes).map(drop)
    }),
    Api::of::<FindCoordinatorRequest>(),
    Api::of::<JoinGroupRequest>(),
    Api::of::<HeartbeatRequest>(),
    Api::of::<LeaveGroupRequest>(),
    Api::of::<SyncGroupRequest>(),
    Api::of::<DescribeGroupsRequest>(),
    Api::of::<ListGroupsRequest>(),
    Api::of::<SaslHandshakeRequest>(),
    Api::of::<ApiVersionsRequest>(),
    Api::of::<CreateTopicsRequest>(),
    Api::of::<DeleteTopicsRequest>(),
    Api::of::<DeleteRecordsRequest>(),
    Api::of::<InitProducerIdRequest>(),
    Api::of::<OffsetForLeaderEpochRequest>(),
    Api::of::<AddPartitionsToTxnRequest>(),
    Api::of::<AddOffsetsToTxnRequest>(),
    Api::of::<EndTxnRequest>(),
    Api::of::<WriteTxnMarkersRequest>(),
    Api::of::<TxnOffsetCommitRequest>(),
    Api::of::<DescribeAclsRequest>(),
    Api::of::<CreateAclsRequest>(),
    Api::of::<DeleteAclsRequest>(),
    Api::of::<DescribeConfigsRequest>(),
    Api::of::<AlterConfigsRequest>(),
    Api::of::<AlterReplicaLogDirsRequest>(),
    Api::of::<DescribeLogDirsRequest>(),
    Api::of::<SaslAuthenticateRequest>(),
    Api::of::<CreatePartitionsRequest>(),
    Api::of::<DeleteGroupsRequest>(),
    Api::of::<ElectLeadersRequest>(),
    Api::of::<IncrementalAlterConfigsRequest>(),
    Api::of::<AlterPartitionReassignmentsRequest>(),
    Api::of::<ListPartitionReassignmentsRequest>(),
    Api::of::<OffsetDeleteRequest>(),
    Api::of::<DescribeClientQuotasRequest>(),
    Api::of::<AlterClientQuotasRequest>(),
    Api::of::<DescribeUserScramCredentialsRequest>(),
    Api::of::<AlterUserScramCredentialsRequest>(),
    Api::of::<UpdateFeaturesRequest>(),
    Api::of::<DescribeClusterRequest>(),
    Api::of::<DescribeProducersRequest>(),
    Api::of::<DescribeTransactionsRequest>(),
    Api::of::<ListTransactionsRequest>(),
    Api::of::<ConsumerGroupHeartbeatRequest>(),
    Api::of::<ConsumerGroupDescribeRequest>(),
    Api::of::<ListConfigResourcesRequest>(),
    Api::of::<DescribeTopicPartitionsRequest>(),
];

#[cfg(test)]
mod tests {
    use millstream_broker_server::Loopback;

    use super::*;

    #[test]
    fn every_api_of_the_port_is_here() {
        let served: Vec<i16> = Loopback::apis().map(|(key, ..)| key).collect();
        let missing: Vec<_> = served
            .iter()
            .filter(|key| APIS.iter().all(|api| api.key != **key))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(
            APIS.len(),
            served.len(),
            "an API is here that the port does not have"
        );
    }
}
