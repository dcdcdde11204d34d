//! What the broker counts while it works, and what a scrape shows of it (`docs/metrics.md` lists everything).
//!
//! Invariants
//! - Names are those of [`name`]; every label has a bounded number of values: APIs, error names, and topics, of which
//!   [`traffic::MAX_TOPICS`] are counted one by one and the rest together.
//! - Counting costs a few atomic additions for each request and batch, and nothing for each record.
//! - What can be read from the broker's state (offsets, lag, sizes) is not counted but read when somebody asks
//!   ([`scrape`]).
//!
//! Deliberately absent: any aggregation over time. That is the scraper's part.

mod lag;
mod process;
mod scrape;
mod storage;
mod traffic;

use std::{sync::OnceLock, time::Instant};

use millstream_protocol::{ErrorCode, messages::ApiKey};
use millstream_types::TopicName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use scrape::scrape;
pub(crate) use scrape::{Part, scrape_all};
use traffic::Traffic;

/// The names of all metrics. Counters get `_total` behind them.
pub(crate) mod name {
    pub(crate) const BROKER: &str = "millstream_broker";
    pub(crate) const REQUESTS: &str = "millstream_broker_requests";
    pub(crate) const REQUEST_DURATION: &str = "millstream_broker_request_duration_seconds";
    pub(crate) const REQUEST_BYTES: &str = "millstream_broker_request_bytes";
    pub(crate) const RESPONSE_BYTES: &str = "millstream_broker_response_bytes";
    pub(crate) const INVALID_REQUESTS: &str = "millstream_broker_invalid_requests";
    pub(crate) const REFUSALS: &str = "millstream_broker_partition_errors";
    pub(crate) const CONNECTIONS: &str = "millstream_broker_connections";
    pub(crate) const CONNECTIONS_OPENED: &str = "millstream_broker_connections_opened";
    pub(crate) const CONNECTIONS_REFUSED: &str = "millstream_broker_connections_refused";
    pub(crate) const TOPIC_IN: &str = "millstream_topic_appended_bytes";
    pub(crate) const TOPIC_OUT: &str = "millstream_topic_fetched_bytes";
    pub(crate) const TOPIC_SIZE: &str = "millstream_topic_size_bytes";
    pub(crate) const STORAGE_WRITABLE: &str = "millstream_storage_writable";
    pub(crate) const STORAGE_TOPICS: &str = "millstream_storage_topics";
    pub(crate) const STORAGE_PARTITIONS: &str = "millstream_storage_partitions";
    pub(crate) const RECOVERY_DURATION: &str = "millstream_storage_recovery_duration_seconds";
    pub(crate) const RECOVERY_BYTES: &str = "millstream_storage_recovery_replayed_bytes";
    pub(crate) const SYNC_DURATION: &str = "millstream_storage_fsync_duration_seconds";
    pub(crate) const APPENDED_BYTES: &str = "millstream_storage_appended_bytes";
    pub(crate) const APPENDED_RECORDS: &str = "millstream_storage_appended_records";
    pub(crate) const APPENDED_BATCHES: &str = "millstream_storage_appended_batches";
    pub(crate) const DUPLICATES: &str = "millstream_storage_duplicate_batches";
    pub(crate) const WRITTEN_GROUPS: &str = "millstream_storage_written_groups";
    pub(crate) const WRITTEN_BYTES: &str = "millstream_storage_written_bytes";
    pub(crate) const READ_BYTES: &str = "millstream_storage_read_bytes";
    pub(crate) const RECOMPRESSED: &str = "millstream_storage_recompressed_batches";
    pub(crate) const DEAD_LETTERS: &str = "millstream_storage_dead_letter_records";
    pub(crate) const COMPACTIONS: &str = "millstream_storage_compactions";
    pub(crate) const COMPACTION_READ: &str = "millstream_storage_compaction_read_bytes";
    pub(crate) const COMPACTION_WRITTEN: &str = "millstream_storage_compaction_written_bytes";
    pub(crate) const SEGMENTS: &str = "millstream_storage_segments";
    pub(crate) const SEGMENT_BYTES: &str = "millstream_storage_segment_bytes";
    pub(crate) const UNSEALED_BYTES: &str = "millstream_storage_unsealed_bytes";
    pub(crate) const QUEUED_BYTES: &str = "millstream_storage_queued_bytes";
    pub(crate) const OFFLINE: &str = "millstream_storage_offline_partitions";
    pub(crate) const UNCLEANABLE: &str = "millstream_storage_uncleanable_partitions";
    pub(crate) const GROUP_MEMBERS: &str = "kafka_consumergroup_members";
    pub(crate) const GROUP_OFFSET: &str = "kafka_consumergroup_current_offset";
    pub(crate) const GROUP_LAG: &str = "kafka_consumergroup_lag";
    pub(crate) const GROUP_LAG_SECONDS: &str = "kafka_consumergroup_group_lag_seconds";
    pub(crate) const PARTITION_OFFSET: &str = "kafka_topic_partition_current_offset";
    pub(crate) const PARTITION_OLDEST: &str = "kafka_topic_partition_oldest_offset";
    pub(crate) const PROCESS_CPU: &str = "process_cpu_seconds";
    pub(crate) const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
    pub(crate) const PROCESS_FILES: &str = "process_open_fds";
}

