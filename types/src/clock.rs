use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, as Kafka's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The wall clock, injected so that tests and simulations own the time.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;

    /// Time as it passes, from any beginning: unlike [`Self::now`] it never jumps when somebody sets the clock. For how long
    /// something takes; only differences mean anything.
    fn steady(&self) -> Timestamp {
        self.now()
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Timestamp {
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        let passed = BEGINNING.get_or_init(Instant::now).elapsed();
        Timestamp(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicI64,
    jumped: AtomicI64,
}

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: AtomicI64::new(now.0),
            jumped: AtomicI64::default(),
        }
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the clock forward or back, while no time passes.
    pub fn jump_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
        self.jumped.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Timestamp {
        Timestamp(self.now().0 - self.jumped.load(Ordering::SeqCst))
    }
}
