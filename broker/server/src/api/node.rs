use std::{fmt, sync::Arc};

use millstream_broker_storage::Storage;
use millstream_protocol::messages::{BrokerId, StrBytes};
use millstream_types::TopicName;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetches;
use crate::{
    Broker, BrokerSettings, Loggers,
    budget::Budget,
    metrics::Metrics,
    quotas::{Quotas, Windows},
};

/// Where `queued.max.request.bytes` leaves it to the broker.
const REQUEST_BYTES: usize = 256 << 20;
const ANSWER_BYTES: usize = 256 << 20;

/// This broker as clients see it: the one node of its cluster.
pub(crate) struct Node {
    pub(super) broker: Arc<Broker>,
    /// Those of the process, if it gave them.
    pub(super) loggers: Option<Arc<dyn Loggers>>,
    /// Long polls end with it.
    pub(super) shutdown: CancellationToken,
    pub(super) fetches: Fetches,
    /// The memory of all requests, from their first bytes to their answers.
    pub(crate) requests: Budget,
    /// The memory of all records in answers.
    pub(super) answers: Budget,
    /// Of requests that are worked on at the same time (`queued.max.requests`); one that waits for the disk or for
    /// records has given its own back.
    pub(super) places: Semaphore,
    pub(crate) quotas: Quotas,
}

impl Node {
    /// Leader and only replica of every partition, and the controller.
    pub(super) const ID: BrokerId = BrokerId(1);

    pub(crate) fn new(
        broker: Arc<Broker>,
        loggers: Option<Arc<dyn Loggers>>,
        shutdown: CancellationToken,
    ) -> Self {
        let settings = broker.settings();
        let fetches = Fetches::new(settings.max_fetch_sessions);
        let request_bytes = settings
            .max_queued_request_bytes
            .and_then(|bytes| usize::try_from(bytes).ok());
        let requests = Budget::new(request_bytes.unwrap_or(REQUEST_BYTES));
        Self {
            quotas: Quotas::load(broker.storage(), Windows::of(&settings)),
            broker,
            loggers,
            places: Semaphore::new(settings.max_queued_requests.min(Semaphore::MAX_PERMITS)),
            shutdown,
            fetches,
            requests,
            answers: Budget::new(ANSWER_BYTES),
        }
    }

    /// Of a clock that never jumps: for rates and for what is idle.
    pub(crate) fn now_ms(&self) -> i64 {
        self.broker.clock().steady().0
    }

    pub(super) fn storage(&self) -> &Storage {
        self.broker.storage()
    }

    pub(crate) fn settings(&self) -> Arc<BrokerSettings> {
        self.broker.settings()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        self.broker.metrics()
    }

    pub(super) fn topic_name(&self, id: uuid::Uuid) -> Option<TopicName> {
        self.storage().topic_of_id(id).map(|topic| topic.name.clone())
    }

    pub(super) fn cluster_id(&self) -> StrBytes {
        StrBytes::from_string(self.broker.cluster_id().to_string())
    }
}

/// Where clients find the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Advertised {
    /// Reads `host:port`; an IPv6 address is written in brackets.
    pub(crate) fn parse(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self {
            host: host.into(),
            port,
        })
    }

    pub(super) fn host(&self) -> StrBytes {
        StrBytes::from_string(self.host.clone())
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_advertise() {
        let check = |text: &str, expected: Option<(&str, u16)>| {
            let expected = expected.map(|(host, port)| Advertised {
                host: host.into(),
                port,
            });
            assert_eq!(Advertised::parse(text), expected, "{text}");
            if let Some(address) = expected {
                assert_eq!(address.to_string(), text);
            }
        };
        check("kafka.example.com:9092", Some(("kafka.example.com", 9092)));
        check("[::1]:9092", Some(("::1", 9092)));
        for bad in ["kafka", ":9092", "kafka:0", "kafka:x", "kafka:99999"] {
            check(bad, None);
        }
    }
}
