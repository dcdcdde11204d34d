//! Reading: recent batches from memory, others from the write-ahead log or a segment, with their checksum checked. Who hands
//! batches on ([`Engine::read_in_place`]) gets those of segments where they lie, once this process has checked them.
//!
//! A place is looked up under the partition's lock and read without it, so meanwhile the sealer may move the batch to a
//! segment and use the file again, or retention may remove it. Then the bytes are not what was looked for, and the place
//! is looked up again: only if it is still the same, the data is damaged.

use bytes::Bytes;
use millstream_protocol::batch::RecordBatch;
use millstream_types::{Offset, Timestamp, TopicPartition};

use crate::{
    append::check_online,
    disk::read_exact,
    engine::Engine,
    error::{PartitionOffline, ReadError},
    in_place::Stored,
    partition::{PartitionView, Published, TailBatch, Watermarks},
    producer_state::AbortedTxn,
    segment::{SegmentError, SegmentFiles, SegmentMeta, Span},
};

/// Whose records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    /// Ends at the last stable offset; the caller leaves out what `aborted` names.
    ReadCommitted,
}

/// What a read found; `B` is a batch, or several on end.
#[derive(Clone, Debug)]
pub struct Read<B = Bytes> {
    /// Whole batches in offset order; the first may begin before the offset that was asked for.
    pub batches: Vec<B>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start: Offset,
    /// For `ReadCommitted`: the aborted transactions with records in `batches`, by the offset of their marker.
    pub aborted: Vec<AbortedTxn>,
}

/// Where the next batches lie.
enum Place {
    Memory(Vec<Bytes>, i64),
    Wal(TailBatch),
    Segment(SegmentMeta),
    Nowhere,
}

/// How far a read goes for its batches, and what of a segment it wants.
enum Reach<B> {
    Memory,
    Disk(ReadSegment<B>),
}

