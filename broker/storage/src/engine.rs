//! The parts of the engine in one place, and what callers decide on them. The writer's work is in [`crate::writer`], the
//! sealer's in [`crate::sealer`], reading in [`crate::read`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use millstream_types::{Clock, TopicName, TopicPartition};
use rand::{Rng, rngs::SmallRng};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    StorageConfig,
    compact::Cleaner,
    config::Drive,
    disk::Disk,
    error::{UnknownPartition, WriteError},
    partition::PartitionView,
    record_check::RecordCheck,
    sealer::{Bell, Sealer},
    segment::SegmentFiles,
    stage::{Stage, TopicEntry},
    stats::Counters,
    wal::{WalFile, fresh::Fresh, pool::Pool},
    writer::Writer,
};

/// Complete files of the write-ahead log that may wait for the sealer: they bound the time of a restart.
const MAX_UNSEALED_FILES: usize = 4;

/// The sealer begins to copy when that part of the ring is new. Nothing is kept in memory for it beyond the ring, as long
/// as it keeps up.
const COPIED_OF_RING: usize = 4;

pub(crate) struct Engine {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: StorageConfig,
    pub(crate) pool: Pool,
    pub(crate) stage: Mutex<Stage>,
    /// The writer sleeps here until there is work.
    pub(crate) work: Condvar,
    /// Callers sleep here while the queue is full.
    room: Condvar,
    room_async: Notify,
    pub(crate) writer: Mutex<Writer>,
    /// Complete files of the write-ahead log, oldest first.
    pub(crate) closed: Mutex<Vec<Arc<WalFile>>>,
    /// Locked only while nothing else is waited for.
    pub(crate) fresh: Mutex<Fresh>,
    pub(crate) sealer: Mutex<Sealer>,
    /// Held by whoever seals, from the first file to the last.
    pub(crate) sealing: Mutex<()>,
    pub(crate) sealing_fails: AtomicBool,
    pub(crate) bell: Bell,
    /// Held by whoever compacts.
    pub(crate) cleaner: Mutex<Cleaner>,
    pub(crate) cleaner_bell: Bell,
    /// Of the next compacted segment; never used twice.
    pub(crate) next_generation: AtomicU32,
    pub(crate) segments: SegmentFiles,
    pub(crate) counters: Counters,
    /// What holds records of topics that ask for it against schemas; set once, when there is one.
    pub(crate) record_check: OnceLock<Arc<dyn RecordCheck>>,
    /// Topic ids come from here.
    pub(crate) random: Mutex<SmallRng>,
    /// What topics take where they have no value of their own. Written with the stage locked.
    pub(crate) topic_defaults: Mutex<Arc<BTreeMap<String, String>>>,
    topics: RwLock<BTreeMap<TopicName, Arc<TopicEntry>>>,
    /// The names of all topics by their ids, which newer clients know them by.
    topic_names: RwLock<HashMap<Uuid, TopicName>>,
    keyed: RwLock<BTreeMap<Bytes, Bytes>>,
}

/// What recovery found, ready to go on with.
pub(crate) struct Recovered {
    pub(crate) pool: Pool,
    pub(crate) stage: Stage,
    pub(crate) closed: Vec<Arc<WalFile>>,
    pub(crate) sealer: Sealer,
    pub(crate) topics: BTreeMap<TopicName, Arc<TopicEntry>>,
    pub(crate) keyed: BTreeMap<Bytes, Bytes>,
    pub(crate) random: SmallRng,
}

