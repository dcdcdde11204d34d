//! The records of `__millstream_positions`: how far every source task has come.
//!
//! ```text
//! key    <pipeline> '/' <source> '/' <task>          UTF-8; only the task's name may hold a '/'
//! value  0 | position version: u16 big-endian | position bytes
//!        ^ version of this layout                    no value: forgotten, the task begins anew
//! ```
//!
//! The topic is compacted; the last record of a key counts. A position is written in the transaction of the records
//! that it covers, so a reader must be read-committed and must read up to the end as it was *after* it fenced the
//! former incarnation: other tasks' open transactions may stand before our last position.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_client::{Fetch, Isolation, Log, OffsetAt};
use millstream_sdk::{Position, TaskError};
use millstream_types::{Record, Timestamp, TopicPartition};

use crate::{error::from_log, names::positions_topic, partitioner::partition_of_key};

const LAYOUT: u8 = 0;
const FETCH_BYTES: usize = 256 * 1024;
const FETCH_WAIT: Duration = Duration::from_millis(100);
/// How long other tasks' open transactions may stand in the way; longer than a transaction may be open by default.
const READ_DEADLINE: Duration = Duration::from_secs(90);

/// Whose position it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionKey {
    pub pipeline: String,
    pub source: String,
    pub task: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPosition {
    #[error("the key is not of the form pipeline/source/task")]
    Key,
    #[error("a position of {length} bytes is too short")]
    Short { length: usize },
    #[error("positions of layout {found} come from a newer version")]
    Layout { found: u8 },
}

impl PositionKey {
    pub fn encode(&self) -> Bytes {
        format!("{}/{}/{}", self.pipeline, self.source, self.task).into()
    }

    pub fn decode(key: &[u8]) -> Result<Self, InvalidPosition> {
        let text = str::from_utf8(key).map_err(|_| InvalidPosition::Key)?;
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(pipeline), Some(source), Some(task)) => Ok(Self {
                pipeline,
                source,
                task,
            }),
            _ => Err(InvalidPosition::Key),
        }
    }
}

pub fn encode_position(position: &Position) -> Bytes {
    let mut value = BytesMut::with_capacity(3 + position.bytes.len());
    value.put_u8(LAYOUT);
    value.put_u16(position.version);
    value.put_slice(&position.bytes);
    value.freeze()
}

pub fn decode_position(value: &Bytes) -> Result<Position, InvalidPosition> {
    match value.as_ref() {
        [LAYOUT, high, low, ..] => Ok(Position {
            version: u16::from_be_bytes([*high, *low]),
            bytes: value.slice(3..),
        }),
        [LAYOUT, ..] | [] => Err(InvalidPosition::Short { length: value.len() }),
        [found, ..] => Err(InvalidPosition::Layout { found: *found }),
    }
}

/// The record to append, and where.
pub(crate) fn record(
    key: &PositionKey,
    position: &Position,
    partitions: i32,
    now: Timestamp,
) -> (TopicPartition, Record) {
    let record = Record {
        timestamp: now,
        key: Some(key.encode()),
        value: Some(encode_position(position)),
        ..Record::default()
    };
    (partition(key, partitions), record)
}

/// The committed position of a task. Call it after the task's transactional id was taken.
pub(crate) async fn read(
    log: &dyn Log,
    key: &PositionKey,
    partitions: i32,
) -> Result<Option<Position>, TaskError> {
    tokio::time::timeout(READ_DEADLINE, scan(log, key, partitions))
        .await
        .unwrap_or_else(|_| {
            Err(TaskError::retry(
                "an open transaction of another task hides the position of this one",
            ))
        })
}

async fn scan(log: &dyn Log, key: &PositionKey, partitions: i32) -> Result<Option<Position>, TaskError> {
    let partition = partition(key, partitions);
    let end = log.offset(&partition, OffsetAt::Latest).await.map_err(from_log)?;
    let mut offset = log
        .offset(&partition, OffsetAt::Earliest)
        .await
        .map_err(from_log)?;
    let wanted = key.encode();
    let mut last = None;
    while offset < end {
        let fetch = Fetch {
            partition: partition.clone(),
            offset,
            max_bytes: FETCH_BYTES,
            max_wait: FETCH_WAIT,
            isolation: Isolation::ReadCommitted,
        };
        let fetched = log.fetch(fetch).await.map_err(from_log)?;
        let ours = |record: &Record| record.key.as_ref() == Some(&wanted);
        if let Some(record) = fetched.records.into_iter().rfind(ours) {
            last = record.value;
        }
        offset = fetched.next_offset;
    }
    last.as_ref()
        .map(decode_position)
        .transpose()
        .map_err(|error| TaskError::Lost {
            what: format!("the position of {}", String::from_utf8_lossy(&wanted)),
            message: error.to_string(),
        })
}

fn partition(key: &PositionKey, partitions: i32) -> TopicPartition {
    TopicPartition::new(positions_topic(), partition_of_key(&key.encode(), partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_positions_come_back() {
        let key = PositionKey {
            pipeline: "shop".into(),
            source: "landing".into(),
            task: "clicks/2026/*.csv".into(),
        };
        assert_eq!(key.encode().as_ref(), b"shop/landing/clicks/2026/*.csv");
        assert_eq!(PositionKey::decode(&key.encode()), Ok(key));
        for bytes in [&b""[..], b"x", b"\x00\xff position"] {
            let position = Position {
                version: 513,
                bytes: Bytes::from_static(bytes),
            };
            let value = encode_position(&position);
            assert_eq!(value[..3], [0, 2, 1]);
            assert_eq!(decode_position(&value), Ok(position));
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(PositionKey::decode(b"shop/landing"), Err(InvalidPosition::Key));
        assert_eq!(PositionKey::decode(b"\xff/a/b"), Err(InvalidPosition::Key));
        let check = |value: &'static [u8], expected| {
            assert_eq!(decode_position(&Bytes::from_static(value)), Err(expected));
        };
        check(b"", InvalidPosition::Short { length: 0 });
        check(b"\0\0", InvalidPosition::Short { length: 2 });
        check(b"\x01\0\x01", InvalidPosition::Layout { found: 1 });
    }
}
