//! The port of scrapers and probes: `/metrics`, `/livez` and `/readyz`.
//!
//! It is opened before the data directory, so that a probe can tell a broker that recovers from one that is dead, and
//! closed after the Kafka port. Invariants: what is asked here changes nothing; connections, their requests and their time
//! are bounded, so that nobody takes the file descriptors of Kafka clients.
//!
//! Deliberately absent: TLS, authentication (bind it where only the monitoring can reach it), and an HTTP framework: three
//! answers to GET, each on a connection of its own ([`exchange`]). Whoever needs more of HTTP takes a framework and moves
//! these three onto it.

mod exchange;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    Broker, ListenError,
    metrics::{self, Part},
};
use exchange::{Answer, Status};

/// Scrapers and probes are few; more wait until one is done.
const MAX_CONNECTIONS: usize = 16;
/// From accepting a connection until its answer is written.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the reason, such as too many open files, does not go away at once.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// For answers that are under way when the port is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Until the port is told what it speaks of.
const STARTING: &str = "the data directory is being recovered";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An open port. It is not ready until it is told which broker it speaks of.
#[derive(Debug)]
pub struct MonitorPort {
    local_addr: SocketAddr,
    health: Arc<Health>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Health {
    served: OnceLock<Served>,
    parts: Mutex<Vec<Part>>,
    stopping: AtomicBool,
}

/// What the port speaks of.
enum Served {
    Broker(Arc<Broker>),
    /// Something without a broker, which says why no client should come.
    Other(Box<dyn Fn() -> Option<String> + Send + Sync>),
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}

impl MonitorPort {
    /// Opens the port at `host:port`; port 0 takes a free one.
    pub async fn open(listen: &str) -> Result<Self, ListenError> {
        let failed = |source| ListenError::from_io(listen, source);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let port = Self {
            local_addr,
            health: Arc::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let accepting = accept(listener, port.health.clone(), port.tasks.clone());
        let shutdown = port.shutdown.clone();
        port.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = accepting => {}
            }
        });
        info!(%local_addr, "listening for scrapers and probes");
        Ok(port)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The broker is open: from now on it is ready, as long as it can write.
    pub fn started(&self, broker: Arc<Broker>) {
        // There is no second broker: the first one keeps its directory.
        let _ = self.health.served.set(Served::Broker(broker));
    }

    /// Something that is no broker is open: from now on it is ready, unless it says why not.
    pub fn started_without_broker(&self, obstacle: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.health.served.set(Served::Other(Box::new(obstacle)));
    }

    /// A scrape shows this, too, from now on.
    pub fn show(&self, part: impl Fn(&mut Registry) + Send + Sync + 'static) {
        self.health.parts().push(Arc::new(part));
    }

    /// No client should come any more: not ready from now on.
    pub fn stopping(&self) {
        self.health.stopping.store(true, Ordering::Relaxed);
    }

    pub async fn close(self) {
        self.stopping();
        self.shutdown.cancel();
        self.tasks.close();
        if timeout(DRAIN_TIMEOUT, self.tasks.wait()).await.is_err() {
            debug!("a scraper does not read its answer");
        }
    }
}

/// What the port answers to these bytes, after which nothing comes; `None`: they are no whole request.
pub(crate) async fn probe(broker: Arc<Broker>, asked: &[u8]) -> Option<Vec<u8>> {
    let health = Health::default();
    let _ = health.served.set(Served::Broker(broker));
    let mut answer = Vec::new();
    let served = health.serve(tokio::io::join(asked, &mut answer)).await;
    served.is_ok().then_some(answer)
}

/// For ever.
async fn accept(listener: TcpListener, health: Arc<Health>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let acquired = slots.clone().acquire_owned().await;
        let slot = acquired.expect("the semaphore is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a scraper's connection");
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
        };
        let health = health.clone();
        tasks.spawn(async move {
            match timeout(EXCHANGE_TIMEOUT, health.serve(stream)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%peer, %error, "a scraper went away"),
                Err(_) => debug!(%peer, "a scraper is too slow"),
            }
            drop(slot);
        });
    }
}

impl Health {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (answer, head_only) = match exchange::read(&mut stream).await? {
            Ok(asked) => (self.answer(&asked.path).await, asked.head_only),
            Err(status) => (Answer::refusal(status), false),
        };
        exchange::write(&mut stream, answer, head_only).await
    }

    async fn answer(&self, path: &str) -> Answer {
        match path {
            // A broker that cannot write lives: a restart alone does not mend a disk.
            "/livez" => Answer::text(Status::Ok, "alive\n"),
            "/readyz" => match self.obstacle() {
                None => Answer::text(Status::Ok, "ready\n"),
                Some(why) => Answer::text(Status::Unavailable, format!("not ready: {why}\n")),
            },
            "/metrics" => self.metrics().await,
            _ => Answer::text(Status::NotFound, "there are /metrics, /livez and /readyz\n"),
        }
    }

    async fn metrics(&self) -> Answer {
        let broker = match self.served.get() {
            None => return Answer::text(Status::Unavailable, format!("{STARTING}\n")),
            Some(Served::Broker(broker)) => Some(broker.clone()),
            Some(Served::Other(_)) => None,
        };
        let parts = self.parts().clone();
        // The lag of groups is read from the log, which may lie on the disk.
        match tokio::task::spawn_blocking(move || metrics::scrape_all(broker.as_ref(), &parts)).await {
            Ok(page) => Answer::new(Status::Ok, OPEN_METRICS, page),
            Err(error) => {
                warn!(%error, "a scrape failed");
                Answer::text(Status::Failed, "see the log of the broker\n")
            }
        }
    }

    /// Why no client should come.
    fn obstacle(&self) -> Option<String> {
        let Some(served) = self.served.get() else {
            return Some(STARTING.to_owned());
        };
        if self.stopping.load(Ordering::Relaxed) {
            return Some("stopping".to_owned());
        }
        match served {
            Served::Broker(broker) => broker.storage().refusal().map(|error| error.to_string()),
            Served::Other(obstacle) => obstacle(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
