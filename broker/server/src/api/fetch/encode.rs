//! `FetchResponse`, written so that record batches stay where they lie.
//!
//! The message crate's encoder takes the records of a partition as one buffer, which would mean to copy them together, and
//! copies them again into the frame. This one writes everything around them and puts the batches between. That both write
//! the same bytes is a property test.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_broker_storage::{AbortedTxn, Stored};
use millstream_protocol::{ErrorCode, frame::SIZE_BYTES};

use super::{super::frame::Frame, TopicRef};

/// A copy of so little costs less than a piece of its own.
const COPIED_BYTES: usize = 2 << 10;
/// From this version on, lengths are varints and structs end with tagged fields.
const FLEXIBLE_SINCE: i16 = 12;
/// No other replica is nearer.
const NO_PREFERRED_REPLICA: i32 = -1;
/// The tag of `diverging_epoch`.
const DIVERGING_EPOCH_TAG: u64 = 0;
/// Epoch, end offset, and the count of their tagged fields.
const DIVERGING_EPOCH_BYTES: u64 = 4 + 8 + 1;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(super) struct FetchAnswer {
    pub(super) throttle_time_ms: i32,
    pub(super) error: Option<ErrorCode>,
    pub(super) session_id: i32,
    pub(super) partitions: Vec<PartitionAnswer>,
}

/// What is said of one partition.
#[derive(Clone, Debug)]
pub(super) struct PartitionAnswer {
    pub(super) topic: TopicRef,
    pub(super) index: i32,
    pub(super) error: Option<ErrorCode>,
    pub(super) high_watermark: i64,
    pub(super) last_stable: i64,
    pub(super) log_start: i64,
    /// `None` is null: the reader did not ask.
    pub(super) aborted: Option<Vec<AbortedTxn>>,
    /// Epoch and end offset where the reader's log left ours.
    pub(super) diverging: Option<(i32, i64)>,
    pub(super) batches: Vec<Stored>,
}

impl PartitionAnswer {
    /// About what it takes in an answer.
    pub(super) fn bytes(&self) -> usize {
        const AROUND: usize = 44;
        AROUND + self.records_bytes()
    }

    pub(super) fn records_bytes(&self) -> usize {
        self.batches.iter().map(Stored::len).sum()
    }

    /// What of it is in memory.
    pub(super) fn bytes_in_memory(&self) -> usize {
        let in_memory = self.batches.iter().map(|batches| match batches {
            Stored::Memory(bytes) => bytes.len(),
            Stored::File(_) => 0,
        });
        in_memory.sum()
    }
}

impl FetchAnswer {
    pub(super) fn encode(&self, version: i16, correlation_id: i32) -> Frame {
        let mut out = Writer::new(version);
        out.head.put_i32(correlation_id);
        out.no_tags();
        out.head.put_i32(self.throttle_time_ms);
        if version >= 7 {
            out.head.put_i16(code(self.error));
            out.head.put_i32(self.session_id);
        }
        let topics: Vec<&[PartitionAnswer]> = self.partitions.chunk_by(|a, b| a.topic == b.topic).collect();
        out.array(topics.len());
        for partitions in topics {
            out.topic(&partitions[0].topic);
            out.array(partitions.len());
            for partition in partitions {
                out.partition(partition);
            }
            out.no_tags();
        }
        out.no_tags();
        out.finish()
    }
}

fn code(error: Option<ErrorCode>) -> i16 {
    error.map_or(0, ErrorCode::code)
}

struct Writer {
    version: i16,
    head: BytesMut,
    frame: Frame,
}

impl Writer {
    fn new(version: i16) -> Self {
        Self {
            version,
            head: BytesMut::with_capacity(512),
            frame: Frame::default(),
        }
    }

    fn topic(&mut self, topic: &TopicRef) {
        if self.version >= super::TOPIC_IDS_SINCE {
            self.head.put_slice(topic.id.as_bytes());
        } else if self.is_flexible() {
            self.varint(topic.name.len() as u64 + 1);
            self.head.put_slice(topic.name.as_bytes());
        } else {
            self.head.put_i16(
                i16::try_from(topic.name.len()).expect("the name came in a request of this version"),
            );
            self.head.put_slice(topic.name.as_bytes());
        }
    }

    fn partition(&mut self, answer: &PartitionAnswer) {
        self.head.put_i32(answer.index);
        self.head.put_i16(code(answer.error));
        self.head.put_i64(answer.high_watermark);
        self.head.put_i64(answer.last_stable);
        if self.version >= 5 {
            self.head.put_i64(answer.log_start);
        }
        self.aborted(answer.aborted.as_deref());
        if self.version >= 11 {
            self.head.put_i32(NO_PREFERRED_REPLICA);
        }
        self.records(&answer.batches);
        match answer.diverging.filter(|_| self.is_flexible()) {
            Some((epoch, end)) => {
                self.varint(1);
                self.varint(DIVERGING_EPOCH_TAG);
                self.varint(DIVERGING_EPOCH_BYTES);
                self.head.put_i32(epoch);
                self.head.put_i64(end);
                self.no_tags();
            }
            None => self.no_tags(),
        }
    }

    fn aborted(&mut self, aborted: Option<&[AbortedTxn]>) {
        let Some(aborted) = aborted else {
            match self.is_flexible() {
                true => self.varint(0),
                false => self.head.put_i32(-1),
            }
            return;
        };
        self.array(aborted.len());
        for txn in aborted {
            self.head.put_i64(txn.producer_id.0);
            self.head.put_i64(txn.first_offset.0);
            self.no_tags();
        }
    }

