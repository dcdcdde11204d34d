//! Finding where whole batches lie in a segment, without reading them.

use bytes::Bytes;
use millstream_protocol::batch::HEADER_BYTES;

use super::files::{Reader, SegmentError, SegmentFiles, Span};
use crate::{
    engine::lock,
    in_place::{FileRange, Stored},
    read::Found,
};

/// So little is sooner read than sent from its file.
const READ_BYTES: u64 = 16 << 10;
/// Among batches of that size or less, headers are read many at once.
const SMALL_BATCH_BYTES: usize = 4 << 10;
const HEADERS_BYTES: usize = 64 << 10;

/// Where a run of batches ends, and the offset after it.
#[derive(Clone, Copy)]
struct End {
    position: u64,
    offset: i64,
}

impl SegmentFiles {
    /// The wanted batches where they lie, if their checksums have been held against them; else they are read now.
    pub(crate) fn find(&self, span: &Span<'_>) -> Result<Found<Stored>, SegmentError> {
        let reader = self.reader(span.partition, span.segment)?;
        let begin = reader.seek_offset(span.from)?;
        // compaction may have left nothing there
        if begin >= span.segment.len {
            return Ok(Found::none());
        }
        let end = reader.end_of(begin, span)?;
        let part = begin..end.position;
        if end.position - begin < READ_BYTES || !self.is_checked(span.partition, span.segment, &part) {
            return self.read(span);
        }
        let len = usize::try_from(end.position - begin).unwrap_or(usize::MAX);
        let Some(range) = FileRange::new(reader.open.file.clone(), begin, len) else {
            return self.read(span);
        };
        let prefetched = reader.open.file.prefetch(begin, len);
        prefetched.map_err(|source| reader.failed(source))?;
        Ok(Found::piece(Stored::File(range), len, end.offset))
    }
}

impl Reader {
    /// The end of the wanted batches, the first of which begins there.
    fn end_of(&self, begin: u64, span: &Span<'_>) -> Result<End, SegmentError> {
        let most = begin.saturating_add(span.max_bytes as u64);
        let known = lock(&self.open.index).last_before(most, span.limit, begin);
        let mut end = End {
            position: begin,
            offset: span.from,
        };
        if let Some((position, offset)) = known {
            end = End { position, offset };
        }
        let (mut chunk, mut ahead) = (Bytes::new(), HEADER_BYTES);
        while end.position < span.segment.len {
            let Some(at) = self.header(&chunk, end.position)? else {
                chunk = self.chunk(end.position, ahead)?;
                continue;
            };
            let after = end.position + at.bytes as u64;
            if at.header.base_offset.0 >= span.limit || (end.position > begin && after > most) {
                break;
            }
            lock(&self.open.index).note(&at.header, at.bytes, end.position);
            let _passed = chunk.split_to(at.bytes.min(chunk.len()));
            if at.bytes <= SMALL_BATCH_BYTES {
                ahead = HEADERS_BYTES;
            }
            end = End {
                position: after,
                offset: at.header.last_offset().0 + 1,
            };
        }
        Ok(end)
    }
}
