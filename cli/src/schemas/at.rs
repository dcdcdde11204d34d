use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use millstream_client::Log;
use millstream_schema_registry_server::{Creation, Registry, RegistryPort, serve};

use super::{
    client::Client,
    port::{self, DEFAULT_ADDRESS},
};
use crate::{
    Context,
    host::{Host, NotOpened},
    store::Store,
};

/// Which registry a command asks.
#[derive(clap::Args, Debug)]
pub(crate) struct RegistryAt {
    /// The schema registry [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", env = "SCHEMA_REGISTRY_URL", help_heading = "Where")]
    registry: Option<String>,
    /// The registry in this data directory instead, whether it is running or not
    #[arg(long, value_name = "DIR", conflicts_with = "registry", help_heading = "Where")]
    data_dir: Option<PathBuf>,
}

/// A registry that can be asked.
pub(crate) struct Asked {
    client: Client,
    own: Option<(Option<Host>, Registry, RegistryPort)>,
}

impl RegistryAt {
    pub(crate) async fn open(&self, context: &Context) -> anyhow::Result<Asked> {
        match (&self.data_dir, &self.registry) {
            (Some(dir), _) => open_or_reach(dir, context).await,
            (None, Some(url)) => Ok(Asked::remote(url)),
            (None, None) => Ok(Asked::remote(DEFAULT_ADDRESS)),
        }
    }
}

/// A directory that nobody has is opened, and spoken to over a port that is open as long as the command runs.
async fn open_or_reach(dir: &Path, context: &Context) -> anyhow::Result<Asked> {
    if !dir.is_dir() {
        anyhow::bail!("there is no data directory '{}'", dir.display());
    }
    let host = match Host::open(dir, context.clock.clone()).await {
        Ok(host) => host,
        Err(NotOpened::Held { error, .. }) => {
            let address = port::noted(dir);
            let address = address.with_context(|| format!("{error}, and it has no schema registry"))?;
            return Ok(Asked::remote(&address));
        }
        Err(error) => return Err(error.into()),
    };
    let asked = Asked::of_log(host.log(), context).await?;
    Ok(asked.closing(host))
}

impl Asked {
    /// The registry at that address, or else the one beside a log that is open: that of its data directory, whoever has
    /// it.
    pub(crate) async fn beside(
        store: &Store,
        registry: Option<&str>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        match registry {
            Some(url) => Ok(Self::remote(url)),
            None if store.is_remote() => Ok(Self::remote(store.registry().unwrap_or(DEFAULT_ADDRESS))),
            None => Self::of_log(store.shared(), context).await,
        }
    }

    async fn of_log(log: Arc<dyn Log>, context: &Context) -> anyhow::Result<Self> {
        let settings = port::settings(context.clock.clone(), Creation::WhenNeeded);
        let registry = Registry::open(log, settings).await?;
        let port = serve(registry.clone(), "127.0.0.1:0").await?;
        Ok(Self {
            client: Client::new(&port.local_addr().to_string()),
            own: Some((None, registry, port)),
        })
    }

    /// Closes the host of its log with it.
    fn closing(mut self, host: Host) -> Self {
        if let Some((owned, ..)) = &mut self.own {
            *owned = Some(host);
        }
        self
    }

    fn remote(url: &str) -> Self {
        Self {
            client: Client::new(url),
            own: None,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn close(self) {
        drop(self.client);
        if let Some((host, registry, port)) = self.own {
            port.close().await;
            registry.close().await;
            if let Some(host) = host {
                host.close().await;
            }
        }
    }
}
