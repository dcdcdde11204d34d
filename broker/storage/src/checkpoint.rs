//! The checkpoint: the log's state up to the last sealed file, replaced as a whole.
//!
//! ```text
//!  checkpoint
//!   0  8  magic "MSTRMCHK"
//!   8  4  CRC32C of all that follows
//!  12  …  state (see `state.rs`)
//! ```

use bytes::{BufMut, Bytes};

use crate::{
    codec::{crc32c, take_u32, take_u64},
    disk::{Disk, read_file, replace_file},
    error::OpenError,
    state::LogState,
};

const PATH: &str = "checkpoint";
const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMCHK");
/// Larger than any state that fits into memory beside it.
const MAX_BYTES: u64 = 4 << 30;

pub(crate) fn save(disk: &dyn Disk, state: &LogState) -> std::io::Result<()> {
    let mut body = Vec::new();
    state.encode(&mut body);
    let mut out = Vec::with_capacity(body.len() + 12);
    out.put_u64_le(MAGIC);
    out.put_u32_le(crc32c([&body[..]]));
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
    let magic = take_u64(&mut input)?;
    let crc = take_u32(&mut input)?;
    if magic != MAGIC || crc32c([&input[..]]) != crc {
        return None;
    }
    let state = LogState::decode(&mut input)?;
    input.is_empty().then_some(state)
}
