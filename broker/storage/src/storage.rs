//! The engine as others see it, and the threads that drive it.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use millstream_types::{Clock, Offset, Producer, Timestamp, TopicName, TopicPartition};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    AppendOrigin, Appended, AtomicGroup, Changes, Isolation, LEADER_EPOCH, NewTopicSpec, ProducerDescription,
    Read, RecordCheck, Space, StateKey, StorageConfig, StorageStats, Stored, Ticket, Topic, Watermarks,
    config::Drive,
    disk::{Disk, DiskLock},
    engine::{Engine, lock},
    error::{
        AppendError, CommitError, DeleteRecordsError, OpenError, ReadError, TopicError, UnknownPartition,
        WriteError,
    },
    recover,
};

/// The log of one data directory. Cloning shares it; dropping the last clone closes it.
///
/// Every call may be made from any thread. Calls that write decide at once and answer a [`Ticket`]; their order is the
/// order on disk. While the queue to the disk is full they block their thread: async callers await [`Storage::room`] first.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

/// What was found when a data directory was opened.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub took: Duration,
    pub topics: usize,
    pub partitions: usize,
    /// From the part of the write-ahead log that was not sealed.
    pub replayed_batches: u64,
    pub replayed_bytes: u64,
    /// The log ended without an end frame: the last process did not close it.
    pub torn_tail: bool,
}

