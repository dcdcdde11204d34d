//! A broker on a disk in memory, under a clock that is moved by hand, in one thread: the same requests have the same
//! answers, always.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures::FutureExt;
use millstream_broker_server::{
    Broker, BrokerConfig, Loopback, LoopbackAnswer, LoopbackConnection, OpenError,
};
use millstream_broker_storage::{Drive, StorageConfig, sim::SimDisk};
use millstream_protocol::{
    frame::{RequestPeek, SIZE_BYTES},
    messages::{ApiKey, ResponseHeader, decode},
};
use millstream_types::{ManualClock, Timestamp};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use crate::apis::api;

const START_MS: i64 = 1_720_000_000_000;
const TICK_MS: u64 = 5;
/// Of one stretch of time, however long.
const MOST_TICKS: u64 = 20;
/// The disk needs less for anything.
const DISK_MS: u64 = 60_000;
/// What is not answered by then waits for something.
const PROMPT_MS: u64 = 50;
/// The runtime's clock goes on by no more in a tick: whatever the broker does every now and then, it does once or twice.
const MOST_SLEEP_MS: u64 = 300;
/// Clients send no more than that before they read.
const MOST_PENDING: usize = 16;

/// Runs with a clock that stands still while anything can run.
pub(crate) fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .expect("a runtime without sockets");
    runtime.block_on(work)
}

pub(crate) struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    lives: u64,
    life: Option<Life>,
    waiting: Vec<Waiting>,
    answers: Vec<Answered>,
}

struct Life {
    broker: Arc<Broker>,
    loopback: Loopback,
}

struct Waiting {
    asked: RequestPeek,
    answer: LoopbackAnswer,
}

/// An answer without its length, in order.
pub(crate) struct Answered {
    pub(crate) asked: RequestPeek,
    pub(crate) frame: Bytes,
}

impl World {
    /// On an empty disk.
    pub(crate) async fn new() -> Self {
        let mut world = Self {
            disk: SimDisk::new(1),
            clock: Arc::new(ManualClock::at(Timestamp(START_MS))),
            lives: 0,
            life: None,
            waiting: Vec::new(),
            answers: Vec::new(),
        };
        world.start().await.expect("an empty disk can be used");
        world
    }

    async fn start(&mut self) -> Result<(), OpenError> {
        self.lives += 1;
        let config = BrokerConfig {
            storage: StorageConfig {
                wal_file_bytes: 256 << 10,
                ring_bytes: 4 << 10,
                drive: Drive::Manual,
                seed: Some(self.lives),
                ..StorageConfig::default()
            },
            ..BrokerConfig::on(Arc::new(self.disk.clone()))
        };
        let broker = Broker::open(config, self.clock.clone()).await?;
        let loopback = Loopback::new(broker.clone(), CancellationToken::new());
        self.life = Some(Life { broker, loopback });
        Ok(())
    }

    /// The end of the process, with the power or without, and the next one.
    pub(crate) async fn restart(&mut self, power: bool) -> Result<(), OpenError> {
        if power {
            self.disk.crash();
        } else {
            self.disk.kill();
        }
        self.waiting.clear();
        self.life = None;
        self.start().await
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.life.as_ref().expect("it was started").broker
    }

    pub(crate) fn connect(&self) -> LoopbackConnection {
        self.life.as_ref().expect("it was started").loopback.connect()
    }

    /// Sealing, retention and compaction.
    pub(crate) fn maintain(&self) {
        let now = self.now();
        self.broker()
            .storage()
            .maintain(now)
            .expect("the disk has room and does not fail");
    }

    pub(crate) fn now(&self) -> Timestamp {
        use millstream_types::Clock;
        self.clock.now()
    }

    /// Starts a request, and answers `false` if its connection is closed for it. The answer may come now or later.
    pub(crate) async fn ask(&mut self, connection: &mut LoopbackConnection, frame: Bytes) -> bool {
        if self.waiting.len() >= MOST_PENDING {
            self.waiting.remove(0);
        }
        let peek = RequestPeek::read(&frame);
        let started = self.with_disk(DISK_MS, connection.start(frame)).await;
        let answer = match started.expect("every request is started") {
            Ok(answer) => answer,
            Err(closed) => {
                assert!(!closed.is_ours(), "{closed}");
                return false;
            }
        };
        let asked = peek.expect("it was understood");
        self.waiting.push(Waiting { asked, answer });
        for _ in 0..PROMPT_MS / TICK_MS {
            self.look();
            if self.waiting.is_empty() {
                break;
            }
            self.tick(TICK_MS).await;
        }
        self.look();
        true
    }

    /// Lets that much time go by.
    pub(crate) async fn pass(&mut self, ms: u64) {
        let ticks = (ms / TICK_MS).clamp(1, MOST_TICKS);
        for _ in 0..ticks {
            self.tick(ms / ticks).await;
            self.look();
        }
    }

    /// The answers since this was asked last.
    pub(crate) fn take_answers(&mut self) -> Vec<Answered> {
        std::mem::take(&mut self.answers)
    }

    /// What waits and has its answer now.
    fn look(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for mut request in waiting {
            match request.answer.as_mut().now_or_never() {
                None => self.waiting.push(request),
                Some(Ok(Some(frame))) => self.answers.push(check(request.asked, frame)),
                Some(Ok(None)) => {}
                Some(Err(closed)) => assert!(!closed.is_ours(), "{closed}"),
            }
        }
    }

    async fn tick(&self, ms: u64) {
        self.broker().storage().step();
        self.clock.advance_ms(i64::try_from(ms).expect("days, not ages"));
        tokio::time::sleep(Duration::from_millis(ms.min(MOST_SLEEP_MS))).await;
    }

    async fn with_disk<T>(&self, limit_ms: u64, work: impl Future<Output = T>) -> Option<T> {
        let ticks = async {
            for _ in 0..limit_ms / TICK_MS {
                self.tick(TICK_MS).await;
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = ticks => None,
        }
    }
}

/// Whatever was asked, the answer is one that a client can read to its last byte.
fn check(asked: RequestPeek, mut frame: Bytes) -> Answered {
    let length = frame.get_i32();
    assert_eq!(usize::try_from(length), Ok(frame.len()), "the length of a frame");
    let key = ApiKey::try_from(asked.api_key).expect("it was understood");
    let mut version = asked.api_version;
    let newest = Loopback::apis()
        .find(|api| api.0 == asked.api_key)
        .map(|api| api.2);
    if key == ApiKey::ApiVersions && newest.is_some_and(|newest| version > newest || version < 0) {
        // the one that every client reads
        version = 0;
    }
    let whole = frame.clone();
    let header: ResponseHeader =
        decode(&mut frame, key.response_header_version(version)).expect("answers can be read");
    assert_eq!(header.correlation_id, asked.correlation_id, "{key:?}");
    let read = (api(key).expect("it is served").answer)(&mut frame, version);
    read.unwrap_or_else(|error| panic!("the answer to {key:?} v{version} cannot be read: {error}"));
    assert!(frame.is_empty(), "bytes follow the answer to {key:?} v{version}");
    Answered {
        asked: RequestPeek {
            api_version: version,
            ..asked
        },
        frame: whole,
    }
}

const _: () = assert!(SIZE_BYTES == 4, "as `check` reads it");
