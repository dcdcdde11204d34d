//! Several listeners of one broker: a client is told of the one it came through.

use std::collections::BTreeMap;

use millstream_broker_server::{ListenerConfig, ServerConfig};
use millstream_protocol::messages::{
    DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest, StrBytes,
};

use crate::{Server, client::Client, on_a_free_port, records};

fn listener(name: &str, advertised: Option<&str>) -> ListenerConfig {
    ListenerConfig {
        name: name.into(),
        advertised: advertised.map(Into::into),
        ..on_a_free_port()
    }
}

fn three() -> ServerConfig {
    ServerConfig {
        listeners: vec![
            listener("PLAIN", None),
            listener("INSIDE", Some("broker.internal:9094")),
            listener("OUTSIDE", Some("kafka.example.com:443")),
        ],
        loggers: None,
    }
}

/// Where a client is told to go, by each of the requests that say so.
async fn told(client: &mut Client) -> String {
    let metadata = client
        .ask(&MetadataRequest::default().with_topics(None), 12)
        .await;
    let cluster = client.ask(&DescribeClusterRequest::default(), 2).await;
    let coordinator = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let coordinator = client.ask(&coordinator, 1).await;
    let (broker, same) = (&metadata.brokers[0], &cluster.brokers[0]);
    let told = (broker.host.clone(), broker.port);
    assert_eq!(told, (same.host.clone(), same.port));
    assert_eq!(told, (coordinator.host, coordinator.port));
    format!("{}:{}", told.0, told.1)
}

#[tokio::test]
async fn every_listener_is_served_and_tells_of_itself() {
    let server = Server::start_as(three(), &[]).await;
    let addresses: BTreeMap<_, _> = server.handle.local_addrs().iter().cloned().collect();
    assert_eq!(server.handle.local_addrs()[0].1, server.handle.local_addr());
    let plain = addresses["PLAIN"].to_string();
    for (name, expected) in [
        ("PLAIN", plain.as_str()),
        ("INSIDE", "broker.internal:9094"),
        ("OUTSIDE", "kafka.example.com:443"),
    ] {
        let mut client = Client::connect(addresses[name]).await;
        assert_eq!(told(&mut client).await, expected, "{name}");
    }
    // They are one broker.
    let mut writer = Client::connect(addresses["INSIDE"]).await;
    writer.create_topic("t", 1).await;
    let batch = records::batch(&["x"], millstream_protocol::batch::Compression::None);
    writer.ask(&records::produce("t", 0, batch), 9).await;
    let mut reader = Client::connect(addresses["OUTSIDE"]).await;
    let answer = reader.ask(&records::fetch("t", 0, 0, 0), 12).await;
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
}

#[tokio::test]
async fn connections_of_all_listeners_count_together() {
    let server = Server::start_as(three(), &[("max.connections", "2")]).await;
    let addresses: Vec<_> = server.handle.local_addrs().iter().map(|(_, a)| *a).collect();
    let mut open = Vec::new();
    for address in &addresses[..2] {
        let mut client = Client::connect(*address).await;
        told(&mut client).await;
        open.push(client);
    }
    let mut third = Client::connect(addresses[2]).await;
    assert!(third.is_closed().await);
}
