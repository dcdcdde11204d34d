//! The port of scrapers and probes, asked as they ask.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
    time::timeout,
};

use crate::support::{DEADLINE, Workplace, finish};

/// The status line and the rest of an answer.
async fn get(address: &str, path: &str) -> (String, String) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(DEADLINE, asked).await.unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap();
    (status.to_owned(), rest.to_owned())
}

/// The address that the process says for its metrics.
async fn metrics_address(child: &mut Child) -> String {
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = async {
        while let Some(line) = stderr.next_line().await.unwrap() {
            if let Some(url) = line.strip_prefix("metrics at http://") {
                return url.strip_suffix("/metrics").unwrap().to_owned();
            }
        }
        panic!("no address is said");
    };
    let address = timeout(DEADLINE, said).await.unwrap();
    // Whoever does not read a pipe stops its writer.
    tokio::spawn(async move { while let Ok(Some(_)) = stderr.next_line().await {} });
    address
}

#[tokio::test]
async fn a_served_broker_is_alive_ready_and_measured() {
    let place = Workplace::new();
    let mut server =
        place.start("broker serve --data-dir state --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0");
    let metrics = metrics_address(&mut server).await;
    let kafka = place.listening("state").await;
    place.ok(&format!("topic create t --bootstrap {kafka}")).await;
    place
        .ok_with(&format!("topic produce t --bootstrap {kafka}"), "a\nb\n")
        .await;

    assert_eq!(get(&metrics, "/livez").await.0, "HTTP/1.1 200 OK");
    let (status, body) = get(&metrics, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
    let (status, page) = get(&metrics, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        page.to_lowercase()
            .contains("content-type: application/openmetrics-text"),
        "{page}"
    );
    for line in [
        r#"kafka_topic_partition_current_offset{topic="t",partition="0"} 2"#,
        "millstream_storage_writable 1",
    ] {
        assert!(page.contains(line), "'{line}' is missing in {page}");
    }
    assert_eq!(get(&metrics, "/nowhere").await.0, "HTTP/1.1 404 Not Found");

    place.signal(&mut server, "TERM").await;
    assert_eq!(finish(server).await.code, Some(0));
    assert!(TcpStream::connect(&metrics).await.is_err());
}

#[tokio::test]
async fn a_registry_is_measured_beside_its_broker_and_alone() {
    let place = Workplace::new();
    let mut server = place.start(
        "broker serve --data-dir state --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0",
    );
    let metrics = metrics_address(&mut server).await;
    let kafka = place.listening("state").await;
    place.registry("state").await;
    let (_, page) = get(&metrics, "/metrics").await;
    for line in ["millstream_registry_subjects 0", "millstream_storage_writable 1"] {
        assert!(page.contains(line), "'{line}' is missing in {page}");
    }
    let mut alone = place.start(&format!(
        "registry serve --bootstrap {kafka} --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0"
    ));
    let metrics = metrics_address(&mut alone).await;
    let ready = async {
        while get(&metrics, "/readyz").await.0 != "HTTP/1.1 200 OK" {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, ready).await.unwrap();
    let (_, page) = get(&metrics, "/metrics").await;
    for name in ["millstream_registry_position", "process_open_fds"] {
        assert!(page.contains(name), "'{name}' is missing in {page}");
    }
    assert!(!page.contains("millstream_storage_writable"), "{page}");
    place.signal(&mut server, "TERM").await;
    assert_eq!(finish(server).await.code, Some(0));
    // The log is gone, which is no reason to end, but one to ask another registry.
    let not_ready = async {
        loop {
            let (status, body) = get(&metrics, "/readyz").await;
            if status.starts_with("HTTP/1.1 503") {
                return body;
            }
            tokio::task::yield_now().await;
        }
    };
    let body = timeout(DEADLINE, not_ready).await.unwrap();
    assert!(body.contains("the topic of schemas cannot be read"), "{body}");
    place.signal(&mut alone, "TERM").await;
    assert_eq!(finish(alone).await.code, Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_option() {
    let place = Workplace::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let finished = place
        .run(&format!(
            "broker serve --data-dir state --listen 127.0.0.1:0 --metrics-listen {address}"
        ))
        .await;
    finished.assert_fails(1, &["--metrics-listen", "in use", &address.to_string()]);
}
