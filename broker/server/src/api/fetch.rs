use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::select_all};
use millstream_broker_storage::{AbortedTxn, Isolation, LEADER_EPOCH, Read, ReadError, Watermarks};
use millstream_protocol::{
    ErrorCode,
    messages::{
        self, FetchRequest, FetchResponse, ProducerId,
        fetch_request::FetchPartition,
        fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
    },
};
use millstream_types::{Offset, TopicName, TopicPartition};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::{Call, Handle, Node, Reply, errors::ToKafka};

/// The most that one answer holds, but for the last batch in it (`fetch.max.bytes` of the broker).
const MAX_ANSWER_BYTES: usize = 55 << 20;
/// Nobody waits longer than this for a record.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// From this version on, topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;
const READ_COMMITTED: i8 = 1;
/// The epochs of a request that is not part of a fetch session (KIP-227). There are none here: session id 0 tells so.
const FULL_FETCH_EPOCHS: [i32; 2] = [0, -1];

impl Handle for FetchRequest {
    async fn handle(self, call: Call) -> Reply<FetchResponse> {
        let refused = |code: ErrorCode| Reply::Now(FetchResponse::default().with_error_code(code.code()));
        if self.session_id != 0 {
            return refused(ErrorCode::FetchSessionIdNotFound);
        }
        if !FULL_FETCH_EPOCHS.contains(&self.session_epoch) {
            return refused(ErrorCode::InvalidFetchSessionEpoch);
        }
        Reply::Later(LongPoll::new(self, &call).run().boxed())
    }
}

/// One fetch request: what is wanted, and for how long it may take.
struct LongPoll {
    node: Arc<Node>,
    topics: Vec<Topic>,
    isolation: Isolation,
    min_bytes: usize,
    max_bytes: usize,
    deadline: Instant,
}

struct Topic {
    /// As the request names it, for the answer.
    name: messages::TopicName,
    id: Uuid,
    partitions: Vec<Wanted>,
}

struct Wanted {
    index: i32,
    /// What to read, or why nothing can be read.
    partition: Result<TopicPartition, ErrorCode>,
    offset: Offset,
    max_bytes: usize,
}

impl LongPoll {
    fn new(request: FetchRequest, call: &Call) -> Self {
        let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let topics = request
            .topics
            .into_iter()
            .map(|topic| {
                let name = resolve(&call.node, call.version, &topic.topic, topic.topic_id);
                Topic {
                    name: topic.topic,
                    id: topic.topic_id,
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|wanted| Wanted::new(&name, wanted))
                        .collect(),
                }
            })
            .collect();
        Self {
            node: call.node.clone(),
            topics,
            isolation: match request.isolation_level {
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            min_bytes: size(request.min_bytes),
            max_bytes: size(request.max_bytes).min(MAX_ANSWER_BYTES),
            deadline: Instant::now() + max_wait.min(MAX_WAIT),
        }
    }

    async fn run(self) -> FetchResponse {
        let poll = Arc::new(self);
        let mut changes = poll.watch();
        loop {
            // First look at the watermarks, then read: what changes in between wakes us.
            changes
                .iter_mut()
                .for_each(|change| drop(change.borrow_and_update()));
            let answer = poll.clone().read_all().await;
            if answer.is_final || answer.bytes >= poll.min_bytes || !poll.wait(&mut changes).await {
                return FetchResponse::default().with_responses(answer.topics);
            }
        }
    }

