//! Where `throttle_time_ms` lies in an answer. It is set when the answer is written already: only then it is known.

use millstream_protocol::messages::ApiKey;

use super::{Frame, api_key};

/// Size and correlation id.
const HEADER_BYTES: usize = 8;

/// Sets the throttle time of an answer, in the versions that have one.
pub(super) fn set(frame: &mut Frame, key: i16, version: i16, throttle_ms: i32) {
    let key = api_key(key);
    let begin = HEADER_BYTES + usize::from(key.response_header_version(version) > 0);
    match key {
        // The last field; flexible versions end with the count of tagged fields.
        ApiKey::Produce => {
            let tags = usize::from(version >= 9);
            frame.set_i32(frame.len() - 4 - tags, throttle_ms);
        }
        ApiKey::OffsetDelete => frame.set_i32(begin + 2, throttle_ms),
        _ if first_since(key).is_some_and(|since| version >= since) => frame.set_i32(begin, throttle_ms),
        _ => {}
    }
}

/// From which version on it is the first field.
fn first_since(key: ApiKey) -> Option<i16> {
    Some(match key {
        ApiKey::Fetch
        | ApiKey::FindCoordinator
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteTopics => 1,
        ApiKey::ListOffsets | ApiKey::JoinGroup | ApiKey::CreateTopics | ApiKey::OffsetForLeaderEpoch => 2,
        ApiKey::Metadata | ApiKey::OffsetCommit | ApiKey::OffsetFetch => 3,
        ApiKey::DeleteRecords
        | ApiKey::InitProducerId
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::DescribeConfigs
        | ApiKey::AlterConfigs
        | ApiKey::DescribeLogDirs
        | ApiKey::CreatePartitions
        | ApiKey::DeleteGroups
        | ApiKey::ElectLeaders
        | ApiKey::IncrementalAlterConfigs
        | ApiKey::DescribeClientQuotas
        | ApiKey::AlterClientQuotas
        | ApiKey::UpdateFeatures
        | ApiKey::DescribeCluster
        | ApiKey::DescribeProducers
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe
        | ApiKey::DescribeTopicPartitions => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use millstream_protocol::messages::{
        CreateTopicsRequest, Decodable, FetchRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest,
        ProduceResponse, Request, ResponseHeader, produce_response::TopicProduceResponse,
    };

    use super::{super::encode, *};

    fn check<R: Request>(response: &R::Response, version: i16, throttle_of: impl Fn(&R::Response) -> i32) {
        let mut frame = encode(R::KEY, version, 1, response).unwrap();
        set(&mut frame, R::KEY, version, 77);
        let mut bytes = frame.into_bytes().unwrap().slice(4..);
        ResponseHeader::decode(&mut bytes, api_key(R::KEY).response_header_version(version)).unwrap();
        let decoded = R::Response::decode(&mut bytes, version).unwrap();
        assert_eq!(throttle_of(&decoded), 77, "{:?} {version}", api_key(R::KEY));
    }

    #[test]
    fn it_is_found_again_by_a_client() {
        let topics = vec![TopicProduceResponse::default(), TopicProduceResponse::default()];
        let produce = ProduceResponse::default().with_responses(topics);
        for version in 3..=13 {
            check::<ProduceRequest>(&produce, version, |answer| answer.throttle_time_ms);
        }
        for version in 4..=18 {
            check::<FetchRequest>(&Default::default(), version, |answer| answer.throttle_time_ms);
        }
        for version in 3..=13 {
            check::<MetadataRequest>(&Default::default(), version, |answer| answer.throttle_time_ms);
        }
        for version in 2..=7 {
            check::<CreateTopicsRequest>(&Default::default(), version, |answer| answer.throttle_time_ms);
        }
        for version in 0..=5 {
            check::<InitProducerIdRequest>(&Default::default(), version, |answer| answer.throttle_time_ms);
        }
    }
}
