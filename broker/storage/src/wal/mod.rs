//! The write-ahead log: one sequence of frames over preallocated, recycled files, all partitions interleaved.
//!
//! ```text
//!  wal/0.wal, wal/1.wal, …      slots; which comes first is said inside
//!
//!  ┌ file header (64 bytes) ┬ frame ┬ frame ┬ … ┬ end frame ┬ whatever was here before ┐
//! ```
//!
//! - [`frame`]: the bytes of a frame and of the file header. A frame is the atom: its checksum covers all its entries,
//!   so a transaction's markers, offsets and coordinator state are there together or not at all.
//! - [`cursor`]: where the next frame goes; takes files from the pool and reserves space before anything is accepted.
//! - [`pool`]: the files.
//! - [`fresh`]: the last frames, while they are in memory.
//! - [`scan`]: reads the frames of a file back.
//! - [`later`]: whether a frame that cannot be read is the end of the log or damage within it.

pub(crate) mod cursor;
pub(crate) mod frame;
pub(crate) mod fresh;
pub(crate) mod later;
pub(crate) mod pool;
pub(crate) mod scan;

pub(crate) use pool::WalFile;

/// The directory of the files.
pub(crate) const DIR: &str = "wal";
