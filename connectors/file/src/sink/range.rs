//! The records that a sink holds until they become files.

use std::{collections::HashMap, sync::Arc};

use arrow_array::RecordBatch;
use bytes::Bytes;
use millstream_types::Offset;

/// Rows of one call of `write`, in offset order.
pub(crate) struct Chunk {
    pub(crate) offsets: Vec<Offset>,
    /// For each row the number of its folder.
    pub(crate) folders: Vec<u32>,
    pub(crate) rows: ChunkRows,
    pub(crate) bytes: u64,
}

pub(crate) enum ChunkRows {
    Columns(RecordBatch),
    /// Values that are written as they are.
    Values(Vec<Bytes>),
}

/// Chunks are shared with the thread that writes them, so that a failed commit can be repeated.
#[derive(Default)]
pub(crate) struct Buffer {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    folders: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

/// One row of [`Buffer::chunks`]: chunk and row in it.
pub(crate) type RowIndex = (usize, usize);

impl Buffer {
    /// The number of a folder.
    pub(crate) fn folder(&mut self, name: &str) -> u32 {
        if let Some(number) = self.folders.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("a range has less than 2^32 records");
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.folders.insert(name, number);
        number
    }

    pub(crate) fn folder_count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// The rows before `end`, by folder.
    pub(crate) fn files(&self, end: Offset) -> Vec<(Arc<str>, Vec<RowIndex>)> {
        let mut files: Vec<_> = self
            .names
            .iter()
            .map(|name| (Arc::clone(name), Vec::new()))
            .collect();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let before = chunk.before(end);
            for (row, folder) in chunk.folders[..before].iter().enumerate() {
                files[*folder as usize].1.push((index, row));
            }
        }
        files.retain(|(_, rows)| !rows.is_empty());
        files
    }

    /// Forgets the rows before `end`.
    pub(crate) fn drop_before(&mut self, end: Offset) {
        let kept = self.chunks.drain(..).filter_map(|chunk| {
            let before = chunk.before(end);
            match before {
                0 => Some(chunk),
                all if all == chunk.offsets.len() => None,
                some => Some(Arc::new(chunk.from(some))),
            }
        });
        self.chunks = kept.collect();
        if self.chunks.is_empty() {
            self.folders.clear();
            self.names.clear();
        }
    }
}

impl Chunk {
    fn before(&self, end: Offset) -> usize {
        self.offsets.partition_point(|offset| *offset < end)
    }

    fn from(&self, first: usize) -> Self {
        let rows = self.offsets.len();
        Self {
            offsets: self.offsets[first..].to_vec(),
            folders: self.folders[first..].to_vec(),
            rows: match &self.rows {
                ChunkRows::Columns(batch) => ChunkRows::Columns(batch.slice(first, rows - first)),
                ChunkRows::Values(values) => ChunkRows::Values(values[first..].to_vec()),
            },
            bytes: self.bytes * (rows - first) as u64 / rows.max(1) as u64,
        }
    }
}
