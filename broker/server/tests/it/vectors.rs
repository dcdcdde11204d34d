//! Requests that real clients sent, captured by `tests/compat/capture.py`: `vectors/<api>-v<version>-<client>.hex`, a
//! frame without its length each.

use std::{collections::BTreeSet, fs, path::Path};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_protocol::messages::{
    ApiKey, ApiVersionsRequest, Decodable, Encodable, ListOffsetsRequest, OFFSETS_BY_TOPIC_ID, RequestHeader,
    RequestKind, ResponseHeader, ResponseKind, decode_offset_commit_by_topic_id,
    decode_offset_fetch_by_topic_id,
};

use crate::Server;

/// APIs that no client of the suite asks for, and why.
const NOT_CAPTURED: &[(ApiKey, &str)] = &[
    (ApiKey::SaslHandshake, "the suite has no credentials"),
    (ApiKey::SaslAuthenticate, "the suite has no credentials"),
    (
        ApiKey::UpdateFeatures,
        "no scenario of the suite changes features",
    ),
    (
        ApiKey::AlterReplicaLogDirs,
        "no scenario of the suite moves a replica",
    ),
    (
        ApiKey::AlterPartitionReassignments,
        "no scenario of the suite moves a replica",
    ),
    (
        ApiKey::ListPartitionReassignments,
        "no scenario of the suite moves a replica",
    ),
    (
        ApiKey::DescribeQuorum,
        "no scenario of the suite asks for the quorum",
    ),
    (
        ApiKey::DescribeUserScramCredentials,
        "the suite has no credentials",
    ),
    (ApiKey::AlterUserScramCredentials, "the suite has no credentials"),
    (
        ApiKey::UnregisterBroker,
        "no scenario of the suite takes a broker away",
    ),
];

struct Vector {
    name: String,
    frame: Bytes,
    key: ApiKey,
    version: i16,
}

impl Vector {
    fn header(&self) -> (RequestHeader, Bytes) {
        let mut body = self.frame.clone();
        let header = RequestHeader::decode(&mut body, self.key.request_header_version(self.version)).unwrap();
        (header, body)
    }

    /// A version that the message crate does not read: the broker's own reader does.
    fn is_by_topic_id(&self) -> bool {
        let (_, mut body) = self.header();
        let read = match self.key {
            ApiKey::OffsetCommit if self.version >= OFFSETS_BY_TOPIC_ID => {
                decode_offset_commit_by_topic_id(&mut body).map(|request| request.topics.len())
            }
            ApiKey::OffsetFetch if self.version >= OFFSETS_BY_TOPIC_ID => {
                decode_offset_fetch_by_topic_id(&mut body).map(|request| request.groups.len())
            }
            _ => return false,
        };
        assert!(read.unwrap() > 0 && body.is_empty(), "{}", self.name);
        true
    }

    fn request(&self) -> RequestKind {
        let (_, mut body) = self.header();
        let request = RequestKind::decode(self.key, &mut body, self.version)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert!(!body.has_remaining(), "{}: bytes follow the request", self.name);
        request
    }
}

/// Those that a client would send to this server: some clients are newer than it.
async fn served_vectors(server: &Server) -> Vec<Vector> {
    let mut client = server.client().await;
    let versions = client.ask(&ApiVersionsRequest::default(), 0).await;
    let mut vectors = vectors();
    vectors.retain(|vector| {
        let mut rows = versions.api_keys.iter();
        rows.find(|row| row.api_key == vector.key as i16)
            .is_some_and(|row| (row.min_version..=row.max_version).contains(&vector.version))
    });
    assert!(vectors.len() > 20, "only {} are for this server", vectors.len());
    vectors
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut vectors: Vec<Vector> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap().path();
            let text = fs::read_to_string(&file).unwrap();
            let frame = bytes_of(text.trim_end());
            let mut start = frame.clone();
            Vector {
                name: file.file_stem().unwrap().to_string_lossy().into_owned(),
                key: ApiKey::try_from(start.get_i16()).unwrap(),
                version: start.get_i16(),
                frame,
            }
        })
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

fn bytes_of(hex: &str) -> Bytes {
    assert!(hex.len().is_multiple_of(2));
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn captured_requests_are_understood_and_written_the_same() {
    let server = Server::start().await;
    let mut different = Vec::new();
    for vector in served_vectors(&server).await {
        if vector.is_by_topic_id() {
            continue;
        }
        let (header, _) = vector.header();
        let mut written = BytesMut::new();
        header
            .encode(&mut written, vector.key.request_header_version(vector.version))
            .unwrap();
        vector.request().encode(&mut written, vector.version).unwrap();
        if written != vector.frame {
            different.push(vector.name);
        }
    }
    assert!(different.is_empty(), "written differently: {different:?}");
}

#[tokio::test]
async fn every_api_has_a_captured_request_or_a_reason() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let versions = client.ask(&ApiVersionsRequest::default(), 0).await;
    let captured: BTreeSet<i16> = vectors().iter().map(|vector| vector.key as i16).collect();
    let mut without = Vec::new();
    for row in &versions.api_keys {
        let excused = NOT_CAPTURED.iter().any(|(key, _)| *key as i16 == row.api_key);
        let has = captured.contains(&row.api_key);
        assert!(
            !(excused && has),
            "captured all the same: {:?}",
            ApiKey::try_from(row.api_key)
        );
        if !excused && !has {
            without.push(ApiKey::try_from(row.api_key).unwrap());
        }
    }
    assert!(without.is_empty(), "neither captured nor excused: {without:?}");
}

/// Whatever a client sent somewhere is answered here, in a message that decodes; and the connection stays open.
#[tokio::test]
async fn captured_requests_are_answered() {
    let server = Server::start().await;
    for vector in served_vectors(&server).await {
        let mut client = server.client().await;
        let mut framed = BytesMut::new();
        framed.put_i32(i32::try_from(vector.frame.len()).unwrap());
        framed.extend_from_slice(&vector.frame);
        client.send_bytes(&framed).await;
        let Some(mut answer) = client.frame().await else {
            panic!("{}: the connection was closed", vector.name);
        };
        let (header, _) = vector.header();
        let version = vector.key.response_header_version(vector.version);
        let got = ResponseHeader::decode(&mut answer, version).unwrap();
        assert_eq!(got.correlation_id, header.correlation_id, "{}", vector.name);
        ResponseKind::decode(vector.key, &mut answer, vector.version)
            .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert!(
            !answer.has_remaining(),
            "{}: bytes follow the answer",
            vector.name
        );
        client.ask(&ListOffsetsRequest::default(), 1).await;
    }
}