type ReadSegment<B> = fn(&SegmentFiles, &Span<'_>) -> Result<Found<B>, SegmentError>;

/// What came of one attempt to read.
enum Attempt<B> {
    Done(Read<B>),
    /// The partition was compacted meanwhile: batches from before do not go with the aborted transactions of after.
    Again,
    /// The first batch is not in memory.
    NeedsDisk,
}

impl Engine {
    pub(crate) fn read(
        &self,
        name: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Read, ReadError> {
        let view = self.view(name)?;
        loop {
            let reach = Reach::Disk(SegmentFiles::read);
            if let Attempt::Done(read) = self.read_once(&view, from, max_bytes, isolation, &reach)? {
                return Ok(read);
            }
        }
    }

    pub(crate) fn read_in_place(
        &self,
        name: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Read<Stored>, ReadError> {
        let view = self.view(name)?;
        loop {
            let reach = Reach::Disk(SegmentFiles::find);
            if let Attempt::Done(read) = self.read_once(&view, from, max_bytes, isolation, &reach)? {
                return Ok(read);
            }
        }
    }

    pub(crate) fn read_from_memory(
        &self,
        name: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Option<Read<Stored>>, ReadError> {
        let view = self.view(name)?;
        loop {
            match self.read_once(&view, from, max_bytes, isolation, &Reach::Memory)? {
                Attempt::Done(read) => return Ok(Some(read)),
                Attempt::Again => {}
                Attempt::NeedsDisk => return Ok(None),
            }
        }
    }

    fn read_once<B: From<Bytes>>(
        &self,
        view: &PartitionView,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
        reach: &Reach<B>,
    ) -> Result<Attempt<B>, ReadError> {
        let (watermarks, compactions) = {
            let published = view.lock();
            (published.watermarks, published.compactions)
        };
        let Watermarks {
            log_start,
            last_stable,
            high_watermark,
        } = watermarks;
        if from < log_start || from > high_watermark {
            return Err(out_of_range(view, from));
        }
        let end = match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable,
        };
        let mut batches = Vec::new();
        let mut taken = 0;
        let mut next = from.0;
        while next < end.0 && (batches.is_empty() || taken < max_bytes) {
            let found = self.read_some(view, next, end.0, max_bytes - taken.min(max_bytes), reach)?;
            if found.is_on_disk && batches.is_empty() {
                return Ok(Attempt::NeedsDisk);
            }
            let Some(after) = found.next else { break };
            if !batches.is_empty() && taken + found.bytes > max_bytes {
                break;
            }
            taken += found.bytes;
            next = after;
            batches.extend(found.batches);
        }
        let aborted = match isolation {
            Isolation::ReadUncommitted => Vec::new(),
            Isolation::ReadCommitted => {
                let published = view.lock();
                if published.compactions != compactions {
                    return Ok(Attempt::Again);
                }
                overlapping(&published.aborted, from.0, next)
            }
        };
        Ok(Attempt::Done(Read {
            batches,
            high_watermark,
            last_stable_offset: last_stable,
            log_start,
            aborted,
        }))
    }

    /// Batches from the one that holds `from`, all from one place.
    fn read_some<B: From<Bytes>>(
        &self,
        view: &PartitionView,
        from: i64,
        end: i64,
        max_bytes: usize,
        reach: &Reach<B>,
    ) -> Result<Found<B>, ReadError> {
        self.locate_and(
            view,
            from,
            |published| published.locate(from, end, max_bytes),
            |place| match place {
                Place::Nowhere => Ok(Found::none()),
                Place::Memory(batches, next) => {
                    let found = Found::of(batches.clone(), *next);
                    self.counters.read_from_memory.add(found.bytes as u64);
                    Ok(found)
                }
                Place::Wal(batch) => {
                    if matches!(reach, Reach::Memory) {
                        return Ok(Found::too_far());
                    }
                    self.counters.read_from_wal.add(u64::from(batch.len));
                    let read = read_wal(batch)?;
                    let next = read.next_offset().0;
                    Ok(Found::of(vec![read.into_bytes()], next))
                }
                Place::Segment(segment) => {
                    let Reach::Disk(read) = reach else {
                        return Ok(Found::too_far());
                    };
                    let span = Span {
                        partition: view.id,
                        segment,
                        from,
                        limit: end,
                        max_bytes,
                    };
                    let found = read(&self.segments, &span).map_err(Bad::Segment)?;
                    self.counters.read_from_segment.add(found.bytes as u64);
                    Ok(found.or_go_on_at(segment.next))
                }
            },
        )
    }

    /// The first record of that time or later that readers may see.
    pub(crate) fn offset_for_timestamp(
        &self,
        name: &TopicPartition,
        timestamp: Timestamp,
    ) -> Result<Option<(Offset, Timestamp)>, ReadError> {
        let view = self.view(name)?;
        let Watermarks {
            log_start,
            high_watermark,
            ..
        } = view.watermarks();
        let mut from = log_start.0;
        while from < high_watermark.0 {
            let batch = self.locate_and(
                &view,
                from,
                |published| published.locate_time(timestamp.0, from),
                |place| match place {
                    Place::Segment(segment) => self
                        .segments
                        .first_at_or_after(view.id, segment, timestamp.0, from)
                        .map_err(Bad::Segment)?
                        .map_or(Ok(Err(segment.next)), |batch| Ok(Ok(batch))),
                    Place::Wal(batch) => read_wal(batch).map(Ok),
                    Place::Memory(..) | Place::Nowhere => Ok(Err(i64::MAX)),
                },
            )?;
            from = match batch {
                // nothing there: go on behind it
                Err(next) => next,
                Ok(batch) => match first_record(&batch, from.max(log_start.0), timestamp) {
                    Some(found) => return Ok(Some(found)),
                    // its late records lie before the log start
                    None => batch.next_offset().0,
                },
            };
        }
        Ok(None)
    }

    /// The first record with the largest timestamp.
    pub(crate) fn max_timestamp(
        &self,
        name: &TopicPartition,
    ) -> Result<Option<(Offset, Timestamp)>, ReadError> {
        let view = self.view(name)?;
        let largest = {
            let published = view.lock();
            let start = published.watermarks.log_start.0;
            let sealed = published
                .segments
                .iter()
                .filter(|s| s.next > start)
                .map(|s| s.max_timestamp);
            let tail = published
                .tail
                .iter()
                .filter(|b| b.next > start)
                .map(|b| b.max_timestamp);
            sealed.chain(tail).max()
        };
        match largest {
            Some(largest) => self.offset_for_timestamp(name, Timestamp(largest)),
            None => Ok(None),
        }
    }

    /// Looks a place up and reads it; again if it moved meanwhile. Damage takes the partition offline.
    fn locate_and<T>(
        &self,
        view: &PartitionView,
        from: i64,
        locate: impl Fn(&Published) -> Place,
        read: impl Fn(&Place) -> Result<T, Bad>,
    ) -> Result<T, ReadError> {
        let mut before: Option<(Place, Bad)> = None;
        loop {
            check_online(view)?;
            let place = {
                let published = view.lock();
                if published.deleted {
                    return Err(crate::error::UnknownPartition {
                        partition: view.name.clone(),
                    }
                    .into());
                }
                if from < published.watermarks.log_start.0 {
                    drop(published);
                    return Err(out_of_range(view, Offset(from)));
                }
                locate(&published)
            };
            if let Some((earlier, bad)) = before.take()
                && earlier.is(&place)
            {
                return Err(self.damaged(view, from, bad));
            }
            match read(&place) {
                Ok(found) => return Ok(found),
                Err(bad) => before = Some((place, bad)),
            }
        }
    }

    fn damaged(&self, view: &PartitionView, from: i64, bad: Bad) -> ReadError {
        let reason = match bad {
            Bad::Segment(error @ SegmentError::Corrupt { .. }) => error.to_string(),
            Bad::Segment(SegmentError::Io { path, source }) => {
                let reason = format!("segment {path}: {source}");
                if source.kind() != std::io::ErrorKind::NotFound {
                    return ReadError::Io {
                        partition: view.name.clone(),
                        offset: Offset(from),
                        reason,
                    };
                }
                reason
            }
            Bad::Wal(reason) => {
                return ReadError::Io {
                    partition: view.name.clone(),
                    offset: Offset(from),
                    reason,
                };
            }
        };
        tracing::error!(partition = %view.name, %reason, "partition goes offline");
        let reason: std::sync::Arc<str> = reason.into();
        view.lock().offline = Some(reason.clone());
        view.wake();
        PartitionOffline {
            partition: view.name.clone(),
            reason,
        }
        .into()
    }
}

/// Batches from one place.
pub(crate) struct Found<B> {
    batches: Vec<B>,
    bytes: usize,
    /// The offset after them; `None` if there are none.
    next: Option<i64>,
    /// They are further away than the read may reach.
    is_on_disk: bool,
}

impl<B> Found<B> {
    pub(crate) fn none() -> Self {
        Self {
            batches: Vec::new(),
            bytes: 0,
            next: None,
            is_on_disk: false,
        }
    }

    fn too_far() -> Self {
        Self {
            is_on_disk: true,
            ..Self::none()
        }
    }

    /// One piece of `bytes` bytes, and the offset after it.
    pub(crate) fn piece(piece: B, bytes: usize, next: i64) -> Self {
        Self {
            batches: vec![piece],
            bytes,
            next: Some(next),
            is_on_disk: false,
        }
    }

    /// Where compaction left nothing, the next batch is further on.
    fn or_go_on_at(self, next: i64) -> Self {
        Self {
            next: self.next.or(Some(next)),
            ..self
        }
    }
}

impl<B: From<Bytes>> Found<B> {
    pub(crate) fn of(batches: Vec<Bytes>, next: i64) -> Self {
        Self {
            bytes: batches.iter().map(Bytes::len).sum(),
            batches: batches.into_iter().map(B::from).collect(),
            next: Some(next),
            is_on_disk: false,
        }
    }
}

/// Why a place could not be read; it may have moved.
enum Bad {
    Segment(SegmentError),
    Wal(String),
}

impl Place {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wal(a), Self::Wal(b)) => {
                a.position == b.position && a.file.header == b.file.header && a.file.slot == b.file.slot
            }
            (Self::Segment(a), Self::Segment(b)) => (a.base, a.generation) == (b.base, b.generation),
            _ => false,
        }
    }
}

