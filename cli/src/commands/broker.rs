use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use millstream_broker_server::{BrokerSettings, read_properties};

use super::topic::key_value;
use crate::{
    Context, exit::Exit, heap, host::Host, monitor::MetricsListen, schemas::port::RegistryListen, stop,
};

/// What a listener without TLS and SASL is called in `listeners`.
const PLAINTEXT: &str = "PLAINTEXT://";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Serve(Serve),
}

/// Serve a data directory on a Kafka port until Ctrl-C
///
/// The same broker that `millstream run` embeds, without a pipeline. It logs on stderr what happens to it, and is ready
/// when the port answers. Settings have Kafka's names: a `server.properties` may be given as it is, where it names
/// nothing that this broker does not have.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream broker serve --data-dir ./data
  millstream broker serve --listen 0.0.0.0:9092 --advertise kafka.example.com:9092
  millstream broker serve --config server.properties --set log.retention.hours=24 --set num.partitions=6
  millstream broker serve --metrics-listen 127.0.0.1:9644
  millstream broker serve --registry-listen 0.0.0.0:8081
  kcat -b 127.0.0.1:9092 -L

The first Ctrl-C (or SIGTERM) answers what was asked and stops; the second stops at once. Neither loses anything.")]
pub(crate) struct Serve {
    /// The data directory; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// The address for Kafka clients; port 0 takes a free one [default: `listeners` of the settings, else 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address that clients are told to connect to, where it is another one
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// A file with settings, as Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting with one of Kafka's own names; wins over the file and may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    metrics: MetricsListen,
    #[command(flatten)]
    registry: RegistryListen,
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(args) => args.execute(context).await,
        }
    }
}

impl Serve {
    async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        heap::keep_free_memory();
        let stop = stop::on_signal(&context.talk)?;
        let settings = self.settings()?;
        let monitor = self.metrics.open(&context.talk).await?;
        let host = Host::open_with(settings, &self.data_dir, context.clock.clone()).await?;
        let host = host.with_loggers(context.loggers.clone());
        let clock = context.clock.clone();
        let registry = self
            .registry
            .open(host.log(), &self.data_dir, clock, &context.talk)
            .await;
        let registry = match registry {
            Ok(registry) => registry,
            Err(error) => {
                host.close().await;
                return Err(error);
            }
        };
        if let Some(registry) = registry.registry() {
            host.schemas().look_into(registry.clone());
            monitor.show(registry);
        }
        let port = match host.listen(None).await {
            Ok(port) => port,
            Err(error) => {
                registry.close().await;
                host.close().await;
                return Err(error);
            }
        };
        monitor.started(&host);
        context.talk.say(format_args!(
            "serving '{}' on {}; Ctrl-C stops",
            self.data_dir.display(),
            port.addresses()
        ));
        stop.cancelled().await;
        monitor.stopping();
        registry.close().await;
        port.close().await;
        host.close().await;
        monitor.close().await;
        tracing::info!("closed the data directory");
        Ok(Exit::Ok)
    }

    fn settings(&self) -> anyhow::Result<BrokerSettings> {
        let mut values = match &self.config {
            Some(file) => self.read(file)?,
            None => BTreeMap::new(),
        };
        values.extend(self.set.iter().cloned());
        if let Some(listen) = &self.listen {
            values.insert("listeners".to_owned(), format!("{PLAINTEXT}{listen}"));
        }
        if let Some(advertise) = &self.advertise {
            values.insert(
                "advertised.listeners".to_owned(),
                format!("{PLAINTEXT}{advertise}"),
            );
        }
        Ok(BrokerSettings::parse(values)?)
    }

    fn read(&self, file: &PathBuf) -> anyhow::Result<BTreeMap<String, String>> {
        let name = || format!("settings '{}'", file.display());
        let text = fs::read_to_string(file).with_context(|| format!("cannot read the {}", name()))?;
        read_properties(&text).with_context(name)
    }
}
