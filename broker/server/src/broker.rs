//! The broker: one node's storage with its coordinator, and the rules that need both.
//!
//! The Kafka port (`net/`, `api/`) and the embedded log stand on it side by side; neither knows the other.
//!
//! - [`records`]: appending; reading is the storage's own ([`Broker::storage`]).
//! - [`transactions`]: producers, transactions, and the group offsets that are committed with them.
//! - [`groups`]: membership and its timer.
//! - [`settings`]: the configuration in force, and its alterations.
//!
//! Invariants
//! - Deciding, queueing for the disk and replaying happen under one lock, so decisions have the order of the log. The
//!   lock is never held while waiting for the disk.
//! - Whoever is answered, is answered what is durable: writes by their tickets, committed offsets from the storage's
//!   keyed state, which is published after the fsync. The coordinator's own state may be ahead.
//! - A transactional batch is checked against the open transaction and queued under that lock too, so that none can slip
//!   in behind the markers that ended its transaction.

mod groups;
mod records;
mod resources;
mod settings;
#[cfg(test)]
mod tests;
mod transactions;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use millstream_broker_coordinator::{Coordinator, CorruptRecord, Decision, Groups};
use millstream_broker_storage::{
    AtomicGroup, CommitError, Disk, Drive, Marker, NewTopicSpec, RealDisk, Recovery, StateKey, Storage,
    StorageConfig, Ticket, Topic, TopicError, WriteError,
};
use millstream_types::{Clock, TopicName};
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use crate::{BrokerSettings, InvalidSettings, SchemaSource, metrics::Metrics, schemas::SchemaRecords};

pub use groups::{JoinError, Joined};
pub use records::ProduceError;
pub use settings::AlterSettingsError;
pub use transactions::{
    CommitOffsetsError, GroupOffsets, InitError, TransactionDescription, TransactionRequestError,
};

/// Where a broker keeps its data, and how.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub disk: Arc<dyn Disk>,
    pub storage: StorageConfig,
    /// Kafka's settings, as they were set for the start.
    pub settings: BrokerSettings,
}

impl BrokerConfig {
    /// A data directory with the default settings.
    pub fn in_dir(dir: impl AsRef<Path>) -> Self {
        Self::on(Arc::new(RealDisk::new(dir)))
    }

    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            storage: StorageConfig::default(),
            settings: BrokerSettings::default(),
        }
    }
}