/// From half a millisecond, below which no fsync ends, to the longest poll.
const DURATION_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Keys of APIs that may be counted; Kafka has some ninety.
const API_KEYS: usize = 128;

/// Everything that is counted.
pub(crate) struct Metrics {
    traffic: Traffic,
    connections: Gauge,
    connections_opened: Counter,
    connections_refused: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    invalid: Family<Labels<1>, Counter>,
    refusals: Family<Labels<2>, Counter>,
    requests: Family<ApiLabel, Counter>,
    durations: Family<ApiLabel, Histogram, fn() -> Histogram>,
    /// The series of each API, so that a request looks nothing up.
    apis: [OnceLock<Api>; API_KEYS],
    lags: lag::Lags,
}

type Labels<const N: usize> = [(&'static str, &'static str); N];
type ApiLabel = [(&'static str, String); 1];

struct Api {
    requests: Counter,
    duration: Histogram,
}

/// A connection that is open until this is dropped.
pub(crate) struct OpenConnection(Gauge);

/// A request that is worked on until this is dropped.
pub(crate) struct RequestTimer {
    duration: Histogram,
    since: Instant,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            traffic: Traffic::default(),
            connections: Gauge::default(),
            connections_opened: Counter::default(),
            connections_refused: Counter::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            invalid: Family::default(),
            refusals: Family::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            apis: [const { OnceLock::new() }; API_KEYS],
            lags: lag::Lags::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn connection_opened(&self) -> OpenConnection {
        self.connections_opened.inc();
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// A request of an API that the port knows has come.
    pub(crate) fn request(&self, api: ApiKey, bytes: usize) -> RequestTimer {
        self.request_bytes.inc_by(bytes as u64);
        let key = usize::try_from(api as i16).unwrap_or(0) % API_KEYS;
        let series = self.apis[key].get_or_init(|| self.series(api));
        series.requests.inc();
        RequestTimer {
            duration: series.duration.clone(),
            since: Instant::now(),
        }
    }

    pub(crate) fn response(&self, bytes: usize) {
        self.response_bytes.inc_by(bytes as u64);
    }

    /// A request that ended its connection.
    pub(crate) fn invalid_request(&self, reason: &'static str) {
        self.invalid.get_or_create(&[("reason", reason)]).inc();
    }

    /// An error that a partition of a request was answered with.
    pub(crate) fn partition_error(&self, api: &'static str, error: ErrorCode) {
        self.refusals
            .get_or_create(&[("api", api), ("error", error.name())])
            .inc();
    }

    /// A batch was appended, over the port or by a pipeline of this process.
    pub(crate) fn appended(&self, topic: &TopicName, bytes: usize) {
        self.traffic.count(topic, |bytes_of| &bytes_of.appended, bytes);
    }

    /// Batches were answered to a fetch.
    pub(crate) fn fetched(&self, topic: &TopicName, bytes: usize) {
        self.traffic.count(topic, |bytes_of| &bytes_of.fetched, bytes);
    }

    fn series(&self, api: ApiKey) -> Api {
        let labels = [("api", format!("{api:?}"))];
        Api {
            requests: self.requests.get_or_create_owned(&labels),
            duration: self.durations.get_or_create_owned(&labels),
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(name::REQUESTS, "Requests by API", self.requests.clone());
        registry.register(
            name::REQUEST_DURATION,
            "From the arrival of a request until its answer was written, the fsync of a produce and the long poll of a \
             fetch included",
            self.durations.clone(),
        );
        registry.register(
            name::REQUEST_BYTES,
            "Bytes of requests",
            self.request_bytes.clone(),
        );
        registry.register(
            name::RESPONSE_BYTES,
            "Bytes of answers",
            self.response_bytes.clone(),
        );
        registry.register(
            name::INVALID_REQUESTS,
            "Requests that could not be understood and ended their connection",
            self.invalid.clone(),
        );
        registry.register(
            name::REFUSALS,
            "Partitions of produce and fetch requests that were answered with an error",
            self.refusals.clone(),
        );
        registry.register(name::CONNECTIONS, "Open connections", self.connections.clone());
        registry.register(
            name::CONNECTIONS_OPENED,
            "Connections that were accepted",
            self.connections_opened.clone(),
        );
        registry.register(
            name::CONNECTIONS_REFUSED,
            "Connections that were closed at once because there were too many",
            self.connections_refused.clone(),
        );
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        self.duration.observe(self.since.elapsed().as_secs_f64());
    }
}
