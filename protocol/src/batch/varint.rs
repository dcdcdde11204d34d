//! Zigzag varints as in Protocol Buffers: seven bits per byte, least significant first.

use bytes::BufMut;

/// Reads a varint from the front of `bytes` and moves past it. `None` if it is cut off or longer than 64 bits.
pub(super) fn read(bytes: &mut &[u8]) -> Option<i64> {
    let mut at = 0;
    let value = read_at(bytes, &mut at)?;
    *bytes = &bytes[at..];
    Some(value)
}

/// Reads the varint at a position and moves it past. `None` if it is cut off or longer than 64 bits.
///
/// Most are lengths and deltas of one or two bytes, and every record has seven: those are read where they are asked for.
#[expect(
    clippy::inline_always,
    reason = "as a call it is a third of what walking a batch takes"
)]
#[inline(always)]
pub(super) fn read_at(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let low = *bytes.get(*at)?;
    if low < 0x80 {
        *at += 1;
        return Some(unzigzag(u64::from(low)));
    }
    let high = *bytes.get(*at + 1)?;
    if high < 0x80 {
        *at += 2;
        return Some(unzigzag(u64::from(low & 0x7f) | u64::from(high) << 7));
    }
    read_long(bytes, at)
}

/// Reads a length and that many bytes at a position, and moves it past them. The outer `None` is malformed, the inner one is
/// null.
#[inline]
pub(super) fn sized_at<'a>(bytes: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = read_at(bytes, at)?;
    if length == -1 {
        return Some(None);
    }
    let begin = *at;
    let length = usize::try_from(length).ok()?;
    if length > bytes.len() - begin {
        return None;
    }
    *at = begin + length;
    Some(Some(&bytes[begin..*at]))
}

fn read_long(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut zigzag = 0_u64;
    for (index, byte) in bytes[*at..].iter().take(MAX_BYTES).enumerate() {
        if index == MAX_BYTES - 1 && *byte > 1 {
            return None;
        }
        zigzag |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *at += index + 1;
            return Some(unzigzag(zigzag));
        }
    }
    None
}

pub(super) fn write(out: &mut impl BufMut, value: i64) {
    let mut zigzag = zigzag(value);
    while zigzag >= 0x80 {
        out.put_u8(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.put_u8(zigzag as u8);
}

/// How many bytes [`write`] puts.
pub(super) fn len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The most bytes a 64-bit varint has.
pub(super) const MAX_BYTES: usize = 10;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: i64) {
        let mut bytes = Vec::new();
        write(&mut bytes, value);
        assert_eq!(bytes.len(), len(value));
        let mut rest = bytes.as_slice();
        assert_eq!(read(&mut rest), Some(value));
        assert!(rest.is_empty());
        assert_eq!(read(&mut &bytes[..bytes.len() - 1]), None, "cut off");
    }

    #[test]
    fn knows_the_edges() {
        for value in [
            0,
            -1,
            1,
            63,
            64,
            -64,
            -65,
            i64::from(i32::MAX),
            i64::MAX,
            i64::MIN,
        ] {
            check(value);
        }
        assert_eq!(read(&mut [0xff; 10].as_slice()), None, "more than 64 bits");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(value: i64, shift in 0..63) {
            check(value >> shift);
        }
    }
}