/// Why a broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Storage(#[from] millstream_broker_storage::OpenError),
    #[error("the data directory holds what this version cannot read: start the version that wrote it")]
    Coordinator(#[from] CorruptRecord),
    /// What was altered before does not go with what is set now.
    #[error("the settings of this start do not go with those that were altered while the broker ran")]
    Settings(#[from] InvalidSettings),
    #[error(
        "the settings that were altered while the broker ran cannot be read: start the version that wrote them"
    )]
    StoredSettings(#[from] serde_json::Error),
    #[error("topics cannot take the defaults of these settings")]
    TopicDefaults(#[from] TopicError),
    #[error("cannot write to the data directory")]
    Write(#[from] WriteError),
}

/// One node. Shared as `Arc<Broker>`; every call may be made concurrently.
pub struct Broker {
    storage: Storage,
    clock: Arc<dyn Clock>,
    coordinator: Mutex<Coordinator>,
    /// By how much the wall clock was ahead of the steady one when the coordinator was locked last.
    ahead_ms: AtomicI64,
    /// Changes when members may have a new assignment.
    rebalanced: watch::Sender<()>,
    waiters: groups::Waiters,
    /// Wakes the timer before its time.
    deadline_near: Arc<tokio::sync::Notify>,
    settings: watch::Sender<Arc<BrokerSettings>>,
    /// Held while settings are altered, from reading the old ones to publishing the new ones.
    altering: tokio::sync::Mutex<()>,
    cluster_id: Uuid,
    recovery: Recovery,
    metrics: Metrics,
}

/// Smaller ones are how a clock is corrected all the time.
const SMALLEST_JUMP_MS: i64 = 500;

fn ahead_ms(clock: &dyn Clock) -> i64 {
    clock.now().0 - clock.steady().0
}

const CLUSTER_ID_KEY: &[u8] = b"cluster-id";

impl Broker {
    /// Opens a data directory, or makes a new one, and recovers. Must be called within a tokio runtime, on which it
    /// starts its timer.
    pub async fn open(mut config: BrokerConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        config.storage.producer_id_expiration_ms = config.settings.producer_id_expiration_ms;
        let drive = config.storage.drive;
        let storage_clock = clock.clone();
        let opening =
            tokio::task::spawn_blocking(move || Storage::open(config.disk, storage_clock, config.storage));
        let (storage, recovery) = opening.await.expect("opening the storage does not panic")?;
        let mut coordinator = Coordinator {
            groups: Groups::new(groups::config(&config.settings)),
            ..Coordinator::default()
        };
        for (StateKey(key), value) in storage.scan(Coordinator::KEY_PREFIX) {
            coordinator.replay(&(key, Some(value)))?;
        }
        resources::configure(&storage, &mut coordinator.groups);
        let ahead_ms = ahead_ms(&*clock).into();
        coordinator.groups.start(clock.now());
        let stored = settings::with_stored(&storage, &config.settings);
        let settings = driven(&storage, drive, stored).await?;
        let cluster_id = driven(&storage, drive, cluster_id(&storage)).await?;
        let broker = Arc::new(Self {
            cluster_id,
            storage,
            clock,
            coordinator: Mutex::new(coordinator),
            ahead_ms,
            rebalanced: watch::Sender::new(()),
            waiters: groups::Waiters::default(),
            deadline_near: Arc::default(),
            settings: watch::Sender::new(Arc::new(settings)),
            altering: tokio::sync::Mutex::default(),
            recovery,
            metrics: Metrics::default(),
        });
        // They may have changed just before the end.
        broker.topics_changed();
        groups::start_timer(&broker);
        Ok(broker)
    }

    /// Makes durable what was accepted and gives the directory free. Writes are refused from now on.
    pub async fn close(&self) {
        let storage = self.storage.clone();
        let closing = tokio::task::spawn_blocking(move || storage.close());
        closing.await.expect("closing the storage does not panic");
    }

    /// The log engine, for reading. What the coordinator must know of goes through the broker's own calls instead:
    /// [`Self::produce`], [`Self::delete_topic`], [`Self::create_partitions`].
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Holds records of topics that ask for it against these schemas. The first registry stays; until there is one, such
    /// topics take no records.
    pub fn check_schemas_with(&self, source: Arc<dyn SchemaSource>) {
        self.storage
            .check_records_with(Arc::new(SchemaRecords::new(source)));
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Given to the data directory when it was made.
    pub fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What was found when the data directory was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub async fn create_topic(&self, topic: NewTopicSpec) -> Result<Arc<Topic>, TopicError> {
        self.storage.room().await;
        let topic = self.storage.create_topic(topic)?.await?;
        self.topics_changed();
        Ok(topic)
    }

    /// Deletes a topic, and what groups and open transactions know of it.
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), TopicError> {
        self.storage.room().await;
        let deleted = {
            let mut coordinator = self.lock();
            if self.storage.topic(name).is_some() {
                let forget = Decision::put((), coordinator.forget_topic(name));
                // Queued before the deletion, so durable before it.
                let _earlier = self.perform(&mut coordinator, forget)?;
            }
            self.storage.delete_topic(name)?
        };
        deleted.await?;
        self.topics_changed();
        Ok(())
    }

    /// Gives a topic more partitions; the members of its groups share them anew.
    pub async fn create_partitions(
        &self,
        name: &TopicName,
        partitions: i32,
    ) -> Result<Arc<Topic>, TopicError> {
        self.storage.room().await;
        let topic = self.storage.create_partitions(name, partitions)?.await?;
        self.resize_groups(&topic);
        Ok(topic)
    }

    /// Whoever gets it finds the deadlines of groups where they should be, even if the clock was set meanwhile. (Those of
    /// transactions are stored, and are of the wall clock, as in Kafka.)
    fn lock(&self) -> MutexGuard<'_, Coordinator> {
        let mut coordinator = self.coordinator.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead_ms = ahead_ms(&*self.clock);
        let jump_ms = ahead_ms - self.ahead_ms.load(Ordering::Relaxed);
        if jump_ms.abs() >= SMALLEST_JUMP_MS {
            self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
            info!(jump_ms, "the clock was set");
            coordinator.groups.clock_jumped(jump_ms);
        }
        coordinator
    }

    /// Queues a decision for the disk as one atom and applies it. Between deciding and this the lock must be held.
    fn perform<T>(
        &self,
        coordinator: &mut Coordinator,
        decision: Decision<T>,
    ) -> Result<(T, Ticket<()>), CommitError> {
        let mut group = AtomicGroup {
            markers: decision.markers.into_iter().map(marker).collect(),
            puts: decision
                .puts
                .iter()
                .map(|(key, value)| (StateKey(key.clone()), value.clone()))
                .collect(),
        };
        let ticket = match self.storage.commit(group.clone()) {
            Err(CommitError::Producer(_)) => {
                group.markers.retain(|marker| !self.is_overtaken(marker));
                self.storage.commit(group)?
            }
            done => done?,
        };
        for put in &decision.puts {
            coordinator
                .replay(put)
                .expect("the coordinator reads what it has just written");
        }
        Ok((decision.response, ticket))
    }

    /// Whether an administrator ended the transaction there, with a newer epoch: then it has ended, as Kafka's coordinator
    /// takes it, and nothing is left to be marked.
    fn is_overtaken(&self, marker: &Marker) -> bool {
        let producers = self.storage.describe_producers(&marker.partition);
        producers.unwrap_or_default().iter().any(|known| {
            known.producer.id == marker.producer.id && known.producer.epoch > marker.producer.epoch
        })
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("storage", &self.storage)
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}

/// There is one coordinator, and it never moves.
const COORDINATOR_EPOCH: i32 = 0;

fn marker(marker: millstream_broker_coordinator::Marker) -> Marker {
    Marker {
        partition: marker.partition,
        producer: marker.producer,
        outcome: marker.outcome,
        coordinator_epoch: COORDINATOR_EPOCH,
    }
}

/// Work on a storage that nobody else can drive yet.
async fn driven<T>(storage: &Storage, drive: Drive, work: impl Future<Output = T>) -> T {
    if drive == Drive::Threads {
        return work.await;
    }
    let steps = async {
        loop {
            storage.step();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = steps => never,
    }
}

async fn cluster_id(storage: &Storage) -> Result<Uuid, WriteError> {
    let key = StateKey(Bytes::from_static(CLUSTER_ID_KEY));
    let stored = storage.get(&key).and_then(|id| Uuid::from_slice(&id).ok());
    if let Some(id) = stored {
        return Ok(id);
    }
    let id = storage.new_id();
    let value = Bytes::copy_from_slice(id.as_bytes());
    storage.put(key, Some(value)).map_err(only_write)?.await?;
    Ok(id)
}

/// The error of a commit that has no markers and is small.
fn only_write(error: CommitError) -> WriteError {
    match error {
        CommitError::Write(error) => error,
        CommitError::UnknownPartition(_) | CommitError::Producer(_) | CommitError::TooLarge { .. } => {
            unreachable!("a few small puts without markers")
        }
    }
}