impl Storage {
    /// Opens a data directory, or makes a new one, and recovers what is in it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        config: StorageConfig,
    ) -> Result<(Self, Recovery), OpenError> {
        let lock = recover::enter(&*disk)?;
        let (found, recovery) = recover::recover(&disk, &config)?;
        let drive = config.drive;
        let engine = Arc::new(Engine::new(disk, clock, config, found));
        let threads = match drive {
            Drive::Threads => start(&engine),
            Drive::Manual => Vec::new(),
        };
        let shared = Shared {
            engine,
            threads: Mutex::new(threads),
            lock: Mutex::new(Some(lock)),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            recovery,
        ))
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.engine()
            .topics()
            .values()
            .map(|entry| entry.topic.clone())
            .collect()
    }

    pub fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.engine().topics().get(name).map(|entry| entry.topic.clone())
    }

    pub fn topic_of_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.engine().topic_of_id(id).map(|entry| entry.topic.clone())
    }

    /// A random id for anything; a simulation gets the same ones again for the same [`StorageConfig::seed`].
    pub fn new_id(&self) -> Uuid {
        self.engine().new_id()
    }

    /// Gives topics that ask for it what their records are held against. The first one stays; until there is one, such
    /// topics take no records.
    pub fn check_records_with(&self, check: Arc<dyn RecordCheck>) {
        let _ = self.engine().record_check.set(check);
    }

    pub fn create_topic(&self, spec: NewTopicSpec) -> Result<Ticket<Arc<Topic>>, TopicError> {
        self.engine().create_topic(spec, self.new_id())
    }

    /// Its records are gone for readers when the ticket resolves, its files a little later.
    pub fn delete_topic(&self, name: &TopicName) -> Result<Ticket<()>, TopicError> {
        self.engine().delete_topic(name)
    }

    /// Replaces everything that was set.
    pub fn alter_topic_config(
        &self,
        name: &TopicName,
        config: BTreeMap<String, String>,
    ) -> Result<Ticket<Arc<Topic>>, TopicError> {
        self.engine().alter_topic_config(name, config)
    }

    /// What topics take where they have no value of their own, instead of Kafka's defaults: valid keys and values of
    /// topics. New topics have them at once, the others when the ticket resolves. Not stored: the caller says it again
    /// after a start.
    pub fn set_topic_defaults(&self, defaults: BTreeMap<String, String>) -> Result<Ticket<()>, TopicError> {
        self.engine().set_topic_defaults(defaults)
    }

    /// Gives a topic more partitions: `partitions` is their new number.
    pub fn create_partitions(
        &self,
        name: &TopicName,
        partitions: i32,
    ) -> Result<Ticket<Arc<Topic>>, TopicError> {
        self.engine().create_partitions(name, partitions)
    }

    /// Appends one record batch. Everything that is wrong with it shows at once; offsets are given in the order of the
    /// calls, before anything is durable.
    pub fn append(
        &self,
        partition: &TopicPartition,
        batch: Bytes,
        origin: AppendOrigin,
    ) -> Result<Ticket<Appended>, AppendError> {
        self.engine().append(partition, batch, origin)
    }

    /// Writes markers and keyed state as one atom.
    pub fn commit(&self, group: AtomicGroup) -> Result<Ticket<()>, CommitError> {
        self.engine().commit(group)
    }

    /// Sets or removes one key.
    pub fn put(&self, key: StateKey, value: Option<Bytes>) -> Result<Ticket<()>, CommitError> {
        self.commit(AtomicGroup {
            markers: Vec::new(),
            puts: vec![(key, value)],
        })
    }

    /// The durable value of a key.
    pub fn get(&self, key: &StateKey) -> Option<Bytes> {
        self.engine().keyed().get(&key.0).cloned()
    }

    /// All durable keys that begin so, in order.
    pub fn scan(&self, prefix: &[u8]) -> Vec<(StateKey, Bytes)> {
        let keyed = self.engine().keyed();
        let from = keyed.range(Bytes::copy_from_slice(prefix)..);
        let all = from.take_while(|(key, _)| key.starts_with(prefix));
        all.map(|(key, value)| (StateKey(key.clone()), value.clone()))
            .collect()
    }

    /// Whole batches from the one that holds `from`: at least one if there is one, else up to `max_bytes`.
    pub fn read(
        &self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Read, ReadError> {
        self.engine().read(partition, from, max_bytes, isolation)
    }

    /// The same for who hands the batches on unseen: those of segments may be where they lie. What this process sealed, or has
    /// read once, is not read again for its checksums.
    pub fn read_in_place(
        &self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Read<Stored>, ReadError> {
        self.engine().read_in_place(partition, from, max_bytes, isolation)
    }

    /// The same, if nothing must be looked for on disk: it never blocks. `None` if the batch that holds `from` is there only.
    pub fn read_from_memory(
        &self,
        partition: &TopicPartition,
        from: Offset,
        max_bytes: usize,
        isolation: Isolation,
    ) -> Result<Option<Read<Stored>>, ReadError> {
        self.engine()
            .read_from_memory(partition, from, max_bytes, isolation)
    }

    pub fn offsets(&self, partition: &TopicPartition) -> Result<Watermarks, UnknownPartition> {
        Ok(self.engine().view(partition)?.watermarks())
    }

    /// The first record of that time or later, and its time.
    pub fn offset_for_timestamp(
        &self,
        partition: &TopicPartition,
        timestamp: Timestamp,
    ) -> Result<Option<(Offset, Timestamp)>, ReadError> {
        self.engine().offset_for_timestamp(partition, timestamp)
    }

    /// The first record with the largest timestamp, and that.
    pub fn max_timestamp(
        &self,
        partition: &TopicPartition,
    ) -> Result<Option<(Offset, Timestamp)>, ReadError> {
        self.engine().max_timestamp(partition)
    }

    /// Changes whenever the watermarks move, and when the partition is deleted or goes offline: look again then.
    pub fn watch(&self, partition: &TopicPartition) -> Result<watch::Receiver<Watermarks>, UnknownPartition> {
        Ok(self.engine().view(partition)?.watch())
    }

    /// For those who wait for any of many partitions; unknown ones are left out.
    pub fn changes<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Changes {
        let views = partitions
            .into_iter()
            .filter_map(|name| self.engine().view(name).ok());
        Changes::of(views)
    }

    /// The producers with an open transaction in a partition, with the offset where it began, durable or not yet.
    pub fn open_transactions(
        &self,
        partition: &TopicPartition,
    ) -> Result<Vec<(Producer, Offset)>, UnknownPartition> {
        let mut stage = self.engine().stage();
        let (_, state) = stage.partition(partition)?;
        Ok(state.producers.open_transactions().collect())
    }

    /// The producers that a partition remembers, durable or not yet: what `DescribeProducers` answers.
    pub fn describe_producers(
        &self,
        partition: &TopicPartition,
    ) -> Result<Vec<ProducerDescription>, UnknownPartition> {
        let mut stage = self.engine().stage();
        let (_, state) = stage.partition(partition)?;
        Ok(state.producers.describe())
    }

    /// Where the records of a leader epoch end: there is one epoch, [`LEADER_EPOCH`], and `None` for any other.
    pub fn end_offset_for_epoch(
        &self,
        partition: &TopicPartition,
        epoch: i32,
    ) -> Result<Option<Offset>, UnknownPartition> {
        let watermarks = self.offsets(partition)?;
        Ok((epoch == LEADER_EPOCH).then_some(watermarks.high_watermark))
    }

    /// The data directory.
    pub fn log_dir(&self) -> PathBuf {
        self.engine().disk.describe("")
    }

    /// Room on the file system of the data directory; `None` where that is unknown.
    pub fn space(&self) -> std::io::Result<Option<Space>> {
        self.engine().disk.space()
    }

    /// What the engine counts of its work, and its size now. Looks at every partition once: for a scrape, not for a loop.
    pub fn stats(&self) -> StorageStats {
        self.engine().stats()
    }

    /// Bytes of a partition on disk: its segments, and its batches in the write-ahead log.
    pub fn size_bytes(&self, partition: &TopicPartition) -> Result<u64, UnknownPartition> {
        let view = self.engine().view(partition)?;
        let published = view.lock();
        let sealed: u64 = published.segments.iter().map(|segment| segment.len).sum();
        Ok(sealed + published.tail_bytes)
    }

    /// Records before that offset are no longer answered; their segments go with the next maintenance. Resolves to the
    /// new log start.
    pub fn delete_records(
        &self,
        partition: &TopicPartition,
        before: Offset,
    ) -> Result<Ticket<Offset>, DeleteRecordsError> {
        self.engine().delete_records(partition, before)
    }

    /// Resolves when all that was accepted before is durable.
    pub fn flush(&self) -> Result<Ticket<()>, WriteError> {
        self.engine().flush()
    }

    /// Waits until a write would not block.
    pub async fn room(&self) {
        self.engine().room().await;
    }

    /// Why nothing can be written any more, if so.
    pub fn refusal(&self) -> Option<WriteError> {
        self.engine().stage().refusal.clone()
    }

    /// With [`Drive::Manual`]: writes all that is queued. Answers whether there was anything.
    pub fn step(&self) -> bool {
        self.engine().step()
    }

    /// Sealing, retention and compaction, as if that were the time. Runs by itself with [`Drive::Threads`].
    pub fn maintain(&self, now: Timestamp) -> Result<(), std::io::Error> {
        self.engine().maintain(now)?;
        self.engine().compact(now)
    }

    /// Closes the current file of the write-ahead log and seals everything: what a restart would have to replay is in
    /// segments afterwards.
    pub fn seal(&self) -> Result<(), std::io::Error> {
        let engine = self.engine();
        engine.stage().rotate(Timestamp(i64::MAX));
        engine.step();
        engine.seal_closed()
    }

    /// Makes durable what was accepted, stops the threads and gives the directory free. Writes are refused from now on;
    /// reading goes on.
    pub fn close(&self) {
        self.shared.close();
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("disk", &self.engine().disk)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn close(&self) {
        self.engine.stage().refusal.get_or_insert(WriteError::Closed);
        self.engine.work.notify_all();
        self.engine.announce_room();
        self.engine.bell.ring();
        self.engine.cleaner_bell.ring();
        for thread in lock(&self.threads).drain(..) {
            // a panic of a thread was reported when it happened
            let _ = thread.join();
        }
        self.engine.step();
        lock(&self.lock).take();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

fn start(engine: &Arc<Engine>) -> Vec<JoinHandle<()>> {
    let writer = engine.clone();
    let sealer = engine.clone();
    let cleaner = engine.clone();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        let thread = thread::Builder::new().name(name.into()).spawn(body);
        thread.expect("the process can start a thread")
    };
    vec![
        spawn(
            "storage-writer",
            Box::new(move || {
                while writer.wait_for_work() {
                    writer.step();
                }
            }),
        ),
        spawn("storage-sealer", Box::new(move || seal_on(&sealer))),
        spawn("storage-cleaner", Box::new(move || clean_on(&cleaner))),
    ]
}

fn clean_on(engine: &Engine) {
    let every = Duration::from_millis(engine.config.maintain_every_ms);
    while engine.stage().refusal.is_none() {
        engine.cleaner_bell.wait(every);
        if let Err(error) = engine.compact(engine.clock.now()) {
            tracing::warn!(%error, "compaction failed; it is tried again");
        }
    }
}

fn seal_on(engine: &Engine) {
    let every = Duration::from_millis(engine.config.maintain_every_ms);
    let mut maintained = engine.clock.steady();
    // the next file is there before it is needed; if the disk is full, whoever writes will hear of it
    let _ = engine.pool.prepare();
    // what crashes left behind is sealed at once: writers wait when too much of it has gathered
    engine.bell.ring();
    while engine.stage().refusal.is_none() {
        engine.bell.wait(every);
        let passed_ms = engine.clock.steady().0 - maintained.0;
        let due = passed_ms >= i64::try_from(engine.config.maintain_every_ms).unwrap_or(i64::MAX);
        let done = if due {
            maintained = engine.clock.steady();
            engine.maintain(engine.clock.now())
        } else {
            engine.seal_closed()
        };
        if let Err(error) = done {
            tracing::warn!(%error, "sealing failed; it is tried again");
        }
        let _ = engine.pool.prepare();
    }
}

impl Engine {
    pub(crate) fn maintain(&self, now: Timestamp) -> std::io::Result<()> {
        let seal_after_ms = self.seal_after_ms();
        self.stage()
            .rotate(Timestamp(now.0.saturating_sub(seal_after_ms)));
        self.step();
        self.expire_producers(now);
        self.seal_closed()?;
        self.close_idle(now);
        self.retain(now)
    }

    fn expire_producers(&self, now: Timestamp) {
        for topic in self.stage().topics.values_mut() {
            for state in &mut topic.states {
                state
                    .producers
                    .expire(now.0, self.config.producer_id_expiration_ms);
            }
        }
    }
}
