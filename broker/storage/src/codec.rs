//! Little-endian bytes for our own files, and the checksum that guards them. Reading never panics and never allocates
//! more than what is there: a `None` is a malformed input.

use bytes::{Buf, BufMut, Bytes};
use crc_fast::{CrcAlgorithm, Digest};

/// CRC32C over the parts one after the other.
pub(crate) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    u32::try_from(digest.finalize()).expect("a 32-bit checksum")
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).expect("lengths are bounded by the WAL file"));
    out.put_slice(bytes);
}

pub(crate) fn take(input: &mut Bytes, len: usize) -> Option<Bytes> {
    (input.len() >= len).then(|| input.split_to(len))
}

pub(crate) fn take_bytes(input: &mut Bytes) -> Option<Bytes> {
    let len = input.try_get_u32_le().ok()?;
    take(input, len as usize)
}

pub(crate) fn take_u8(input: &mut Bytes) -> Option<u8> {
    input.try_get_u8().ok()
}

pub(crate) fn take_u32(input: &mut Bytes) -> Option<u32> {
    input.try_get_u32_le().ok()
}

pub(crate) fn take_i16(input: &mut Bytes) -> Option<i16> {
    input.try_get_i16_le().ok()
}

pub(crate) fn take_i32(input: &mut Bytes) -> Option<i32> {
    input.try_get_i32_le().ok()
}

pub(crate) fn take_i64(input: &mut Bytes) -> Option<i64> {
    input.try_get_i64_le().ok()
}

pub(crate) fn take_u64(input: &mut Bytes) -> Option<u64> {
    input.try_get_u64_le().ok()
}

pub(crate) fn take_u128(input: &mut Bytes) -> Option<u128> {
    input.try_get_u128_le().ok()
}
