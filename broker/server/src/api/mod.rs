//! What the port understands: one row per Kafka API in [`TABLE`], one file per API.
//!
//! A request is handled in two steps. The first runs before the next request of the connection is looked at, so that
//! appends happen in the order of arrival. What then has to be waited for — an fsync, a long poll — is left to the
//! second, and many of those wait at the same time ("order the append, not the ack").
//!
//! Deliberately absent: see `docs/kafka-protocol.md`, which has every row and why others are not there.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod api_versions;
mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod errors;
mod features;
mod fetch;
mod find_coordinator;
mod frame;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod mutations;
mod node;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod refusal;
mod replicas;
mod sasl;
mod sync_group;
mod throttle;
mod transactions;
mod txn_offset_commit;
mod update_features;
mod write_txn_markers;

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt, ready};
use millstream_protocol::{
    frame::{FrameError, MAX_FRAME_BYTES, RequestPeek, SIZE_BYTES},
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterClientQuotasRequest, AlterConfigsRequest,
        AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, AlterUserScramCredentialsRequest,
        ApiKey, ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest,
        CreateAclsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest,
        DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest,
        DescribeClientQuotasRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest,
        DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest,
        DescribeTransactionsRequest, DescribeUserScramCredentialsRequest, ElectLeadersRequest, Encodable,
        EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
        IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
        ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest,
        ListTransactionsRequest, MalformedMessage, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
        OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, Request, RequestHeader,
        ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest, StrBytes, SyncGroupRequest,
        TxnOffsetCommitRequest, UpdateFeaturesRequest, WriteTxnMarkersRequest, decode,
    },
};
use tokio::sync::oneshot;

use crate::{
    budget::Held,
    metrics::RequestTimer,
    quotas::{ANONYMOUS, Asker, QuotaKind},
};
pub(crate) use frame::{Frame, Section};
pub(crate) use node::{Advertised, Node};

/// Every API of the port, by key. What `ApiVersions` answers is derived from it.
const TABLE: &[Row] = &[
    // KAFKA-18659: librdkafka before 2.11.1 takes a broker without Produce v0 for one that knows no compression, and
    // sends everything uncompressed. No client sends those versions.
    Row::new::<ProduceRequest>(3, 13)
        .advertised_from(0)
        .up_to(MAX_FRAME_BYTES),
    Row::new::<FetchRequest>(4, 18).one_at_a_time(),
    Row::new::<ListOffsetsRequest>(1, 10),
    Row::new::<MetadataRequest>(0, 13),
    Row::new::<OffsetCommitRequest>(2, 10),
    Row::new::<OffsetFetchRequest>(1, 10),
    Row::new::<FindCoordinatorRequest>(0, 6),
    Row::new::<JoinGroupRequest>(0, 9),
    Row::new::<HeartbeatRequest>(0, 4),
    Row::new::<LeaveGroupRequest>(0, 5),
    Row::new::<SyncGroupRequest>(0, 5),
    Row::new::<DescribeGroupsRequest>(0, 6),
    Row::new::<ListGroupsRequest>(0, 5),
    Row::new::<SaslHandshakeRequest>(0, 1),
    Row::new::<ApiVersionsRequest>(0, 4),
    Row::new::<CreateTopicsRequest>(2, 7),
    Row::new::<DeleteTopicsRequest>(1, 6),
    Row::new::<DeleteRecordsRequest>(0, 2),
    Row::new::<InitProducerIdRequest>(0, 5),
    Row::new::<OffsetForLeaderEpochRequest>(2, 4),
    Row::new::<AddPartitionsToTxnRequest>(0, 5),
    Row::new::<AddOffsetsToTxnRequest>(0, 4),
    Row::new::<EndTxnRequest>(0, 5),
    Row::new::<WriteTxnMarkersRequest>(1, 1),
    Row::new::<TxnOffsetCommitRequest>(0, 5),
    Row::new::<DescribeAclsRequest>(1, 3),
    Row::new::<CreateAclsRequest>(1, 3),
    Row::new::<DeleteAclsRequest>(1, 3),
    Row::new::<DescribeConfigsRequest>(1, 4),
    Row::new::<AlterConfigsRequest>(0, 2),
    Row::new::<AlterReplicaLogDirsRequest>(1, 2),
    Row::new::<DescribeLogDirsRequest>(1, 4),
    Row::new::<SaslAuthenticateRequest>(0, 2),
    Row::new::<CreatePartitionsRequest>(0, 3),
    Row::new::<DeleteGroupsRequest>(0, 2),
    Row::new::<ElectLeadersRequest>(0, 2),
    Row::new::<IncrementalAlterConfigsRequest>(0, 1),
    Row::new::<AlterPartitionReassignmentsRequest>(0, 1),
    Row::new::<ListPartitionReassignmentsRequest>(0, 0),
    Row::new::<OffsetDeleteRequest>(0, 0),
    Row::new::<DescribeClientQuotasRequest>(0, 1),
    Row::new::<AlterClientQuotasRequest>(0, 1),
    Row::new::<DescribeUserScramCredentialsRequest>(0, 0),
    Row::new::<AlterUserScramCredentialsRequest>(0, 0),
    Row::new::<UpdateFeaturesRequest>(0, 2),
    Row::new::<DescribeClusterRequest>(0, 2),
    Row::new::<DescribeProducersRequest>(0, 0),
    Row::new::<DescribeTransactionsRequest>(0, 0),
    Row::new::<ListTransactionsRequest>(0, 2),
    Row::new::<ConsumerGroupHeartbeatRequest>(0, 1),
    Row::new::<ConsumerGroupDescribeRequest>(0, 1),
    Row::new::<ListConfigResourcesRequest>(0, 1),
    Row::new::<DescribeTopicPartitionsRequest>(0, 0),
];