    fn watch(&self) -> Vec<watch::Receiver<Watermarks>> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .filter_map(|wanted| self.node.storage().watch(wanted.partition.as_ref().ok()?).ok())
            .collect()
    }

    /// Waits until a partition changes. `false` when it is time to answer what there is.
    async fn wait(&self, changes: &mut [watch::Receiver<Watermarks>]) -> bool {
        if changes.is_empty() {
            let _ = timeout_at(self.deadline, self.node.shutdown.cancelled()).await;
            return false;
        }
        let any = select_all(changes.iter_mut().map(|change| change.changed().boxed()));
        tokio::select! {
            () = self.node.shutdown.cancelled() => false,
            changed = timeout_at(self.deadline, any) => changed.is_ok(),
        }
    }

    /// Reads may touch the disk, which must not hold up other connections.
    async fn read_all(self: Arc<Self>) -> Answer {
        let read = tokio::task::spawn_blocking(move || {
            let mut answer = Answer::default();
            for topic in &self.topics {
                let partitions = topic
                    .partitions
                    .iter()
                    .map(|wanted| self.read(wanted, &mut answer))
                    .collect();
                answer.topics.push(
                    FetchableTopicResponse::default()
                        .with_topic(topic.name.clone())
                        .with_topic_id(topic.id)
                        .with_partitions(partitions),
                );
            }
            answer
        });
        // It fails only if the read panicked, or the runtime stops: then the connection ends here too.
        read.await.expect("reading does not panic")
    }

    fn read(&self, wanted: &Wanted, answer: &mut Answer) -> PartitionData {
        let data = PartitionData::default()
            .with_partition_index(wanted.index)
            .with_records(Some(Bytes::new()));
        let read = match &wanted.partition {
            Err(code) => Err(*code),
            Ok(partition) => self
                .read_partition(partition, wanted, answer.bytes)
                .map_err(|error| error.code()),
        };
        match read {
            Ok(read) => {
                let bytes = read.batches.iter().map(Bytes::len).sum::<usize>();
                if let Ok(partition) = &wanted.partition {
                    self.node.metrics().fetched(&partition.topic, bytes);
                }
                answer.bytes += bytes;
                let aborted = (self.isolation == Isolation::ReadCommitted)
                    .then(|| read.aborted.iter().map(describe_aborted).collect());
                data.with_high_watermark(read.high_watermark.0)
                    .with_last_stable_offset(read.last_stable_offset.0)
                    .with_log_start_offset(read.log_start.0)
                    .with_aborted_transactions(aborted)
                    .with_records(Some(join(read.batches)))
            }
            Err(code) => {
                self.node.metrics().partition_error("Fetch", code);
                answer.is_final = true;
                data.with_error_code(code.code())
                    .with_high_watermark(-1)
                    .with_last_stable_offset(-1)
                    .with_log_start_offset(-1)
            }
        }
    }

    /// At least one batch if there is one and the answer has room for anything (KIP-74).
    fn read_partition(
        &self,
        partition: &TopicPartition,
        wanted: &Wanted,
        taken: usize,
    ) -> Result<Read, ReadError> {
        let storage = self.node.storage();
        let room = self.max_bytes.saturating_sub(taken);
        if taken > 0 && room == 0 {
            return Ok(nothing_of(storage.offsets(partition)?));
        }
        storage.read(
            partition,
            wanted.offset,
            wanted.max_bytes.min(room),
            self.isolation,
        )
    }
}

impl Wanted {
    fn new(name: &Result<TopicName, ErrorCode>, wanted: &FetchPartition) -> Self {
        let partition = name.clone().and_then(|name| {
            if wanted.current_leader_epoch > LEADER_EPOCH {
                return Err(ErrorCode::UnknownLeaderEpoch);
            }
            Ok(TopicPartition::new(name, wanted.partition))
        });
        Self {
            index: wanted.partition,
            partition,
            offset: Offset(wanted.fetch_offset),
            max_bytes: usize::try_from(wanted.partition_max_bytes).unwrap_or(0),
        }
    }
}

#[derive(Default)]
struct Answer {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    /// Waiting would make it no better: a partition has an error.
    is_final: bool,
}

fn resolve(node: &Node, version: i16, name: &messages::TopicName, id: Uuid) -> Result<TopicName, ErrorCode> {
    if version < TOPIC_IDS_SINCE {
        return TopicName::new(name.as_str()).map_err(|_| ErrorCode::UnknownTopicOrPartition);
    }
    let topics = node.storage().topics();
    let topic = topics.iter().find(|topic| topic.id == id);
    topic
        .map(|topic| topic.name.clone())
        .ok_or(ErrorCode::UnknownTopicId)
}

/// A partition that is listed, although nothing of it fits into the answer any more.
fn nothing_of(ends: Watermarks) -> Read {
    Read {
        batches: Vec::new(),
        high_watermark: ends.high_watermark,
        last_stable_offset: ends.last_stable,
        log_start: ends.log_start,
        aborted: Vec::new(),
    }
}

fn describe_aborted(aborted: &AbortedTxn) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id.0))
        .with_first_offset(aborted.first_offset.0)
}

/// A single batch travels as it is; several are copied together.
fn join(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() <= 1 {
        return batches.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    batches.iter().for_each(|batch| joined.extend_from_slice(batch));
    joined.freeze()
}
