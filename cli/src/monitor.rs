//! The port of scrapers and probes, where a command is asked for one.

use anyhow::Context as _;
use millstream_broker_server::MonitorPort;
use millstream_schema_registry_server::Registry;

use crate::{host::Host, talk::Talk};

#[derive(clap::Args, Debug)]
pub(crate) struct MetricsListen {
    /// The address for scrapers and probes: /metrics, /livez, /readyz; port 0 takes a free one [default: none]
    #[arg(long, value_name = "HOST:PORT")]
    metrics_listen: Option<String>,
}

/// An open port, or none.
pub(crate) struct Monitor(Option<MonitorPort>);

impl MetricsListen {
    /// Before the data directory or the registry is opened, so that a probe can tell a broker that recovers from one that is dead.
    pub(crate) async fn open(&self, talk: &Talk) -> anyhow::Result<Monitor> {
        let Some(address) = &self.metrics_listen else {
            return Ok(Monitor(None));
        };
        let port = MonitorPort::open(address)
            .await
            .context("cannot open the port for scrapers and probes (--metrics-listen)")?;
        talk.say(format_args!("metrics at http://{}/metrics", port.local_addr()));
        Ok(Monitor(Some(port)))
    }
}

impl Monitor {
    pub(crate) fn started(&self, host: &Host) {
        if let Some(port) = &self.0 {
            host.show_on(port);
        }
    }

    /// Shows a registry beside the broker.
    pub(crate) fn show(&self, registry: &Registry) {
        if let Some(port) = &self.0 {
            let registry = registry.clone();
            port.show(move |page| registry.show(page));
        }
    }

    /// A registry is all there is.
    pub(crate) fn started_as(&self, registry: &Registry) {
        self.show(registry);
        if let Some(port) = &self.0 {
            let registry = registry.clone();
            port.started_without_broker(move || registry.obstacle());
        }
    }

    pub(crate) fn stopping(&self) {
        if let Some(port) = &self.0 {
            port.stopping();
        }
    }

    pub(crate) async fn close(self) {
        if let Some(port) = self.0 {
            port.close().await;
        }
    }
}
