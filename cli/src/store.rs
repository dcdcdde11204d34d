//! Which log a command works on: a data directory of this machine, or one that another process serves.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use millstream_client::Log;
use millstream_pipeline::LogChoice;

use crate::{
    Context,
    host::{Host, NotOpened, Port},
    pipeline_file,
    remote::{Client, RemoteLog},
    schemas::port,
};

const DEFAULT_DIR: &str = "./data";

/// A data directory of this machine.
#[derive(clap::Args, Debug)]
pub(crate) struct DataDir {
    /// The data directory [default: ./data]
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    data_dir: Option<PathBuf>,
    /// The data directory of this pipeline file
    #[arg(
        long,
        value_name = "PIPELINE.yaml",
        conflicts_with = "data_dir",
        help_heading = "Where"
    )]
    pipeline: Option<PathBuf>,
}

/// A data directory, or a broker that is running.
#[derive(clap::Args, Debug)]
pub(crate) struct Target {
    #[command(flatten)]
    dir: DataDir,
    /// A running broker instead: `millstream run`, `millstream broker serve` or any Kafka
    #[arg(
        long,
        value_name = "HOST:PORT",
        conflicts_with_all = ["data_dir", "pipeline"],
        help_heading = "Where"
    )]
    bootstrap: Option<String>,
}

/// An open log.
pub(crate) struct Store {
    log: Arc<dyn Log>,
    /// The connections to the broker, as soon as there are some.
    client: Option<Arc<Client>>,
    host: Option<(Host, Option<Port>)>,
    /// The address of the schema registry of the process that has the data directory, if it has one.
    registry: Option<String>,
}

impl DataDir {
    /// Opens the directory, which must be there.
    pub(crate) async fn open(&self, context: &Context) -> anyhow::Result<Store> {
        let dir = self.existing()?;
        let host = Host::open(&dir, context.clock.clone()).await?;
        Ok(Store::of(host))
    }

    /// The directory, which must be there.
    pub(crate) fn existing(&self) -> anyhow::Result<PathBuf> {
        let dir = self.path()?;
        if !dir.is_dir() {
            bail!(
                "there is no data directory '{}': name one with --data-dir or --pipeline, or run a pipeline first",
                dir.display()
            );
        }
        Ok(dir)
    }

    fn path(&self) -> anyhow::Result<PathBuf> {
        match (&self.data_dir, &self.pipeline) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(file)) => data_dir_of(file),
            (None, None) => Ok(DEFAULT_DIR.into()),
        }
    }
}

impl Target {
    /// Opens what must be there. A directory that another process holds is reached through that one's Kafka port.
    pub(crate) async fn open(&self, context: &Context) -> anyhow::Result<Store> {
        match &self.bootstrap {
            Some(address) => Store::remote(address).await,
            None => open_or_reach(&self.dir.existing()?, context).await,
        }
    }

    /// The same, but a directory that is not there is made.
    pub(crate) async fn open_or_create(&self, context: &Context) -> anyhow::Result<Store> {
        match &self.bootstrap {
            Some(address) => Store::remote(address).await,
            None => open_or_reach(&self.dir.path()?, context).await,
        }
    }
}

async fn open_or_reach(dir: &Path, context: &Context) -> anyhow::Result<Store> {
    match Host::open(dir, context.clock.clone()).await {
        Ok(host) => Ok(Store::of(host)),
        Err(NotOpened::Held {
            address: Some(address),
            ..
        }) => {
            tracing::info!(dir = %dir.display(), address, "another process holds the data directory: asking it");
            let store = Store::remote(&address).await?;
            Ok(Store {
                registry: port::noted(dir),
                ..store
            })
        }
        Err(why) => Err(why.into()),
    }
}

impl Store {
    fn of(host: Host) -> Self {
        Self {
            log: host.log(),
            client: None,
            host: Some((host, None)),
            registry: None,
        }
    }

    async fn remote(address: &str) -> anyhow::Result<Self> {
        let client = Client::connect(address)
            .await
            .with_context(|| format!("no broker answers at {address}: is one running there?"))?;
        let client = Arc::new(client);
        Ok(Self {
            log: Arc::new(RemoteLog::new(client.clone())),
            client: Some(client),
            host: None,
            registry: None,
        })
    }

    /// The broker, for what only Kafka's protocol offers. That of an own data directory is spoken to over a port that
    /// is open as long as this store.
    pub(crate) async fn client(&mut self) -> anyhow::Result<Arc<Client>> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let (host, port) = self
            .host
            .as_mut()
            .expect("a store without a host is remote and has a client");
        let open = host.listen_privately().await?;
        let address = port.insert(open).address().to_string();
        let client = Arc::new(Client::connect(&address).await?);
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Whether another process has the data, whose consumers may be at work.
    pub(crate) fn is_remote(&self) -> bool {
        self.host.is_none()
    }

    /// Where that process has its schema registry, as far as it is known.
    pub(crate) fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    pub(crate) fn log(&self) -> &dyn Log {
        self.log.as_ref()
    }

    pub(crate) fn shared(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    pub(crate) async fn close(self) {
        // Connections that are closed need no answer when the port is.
        drop((self.client, self.log));
        if let Some((host, port)) = self.host {
            if let Some(port) = port {
                port.close().await;
            }
            host.close().await;
        }
    }
}

/// Only the directory matters here: a pipeline file with problems elsewhere does not name it.
fn data_dir_of(file: &Path) -> anyhow::Result<PathBuf> {
    match pipeline_file::parse(file)? {
        Ok(pipeline) => match pipeline.log() {
            LogChoice::Embedded { dir, .. } => Ok(dir.clone()),
        },
        Err(_) => bail!(
            "pipeline '{}' has problems: `millstream validate` shows them; --data-dir names the directory itself",
            file.display()
        ),
    }
}
