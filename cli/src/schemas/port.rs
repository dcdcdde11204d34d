use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use millstream_client::Log;
use millstream_schema_registry_server::{Creation, Registry, RegistryPort, RegistrySettings, serve};
use millstream_types::Clock;

use crate::talk::Talk;

/// Where clients expect a registry.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:8081";
/// No port.
const NONE: &str = "none";
/// Where the address of the open registry is noted in a data directory.
const ADDRESS_FILE: &str = "registry.address";

#[derive(clap::Args, Debug)]
pub(crate) struct RegistryListen {
    /// The address of the schema registry; port 0 takes a free one, `none` opens none [default: 127.0.0.1:8081 if nothing else is there]
    #[arg(long, value_name = "HOST:PORT")]
    registry_listen: Option<String>,
}

/// An open registry with its port, either, or none.
pub(crate) struct SchemaPort {
    registry: Option<Registry>,
    port: Option<Port>,
}

struct Port {
    port: RegistryPort,
    note: PathBuf,
}

/// The address that the process which has the directory notes.
pub(crate) fn noted(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(ADDRESS_FILE)).ok()
}

pub(crate) fn settings(clock: Arc<dyn Clock>, creation: Creation) -> RegistrySettings {
    RegistrySettings {
        creation,
        ..RegistrySettings::new(clock)
    }
}

impl RegistryListen {
    /// Opens a registry on the log of this process. Where nobody asked for one, it is no error that there cannot be one.
    pub(crate) async fn open(
        &self,
        log: Arc<dyn Log>,
        dir: &Path,
        clock: Arc<dyn Clock>,
        talk: &Talk,
    ) -> anyhow::Result<SchemaPort> {
        if self.address() == NONE {
            forget_note(dir);
            return Ok(SchemaPort::none());
        }
        match self.open_both(log, dir, clock, talk).await {
            Err(error) if self.registry_listen.is_none() => {
                talk.say(format_args!(
                    "no schema registry: {error:#}; --registry-listen names another address"
                ));
                Ok(SchemaPort::none())
            }
            opened => opened,
        }
    }

    async fn open_both(
        &self,
        log: Arc<dyn Log>,
        dir: &Path,
        clock: Arc<dyn Clock>,
        talk: &Talk,
    ) -> anyhow::Result<SchemaPort> {
        forget_note(dir);
        let registry = open_registry(log, clock).await?;
        match self.listen(&registry, dir, talk).await {
            Ok(port) => Ok(SchemaPort {
                registry: Some(registry),
                port: Some(port),
            }),
            Err(error) => {
                registry.close().await;
                Err(error)
            }
        }
    }

    /// Opens a registry that something in this process needs. Where nobody named a port, it is no error that there cannot be
    /// one.
    pub(crate) async fn open_needed(
        &self,
        log: Arc<dyn Log>,
        dir: &Path,
        clock: Arc<dyn Clock>,
        talk: &Talk,
    ) -> anyhow::Result<SchemaPort> {
        if self.is_asked_for() {
            return self.open_both(log, dir, clock, talk).await;
        }
        forget_note(dir);
        let registry = open_registry(log, clock).await?;
        let mut port = None;
        if self.registry_listen.is_none() {
            match self.listen(&registry, dir, talk).await {
                Ok(open) => port = Some(open),
                Err(error) => talk.say(format_args!(
                    "no port for the schema registry: {error:#}; --registry-listen names another address"
                )),
            }
        }
        let registry = Some(registry);
        Ok(SchemaPort { registry, port })
    }

    async fn listen(&self, registry: &Registry, dir: &Path, talk: &Talk) -> anyhow::Result<Port> {
        let address = self.address();
        let port = serve(registry.clone(), address)
            .await
            .with_context(|| format!("cannot listen on '{address}' (--registry-listen)"))?;
        let address = port.local_addr();
        talk.say(format_args!("schema registry at http://{address}"));
        let note = dir.join(ADDRESS_FILE);
        if let Err(error) = fs::write(&note, address.to_string()) {
            tracing::warn!(file = %note.display(), %error, "cannot note the address of the schema registry");
        }
        Ok(Port { port, note })
    }

    fn address(&self) -> &str {
        self.registry_listen.as_deref().unwrap_or(DEFAULT_ADDRESS)
    }

    /// Whether somebody named a port.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.registry_listen
            .as_deref()
            .is_some_and(|address| address != NONE)
    }
}

/// Of a process that was killed.
fn forget_note(dir: &Path) {
    let _ = fs::remove_file(dir.join(ADDRESS_FILE));
}

async fn open_registry(log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> anyhow::Result<Registry> {
    Registry::open(log, settings(clock, Creation::WhenNeeded))
        .await
        .context("cannot open the schema registry")
}

impl SchemaPort {
    pub(crate) fn none() -> Self {
        Self {
            registry: None,
            port: None,
        }
    }

    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// Answers what was asked, then closes all connections.
    pub(crate) async fn close(self) {
        if let Some(Port { port, note }) = self.port {
            port.close().await;
            let _ = fs::remove_file(note);
        }
        if let Some(registry) = self.registry {
            registry.close().await;
        }
    }
}
