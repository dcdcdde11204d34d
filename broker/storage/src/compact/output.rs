//! A segment that compaction writes, under a name that was never used.

use std::{
    io::{self, IoSlice},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::filter::Kept;
use crate::{
    disk::{DiskFile, Mode},
    engine::Engine,
    partition::PartitionId,
    segment::{Index, SegmentMeta, index_path, log_path},
};

/// Gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

pub(super) struct Output {
    pub(super) segment: SegmentMeta,
    file: Arc<dyn DiskFile>,
    index: Index,
    /// Batches that are not written yet, and their bytes.
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
}

impl Output {
    /// For what stays of neighbouring segments.
    pub(super) fn create(engine: &Engine, id: PartitionId, from: &[SegmentMeta]) -> io::Result<Self> {
        let (first, last) = (from[0], from[from.len() - 1]);
        let segment = SegmentMeta {
            base: first.base,
            next: last.next,
            len: 0,
            max_timestamp: i64::MIN,
            created_ms: from.iter().map(|segment| segment.created_ms).max().unwrap_or(0),
            closed: true,
            generation: engine.next_generation.fetch_add(1, Ordering::Relaxed),
            horizon_ms: i64::MAX,
        };
        Ok(Self {
            file: engine.disk.open(&log_path(id, &segment), Mode::Truncate)?,
            index: Index::new(segment.base),
            segment,
            gathered: Vec::new(),
            gathered_bytes: 0,
        })
    }

    pub(super) fn push(&mut self, Kept { batch, tombstones }: Kept) -> io::Result<()> {
        let header = *batch.header();
        let horizon = batch.delete_horizon().filter(|_| tombstones);
        let bytes = batch.into_bytes();
        let position = self.segment.len;
        self.index.note(&header, bytes.len(), position);
        let segment = &mut self.segment;
        segment.len += bytes.len() as u64;
        segment.max_timestamp = segment.max_timestamp.max(header.max_timestamp.0);
        segment.horizon_ms = segment
            .horizon_ms
            .min(horizon.map_or(i64::MAX, |horizon| horizon.0));
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Writes the rest, and the index beside it.
    pub(super) fn finish(&mut self, engine: &Engine, id: PartitionId) -> io::Result<()> {
        self.write()?;
        let index = engine.disk.open(&index_path(id, &self.segment), Mode::Truncate)?;
        index.write_at(&[IoSlice::new(&self.index.encode(self.segment.base))], 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&mut self) -> io::Result<()> {
        let slices: Vec<_> = self.gathered.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let position = self.segment.len - self.gathered_bytes as u64;
        self.file.write_at(&slices, position)?;
        drop(slices);
        self.gathered.clear();
        self.gathered_bytes = 0;
        Ok(())
    }
}