impl Engine {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        config: StorageConfig,
        found: Recovered,
    ) -> Self {
        Self {
            segments: SegmentFiles::new(disk.clone()),
            bell: Bell::default(),
            cleaner: Mutex::default(),
            cleaner_bell: Bell::default(),
            next_generation: AtomicU32::new(found.sealer.state().last_generation() + 1),
            counters: Counters::default(),
            record_check: OnceLock::new(),
            sealing: Mutex::new(()),
            topic_defaults: Mutex::default(),
            sealing_fails: AtomicBool::new(false),
            disk,
            clock,
            pool: found.pool,
            stage: Mutex::new(found.stage),
            work: Condvar::new(),
            room: Condvar::new(),
            room_async: Notify::new(),
            writer: Mutex::new(Writer::new(config.ring_bytes)),
            closed: Mutex::new(found.closed),
            fresh: Mutex::new(Fresh::new(config.ring_bytes / COPIED_OF_RING)),
            sealer: Mutex::new(found.sealer),
            random: Mutex::new(found.random),
            topic_names: RwLock::new(names_by_id(&found.topics)),
            topics: RwLock::new(found.topics),
            keyed: RwLock::new(found.keyed),
            config,
        }
    }

    pub(crate) fn new_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(lock(&self.random).random()).into_uuid()
    }

    pub(crate) fn stage(&self) -> MutexGuard<'_, Stage> {
        lock(&self.stage)
    }

    /// The stage, when the queue has room and writes are accepted.
    pub(crate) fn stage_with_room(&self) -> Result<MutexGuard<'_, Stage>, WriteError> {
        let mut stage = self.stage();
        while stage.refusal.is_none() && self.is_full(&stage) {
            stage = match self.config.drive {
                Drive::Threads => self.room.wait(stage).unwrap_or_else(PoisonError::into_inner),
                Drive::Manual => {
                    drop(stage);
                    self.step();
                    self.stage()
                }
            };
        }
        stage.check_open()?;
        Ok(stage)
    }

    /// Waits without blocking a thread until the queue has room.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.room_async.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    fn has_room(&self) -> bool {
        let stage = self.stage();
        stage.refusal.is_some() || !self.is_full(&stage)
    }

    /// Whether callers wait: too much is queued, or the sealer is so far behind that a restart would take long. A sealer
    /// that fails is not waited for: the disk is full or broken, and whoever writes shall hear of it.
    fn is_full(&self, stage: &Stage) -> bool {
        let behind = self.config.drive == Drive::Threads
            && !self.sealing_fails.load(Ordering::Relaxed)
            && lock(&self.closed).len() >= MAX_UNSEALED_FILES;
        behind || stage.queue_bytes >= self.config.queue_bytes
    }

    pub(crate) fn announce_room(&self) {
        self.room.notify_all();
        self.room_async.notify_waiters();
    }

    pub(crate) fn topics(&self) -> RwLockReadGuard<'_, BTreeMap<TopicName, Arc<TopicEntry>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topic_of_id(&self, id: Uuid) -> Option<Arc<TopicEntry>> {
        let names = self.topic_names.read().unwrap_or_else(PoisonError::into_inner);
        let name = names.get(&id)?;
        // It may have been made anew in between.
        self.topics()
            .get(name)
            .filter(|entry| entry.topic.id == id)
            .cloned()
    }

    /// Shows a topic as it is now.
    pub(crate) fn show_topic(&self, entry: Arc<TopicEntry>) {
        let topic = entry.topic.clone();
        self.topics_mut().insert(topic.name.clone(), entry);
        self.topic_names_mut().insert(topic.id, topic.name.clone());
    }

    pub(crate) fn hide_topic(&self, entry: &TopicEntry) {
        self.topics_mut().remove(&entry.topic.name);
        self.topic_names_mut().remove(&entry.topic.id);
    }

    fn topics_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<TopicName, Arc<TopicEntry>>> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn topic_names_mut(&self) -> RwLockWriteGuard<'_, HashMap<Uuid, TopicName>> {
        self.topic_names.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keyed(&self) -> RwLockReadGuard<'_, BTreeMap<Bytes, Bytes>> {
        self.keyed.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keyed_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Bytes, Bytes>> {
        self.keyed.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers see of a partition.
    pub(crate) fn view(&self, name: &TopicPartition) -> Result<Arc<PartitionView>, UnknownPartition> {
        let find = || {
            let topics = self.topics();
            let index = usize::try_from(name.partition).ok()?;
            topics.get(&name.topic)?.partitions.get(index).cloned()
        };
        find().ok_or_else(|| UnknownPartition {
            partition: name.clone(),
        })
    }
}

fn names_by_id(topics: &BTreeMap<TopicName, Arc<TopicEntry>>) -> HashMap<Uuid, TopicName> {
    let names = topics
        .values()
        .map(|entry| (entry.topic.id, entry.topic.name.clone()));
    names.collect()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
