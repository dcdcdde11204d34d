use std::sync::Arc;

use anyhow::Context as _;
use millstream_schema_registry_server::{Creation, DEFAULT_TOPIC, Registry, RegistrySettings, serve};
use millstream_types::TopicName;

use crate::{
    Context,
    exit::Exit,
    monitor::MetricsListen,
    remote::{Client, RemoteLog},
    schemas::port::{DEFAULT_ADDRESS, settings},
    stop,
};

/// Serve a schema registry on a Kafka cluster until Ctrl-C
///
/// Its schemas lie in a compacted topic of the cluster, in Confluent's format; any number of registries may serve one topic.
/// `millstream broker serve` has one of its own.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream registry serve --bootstrap kafka:9092
  millstream registry serve --bootstrap kafka:9092 --listen 0.0.0.0:8081 --topic _schemas
  curl http://127.0.0.1:8081/subjects")]
pub(crate) struct Args {
    /// A broker of the cluster
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// The address for clients; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    listen: String,
    /// The topic of the schemas; made if it is not there
    #[arg(long, value_name = "TOPIC", default_value = DEFAULT_TOPIC)]
    topic: TopicName,
    #[command(flatten)]
    metrics: MetricsListen,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(&context.talk)?;
        let monitor = self.metrics.open(&context.talk).await?;
        let client = Client::connect(&self.bootstrap)
            .await
            .with_context(|| format!("no broker answers at {}: is one running there?", self.bootstrap))?;
        let log = Arc::new(RemoteLog::new(Arc::new(client)));
        let settings = RegistrySettings {
            topic: self.topic,
            ..settings(context.clock.clone(), Creation::AtOnce)
        };
        let registry = Registry::open(log, settings).await?;
        let port = match serve(registry.clone(), &self.listen).await {
            Ok(port) => port,
            Err(error) => {
                registry.close().await;
                return Err(error).with_context(|| format!("cannot listen on '{}'", self.listen));
            }
        };
        monitor.started_as(&registry);
        context.talk.say(format_args!(
            "schema registry at http://{}; Ctrl-C stops",
            port.local_addr()
        ));
        stop.cancelled().await;
        monitor.stopping();
        port.close().await;
        registry.close().await;
        monitor.close().await;
        Ok(Exit::Ok)
    }
}
