//! All of the log's state but its records: topics, producers, transactions, segments and the keyed state.
//!
//! It is a fold over the write-ahead log. Recovery folds the checkpoint with the files that are not sealed and gets the
//! state to go on with; the sealer folds it with the file it seals and gets the next checkpoint. Same code, same state.
//!
//! Keys of the write-ahead log carry a tag before them: `t` topic (+ id), `l` log start (+ id, partition), `u` the
//! users' own keys (group offsets, transactional ids, …).

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::{
    batch::BatchInfo,
    codec::{put_bytes, take_bytes, take_i64, take_u32, take_u64, take_u128},
    partition::{PartitionId, PartitionState, decode_aborted, encode_aborted},
    producer_state::AbortedTxn,
    segment::SegmentMeta,
    topic::Topic,
    wal::frame::MAX_SEQUENCE,
};

const TOPIC: u8 = b't';
const LOG_START: u8 = b'l';
const USER: u8 = b'u';

pub(crate) fn topic_key(id: Uuid) -> Bytes {
    [&[TOPIC][..], id.as_bytes()].concat().into()
}

pub(crate) fn log_start_key(partition: PartitionId) -> Bytes {
    [
        &[LOG_START][..],
        partition.topic.as_bytes(),
        &partition.index.to_le_bytes(),
    ]
    .concat()
    .into()
}

pub(crate) fn user_key(key: &[u8]) -> Bytes {
    [&[USER], key].concat().into()
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogState {
    /// The first file of the write-ahead log that is not folded into this.
    pub(crate) wal_from: u64,
    pub(crate) topics: BTreeMap<Uuid, TopicState>,
    /// The users' keys, without their tag.
    pub(crate) keyed: BTreeMap<Bytes, Bytes>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicState {
    pub(crate) topic: Topic,
    pub(crate) partitions: Vec<PartitionLog>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PartitionLog {
    pub(crate) log_start: i64,
    /// Below it the log is compacted: each key is there once.
    pub(crate) clean_to: i64,
    pub(crate) state: PartitionState,
    pub(crate) aborted: Vec<AbortedTxn>,
    /// Sealed, in offset order.
    pub(crate) segments: Vec<SegmentMeta>,
}

impl LogState {
    /// Applies a put or delete of the write-ahead log. `None`: it is malformed.
    pub(crate) fn put(&mut self, mut key: Bytes, value: Option<Bytes>) -> Option<()> {
        let tag = (!key.is_empty()).then(|| key.split_to(1))?;
        match tag[0] {
            USER => match value {
                // copied: the original is a slice of a large read
                Some(value) => {
                    self.keyed
                        .insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                }
                None => {
                    self.keyed.remove(&key);
                }
            },
            TOPIC => {
                let id = Uuid::from_slice(&key).ok()?;
                match value {
                    Some(json) => self.put_topic(Topic::decode(id, &json)?),
                    None => {
                        self.topics.remove(&id);
                    }
                }
            }
            LOG_START => {
                let topic = Uuid::from_slice(key.get(..16)?).ok()?;
                let index = u32::from_le_bytes(key.get(16..)?.try_into().ok()?);
                let offset = i64::from_le_bytes(value?.as_ref().try_into().ok()?);
                // the topic may have been deleted since
                if let Some(partition) = self.partition(PartitionId { topic, index }) {
                    partition.advance_log_start(offset);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The largest generation of all segments.
    pub(crate) fn last_generation(&self) -> u32 {
        let logs = self.topics.values().flat_map(|topic| &topic.partitions);
        let segments = logs.flat_map(|log| &log.segments);
        segments.map(|segment| segment.generation).max().unwrap_or(0)
    }

    fn put_topic(&mut self, topic: Topic) {
        let count = usize::try_from(topic.partitions).expect("at least 1");
        let state = self.topics.entry(topic.id).or_insert_with(|| TopicState {
            topic: topic.clone(),
            partitions: Vec::new(),
        });
        state.topic = topic;
        state
            .partitions
            .resize_with(count.max(state.partitions.len()), PartitionLog::default);
    }

    pub(crate) fn partition(&mut self, id: PartitionId) -> Option<&mut PartitionLog> {
        self.topics
            .get_mut(&id.topic)?
            .partitions
            .get_mut(id.index as usize)
    }

    pub(crate) fn log(&self, id: PartitionId) -> Option<&PartitionLog> {
        self.topics.get(&id.topic)?.partitions.get(id.index as usize)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.wal_from);
        put_len(out, self.topics.len());
        for topic in self.topics.values() {
            out.put_u128_le(topic.topic.id.as_u128());
            put_bytes(out, &topic.topic.encode());
            put_len(out, topic.partitions.len());
            for partition in &topic.partitions {
                partition.encode(out);
            }
        }
        put_len(out, self.keyed.len());
        for (key, value) in &self.keyed {
            put_bytes(out, key);
            put_bytes(out, value);
        }
    }

    pub(crate) fn decode(input: &mut Bytes, version: u32) -> Option<Self> {
        let mut state = Self {
            wal_from: take_u64(input).filter(|from| *from <= MAX_SEQUENCE)?,
            ..Self::default()
        };
        for _ in 0..take_u32(input)? {
            let id = Uuid::from_u128(take_u128(input)?);
            let topic = Topic::decode(id, &take_bytes(input)?)?;
            let count = take_u32(input)?;
            let partitions = (0..count)
                .map(|_| PartitionLog::decode(input, version))
                .collect::<Option<_>>()?;
            state.topics.insert(id, TopicState { topic, partitions });
        }
        for _ in 0..take_u32(input)? {
            let key = take_bytes(input)?;
            state.keyed.insert(key, take_bytes(input)?);
        }
        Some(state)
    }
}

impl PartitionLog {
    pub(crate) fn advance_log_start(&mut self, to: i64) {
        self.log_start = self.log_start.max(to);
        let log_start = self.log_start;
        self.aborted.retain(|txn| txn.last_offset.0 >= log_start);
    }

    /// Whether a file in the partition's directory belongs to one of its segments.
    pub(crate) fn names_file(&self, name: &str) -> bool {
        let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".index"));
        let base = stem.and_then(|stem| stem.get(..20)?.parse::<i64>().ok());
        base.is_some_and(|base| {
            let at = self.segments.binary_search_by_key(&base, |segment| segment.base);
            at.is_ok_and(|at| Some(self.segments[at].stem().as_str()) == stem)
        })
    }

    /// Records the next batch of the write-ahead log. `None`: it is not the next one.
    pub(crate) fn accept(&mut self, batch: &BatchInfo) -> Option<()> {
        (batch.base_offset == self.state.next_offset).then(|| {
            let applied = self.state.apply(batch);
            self.aborted.extend(applied.aborted);
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64_le(self.log_start);
        out.put_i64_le(self.clean_to);
        self.state.encode(out);
        encode_aborted(&self.aborted, out);
        put_len(out, self.segments.len());
        for segment in &self.segments {
            segment.encode(out);
        }
    }

    fn decode(input: &mut Bytes, version: u32) -> Option<Self> {
        let log_start = take_i64(input)?;
        let clean_to = if version < 2 { 0 } else { take_i64(input)? };
        let state = PartitionState::decode(input, version)?;
        let aborted = decode_aborted(input)?;
        let count = take_u32(input)?;
        let segments = (0..count)
            .map(|_| SegmentMeta::decode(input, version))
            .collect::<Option<_>>()?;
        Some(Self {
            log_start,
            clean_to,
            state,
            aborted,
            segments,
        })
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.put_u32_le(u32::try_from(len).expect("bounded by memory"));
}
