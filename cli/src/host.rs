//! The embedded broker of this process, and its Kafka port.
//!
//! A process that opens the port notes its address in the data directory, so that a second one, which finds the
//! directory locked, can say (and use) how to reach the first. The note means something only while the lock is held.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_server::{
    Broker, BrokerConfig, BrokerSettings, Loggers, MonitorPort, OpenError, ServerConfig, ServerHandle, serve,
};
use millstream_broker_storage::OpenError as StorageError;
use millstream_client::Log;
use millstream_types::Clock;
use tokio_util::sync::CancellationToken;

use crate::schemas::checks::LogSchemas;

/// Where the address of the open Kafka port is noted.
const ADDRESS_FILE: &str = "kafka.address";

/// An open data directory.
pub(crate) struct Host {
    dir: PathBuf,
    broker: Arc<Broker>,
    schemas: LogSchemas,
    loggers: Option<Arc<dyn Loggers>>,
}

/// Why a data directory was not opened.
pub(crate) enum NotOpened {
    /// Another process has it; `address` is that of its Kafka port.
    Held {
        error: anyhow::Error,
        address: Option<String>,
    },
    Failed(anyhow::Error),
}

/// An open Kafka port.
pub(crate) struct Port {
    /// Where the address is noted; a private port is not.
    note: Option<PathBuf>,
    handle: ServerHandle,
    shutdown: CancellationToken,
}

impl Host {
    pub(crate) async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, NotOpened> {
        let host = Self::open_with(BrokerSettings::default(), dir, clock).await?;
        // Nobody here tries again until it is open.
        let topics = host.broker.storage().topics();
        if topics.iter().any(|topic| topic.config.checks.is_some()) {
            host.schemas.opened().await;
        }
        Ok(host)
    }

    pub(crate) async fn open_with(
        settings: BrokerSettings,
        dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotOpened> {
        let config = BrokerConfig {
            settings,
            ..BrokerConfig::in_dir(dir)
        };
        let opening = Broker::open(config, clock.clone()).await;
        let broker = opening.map_err(|error| match error {
            OpenError::Storage(StorageError::Locked { .. }) => NotOpened::Held {
                address: fs::read_to_string(dir.join(ADDRESS_FILE)).ok(),
                error: error.into(),
            },
            error => NotOpened::Failed(error.into()),
        })?;
        let found = broker.recovery();
        tracing::info!(
            dir = %dir.display(),
            topics = found.topics,
            partitions = found.partitions,
            replayed_batches = found.replayed_batches,
            replayed_bytes = found.replayed_bytes,
            after_a_crash = found.torn_tail,
            took_ms = found.took.as_millis(),
            "opened the data directory"
        );
        // A note of a process that was killed.
        let _ = fs::remove_file(dir.join(ADDRESS_FILE));
        let schemas = LogSchemas::of(&broker, clock);
        broker.check_schemas_with(Arc::new(schemas.clone()));
        Ok(Self {
            dir: dir.to_owned(),
            broker,
            schemas,
            loggers: None,
        })
    }

    /// Lets administrators turn the log of this process through the Kafka port.
    pub(crate) fn with_loggers(mut self, loggers: Arc<dyn Loggers>) -> Self {
        self.loggers = Some(loggers);
        self
    }

    /// Tells scrapers and probes of this broker.
    pub(crate) fn show_on(&self, port: &MonitorPort) {
        port.started(self.broker.clone());
    }

    /// What records are held against, where topics ask for it.
    pub(crate) fn schemas(&self) -> &LogSchemas {
        &self.schemas
    }

    pub(crate) fn log(&self) -> Arc<dyn Log> {
        Arc::new(EmbeddedLog::new(self.broker.clone()))
    }

    /// Opens the Kafka port where the settings say, or at that address.
    pub(crate) async fn listen(&self, address: Option<&str>) -> anyhow::Result<Port> {
        let mut port = self.open_port(address).await?;
        let note = self.dir.join(ADDRESS_FILE);
        if let Err(error) = fs::write(&note, port.address().to_string()) {
            tracing::warn!(file = %note.display(), %error, "cannot note the address of the Kafka port");
        }
        port.note = Some(note);
        Ok(port)
    }

    /// A port that nobody is told of, for a command of this process that speaks Kafka's protocol.
    pub(crate) async fn listen_privately(&self) -> anyhow::Result<Port> {
        self.open_port(Some("127.0.0.1:0")).await
    }

    async fn open_port(&self, address: Option<&str>) -> anyhow::Result<Port> {
        let shutdown = CancellationToken::new();
        let mut config = ServerConfig::from(self.broker.settings().as_ref());
        config.loggers = self.loggers.clone();
        if let Some(address) = address {
            config.listeners.truncate(1);
            for listener in &mut config.listeners {
                address.clone_into(&mut listener.listen);
            }
        }
        let handle = serve(self.broker.clone(), config, shutdown.clone()).await?;
        Ok(Port {
            note: None,
            handle,
            shutdown,
        })
    }

    /// Makes all durable and lets go of the directory.
    pub(crate) async fn close(self) {
        self.schemas.close().await;
        self.broker.close().await;
    }
}

impl Port {
    /// That of the first listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    /// Those of all listeners, for people.
    pub(crate) fn addresses(&self) -> String {
        match self.handle.local_addrs() {
            [(_, address)] => address.to_string(),
            many => {
                let named = many.iter().map(|(name, address)| format!("{address} ({name})"));
                named.collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Answers what was asked, then closes all connections.
    pub(crate) async fn close(self) {
        self.shutdown.cancel();
        self.handle.closed().await;
        if let Some(note) = self.note {
            let _ = fs::remove_file(note);
        }
    }
}

impl From<NotOpened> for anyhow::Error {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Failed(error) | NotOpened::Held { error, address: None } => error,
            NotOpened::Held {
                error,
                address: Some(address),
            } => anyhow!("{error}, or reach it as a Kafka client: kcat -b {address} -L"),
        }
    }
}
