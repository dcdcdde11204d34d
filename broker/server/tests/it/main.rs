//! The port over a real socket, spoken to in raw protocol messages.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod admin;
mod client;
mod config_resources;
mod consumer_groups;
mod fetch;
mod group_migration;
mod groups;
mod hostile;
mod listeners;
mod metrics;
mod offsets_by_id;
mod places;
mod quotas;
mod record_errors;
mod records;
mod schemas;
mod topics;
mod transactions;
mod vectors;

use std::sync::Arc;

use millstream_broker_server::{
    Broker, BrokerConfig, BrokerSettings, ListenError, ListenerConfig, ServerConfig, ServerHandle, serve,
};
use millstream_protocol::batch::Compression;
use millstream_types::{Offset, SystemClock, TopicPartition};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use client::Client;

/// A broker on a free port, and its data directory.
struct Server {
    broker: Arc<Broker>,
    handle: ServerHandle,
    shutdown: CancellationToken,
    dir: TempDir,
}

fn on_a_free_port() -> ListenerConfig {
    ListenerConfig {
        listen: "127.0.0.1:0".into(),
        ..ListenerConfig::default()
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(on_a_free_port()).await
    }

    async fn start_with(config: ListenerConfig) -> Self {
        Self::start_as(config, &[]).await
    }

    /// With settings of the broker.
    async fn start_as(config: impl Into<ServerConfig>, settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut broker = BrokerConfig::in_dir(dir.path());
        let settings = settings.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        broker.settings = BrokerSettings::parse(settings.collect()).unwrap();
        let broker = Broker::open(broker, Arc::new(SystemClock)).await.unwrap();
        let shutdown = CancellationToken::new();
        let handle = serve(broker.clone(), config, shutdown.clone()).await.unwrap();
        Self {
            broker,
            handle,
            shutdown,
            dir,
        }
    }

    /// Stops, and starts again on the same data with the default settings.
    async fn restart(&mut self) {
        self.shutdown.cancel();
        client::within(self.handle.closed()).await;
        self.broker.close().await;
        let config = BrokerConfig::in_dir(self.dir.path());
        self.broker = Broker::open(config, Arc::new(SystemClock)).await.unwrap();
        self.shutdown = CancellationToken::new();
        let serving = serve(self.broker.clone(), on_a_free_port(), self.shutdown.clone());
        self.handle = serving.await.unwrap();
    }

    async fn client(&self) -> Client {
        Client::connect(self.handle.local_addr()).await
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = Server::start().await;
    let taken = server.handle.local_addr().to_string();
    let config = ListenerConfig {
        listen: taken.clone(),
        ..ListenerConfig::default()
    };
    let error = serve(server.broker.clone(), config, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ListenError::InUse { address } if *address == taken),
        "{error}"
    );
}

#[tokio::test]
async fn an_advertised_address_must_be_one() {
    let server = Server::start().await;
    let config = ListenerConfig {
        advertised: Some("nowhere".into()),
        ..on_a_free_port()
    };
    let error = serve(server.broker.clone(), config, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ListenError::InvalidAdvertised { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_ends_long_polls_and_closes_every_connection() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    let waiting = client.send(&records::fetch("t", 0, 0, 60_000), 11).await;
    // Requests start in order: when this one has left its trace, the fetch is waiting.
    let trace = records::batch(&["x"], Compression::None);
    client
        .send(&records::produce("t", 1, trace).with_acks(0), 9)
        .await;
    let partition = TopicPartition::new("t".parse().unwrap(), 1);
    let mut watermarks = server.broker.storage().watch(&partition).unwrap();
    client::within(watermarks.wait_for(|ends| ends.high_watermark > Offset::ZERO))
        .await
        .unwrap();

    let mut idle = server.client().await;
    client::within(async {
        server.shutdown.cancel();
        server.handle.closed().await;
    })
    .await;
    let answer = client.answer::<records::FetchRequest>(waiting, 11).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    assert!(client.is_closed().await && idle.is_closed().await);
}