impl Published {
    /// Where the batch lies that holds `from`.
    fn locate(&self, from: i64, end: i64, max_bytes: usize) -> Place {
        if let Some(segment) = self.segment_after(from) {
            return Place::Segment(segment);
        }
        let at = self.tail.partition_point(|batch| batch.next <= from);
        let Some(first) = self.tail.get(at).filter(|batch| batch.base < end) else {
            return Place::Nowhere;
        };
        if first.bytes.is_none() {
            return Place::Wal(first.clone());
        }
        let mut taken = 0;
        let mut next = from;
        let mut batches = Vec::new();
        for batch in self.tail.range(at..) {
            let Some(bytes) = batch.bytes.as_ref().filter(|_| batch.base < end) else {
                break;
            };
            if !batches.is_empty() && taken + bytes.len() > max_bytes {
                break;
            }
            taken += bytes.len();
            next = batch.next;
            batches.push(bytes.clone());
        }
        Place::Memory(batches, next)
    }

    /// Where to look for the first batch at or after `from` with a record of that time or later.
    fn locate_time(&self, timestamp: i64, from: i64) -> Place {
        let late = |max_timestamp: i64, next: i64| max_timestamp >= timestamp && next > from;
        if let Some(segment) = self.segments.iter().find(|s| late(s.max_timestamp, s.next)) {
            return Place::Segment(*segment);
        }
        let batch = self.tail.iter().find(|b| late(b.max_timestamp, b.next));
        batch.map_or(Place::Nowhere, |batch| Place::Wal(batch.clone()))
    }

