//! One life of the broker after the other, on one simulated disk.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use millstream_broker_server::{Broker, BrokerConfig, BrokerSettings, Loopback, LoopbackConnection};
use millstream_broker_storage::{Drive, StorageConfig, WriteError, sim::SimDisk};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{WORLD, World};

/// A write and its fsync take up to so long.
const SLOWEST_DISK_MS: u64 = 12;
const MAINTAIN_EVERY_MS: u64 = 300;
/// Sessions that end within a run.
const SETTINGS: [(&str, &str); 5] = [
    ("group.min.session.timeout.ms", "1000"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.session.timeout.ms", "3000"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "500"),
];

pub(crate) struct Server {
    world: Rc<World>,
    pub(crate) disk: SimDisk,
    random: RefCell<SmallRng>,
    config: StorageConfig,
    alive: RefCell<Option<Life>>,
}

struct Life {
    broker: Arc<Broker>,
    loopback: Loopback,
    /// What serves connections.
    tasks: Vec<JoinHandle<()>>,
    number: u64,
}

impl Server {
    pub(crate) fn new(world: &Rc<World>) -> Rc<Self> {
        let mut random = SmallRng::seed_from_u64(world.seed);
        let config = StorageConfig {
            wal_file_bytes: [16 << 10, 64 << 10, 1 << 20][random.random_range(0..3)],
            ring_bytes: [0, 4 << 10, 1 << 20][random.random_range(0..3)],
            seal_after_ms: random.random_range(500..5_000),
            drive: Drive::Manual,
            ..StorageConfig::default()
        };
        Rc::new(Self {
            world: world.clone(),
            disk: SimDisk::new(random.random()),
            random: RefCell::new(random),
            config,
            alive: RefCell::default(),
        })
    }

    /// Starts the next life. Fails only for a disk that is full or fails.
    pub(crate) async fn start(self: &Rc<Self>) -> Result<(), String> {
        let seed = self.random.borrow_mut().random();
        let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = BrokerConfig {
            settings: BrokerSettings::parse(settings.into()).map_err(|error| error.to_string())?,
            storage: StorageConfig {
                seed: Some(seed),
                ..self.config.clone()
            },
            ..BrokerConfig::on(Arc::new(self.disk.clone()))
        };
        let broker = Broker::open(config, self.world.clock.clone())
            .await
            .map_err(|error| error.to_string())?;
        let loopback = Loopback::new(broker.clone(), CancellationToken::new());
        *self.alive.borrow_mut() = Some(Life {
            broker,
            loopback,
            tasks: Vec::new(),
            number: seed,
        });
        self.work_after(1, seed);
        self.maintain_after(MAINTAIN_EVERY_MS, seed);
        Ok(())
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.borrow().is_some()
    }

    /// Whether it writes no more until it is restarted.
    pub(crate) fn has_failed(&self) -> bool {
        let alive = self.alive.borrow();
        let refusal = alive.as_ref().and_then(|life| life.broker.storage().refusal());
        matches!(refusal, Some(WriteError::Failed { .. }))
    }

    /// The end of this life: with the power, or only of the process.
    pub(crate) fn crash(&self, power: bool) {
        if power {
            self.disk.crash();
        } else {
            self.disk.kill();
        }
        if let Some(life) = self.alive.borrow_mut().take() {
            life.tasks.iter().for_each(JoinHandle::abort);
        }
    }

    pub(crate) fn connect(&self) -> Option<LoopbackConnection> {
        Some(self.alive.borrow().as_ref()?.loopback.connect())
    }

    /// Runs a part of the server until the end of this life.
    pub(crate) fn spawn(&self, part: impl Future<Output = ()> + 'static) {
        if let Some(life) = self.alive.borrow_mut().as_mut() {
            life.tasks.retain(|task| !task.is_finished());
            life.tasks.push(tokio::task::spawn_local(part));
        }
    }

    fn broker_of(&self, life: u64) -> Option<Arc<Broker>> {
        let alive = self.alive.borrow();
        alive
            .as_ref()
            .filter(|alive| alive.number == life)
            .map(|life| life.broker.clone())
    }

    fn work_after(self: &Rc<Self>, delay_ms: u64, life: u64) {
        let server = self.clone();
        self.world.after(WORLD, delay_ms, String::new(), move || {
            let Some(broker) = server.broker_of(life) else {
                return;
            };
            if broker.storage().step() {
                server.world.note("disk".into());
            }
            let next = server.random.borrow_mut().random_range(1..=SLOWEST_DISK_MS);
            server.work_after(next, life);
        });
    }

    fn maintain_after(self: &Rc<Self>, delay_ms: u64, life: u64) {
        let server = self.clone();
        self.world.after(WORLD, delay_ms, String::new(), move || {
            let Some(broker) = server.broker_of(life) else {
                return;
            };
            // a full or failing disk is tried again
            let _ = broker.storage().maintain(server.world.wall());
            server.maintain_after(MAINTAIN_EVERY_MS, life);
        });
    }
}
