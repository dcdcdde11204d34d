//! A frame as it comes from a socket, decoded as the request that its header names.
#![no_main]

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use millstream_protocol::{
    frame::{MAX_FRAME_BYTES, RequestPeek, frame_length},
    messages::{
        ApiKey, ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, InitProducerIdRequest,
        JoinGroupRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest, RequestHeader, decode,
        decode_offset_commit_by_topic_id, decode_offset_fetch_by_topic_id,
    },
};

fuzz_target!(|data: &[u8]| {
    let _ = frame_length(data, MAX_FRAME_BYTES);
    let Ok(peek) = RequestPeek::read(data) else {
        return;
    };
    let Ok(key) = ApiKey::try_from(peek.api_key) else {
        return;
    };
    let version = peek.api_version;
    let mut body = Bytes::copy_from_slice(data);
    if decode::<RequestHeader>(&mut body, key.request_header_version(version)).is_err() {
        body.advance(body.len().min(RequestPeek::BYTES));
    }
    match key {
        ApiKey::Produce => drop(decode::<ProduceRequest>(&mut body, version)),
        ApiKey::Fetch => drop(decode::<FetchRequest>(&mut body, version)),
        ApiKey::ListOffsets => drop(decode::<ListOffsetsRequest>(&mut body, version)),
        ApiKey::Metadata => drop(decode::<MetadataRequest>(&mut body, version)),
        ApiKey::CreateTopics => drop(decode::<CreateTopicsRequest>(&mut body, version)),
        ApiKey::DeleteTopics => drop(decode::<DeleteTopicsRequest>(&mut body, version)),
        ApiKey::InitProducerId => drop(decode::<InitProducerIdRequest>(&mut body, version)),
        ApiKey::OffsetCommit => drop(decode_offset_commit_by_topic_id(&mut body)),
        ApiKey::OffsetFetch => drop(decode_offset_fetch_by_topic_id(&mut body)),
        ApiKey::JoinGroup => drop(decode::<JoinGroupRequest>(&mut body, version)),
        _ => drop(decode::<ApiVersionsRequest>(&mut body, version)),
    }
});
