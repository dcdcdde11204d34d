//! Connections to the brokers of a cluster. Each call takes an idle one or opens one, so that waiting fetches do not
//! stand in each other's way.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use millstream_client::LogError;
use millstream_protocol::{
    ErrorCode,
    messages::{
        FindCoordinatorRequest, MetadataRequest, MetadataResponse, Request,
        metadata_request::MetadataRequestTopic,
    },
};
use millstream_types::{TopicName, TopicPartition};
use tokio::time::sleep;

use super::{
    connection::Connection,
    errors::{Asked, check},
    is, malformed, text, wire,
};

/// The newest versions whose answers are understood here.
mod version {
    pub(super) const METADATA: i16 = 9;
    pub(super) const FIND_COORDINATOR: i16 = 3;
}

/// A cluster that has had no group yet takes a moment to find a coordinator, and that one to load; a transaction that ends
/// takes a moment too, and so do replicas that catch up and a schema registry that is read.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pauses between the tries of one call, which end when patience does.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_total_delay(Some(PATIENCE))
        .without_max_times()
        .with_jitter()
        .build()
}

/// What is coordinated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coordinator {
    Group,
    Transaction,
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    At(&'a str),
    CoordinatorOf(Coordinator, &'a str),
}

pub(crate) struct Client {
    bootstrap: String,
    /// Connections that nobody uses at the moment, by address.
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    /// The address of the leader of each partition that was used.
    leaders: Mutex<HashMap<TopicPartition, String>>,
}

impl Client {
    /// Fails if nobody answers there.
    pub(crate) async fn connect(bootstrap: &str) -> io::Result<Self> {
        let client = Self {
            bootstrap: bootstrap.to_owned(),
            idle: Mutex::default(),
            leaders: Mutex::default(),
        };
        let connection = Connection::open(bootstrap).await?;
        client.put_back(bootstrap, connection);
        Ok(client)
    }

    /// Asks the broker at that address, in the newest version that it knows up to `most`.
    pub(crate) async fn call<R: Request>(
        &self,
        address: &str,
        request: &R,
        most: i16,
    ) -> Result<R::Response, LogError> {
        let unavailable = |error: io::Error| match error.kind() {
            io::ErrorKind::Unsupported => LogError::Refused {
                message: format!("{address}: {error}"),
            },
            _ => LogError::Unavailable {
                message: format!("{address}: {error}"),
            },
        };
        let idle = lock(&self.idle).get_mut(address).and_then(Vec::pop);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(address).await.map_err(unavailable)?,
        };
        // A connection on which something went wrong is dropped: its place in the stream may be lost.
        let answer = connection.call(request, most).await.map_err(unavailable)?;
        self.put_back(address, connection);
        Ok(answer)
    }

    /// Asks the broker that was named; it passes on what others must do.
    pub(crate) async fn any<R: Request>(&self, request: &R, most: i16) -> Result<R::Response, LogError> {
        self.call(&self.bootstrap, request, most).await
    }

    /// Asks until the answer is no request to be patient; `code` finds its error code.
    pub(crate) async fn patiently<R: Request>(
        &self,
        whom: Whom<'_>,
        request: &R,
        most: i16,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, LogError> {
        let mut pauses = pauses();
        loop {
            let answer = match whom {
                Whom::At(address) => self.call(address, request, most).await?,
                Whom::CoordinatorOf(what, key) => {
                    let address = self.coordinator(what, key, &mut pauses).await?;
                    self.call(&address, request, most).await?
                }
            };
            if !asks_for_patience(code(&answer)) {
                return Ok(answer);
            }
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Ok(answer),
            }
        }
    }

    fn put_back(&self, address: &str, connection: Connection) {
        lock(&self.idle)
            .entry(address.to_owned())
            .or_default()
            .push(connection);
    }

    pub(crate) async fn metadata(&self, topics: Option<&[&TopicName]>) -> Result<MetadataResponse, LogError> {
        let topics = topics.map(|names| {
            let named = |name: &&TopicName| MetadataRequestTopic::default().with_name(Some(wire(name)));
            names.iter().map(named).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false);
        self.any(&request, version::METADATA).await
    }

    /// The ids and addresses of all brokers.
    pub(crate) async fn brokers(&self) -> Result<Vec<(i32, String)>, LogError> {
        let metadata = self.metadata(Some(&[])).await?;
        let brokers = metadata.brokers.iter();
        Ok(brokers
            .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
            .collect())
    }

    /// The address of the broker that coordinates a group or a transactional id.
    async fn coordinator(
        &self,
        what: Coordinator,
        key: &str,
        pauses: &mut ExponentialBackoff,
    ) -> Result<String, LogError> {
        let request = FindCoordinatorRequest::default()
            .with_key(text(key))
            .with_key_type(match what {
                Coordinator::Group => 0,
                Coordinator::Transaction => 1,
            });
        loop {
            let found = self.any(&request, version::FIND_COORDINATOR).await?;
            let Some(error) = ErrorCode::from_code(found.error_code) else {
                return Err(malformed(format_args!("error code {}", found.error_code)));
            };
            if error == ErrorCode::None {
                return Ok(format!("{}:{}", found.host, found.port));
            }
            let pause = pauses.next().filter(|_| asks_for_patience(found.error_code));
            let Some(pause) = pause else {
                return Err(LogError::Unavailable {
                    message: format!("no coordinator of '{key}': {error}: {}", error.message()),
                });
            };
            sleep(pause).await;
        }
    }

    /// The address of the broker that leads a partition.
    pub(crate) async fn leader(&self, partition: &TopicPartition) -> Result<String, LogError> {
        if let Some(leader) = lock(&self.leaders).get(partition) {
            return Ok(leader.clone());
        }
        let metadata = self.metadata(Some(&[&partition.topic])).await?;
        let found = metadata
            .topics
            .iter()
            .find(|topic| is(topic.name.as_ref(), &partition.topic));
        let topic = found.ok_or_else(|| malformed("the topic is missing in the metadata"))?;
        check(
            topic.error_code,
            Asked::of(&TopicPartition::new(partition.topic.clone(), 0)),
        )?;
        let wanted = |index| index == partition.partition;
        let entry = topic
            .partitions
            .iter()
            .find(|entry| wanted(entry.partition_index));
        let leader = entry
            .map(|entry| entry.leader_id)
            .ok_or_else(|| LogError::UnknownPartition {
                partition: partition.clone(),
            })?;
        let broker = metadata.brokers.iter().find(|broker| broker.node_id == leader);
        let broker = broker.ok_or_else(|| LogError::Unavailable {
            message: format!("partition {partition} has no leader"),
        })?;
        let address = format!("{}:{}", broker.host, broker.port);
        lock(&self.leaders).insert(partition.clone(), address.clone());
        Ok(address)
    }

    /// Forgets the leader, in case that it moved; the next call asks again.
    pub(crate) fn forget_leader<T>(
        &self,
        partition: &TopicPartition,
        outcome: Result<T, LogError>,
    ) -> Result<T, LogError> {
        if outcome.is_err() {
            lock(&self.leaders).remove(partition);
        }
        outcome
    }
}

fn asks_for_patience(code: i16) -> bool {
    [
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::NotCoordinator,
        ErrorCode::ConcurrentTransactions,
        ErrorCode::NotEnoughReplicas,
    ]
    .iter()
    .any(|error| error.code() == code)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
