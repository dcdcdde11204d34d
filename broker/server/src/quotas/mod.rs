//! Quotas: limits for users and clients, and how long who exceeds them must pause (KIP-13, KIP-124, KIP-219, KIP-546).
//!
//! A request that is too much is served and answered at once, with the pause in the answer; the connection is then not
//! read for that long. Deciding is pure ([`entity`], [`rate`]); this is the shell: one table of limits, stored as keyed
//! state, and one of rates. Without any limit nothing is measured.
//!
//! Partitions that are made or deleted come out of a bucket instead of a rate (KIP-599), and a connection that comes too
//! soon is closed (KIP-612).
//!
//! Until there is authentication every user is [`ANONYMOUS`].

mod bucket;
mod entity;
mod rate;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use millstream_broker_storage::{CommitError, StateKey, Storage, Ticket};

use bucket::Bucket;
pub(crate) use entity::{Asker, Entity, Limits, Name, QuotaKind};
pub(crate) use rate::{Rate, Windows};

/// Who has not said who they are.
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";
const KEY_PREFIX: &[u8] = b"quota/";
/// Rates that are kept before those that have become nothing are looked for.
const MANY_RATES: usize = 10_000;

/// The limits in force, and what they are held against.
#[derive(Debug)]
pub(crate) struct Quotas {
    windows: Windows,
    is_limited: AtomicBool,
    limits: RwLock<Limits>,
    rates: Mutex<HashMap<RateKey, Rate>>,
    /// Of partitions that may be made or deleted.
    buckets: Mutex<HashMap<Shared, Bucket>>,
    arrivals: Mutex<HashMap<IpAddr, Rate>>,
}

type Shared = (Option<String>, Option<String>);
type RateKey = (QuotaKind, Shared);

impl Quotas {
    /// With the limits that are stored. What cannot be read is no limit.
    pub(crate) fn load(storage: &Storage, windows: Windows) -> Self {
        let mut limits = Limits::default();
        for (StateKey(key), value) in storage.scan(KEY_PREFIX) {
            let entity = serde_json::from_slice(&key[KEY_PREFIX.len()..]);
            match (entity, serde_json::from_slice(&value)) {
                (Ok(entity), Ok(values)) => limits.set(entity, values),
                (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "a stored quota cannot be read"),
            }
        }
        Self {
            windows,
            is_limited: AtomicBool::new(!limits.is_empty()),
            limits: RwLock::new(limits),
            rates: Mutex::default(),
            buckets: Mutex::default(),
            arrivals: Mutex::default(),
        }
    }

    /// Whether anybody is limited at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what an entity has. In force at once, durable when the ticket resolves.
    pub(crate) fn set(
        &self,
        storage: &Storage,
        entity: &Entity,
        values: BTreeMap<String, f64>,
    ) -> Result<Ticket<()>, CommitError> {
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let json = serde_json::to_vec(entity).expect("names become text");
        let key = StateKey([KEY_PREFIX, &json].concat().into());
        let value = (!values.is_empty())
            .then(|| Bytes::from(serde_json::to_vec(&values).expect("limits are finite numbers")));
        let ticket = storage.put(key, value)?;
        limits.set(entity.clone(), values);
        self.is_limited.store(!limits.is_empty(), Ordering::Relaxed);
        Ok(ticket)
    }

    /// Counts, and answers how long the asker must pause.
    pub(crate) fn record(&self, kind: QuotaKind, asker: Asker<'_>, value: f64, now_ms: i64) -> Duration {
        let Some(limit) = self.limit(kind, asker) else {
            return Duration::ZERO;
        };
        let mut rates = self.rates();
        if rates.len() >= MANY_RATES {
            rates.retain(|_, rate| !rate.is_forgotten(now_ms, self.windows));
        }
        let rate = rates.entry((kind, limit.shared_by)).or_default();
        rate.record(value, now_ms, self.windows);
        rate.throttle(limit.per_second, now_ms, self.windows)
    }

    /// The same, but what is too much is not counted: it will not be sent.
    pub(crate) fn admit(&self, kind: QuotaKind, asker: Asker<'_>, value: f64, now_ms: i64) -> Duration {
        let pause = self.record(kind, asker, value, now_ms);
        if pause > Duration::ZERO {
            self.record(kind, asker, -value, now_ms);
        }
        pause
    }

    /// Counts partitions that are to be made or deleted. `Err`: it may not be, for that long; if not `strict` it may, and
    /// the pause comes after.
    pub(crate) fn mutate(
        &self,
        asker: Asker<'_>,
        partitions: f64,
        strict: bool,
        now_ms: i64,
    ) -> Result<Duration, Duration> {
        let Some(limit) = self.limit(QuotaKind::ControllerMutationRate, asker) else {
            return Ok(Duration::ZERO);
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY_RATES {
            buckets.retain(|_, bucket| !bucket.is_forgotten(now_ms, self.windows));
        }
        let per_second = limit.per_second;
        let bucket = buckets
            .entry(limit.shared_by)
            .or_insert_with(|| Bucket::full(per_second, now_ms, self.windows));
        if strict {
            bucket.take(partitions, per_second, now_ms, self.windows)
        } else {
            Ok(bucket.take_anyway(partitions, per_second, now_ms, self.windows))
        }
    }

    /// Counts a connection of an address, and answers how much too soon it comes.
    pub(crate) fn connected(&self, ip: IpAddr, now_ms: i64) -> Duration {
        if !self.is_limited() {
            return Duration::ZERO;
        }
        let ip = ip.to_canonical();
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let Some(per_second) = limits.of_address(ip) else {
            return Duration::ZERO;
        };
        drop(limits);
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if arrivals.len() >= MANY_RATES {
            arrivals.retain(|_, rate| !rate.is_forgotten(now_ms, self.windows));
        }
        let rate = arrivals.entry(ip).or_default();
        rate.record(1.0, now_ms, self.windows);
        let pause = rate.throttle(per_second, now_ms, self.windows);
        if pause > Duration::ZERO {
            // It is turned away, so it was none.
            rate.record(-1.0, now_ms, self.windows);
        }
        pause
    }

    /// The most that an asker may ever get at once.
    pub(crate) fn most(&self, kind: QuotaKind, asker: Asker<'_>) -> usize {
        let limit = self.limit(kind, asker);
        limit.map_or(usize::MAX, |limit| self.windows.most(limit.per_second) as usize)
    }

    /// The size of one window: no request is throttled for longer because of its CPU time.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.windows.size_ms).unwrap_or(0))
    }

    fn limit(&self, kind: QuotaKind, asker: Asker<'_>) -> Option<entity::Limit> {
        if !self.is_limited() {
            return None;
        }
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.find(kind, asker)
    }

    fn rates(&self) -> MutexGuard<'_, HashMap<RateKey, Rate>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
