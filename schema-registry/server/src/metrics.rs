//! What a registry counts while it works, and what a scrape shows of it (`docs/metrics.md` lists everything).
//!
//! Invariants: every label has a bounded number of values, whatever clients ask for: methods and paths are those of the
//! table of calls, other paths and statuses are counted together. What the state says is not counted but read when
//! somebody asks.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry as Page,
};

use crate::Registry;

/// The names of all metrics. Counters get `_total` behind them.
mod name {
    pub(super) const REQUESTS: &str = "millstream_registry_requests";
    pub(super) const REQUEST_DURATION: &str = "millstream_registry_request_duration_seconds";
    pub(super) const CONNECTIONS: &str = "millstream_registry_connections";
    pub(super) const LOOKUPS: &str = "millstream_registry_lookups";
    pub(super) const WRITES: &str = "millstream_registry_writes";
    pub(super) const CONFLICTS: &str = "millstream_registry_write_conflicts";
    pub(super) const READ_ERRORS: &str = "millstream_registry_read_errors";
    pub(super) const REPLAYS: &str = "millstream_registry_replays";
    pub(super) const REPLAY_DURATION: &str = "millstream_registry_replay_duration_seconds";
    pub(super) const SUBJECTS: &str = "millstream_registry_subjects";
    pub(super) const VERSIONS: &str = "millstream_registry_versions";
    pub(super) const SCHEMAS: &str = "millstream_registry_schemas";
    pub(super) const POSITION: &str = "millstream_registry_position";
}

/// From a tenth of a millisecond, in which most reads are answered, to a write that was tried for as long as it may.
const DURATION_BUCKETS: [f64; 13] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0,
];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Everything that is counted.
pub(crate) struct Metrics {
    requests: Family<Labels<3>, Counter>,
    durations: Family<Labels<2>, Histogram, fn() -> Histogram>,
    connections: Gauge,
    lookups: Family<Labels<2>, Counter>,
    writes: Counter,
    conflicts: Counter,
    read_errors: Counter,
    replays: Counter,
    replay_duration: Gauge<f64, AtomicU64>,
    /// Whether the last look at the topic failed.
    is_cut_off: AtomicBool,
}

/// What is asked for a schema by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    Id,
    Guid,
    /// The newest of a subject.
    Subject,
    /// Whether a subject has it.
    Schema,
}

impl Lookup {
    fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Guid => "guid",
            Self::Subject => "subject",
            Self::Schema => "schema",
        }
    }
}

/// A connection that is open until this is dropped.
pub(crate) struct OpenConnection(Gauge);

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            connections: Gauge::default(),
            lookups: Family::default(),
            writes: Counter::default(),
            conflicts: Counter::default(),
            read_errors: Counter::default(),
            replays: Counter::default(),
            replay_duration: Gauge::default(),
            is_cut_off: AtomicBool::new(false),
        }
    }
}

impl Metrics {
    /// A request was answered. The method and the path are those of the table of calls.
    pub(crate) fn answered(&self, method: &'static str, path: &'static str, status: u16, took: Duration) {
        let call = [("method", method), ("path", path)];
        let [of_method, of_path] = call;
        let counted = [of_method, of_path, ("status", status_text(status))];
        self.requests.get_or_create(&counted).inc();
        self.durations.get_or_create(&call).observe(took.as_secs_f64());
    }

    pub(crate) fn connection_opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    fn looked_up(&self, by: Lookup, found: bool) {
        let found = if found { "true" } else { "false" };
        self.lookups
            .get_or_create(&[("by", by.as_str()), ("found", found)])
            .inc();
    }

    /// Records were appended to the topic.
    pub(crate) fn wrote(&self) {
        self.writes.inc();
    }

    /// What was appended is not true, for another registry was quicker.
    pub(crate) fn lost(&self) {
        self.conflicts.inc();
    }

    /// The topic was looked at, whether there was anything new or not.
    pub(crate) fn read(&self) {
        self.is_cut_off.store(false, Ordering::Relaxed);
    }

    pub(crate) fn read_failed(&self) {
        self.read_errors.inc();
        self.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub(crate) fn replays(&self) -> u64 {
        self.replays.get()
    }

    /// The topic was read from its beginning.
    pub(crate) fn replayed(&self, took: Duration) {
        self.replays.inc();
        self.replay_duration.set(took.as_secs_f64());
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn status_text(status: u16) -> &'static str {
    match status {
        200 => "200",
        204 => "204",
        400 => "400",
        404 => "404",
        405 => "405",
        406 => "406",
        408 => "408",
        409 => "409",
        413 => "413",
        415 => "415",
        422 => "422",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}

impl Registry {
    /// Why clients should rather ask another registry; `None`: they should not.
    pub fn obstacle(&self) -> Option<String> {
        let is_cut_off = self.metrics().is_cut_off.load(Ordering::Relaxed);
        is_cut_off.then(|| "the topic of schemas cannot be read".to_owned())
    }

    /// Counts a question of something in this process, which needs no HTTP.
    pub fn looked_up(&self, by: Lookup, found: bool) {
        self.metrics().looked_up(by, found);
    }

    /// Shows a scrape what this registry has counted, and what it knows at this moment.
    pub fn show(&self, page: &mut Page) {
        let metrics = self.metrics();
        page.register(
            name::REQUESTS,
            "Requests by method, path and status",
            metrics.requests.clone(),
        );
        page.register(
            name::REQUEST_DURATION,
            "From the head of a request until its answer was made",
            metrics.durations.clone(),
        );
        page.register(name::CONNECTIONS, "Open connections", metrics.connections.clone());
        page.register(
            name::LOOKUPS,
            "Questions of the process itself: of the broker that checks records, and of pipelines",
            metrics.lookups.clone(),
        );
        page.register(
            name::WRITES,
            "Appends to the topic of schemas",
            metrics.writes.clone(),
        );
        page.register(
            name::CONFLICTS,
            "Appends that came after those of another registry and were decided again",
            metrics.conflicts.clone(),
        );
        page.register(
            name::READ_ERRORS,
            "Failures to read the topic of schemas",
            metrics.read_errors.clone(),
        );
        page.register(
            name::REPLAYS,
            "How often the topic was read from its beginning",
            metrics.replays.clone(),
        );
        page.register(
            name::REPLAY_DURATION,
            "How long the last reading from the beginning took",
            metrics.replay_duration.clone(),
        );
        page.register_collector(Box::new(Known(self.clone())));
    }
}

/// What is read from the state.
struct Known(Registry);

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known")
    }
}

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (subjects, versions, schemas) = self
            .0
            .read(|state| (state.subject_count(), state.version_count(), state.schema_count()));
        let mut gauge = |name, help, value: i64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_gauge(&value)
        };
        gauge(
            name::SUBJECTS,
            "Subjects, those that are deleted but not for good included",
            subjects as i64,
        )?;
        gauge(
            name::VERSIONS,
            "Versions of all subjects, those that are deleted but not for good included",
            versions as i64,
        )?;
        gauge(name::SCHEMAS, "Schemas that have an id", schemas as i64)?;
        gauge(
            name::POSITION,
            "The offset in the topic of schemas up to which everything is known",
            self.0.position().0,
        )
    }
}
