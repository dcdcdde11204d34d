//! Sets the checksums of the storage's files right, where a file is long enough to have them. The layouts are drawn in the
//! headers of `broker/storage/src`: `wal/frame.rs`, `checkpoint.rs`, `segment/index.rs`.

use std::ops::Range;

use crc_fast::{CrcAlgorithm, Digest};

pub(crate) fn set_checksums(path: &str, content: &mut [u8]) {
    match path.rsplit_once('.') {
        _ if path == "checkpoint" => checkpoint(content),
        Some((_, "wal")) => wal(content),
        Some((_, "log")) => batches(content),
        Some((_, "index")) => index(content),
        _ => {}
    }
}

fn checkpoint(content: &mut [u8]) {
    if content.len() < 16 {
        return;
    }
    if content.starts_with(b"MSTRMCHK") {
        let crc = crc(&[&content[12..]]);
        set(content, 8, crc.to_le_bytes());
    } else {
        let crc = crc(&[&content[8..12], &content[16..]]);
        set(content, 12, crc.to_le_bytes());
    }
}

fn index(content: &mut [u8]) {
    if content.len() >= 28 {
        let crc = crc(&[&content[8..24], &content[28..]]);
        set(content, 24, crc.to_le_bytes());
    }
}

const WAL_HEADER: usize = 64;
/// In the length of a frame that begins a write.
const FLAG: u32 = 1 << 31;

fn wal(content: &mut [u8]) {
    if content.len() < WAL_HEADER {
        return;
    }
    let crc_of_header = crc(&[&content[..60]]);
    set(content, 60, crc_of_header.to_le_bytes());
    let mut at = WAL_HEADER;
    while let Some(payload) = payload(content, at) {
        entries(&mut content[payload.clone()]);
        let crc = crc_of_frame(content, &payload);
        set(content, at + 4, crc.to_le_bytes());
        at = payload.end;
    }
}

/// Where the frames end whose checksums are right.
pub(super) fn frames_end(content: &[u8]) -> usize {
    let mut at = WAL_HEADER.min(content.len());
    while let Some(payload) = payload(content, at) {
        if u32_le(content, at + 4) != Some(crc_of_frame(content, &payload)) {
            break;
        }
        at = payload.end;
    }
    at
}

/// Of the frame that begins there, if it is whole.
fn payload(content: &[u8], at: usize) -> Option<Range<usize>> {
    let length = u32_le(content, at)? & !FLAG;
    let payload = at + 8..(at + 8).saturating_add(length as usize);
    (length > 0 && payload.end <= content.len()).then_some(payload)
}

fn crc_of_frame(content: &[u8], payload: &Range<usize>) -> u32 {
    let (salt, length) = (&content[24..32], &content[payload.start - 8..payload.start - 4]);
    crc(&[salt, length, &content[payload.clone()]])
}

/// The batches among the entries of a frame.
fn entries(payload: &mut [u8]) {
    let mut at = 0;
    while let Some(kind) = payload.get(at) {
        let text = |at: usize| Some(at + 4 + u32_le(payload, at)? as usize);
        let end = match kind {
            1 => {
                let Some(length) = u32_le(payload, at + 21) else {
                    return;
                };
                let batch = at + 25..(at + 25).saturating_add(length as usize).min(payload.len());
                batches(&mut payload[batch]);
                Some(at + 25 + length as usize)
            }
            2 => text(at + 1).and_then(text),
            3 => text(at + 1),
            4 => Some(at + 9),
            _ => None,
        };
        let Some(end) = end else { return };
        at = end;
    }
}

/// Kafka's record batches, one behind the other.
fn batches(content: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = content.get(at + 8..at + 12) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        let covered: Range<usize> = at + 21..(at + 12).saturating_add(length as usize);
        if covered.start >= covered.end || covered.end > content.len() {
            return;
        }
        let crc = crc(&[&content[covered.clone()]]);
        set(content, at + 17, crc.to_be_bytes());
        at = covered.end;
    }
}

fn u32_le(content: &[u8], at: usize) -> Option<u32> {
    let bytes = content.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

fn set(content: &mut [u8], at: usize, bytes: [u8; 4]) {
    content[at..at + 4].copy_from_slice(&bytes);
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    u32::try_from(digest.finalize()).expect("a 32-bit checksum")
}

#[cfg(test)]
mod tests {
    use crate::disk::seeds::images;

    use super::*;

    /// So the layouts here are those of the storage.
    #[test]
    fn files_that_are_in_order_are_left_as_they_are() {
        let mut kinds = [0; 4];
        for file in images().into_iter().flatten() {
            let mut sealed = file.content.clone();
            set_checksums(&file.path, &mut sealed);
            assert_eq!(sealed, file.content, "{}", file.path);
            let extensions = ["checkpoint", "wal", "log", "index"];
            if let Some(kind) = extensions.iter().position(|kind| file.path.ends_with(kind)) {
                kinds[kind] += 1;
            }
        }
        assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    }
}
