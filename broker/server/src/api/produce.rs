use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::join_all};
use millstream_broker_storage::{AppendError, AppendOrigin, Appended, ProducerError, RecordError, Ticket};
use millstream_protocol::{
    ErrorCode,
    batch::{BatchHeader, Compression},
    messages::{
        ProduceRequest, ProduceResponse, StrBytes,
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse},
    },
};
use millstream_types::{TopicName, TopicPartition};
use tracing::debug;

use super::{Call, Handle, Node, Reply, errors::ToKafka};

/// The client wants no answer.
const ACKS_NONE: i16 = 0;
/// What `acks` may be. One node, and acknowledged means on disk: 1 and -1 (all) promise the same.
const ACKS: [i16; 3] = [ACKS_NONE, 1, -1];

/// From this version on, clients know TRANSACTION_ABORTABLE: the transaction is to be aborted, and the producer goes on.
const ABORTABLE_SINCE: i16 = 11;
/// From this version on, a transactional batch adds its partition to the transaction (KIP-890).
const JOINS_SINCE: i16 = 12;
/// From this version on, topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;

/// A batch that large is checked on a thread of its own, and one that must be unpacked sooner.
const HEAVY_BYTES: usize = 256 << 10;
const HEAVY_PACKED_BYTES: usize = 16 << 10;

impl Handle for ProduceRequest {
    async fn handle(self, call: Call) -> Reply<ProduceResponse> {
        let acks = self.acks;
        let topic_data = batches(self);
        let mut topics = Vec::with_capacity(topic_data.len());
        for topic in topic_data {
            topics.push(append_topic(&call, topic, ACKS.contains(&acks)).await);
        }
        if acks == ACKS_NONE {
            return Reply::Nothing;
        }
        let answer = async move {
            let responses = join_all(topics.into_iter().map(TopicAppends::durable)).await;
            ProduceResponse::default().with_responses(responses)
        };
        Reply::Later(answer.boxed())
    }
}

/// The batches of a request, and nothing else of its frame: a batch alone in its buffer is edited in place.
fn batches(request: ProduceRequest) -> Vec<TopicProduceData> {
    let mut topics = request.topic_data;
    for topic in &mut topics {
        topic.name = StrBytes::from_string(topic.name.to_string()).into();
    }
    topics
}

/// Appends that have their offsets, or were refused.
struct TopicAppends {
    answer: TopicProduceResponse,
    partitions: Vec<PartitionAppend>,
}

struct PartitionAppend {
    partition: i32,
    state: Result<(TopicPartition, Ticket<Appended>), Refusal>,
    node: std::sync::Arc<Node>,
}

struct Refusal {
    code: ErrorCode,
    text: Option<StrBytes>,
    /// Which records of the batch are why (KIP-467).
    records: Vec<BatchIndexAndErrorMessage>,
}

impl<E: ToKafka> From<E> for Refusal {
    fn from(error: E) -> Self {
        let record = |record: &RecordError| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(record.index)
                .with_batch_index_error_message(Some(StrBytes::from_string(record.reason.clone())))
        };
        Self {
            code: error.code(),
            text: error.text(),
            records: error.records().iter().map(record).collect(),
        }
    }
}

impl Refusal {
    fn of(code: ErrorCode) -> Self {
        Self {
            code,
            text: Some(StrBytes::from_static_str(code.message())),
            records: Vec::new(),
        }
    }
}

async fn append_topic(call: &Call, topic: TopicProduceData, acks_known: bool) -> TopicAppends {
    let node = &call.node;
    let (name, unknown) = if call.version >= TOPIC_IDS_SINCE {
        (node.topic_name(topic.topic_id), ErrorCode::UnknownTopicId)
    } else {
        let name = TopicName::new(topic.name.as_str()).ok();
        (name, ErrorCode::UnknownTopicOrPartition)
    };
    let mut partitions = Vec::with_capacity(topic.partition_data.len());
    for data in topic.partition_data {
        let partition = data.index;
        let state = match &name {
            _ if !acks_known => Err(Refusal::of(ErrorCode::InvalidRequiredAcks)),
            None => Err(Refusal::of(unknown)),
            Some(name) => append(call, TopicPartition::new(name.clone(), partition), data).await,
        };
        if let Err(refusal) = &state {
            node.metrics().partition_error("Produce", refusal.code);
            debug!(topic = topic.name.as_str(), partition, error = %refusal.code, "append refused");
        }
        partitions.push(PartitionAppend {
            partition,
            state,
            node: node.clone(),
        });
    }
    TopicAppends {
        answer: TopicProduceResponse::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id),
        partitions,
    }
}

