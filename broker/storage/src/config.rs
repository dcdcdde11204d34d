//! What an operator may choose about the engine. Topics have their own settings: [`crate::TopicConfig`].

/// Settings of the storage engine. The defaults lose no data and suit one machine.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    pub durability: Durability,
    /// Size of one write-ahead log file. Recovery reads at most the few files that are not sealed yet.
    pub wal_file_bytes: u64,
    /// Bytes accepted but not yet on disk, after which callers wait.
    pub queue_bytes: usize,
    /// Recent batches kept in memory for readers at the tail.
    pub ring_bytes: usize,
    /// A write-ahead log file is sealed at the latest when its first frame is that old, so that retention reaches it.
    pub seal_after_ms: i64,
    /// How often retention and sealing by age run.
    pub maintain_every_ms: u64,
    /// A partition forgets a producer that was silent for that long (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
    /// Keys that compaction holds in memory at once, 28 bytes each at the most; a partition with more of them is compacted
    /// in several rounds.
    pub compaction_keys: usize,
    pub drive: Drive,
    /// Topic ids and salts come from here; `None` takes the system's randomness. For simulations, which take another seed
    /// for every start: with the salts of an earlier one, frames that a crash took back would pass again.
    pub seed: Option<u64>,
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After fsync: a power cut takes nothing back that was acknowledged.
    Fsync,
    /// After the operating system has it: a crash of the process takes nothing back, a power cut may. For tests.
    Os,
}

/// Who does the work behind the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// Threads of the engine: the writer, the sealer and the cleaner.
    Threads,
    /// The caller, by `Storage::step` and `Storage::maintain`: everything happens in one thread and in a fixed order.
    Manual,
}

/// As many as a hash map takes without growing beyond 50 MB.
const COMPACTION_KEYS: usize = (1 << 21) / 8 * 7;

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            wal_file_bytes: 128 << 20,
            queue_bytes: 64 << 20,
            ring_bytes: 64 << 20,
            seal_after_ms: 600_000,
            maintain_every_ms: 10_000,
            producer_id_expiration_ms: 86_400_000,
            compaction_keys: COMPACTION_KEYS,
            drive: Drive::Threads,
            seed: None,
        }
    }
}
