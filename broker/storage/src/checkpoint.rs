//! The checkpoint: the log's state up to the last sealed file, replaced as a whole.
//!
//! ```text
//!  checkpoint                                     as format 1 had it
//!   0  8  magic "MSTRMCKP"                         0  8  magic "MSTRMCHK"
//!   8  4  version                                  8  4  CRC32C of all that follows
//!  12  4  CRC32C of the version and the state     12  …  state
//!  16  …  state (see `state.rs`)
//! ```
//!
//! Version 2 added what compaction needs, and the coordinator epochs of producers. Version 1 is still read.

use bytes::{BufMut, Bytes};

use crate::{
    codec::{crc32c, take_u32, take_u64},
    disk::{Disk, read_file, replace_file},
    error::OpenError,
    state::LogState,
};

const PATH: &str = "checkpoint";
const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMCKP");
const MAGIC_OF_VERSION_1: u64 = u64::from_le_bytes(*b"MSTRMCHK");
/// What this program writes.
pub(crate) const VERSION: u32 = 2;
/// Larger than any state that fits into memory beside it.
const MAX_BYTES: u64 = 4 << 30;

pub(crate) fn save(disk: &dyn Disk, state: &LogState) -> std::io::Result<()> {
    let mut body = Vec::new();
    state.encode(&mut body);
    let mut out = Vec::with_capacity(body.len() + 16);
    out.put_u64_le(MAGIC);
    out.put_u32_le(VERSION);
    out.put_u32_le(crc32c([&VERSION.to_le_bytes()[..], &body]));
    out.put_slice(&body);
    replace_file(disk, PATH, &out)
}

/// The last checkpoint; an empty state in a new directory.
pub(crate) fn load(disk: &dyn Disk) -> Result<LogState, OpenError> {
    let file = || disk.describe(PATH);
    let content =
        read_file(disk, PATH, MAX_BYTES).map_err(|source| OpenError::Unreadable { file: file(), source })?;
    let Some(content) = content else {
        return Ok(LogState::default());
    };
    decode(content.into()).ok_or_else(|| OpenError::Corrupt {
        file: file(),
        reason: "its checksum or its content is wrong".into(),
    })
}

fn decode(mut input: Bytes) -> Option<LogState> {
    let (version, sound) = match take_u64(&mut input)? {
        MAGIC => {
            let version = take_u32(&mut input)?;
            let crc = take_u32(&mut input)?;
            (version, crc32c([&version.to_le_bytes()[..], &input]) == crc)
        }
        MAGIC_OF_VERSION_1 => {
            let crc = take_u32(&mut input)?;
            (1, crc32c([&input[..]]) == crc)
        }
        _ => return None,
    };
    if !sound || version > VERSION {
        return None;
    }
    let state = LogState::decode(&mut input, version)?;
    input.is_empty().then_some(state)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millstream_types::TopicName;
    use uuid::Uuid;

    use super::*;
    use crate::{
        Topic, TopicConfig,
        codec::put_bytes,
        disk::{Mode, sim::SimDisk},
        partition::PartitionId,
        segment::SegmentMeta,
        state::topic_key,
    };

    const ID: PartitionId = PartitionId {
        topic: Uuid::from_u128(7),
        index: 0,
    };

    fn topic() -> Topic {
        Topic {
            id: ID.topic,
            name: TopicName::new("t").unwrap(),
            partitions: 1,
            config: TopicConfig::parse(BTreeMap::new()).unwrap(),
        }
    }

    /// One topic, one partition with one producer and one segment.
    fn version_1() -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(3); // wal_from
        body.put_u32_le(1); // topics
        body.put_u128_le(7);
        put_bytes(&mut body, &topic().encode());
        body.put_u32_le(1); // partitions
        body.put_i64_le(4); // log start
        body.put_i64_le(9); // next offset
        body.put_u32_le(1); // producers
        body.put_i64_le(11);
        body.put_i16_le(2);
        body.put_i64_le(-1); // nothing open
        body.put_i64_le(1000);
        body.put_u8(0); // an empty window
        body.put_u32_le(0); // aborted
        body.put_u32_le(1); // segments
        for number in [0, 9, 500, 1000, 900] {
            body.put_i64_le(number);
        }
        body.put_u8(1);
        body.put_u32_le(0); // keyed
        let mut out = Vec::new();
        out.put_u64_le(MAGIC_OF_VERSION_1);
        out.put_u32_le(crc32c([&body[..]]));
        out.put_slice(&body);
        out
    }

    #[test]
    fn a_checkpoint_of_format_1_is_read_and_written_as_the_present_one() {
        let mut state = decode(version_1().into()).unwrap();
        assert_eq!(state.wal_from, 3);
        let log = state.partition(ID).unwrap();
        assert_eq!((log.log_start, log.clean_to, log.state.next_offset), (4, 0, 9));
        assert_eq!(log.state.producers.describe()[0].coordinator_epoch, -1);
        let segment = SegmentMeta {
            base: 0,
            next: 9,
            len: 500,
            max_timestamp: 1000,
            created_ms: 900,
            closed: true,
            generation: 0,
            horizon_ms: i64::MAX,
        };
        assert_eq!(log.segments, [segment]);
        let disk = SimDisk::new(1);
        save(&disk, &state).unwrap();
        assert_eq!(load(&disk).unwrap(), state);
    }

    #[test]
    fn a_later_version_and_a_flipped_bit_are_refused() {
        let mut state = LogState::default();
        state
            .put(topic_key(ID.topic), Some(topic().encode().into()))
            .unwrap();
        let disk = SimDisk::new(1);
        save(&disk, &state).unwrap();
        let good = read_file(&disk, PATH, MAX_BYTES).unwrap().unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let file = disk.open(PATH, Mode::Truncate).unwrap();
            file.write_at(&[std::io::IoSlice::new(&bad)], 0).unwrap();
            assert!(
                matches!(load(&disk), Err(OpenError::Corrupt { .. })),
                "flipped at {at}"
            );
        }
    }
}
