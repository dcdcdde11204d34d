//! What a scrape shows of what clients did, and whether `docs/metrics.md` lists it.

use std::collections::{BTreeMap, BTreeSet};

use millstream_broker_server::{CommittedOffset, MonitorPort, scrape};
use millstream_protocol::batch::Compression;
use millstream_types::{GroupId, Offset, Timestamp, TopicPartition};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Server,
    client::within,
    records::{batch, fetch, produce},
};

/// The series of a page by name and labels, as they are written.
fn series(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series, value.parse().unwrap())
        })
        .collect()
}

/// A broker that was used: two batches of records, a group behind the first, and two things that went wrong.
async fn used() -> Server {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 2).await;
    for values in [["a", "b"], ["c", "d"]] {
        client
            .ask(&produce("t", 0, batch(&values, Compression::None)), 9)
            .await;
    }
    client
        .ask(&produce("t", 7, batch(&["x"], Compression::None)), 9)
        .await;
    let answer = client.ask(&fetch("t", 0, 0, 0), 12).await;
    assert!(answer.responses[0].partitions[0].records.is_some());
    let partition = TopicPartition::new("t".parse().unwrap(), 0);
    let committed = |offset| CommittedOffset::new(Offset(offset), Timestamp(0));
    for (group, offset) in [("behind", 2), ("done", 4)] {
        let offsets = vec![(partition.clone(), committed(offset))];
        server
            .broker
            .commit_offsets((GroupId::new(group), offsets))
            .await
            .unwrap();
    }
    let mut stranger = server.client().await;
    stranger
        .send_bytes(&[0, 0, 0, 8, 3, 0xe7, 0, 0, 0, 0, 0, 0])
        .await;
    assert!(stranger.is_closed().await);
    server
}

#[tokio::test]
async fn a_scrape_shows_what_clients_did() {
    let server = used().await;
    let page = scrape(&server.broker);
    let series = series(&page);
    let check =
        |name: &str, expected: f64| assert_eq!(series.get(name), Some(&expected), "{name} in\n{page}");
    check(r#"millstream_broker_requests_total{api="Produce"}"#, 3.0);
    check(r#"millstream_broker_requests_total{api="Fetch"}"#, 1.0);
    check(
        r#"millstream_broker_request_duration_seconds_count{api="Produce"}"#,
        3.0,
    );
    check(
        r#"millstream_broker_invalid_requests_total{reason="unknown_api"}"#,
        1.0,
    );
    check(
        r#"millstream_broker_partition_errors_total{api="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"}"#,
        1.0,
    );
    check("millstream_broker_connections_opened_total", 2.0);
    check(
        r#"kafka_topic_partition_current_offset{topic="t",partition="0"}"#,
        4.0,
    );
    check(
        r#"kafka_topic_partition_oldest_offset{topic="t",partition="0"}"#,
        0.0,
    );
    let appended = series[r#"millstream_topic_appended_bytes_total{topic="t"}"#];
    assert!(appended > 100.0, "{page}");
    check(r#"millstream_topic_fetched_bytes_total{topic="t"}"#, appended);
    assert!(page.ends_with("# EOF\n"), "{page}");
}

#[tokio::test]
async fn lag_is_told_in_records_and_in_seconds() {
    let server = used().await;
    let check = |group: &str, committed: f64, lag: f64| {
        let page = scrape(&server.broker);
        let series = series(&page);
        let at = |name: &str, label: &str| {
            series[format!(r#"{name}{{{label}="{group}",topic="t",partition="0"}}"#).as_str()]
        };
        assert_eq!(
            at("kafka_consumergroup_current_offset", "consumergroup"),
            committed,
            "{page}"
        );
        assert_eq!(at("kafka_consumergroup_lag", "consumergroup"), lag, "{page}");
        at("kafka_consumergroup_group_lag_seconds", "group")
    };
    // The records of the test are from 1970.
    assert!(check("behind", 2.0, 2.0) > 1e9);
    assert_eq!(check("done", 4.0, 0.0), 0.0);

    let mut client = server.client().await;
    client
        .ask(&produce("t", 0, batch(&["e"], Compression::Lz4)), 9)
        .await;
    assert!(check("done", 4.0, 1.0) > 1e9);
    assert!(check("behind", 2.0, 3.0) > 1e9);
}

#[tokio::test]
async fn the_page_in_the_docs_lists_exactly_what_a_scrape_shows() {
    let server = used().await;
    let page = scrape(&server.broker);
    let shown: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            match kind {
                "counter" => format!("{name}_total {kind}"),
                "info" => format!("{name}_info {kind}"),
                _ => format!("{name} {kind}"),
            }
        })
        .collect();
    let documented: BTreeSet<String> = include_str!("../../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| !name.starts_with('/') && !name.starts_with("millstream_registry_"))
        .map(|(name, rest)| format!("{name} {}", rest.split_once(" |").unwrap().0))
        .collect();
    assert_eq!(documented, shown);
}

/// The status line and what is said behind the header.
async fn get(port: &MonitorPort, path: &str) -> (String, String) {
    let asked = async {
        let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within(asked).await;
    let (status, _) = answer.split_once("\r\n").unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_broker_is_ready_between_its_recovery_and_its_stop_and_alive_all_the_time() {
    let port = MonitorPort::open("127.0.0.1:0").await.unwrap();
    let check = async |expected: &str, said: &str| {
        let (status, body) = get(&port, "/readyz").await;
        assert_eq!(status, format!("HTTP/1.1 {expected}"), "{body}");
        assert!(body.contains(said), "{body}");
        assert_eq!(get(&port, "/livez").await.0, "HTTP/1.1 200 OK");
    };
    check("503 Service Unavailable", "being recovered").await;
    assert_eq!(get(&port, "/metrics").await.0, "HTTP/1.1 503 Service Unavailable");
    let server = Server::start().await;
    port.started(server.broker.clone());
    check("200 OK", "ready").await;
    server.broker.close().await;
    check("503 Service Unavailable", "closed").await;
    port.stopping();
    check("503 Service Unavailable", "stopping").await;
    port.close().await;
}