    fn records(&mut self, batches: &[Stored]) {
        self.array(batches.iter().map(Stored::len).sum());
        for batch in batches {
            match batch {
                Stored::Memory(bytes) if bytes.len() <= COPIED_BYTES => self.head.put_slice(bytes),
                Stored::Memory(bytes) => {
                    self.frame.push(self.head.split().freeze());
                    self.frame.push(bytes.clone());
                }
                Stored::File(range) => {
                    self.frame.push(self.head.split().freeze());
                    self.frame.push_file(range.clone());
                }
            }
        }
    }

    /// The length of an array, or of bytes, that are not null.
    fn array(&mut self, length: usize) {
        if self.is_flexible() {
            self.varint(length as u64 + 1);
        } else {
            self.head
                .put_i32(i32::try_from(length).expect("an answer is smaller than 2 GB"));
        }
    }

    fn no_tags(&mut self) {
        if self.is_flexible() {
            self.varint(0);
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.head.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.head.put_u8(value as u8);
    }

    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE_SINCE
    }

    fn finish(mut self) -> Frame {
        self.frame.push(self.head.freeze());
        let length = u32::try_from(self.frame.len()).expect("an answer is smaller than 2 GB");
        let size: [u8; SIZE_BYTES] = length.to_be_bytes();
        self.frame.push_front(Bytes::copy_from_slice(&size));
        self.frame
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use millstream_protocol::messages::{
        Encodable, FetchResponse, ProducerId, ResponseHeader, StrBytes, TopicName,
        fetch_response::{AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData},
    };
    use millstream_types::Offset;
    use proptest::{collection::vec, option, prelude::*};
    use uuid::Uuid;

    use super::*;

    /// What the message crate makes of the same answer.
    fn generated(answer: &FetchAnswer, version: i16, correlation_id: i32) -> Bytes {
        let topics = answer.partitions.chunk_by(|a, b| a.topic == b.topic);
        let topics = topics.map(|partitions| {
            FetchableTopicResponse::default()
                .with_topic(TopicName(partitions[0].topic.name.clone()))
                .with_topic_id(partitions[0].topic.id)
                .with_partitions(partitions.iter().map(|p| partition(p, version)).collect())
        });
        let response = FetchResponse::default()
            .with_throttle_time_ms(answer.throttle_time_ms)
            .with_error_code(code(answer.error))
            .with_session_id(if version >= 7 { answer.session_id } else { 0 })
            .with_responses(topics.collect());
        let mut out = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(correlation_id);
        header
            .encode(&mut out, if version >= FLEXIBLE_SINCE { 1 } else { 0 })
            .unwrap();
        response.encode(&mut out, version).unwrap();
        out.freeze()
    }

    fn partition(answer: &PartitionAnswer, version: i16) -> PartitionData {
        let aborted = answer.aborted.as_ref().map(|aborted| {
            let describe = |txn: &AbortedTxn| {
                AbortedTransaction::default()
                    .with_producer_id(ProducerId(txn.producer_id.0))
                    .with_first_offset(txn.first_offset.0)
            };
            aborted.iter().map(describe).collect()
        });
        let data = PartitionData::default()
            .with_partition_index(answer.index)
            .with_error_code(code(answer.error))
            .with_high_watermark(answer.high_watermark)
            .with_last_stable_offset(answer.last_stable)
            .with_log_start_offset(answer.log_start)
            .with_aborted_transactions(aborted)
            .with_records(Some(records(answer)));
        match answer.diverging.filter(|_| version >= FLEXIBLE_SINCE) {
            Some((epoch, end)) => {
                data.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end))
            }
            None => data,
        }
    }

    fn records(answer: &PartitionAnswer) -> Bytes {
        let bytes = answer.batches.iter().flat_map(|batches| match batches {
            Stored::Memory(bytes) => bytes.clone(),
            Stored::File(range) => range.read().unwrap(),
        });
        bytes.collect()
    }

    fn any_partition() -> impl Strategy<Value = PartitionAnswer> {
        let aborted = (any::<i64>(), any::<i64>()).prop_map(|(id, first)| AbortedTxn {
            producer_id: millstream_types::ProducerId(id),
            first_offset: Offset(first),
            last_offset: Offset(first),
        });
        let batch = (0_usize..5000, any::<u8>()).prop_map(|(len, byte)| Bytes::from(vec![byte; len]).into());
        (
            (0_u128..3, any::<i32>(), any::<bool>()),
            (any::<i64>(), any::<i64>(), any::<i64>()),
            option::of(vec(aborted, 0..3)),
            option::of((0_i32..100, any::<i64>())),
            vec(batch, 0..4),
        )
            .prop_map(
                |((topic, index, fails), ends, aborted, diverging, batches)| PartitionAnswer {
                    topic: TopicRef {
                        name: StrBytes::from_string(format!("topic-{topic}")),
                        id: Uuid::from_u128(topic),
                    },
                    index,
                    error: fails.then_some(ErrorCode::UnknownTopicId),
                    high_watermark: ends.0,
                    last_stable: ends.1,
                    log_start: ends.2,
                    aborted,
                    diverging,
                    batches,
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_what_the_message_crate_writes(
            partitions in vec(any_partition(), 0..6),
            (throttle_time_ms, session_id, correlation_id) in any::<(i32, i32, i32)>(),
            fails in any::<bool>(),
        ) {
            let error = fails.then_some(ErrorCode::FetchSessionIdNotFound);
            let answer = FetchAnswer { throttle_time_ms, error, session_id, partitions };
            for version in 4..=18 {
                let mut written = answer.encode(version, correlation_id).into_bytes().unwrap();
                let length = written.get_u32() as usize;
                prop_assert_eq!(length, written.len());
                prop_assert_eq!(written, generated(&answer, version, correlation_id), "version {}", version);
            }
        }
    }
}