/// Key, lowest and highest version of every row.
pub(crate) fn versions() -> impl Iterator<Item = (i16, i16, i16)> {
    TABLE.iter().map(|row| (row.key, row.min, row.max))
}

/// What a request without records may have: names and numbers, even for many thousands of partitions, fit in.
const MAX_REQUEST_BYTES: usize = 8 << 20;

/// One API: which versions are understood, and by what.
pub(crate) struct Row {
    key: i16,
    min: i16,
    max: i16,
    /// The lowest version that `ApiVersions` names.
    advertised_min: i16,
    /// A larger request is refused. Only those that carry records are large.
    max_bytes: usize,
    /// The next one of a connection begins when the answer to the last one was written: its answers are large.
    one_at_a_time: bool,
    start: fn(Call, Bytes) -> BoxFuture<'static, Result<Pending, RequestError>>,
}

impl Row {
    const fn new<R: Handle>(min: i16, max: i16) -> Self {
        Self {
            key: R::KEY,
            min,
            max,
            advertised_min: min,
            max_bytes: MAX_REQUEST_BYTES,
            one_at_a_time: false,
            start: |call, body| start::<R>(call, body).boxed(),
        }
    }

    const fn advertised_from(mut self, version: i16) -> Self {
        self.advertised_min = version;
        self
    }

    const fn up_to(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    const fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }
}

/// A request that the port understands.
trait Handle: Request<Response: Send> + Send + 'static {
    /// The request from its bytes, for versions that the message crate does not read.
    fn read(body: &mut Bytes, version: i16) -> Result<Self, MalformedMessage> {
        decode(body, version)
    }

    /// The first step; the reply may hold the second.
    fn handle(self, call: Call) -> impl Future<Output = Reply<Self::Response>> + Send;
}

enum Reply<R> {
    Now(R),
    Later(BoxFuture<'static, R>),
    /// With the pause that the client has to make.
    Throttled(R, Duration),
    /// One that is encoded already.
    Frame(BoxFuture<'static, Frame>),
    /// The client wants none (`acks=0`).
    Nothing,
}

/// What a handler may need beside the request.
struct Call {
    node: Arc<Node>,
    version: i16,
    correlation_id: i32,
    /// What the client calls itself; empty if it does not.
    client_id: StrBytes,
    /// Where it is.
    peer: IpAddr,
    /// Where it found this broker, and is to find it again.
    listener: Arc<Advertised>,
    /// The size of the request, whose memory lives as long as any part of it.
    frame_bytes: usize,
}

impl Call {
    fn asker(&self) -> Asker<'_> {
        Asker {
            user: ANONYMOUS,
            client_id: &self.client_id,
        }
    }
}

/// The frame of an answer, as soon as it is there.
type Pending = BoxFuture<'static, Result<Option<Frame>, RequestError>>;
/// [`Pending`] for a connection.
pub(crate) type Answer = BoxFuture<'static, Result<Outgoing, RequestError>>;

/// An answer that is to be written, and then dropped.
pub(crate) struct Outgoing {
    pub(crate) frame: Option<Frame>,
    /// The next request of an API that goes one at a time waits for this to be dropped.
    _turn: Option<oneshot::Sender<()>>,
    _timer: RequestTimer,
    _held: Held,
    /// How long the connection is not read after it.
    pub(crate) throttle: Duration,
}

/// Why a request ends its connection: what follows in the stream cannot be trusted any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Malformed(#[from] MalformedMessage),
    #[error("api key {key} is unknown")]
    UnknownApi { key: i16 },
    #[error("version {version} of api key {key} is not supported")]
    UnsupportedVersion { key: i16, version: i16 },
    #[error("the answer to api key {key} cannot be encoded: {reason}")]
    Encode { key: i16, reason: String },
    #[error("what is to be answered cannot be read")]
    Read(#[from] std::io::Error),
}

impl RequestError {
    /// One word for each kind, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Frame(_) => "frame",
            Self::Malformed(_) => "malformed",
            Self::UnknownApi { .. } => "unknown_api",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::Encode { .. } | Self::Read(_) => "answer",
        }
    }
}

