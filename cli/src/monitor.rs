//! The port of scrapers and probes, where a command is asked for one.

use anyhow::Context as _;
use millstream_broker_server::MonitorPort;

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
    /// Before the data directory is opened, so that a probe can tell a broker that recovers from one that is dead.
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