async fn append(
    call: &Call,
    partition: TopicPartition,
    data: PartitionProduceData,
) -> Result<(TopicPartition, Ticket<Appended>), Refusal> {
    let bytes = detached(data.records.unwrap_or_default(), call.frame_bytes);
    let (broker, version) = (call.node.broker.clone(), call.version);
    let joins = version >= JOINS_SINCE;
    broker.storage().room().await;
    let is_heavy = is_heavy(&bytes);
    let append = move || -> Result<_, Refusal> {
        let ticket = if joins {
            broker.produce_and_join(&partition, bytes, AppendOrigin::Client)?
        } else {
            let appended = broker.produce(&partition, bytes, AppendOrigin::Client);
            appended.map_err(|error| refusal(error, version))?
        };
        Ok((partition, ticket))
    };
    if !is_heavy {
        return append();
    }
    // The next request of the connection waits for it all the same, so that the order stays. It fails only if the append
    // panicked, or the runtime stops: then the connection ends here too.
    let appending = tokio::task::spawn_blocking(append);
    appending.await.expect("appending does not panic")
}

/// A batch that is most of its request is kept as it lies there, and edited in place. A smaller one is copied, once: readers
/// at the tail would hold on to the whole request for it, while the memory for them counts the batch.
fn detached(batch: Bytes, frame_bytes: usize) -> Bytes {
    if batch.len() >= frame_bytes / 2 {
        return batch;
    }
    Bytes::from(BytesMut::from(batch.as_ref()))
}

fn refusal(error: AppendError, version: i16) -> Refusal {
    let is_outside = matches!(
        error,
        AppendError::Producer(ProducerError::NotInTransaction { .. })
    );
    let mut refusal = Refusal::from(error);
    if is_outside && version >= ABORTABLE_SINCE {
        refusal.code = ErrorCode::TransactionAbortable;
    }
    refusal
}

/// Whether looking at every record takes so long that other connections would notice.
fn is_heavy(batch: &[u8]) -> bool {
    let is_compressed = BatchHeader::read(batch)
        .and_then(|header| header.attributes.compression().ok())
        .is_some_and(|codec| codec != Compression::None);
    batch.len()
        >= if is_compressed {
            HEAVY_PACKED_BYTES
        } else {
            HEAVY_BYTES
        }
}

impl TopicAppends {
    /// Waits for the disk.
    async fn durable(self) -> TopicProduceResponse {
        let partitions = join_all(self.partitions.into_iter().map(PartitionAppend::durable)).await;
        self.answer.with_partition_responses(partitions)
    }
}

impl PartitionAppend {
    async fn durable(self) -> PartitionProduceResponse {
        let answer = PartitionProduceResponse::default().with_index(self.partition);
        let fate = match self.state {
            Ok((partition, ticket)) => ticket
                .await
                .map(|appended| (partition, appended))
                .map_err(|error| Refusal::from(AppendError::from(error))),
            Err(refusal) => Err(refusal),
        };
        match fate {
            Ok((partition, appended)) => {
                let log_start = self
                    .node
                    .storage()
                    .offsets(&partition)
                    .map_or(-1, |ends| ends.log_start.0);
                answer
                    .with_base_offset(appended.base_offset.0)
                    .with_log_append_time_ms(appended.log_append_time.map_or(-1, |time| time.0))
                    .with_log_start_offset(log_start)
            }
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(refusal.text)
                .with_record_errors(refusal.records)
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1),
        }
    }
}