/// One connection, as the APIs see it.
pub(crate) struct Session {
    node: Arc<Node>,
    listener: Arc<Advertised>,
    peer: IpAddr,
    /// Resolves when the last answer of an API that goes one at a time was written.
    last_turn: Option<oneshot::Receiver<()>>,
}

impl Session {
    /// Of a client that came through that listener.
    pub(crate) fn new(node: Arc<Node>, listener: Arc<Advertised>, peer: IpAddr) -> Self {
        Self {
            node,
            listener,
            peer,
            last_turn: None,
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The first step of a request: when this returns, everything that depends on the order of arrival has happened.
    /// `held` is the frame's share of the memory, kept until the answer is written.
    pub(crate) async fn start(&mut self, mut frame: Bytes, held: Held) -> Result<Answer, RequestError> {
        let peek = RequestPeek::read(&frame)?;
        let (key, version) = (peek.api_key, peek.api_version);
        let row = TABLE
            .iter()
            .find(|row| row.key == key)
            .ok_or(RequestError::UnknownApi { key })?;
        if frame.len() > row.max_bytes {
            let (length, limit) = (frame.len(), row.max_bytes);
            return Err(FrameError::TooLarge { length, limit }.into());
        }
        let timer = self.node.metrics().request(api_key(key), frame.len());
        if !(row.min..=row.max).contains(&version) {
            // A newer client asks for the versions in a version of its own; the answer tells it which to take.
            if key == ApiKey::ApiVersions as i16 {
                let frame = encode(key, 0, peek.correlation_id, &api_versions::unsupported())?;
                return Ok(ready(Ok(Outgoing {
                    frame: Some(frame),
                    _turn: None,
                    _timer: timer,
                    _held: held,
                    throttle: Duration::ZERO,
                }))
                .boxed());
            }
            return Err(RequestError::UnsupportedVersion { key, version });
        }
        let bytes = frame.len();
        let client_id = {
            let header_version = api_key(key).request_header_version(version);
            let header: RequestHeader = decode(&mut frame, header_version)?;
            // Not a part of the frame, which would be shared by it; nor does the header live on.
            StrBytes::from_string(header.client_id.unwrap_or_default().to_string())
        };
        let call = Call {
            node: self.node.clone(),
            version,
            correlation_id: peek.correlation_id,
            client_id,
            peer: self.peer,
            listener: self.listener.clone(),
            frame_bytes: bytes,
        };
        let mut cost = Cost {
            node: self.node.clone(),
            client_id: call.client_id.clone(),
            key,
            version,
            bytes,
            spent: Duration::ZERO,
        };
        let place = self.node.places.acquire().await;
        let pending = cost.time((row.start)(call, frame)).await?;
        drop(place);
        let turn = self.turn(row);
        Ok(async move {
            let turn = turn.await;
            let frame = cost.time(pending).await?;
            let (frame, throttle) = cost.charge(frame);
            Ok(Outgoing {
                frame,
                _turn: turn,
                _timer: timer,
                _held: held,
                throttle,
            })
        }
        .boxed())
    }

    /// Waits for the answers before it, where an API goes one at a time. Dropping what it answers lets the next one go.
    fn turn(&mut self, row: &Row) -> impl Future<Output = Option<oneshot::Sender<()>>> + use<> {
        let turn = row.one_at_a_time.then(|| {
            let (turn, written) = oneshot::channel();
            (turn, self.last_turn.replace(written))
        });
        async move {
            let (turn, before) = turn?;
            if let Some(before) = before {
                // Nothing is ever sent: the sender is dropped with its answer.
                let _ = before.await;
            }
            Some(turn)
        }
    }
}

/// What a request costs the broker, for the quotas of who sent it.
struct Cost {
    node: Arc<Node>,
    client_id: StrBytes,
    key: i16,
    version: i16,
    bytes: usize,
    /// Time of a thread.
    spent: Duration,
}

impl Cost {
    /// Adds the time that a step takes, without that in which it waits.
    async fn time<T>(&mut self, mut step: BoxFuture<'static, T>) -> T {
        if !self.node.quotas.is_limited() {
            return step.await;
        }
        poll_fn(|context| {
            let began = Instant::now();
            let polled = step.poll_unpin(context);
            self.spent += began.elapsed();
            polled
        })
        .await
    }

    /// Counts it, and tells the client how long to pause.
    fn charge(&self, mut frame: Option<Frame>) -> (Option<Frame>, Duration) {
        let quotas = &self.node.quotas;
        let mut throttle = frame.as_ref().map_or(Duration::ZERO, Frame::throttle);
        if !quotas.is_limited() {
            return (frame, throttle);
        }
        let asker = Asker {
            user: ANONYMOUS,
            client_id: &self.client_id,
        };
        let now_ms = self.node.now_ms();
        if self.key == ApiKey::Produce as i16 {
            let bytes = self.bytes as f64;
            throttle = throttle.max(quotas.record(QuotaKind::ProducerByteRate, asker, bytes, now_ms));
        }
        let percent = self.spent.as_secs_f64() * 100.0;
        let of_time = quotas.record(QuotaKind::RequestPercentage, asker, percent, now_ms);
        throttle = throttle.max(of_time.min(quotas.window()));
        if let Some(frame) = frame.as_mut().filter(|_| throttle > Duration::ZERO) {
            let throttle_ms = i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX);
            throttle::set(frame, self.key, self.version, throttle_ms);
        }
        (frame, throttle)
    }
}

async fn start<R: Handle>(call: Call, mut body: Bytes) -> Result<Pending, RequestError> {
    let request = R::read(&mut body, call.version)?;
    // Whatever of the frame is kept, is kept by the request: a batch alone in its buffer is edited in place.
    drop(body);
    let (version, correlation_id) = (call.version, call.correlation_id);
    let encode = move |response: &R::Response| encode(R::KEY, version, correlation_id, response).map(Some);
    Ok(match request.handle(call).await {
        Reply::Now(response) => ready(encode(&response)).boxed(),
        Reply::Later(response) => async move { encode(&response.await) }.boxed(),
        Reply::Throttled(response, throttle) => {
            let frame = encode(&response).map(|frame| frame.map(|frame: Frame| frame.throttled(throttle)));
            ready(frame).boxed()
        }
        Reply::Frame(frame) => async move { Ok(Some(frame.await)) }.boxed(),
        Reply::Nothing => ready(Ok(None)).boxed(),
    })
}

fn encode<R: Encodable>(
    key: i16,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Frame, RequestError> {
    let refused = |reason: String| RequestError::Encode { key, reason };
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let header_version = api_key(key).response_header_version(version);
    let body_bytes = response
        .compute_size(version)
        .map_err(|e| refused(e.to_string()))?;
    let mut frame = BytesMut::with_capacity(body_bytes + 2 * SIZE_BYTES + 1);
    frame.put_i32(0);
    header
        .encode(&mut frame, header_version)
        .and_then(|()| response.encode(&mut frame, version))
        .map_err(|e| refused(e.to_string()))?;
    let length = i32::try_from(frame.len() - SIZE_BYTES).map_err(|e| refused(e.to_string()))?;
    frame[..SIZE_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze().into())
}

/// The key of a row.
fn api_key(key: i16) -> ApiKey {
    ApiKey::try_from(key).expect("every row of the table is an API that the message crate knows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_has_every_row() {
        let page = include_str!("../../../../docs/kafka-protocol.md");
        let of_page: Vec<_> = page
            .lines()
            .filter_map(|line| {
                line.strip_prefix("| ")?
                    .split(" | ")
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                    .into()
            })
            .filter(|cells: &Vec<String>| cells[0].parse::<i16>().is_ok())
            .map(|cells| (cells[0].clone(), cells[2].clone()))
            .collect();
        let of_table: Vec<_> = TABLE
            .iter()
            .map(|row| (row.key.to_string(), format!("{}-{}", row.min, row.max)))
            .collect();
        assert_eq!(of_page, of_table);
    }

    #[test]
    fn rows_are_in_order_and_within_what_the_message_crate_speaks() {
        assert!(TABLE.is_sorted_by_key(|row| row.key));
        for row in TABLE {
            let known = api_key(row.key).valid_versions();
            assert!(
                known.min <= row.min && row.max <= known.max,
                "{:?}: {known}",
                api_key(row.key)
            );
            assert!(row.advertised_min <= row.min && row.min <= row.max);
        }
    }
}
