//! The log engine: one interleaved write-ahead log, per-partition segments, and the state that goes with them.
//!
//! A record's way: [`Storage::append`] checks its batch, gives it an offset and queues it (`append.rs`, `stage.rs`); the
//! writer thread gathers all that is queued into one write and one fsync, then moves the high watermarks (`writer.rs`);
//! the sealer copies the log into segments, and writes a checkpoint when a file of it is full (`sealer/`); retention removes
//! old segments (`retention.rs`), compaction writes them anew with the last record of each key (`compact/`). `recover.rs` is
//! the way back after a crash, `verify.rs` reads all of it and says what is wrong.
//!
//! Invariants
//! - Acknowledged means durable: a ticket resolves, and a high watermark moves, only after the fsync.
//! - The order of calls is the order of offsets is the order on disk; offsets never change, and have no gaps but those
//!   that compaction leaves, or records that became dead letters.
//! - An atomic group is in the log as a whole or not at all.
//! - After a failed write or fsync nothing is acknowledged any more, until a restart has read the disk again.
//! - Recovery reads the checkpoint and the files that are not sealed, however much data there is.
//!
//! ```text
//!  <data directory>
//!    format      "millstream-storage 3"
//!    lock        held while a process uses the directory; names its id
//!    checkpoint  state up to the last sealed file of the write-ahead log
//!    wal/<slot>.wal
//!    topics/<topic id>/<partition>/<base offset>[-<generation>].log, .index
//! ```
//!
//! Deliberately absent: replication, sockets, and the rules of groups and transactions: who may end a transaction is the
//! coordinator's decision, here it is written.

mod append;
mod batch;
mod changes;
mod checkpoint;
mod codec;
mod commit;
mod compact;
mod config;
mod disk;
mod engine;
mod error;
mod in_place;
mod partition;
mod producer_state;
mod read;
mod record_check;
mod record_errors;
mod recover;
mod retention;
mod sealer;
mod segment;
mod stage;
mod state;
mod stats;
mod storage;
mod ticket;
mod topic;
mod topic_config;
mod topic_ops;
mod verify;
mod wal;
mod writer;

pub use append::{AppendOrigin, Appended, LEADER_EPOCH};
pub use changes::Changes;
pub use commit::{AtomicGroup, Marker, StateKey};
pub use config::{Drive, Durability, StorageConfig};
pub use disk::{Disk, DiskFile, DiskLock, LockedBy, Mode, RealDisk, Space, sim};
pub use error::{
    AppendError, CommitError, DeleteRecordsError, InvalidConfig, OpenError, PartitionOffline, ProducerError,
    ReadError, TopicError, UnknownPartition, UnknownTopic, WriteError,
};
pub use in_place::{FileRange, Stored};
pub use millstream_protocol::batch::Outcome;
pub use partition::Watermarks;
pub use producer_state::{AbortedTxn, ProducerDescription};
pub use read::{Isolation, Read};
pub use record_check::{
    CheckDepth, DEAD_LETTER_SUFFIX, OnInvalid, RecordCheck, RecordChecks, SchemaCheck, SubjectStrategy,
};
pub use record_errors::{MAX_RECORD_ERRORS, RecordError};
pub use stats::{Histogram, SYNC_BUCKETS_MICROS, StorageStats};
pub use storage::{Recovery, Storage};
pub use ticket::Ticket;
pub use topic::{MAX_PARTITIONS, NewTopicSpec, Topic};
pub use topic_config::{Cleanup, TimestampType, TopicConfig};
pub use verify::{Finding, Severity, Verification, verify};
