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

/// An open registry with its port, or none.
pub(crate) struct SchemaPort(Option<Open>);

struct Open {
    registry: Registry,
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
        // Of a process that was killed.
        let _ = fs::remove_file(dir.join(ADDRESS_FILE));
        let address = match self.registry_listen.as_deref() {
            Some(NONE) => return Ok(SchemaPort(None)),
            Some(address) => address,
            None => DEFAULT_ADDRESS,
        };
        match open(log, dir, clock, address).await {
            Ok(open) => {
                talk.say(format_args!(
                    "schema registry at http://{}",
                    open.port.local_addr()
                ));
                Ok(SchemaPort(Some(open)))
            }
            Err(error) if self.registry_listen.is_none() => {
                talk.say(format_args!(
                    "no schema registry: {error:#}; --registry-listen names another address"
                ));
                Ok(SchemaPort(None))
            }
            Err(error) => Err(error),
        }
    }
}

async fn open(log: Arc<dyn Log>, dir: &Path, clock: Arc<dyn Clock>, address: &str) -> anyhow::Result<Open> {
    let registry = Registry::open(log, settings(clock, Creation::WhenNeeded))
        .await
        .context("cannot open the schema registry")?;
    let port = match serve(registry.clone(), address).await {
        Ok(port) => port,
        Err(error) => {
            registry.close().await;
            return Err(error).with_context(|| format!("cannot listen on '{address}' (--registry-listen)"));
        }
    };
    let note = dir.join(ADDRESS_FILE);
    if let Err(error) = fs::write(&note, port.local_addr().to_string()) {
        tracing::warn!(file = %note.display(), %error, "cannot note the address of the schema registry");
    }
    Ok(Open { registry, port, note })
}

impl SchemaPort {
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.0.as_ref().map(|open| &open.registry)
    }

    /// Answers what was asked, then closes all connections.
    pub(crate) async fn close(self) {
        if let Some(Open { registry, port, note }) = self.0 {
            port.close().await;
            registry.close().await;
            let _ = fs::remove_file(note);
        }
    }
}