    /// The segment that holds an offset.
    fn segment_after(&self, offset: i64) -> Option<SegmentMeta> {
        let at = self.segments.partition_point(|segment| segment.next <= offset);
        self.segments.get(at).copied()
    }
}

fn read_wal(batch: &TailBatch) -> Result<RecordBatch, Bad> {
    let bytes = match &batch.bytes {
        Some(bytes) => bytes.clone(),
        None => read_exact(&*batch.file.file, batch.position, batch.len as usize)
            .map_err(|error| Bad::Wal(format!("{}: {error}", batch.file.path())))?
            .into(),
    };
    match RecordBatch::parse_stored(bytes) {
        Ok(read) if read.base_offset().0 == batch.base => Ok(read),
        Ok(_) => Err(Bad::Wal(format!("{} holds another batch", batch.file.path()))),
        Err(error) => Err(Bad::Wal(format!("{}: {error}", batch.file.path()))),
    }
}

/// The first record of that time or later at or after an offset.
fn first_record(batch: &RecordBatch, from: i64, timestamp: Timestamp) -> Option<(Offset, Timestamp)> {
    let records = batch
        .records_within(millstream_protocol::batch::MAX_DECOMPRESSED_BYTES)
        .ok()?;
    records
        .map_while(Result::ok)
        .find(|record| record.timestamp >= timestamp && record.offset.0 >= from)
        .map(|record| (record.offset, record.timestamp))
}

fn overlapping(aborted: &[AbortedTxn], from: i64, next: i64) -> Vec<AbortedTxn> {
    let first = aborted.partition_point(|txn| txn.last_offset.0 < from);
    aborted[first..]
        .iter()
        .filter(|txn| txn.first_offset.0 < next)
        .copied()
        .collect()
}

fn out_of_range(view: &PartitionView, offset: Offset) -> ReadError {
    let watermarks = view.watermarks();
    ReadError::OffsetOutOfRange {
        partition: view.name.clone(),
        offset,
        start: watermarks.log_start,
        end: watermarks.high_watermark,
    }
}
