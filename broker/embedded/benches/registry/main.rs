//! What the schema registry does on the embedded log, with fsync: as a process of its own, over loopback, CPU time and memory
//! by the kernel's account of it.
//!
//! - `get`: `GET /schemas/ids/ID` over connections that stay, per second of its CPU, and how long each took;
//! - `register`: new schemas one after the other;
//! - `check`: a schema against 1,000 versions, BACKWARD_TRANSITIVE;
//! - `replay`: a start with 100,000 versions, time and memory;
//! - `validate`: what the broker pays for holding records against their schemas, in this process.
//!
//! Arguments choose scenarios by name, `BENCH_DIR` the disk.

#![allow(clippy::print_stdout, reason = "a bench talks to its reader")]

mod client;
mod process;
mod validate;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use millstream_client::{Log, NewTopic};
use millstream_types::{Record, TopicName, TopicPartition};

use client::Client;
use process::{Server, open, serve_if_asked};

const CONNECTIONS: usize = 8;
const SECONDS: u64 = 8;
const VERSIONS: usize = 100_000;

fn main() {
    serve_if_asked();
    let base = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let dir = || {
        tempfile::Builder::new()
            .prefix("bench-registry")
            .tempdir_in(&base)
            .expect("a directory")
    };
    if is_chosen("get") {
        get(dir().path());
    }
    if is_chosen("register") {
        register(dir().path());
    }
    if is_chosen("check") {
        check(dir().path());
    }
    if is_chosen("validate") {
        validate::validate(dir().path(), &schema("Order", 0));
    }
    if is_chosen("replay") {
        replay(dir().path());
    }
}

/// A record of 20 fields, as an order or a click has them: 1,260 bytes. And a field more for each bit of `extra`, so that
/// versions have fields that come and go.
fn schema(name: &str, extra: usize) -> String {
    let types = [
        r#""string""#,
        r#""long""#,
        r#"["null","string"]"#,
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
    ];
    let field = |n: usize| {
        let default = if n % 4 == 2 { r#","default":null"# } else { "" };
        format!(r#"{{"name":"field_{n:03}","type":{}{default}}}"#, types[n % 4])
    };
    let extras = (0..usize::BITS).filter(|bit| extra >> bit & 1 == 1);
    let fields: Vec<_> = (0..20)
        .map(field)
        .chain(extras.map(|n| format!(r#"{{"name":"extra_{n}","type":"int","default":0}}"#)))
        .collect();
    format!(
        r#"{{"type":"record","name":"{name}","namespace":"com.acme.orders","fields":[{}]}}"#,
        fields.join(",")
    )
}

fn body(schema: &str) -> String {
    serde_json::json!({ "schema": schema }).to_string()
}

fn put(client: &mut Client, subject: &str, schema: &str) -> Duration {
    let request = Client::post(&format!("/subjects/{subject}/versions"), &body(schema));
    let began = Instant::now();
    client.ask(&request);
    began.elapsed()
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    let us = |q: f64| at(q).as_secs_f64() * 1e6;
    format!(
        "p50 {:.0} us, p99 {:.0} us, max {:.0} us",
        us(0.5),
        us(0.99),
        us(1.0)
    )
}

fn get(dir: &Path) {
    let server = Server::start(dir);
    let mut client = Client::connect(&server.address);
    for n in 0..100 {
        put(&mut client, &format!("s{n}"), &schema(&format!("Order{n}"), 0));
    }
    for connections in [1, CONNECTIONS] {
        let (cpu, began) = (server.cpu(), Instant::now());
        let loads: Vec<_> = (0..connections)
            .map(|c| {
                let address = server.address.clone();
                thread::spawn(move || {
                    let mut client = Client::connect(&address);
                    let requests: Vec<_> = (1..=100)
                        .map(|id| Client::get(&format!("/schemas/ids/{id}")))
                        .collect();
                    let mut times = Vec::new();
                    while began.elapsed() < Duration::from_secs(SECONDS) {
                        let asked = Instant::now();
                        client.ask(&requests[(times.len() + c) % 100]);
                        times.push(asked.elapsed());
                    }
                    times
                })
            })
            .collect();
        let times: Vec<_> = loads
            .into_iter()
            .flat_map(|load| load.join().expect("a load"))
            .collect();
        let (took, used) = (began.elapsed(), server.cpu() - cpu);
        println!(
            "GET by id, {connections} connections: {:.0}/s, {:.0}/s per core of the registry; {}",
            times.len() as f64 / took.as_secs_f64(),
            times.len() as f64 / used.as_secs_f64(),
            quantiles(times)
        );
    }
}

fn register(dir: &Path) {
    let server = Server::start(dir);
    let mut client = Client::connect(&server.address);
    let times = (0..2000).map(|n| put(&mut client, &format!("s{n}"), &schema(&format!("Order{n}"), 0)));
    println!("register a new schema, fsync: {}", quantiles(times.collect()));
    let times = (0..2000).map(|n| put(&mut client, &format!("s{n}"), &schema(&format!("Order{n}"), 0)));
    println!("register a schema that is there: {}", quantiles(times.collect()));
}

fn check(dir: &Path) {
    let server = Server::start(dir);
    let mut client = Client::connect(&server.address);
    let config = r#"{"compatibility":"NONE"}"#;
    let put_config = |config: &str| {
        let request = Client::post("/config/s", config);
        String::from_utf8(request)
            .expect("text")
            .replacen("POST", "PUT", 1)
            .into_bytes()
    };
    client.ask(&put_config(config));
    let versions = 1000;
    for n in 0..versions {
        put(&mut client, "s", &schema("Order", n));
    }
    client.ask(&put_config(r#"{"compatibility":"BACKWARD_TRANSITIVE"}"#));
    let ask = |client: &mut Client, n: usize| {
        let request = Client::post("/compatibility/subjects/s/versions", &body(&schema("Order", n)));
        let began = Instant::now();
        let answer = client.ask(&request).to_vec();
        assert_eq!(
            answer,
            br#"{"is_compatible":true}"#,
            "{}",
            String::from_utf8_lossy(&answer)
        );
        began.elapsed()
    };
    println!(
        "check against {versions} versions, the first time: {:?}",
        ask(&mut client, 1)
    );
    let times = (0..200).map(|n| ask(&mut client, n % 20));
    println!(
        "check against {versions} versions: {}",
        quantiles(times.collect())
    );
}

fn replay(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    let bytes = runtime.block_on(fill(dir));
    let server = Server::start(dir);
    let mut client = Client::connect(&server.address);
    let answer = client
        .ask(&Client::get(&format!("/schemas/ids/{VERSIONS}")))
        .len();
    let (now, most) = server.rss_mb();
    println!(
        "replay of {VERSIONS} versions ({} MB of text, the last answered with {answer} bytes): {:?}, RSS {now} MB, at most {most} MB",
        bytes >> 20,
        server.replay
    );
}

/// As a registry would have written them.
async fn fill(dir: &Path) -> usize {
    let log = open(dir).await;
    let topic = TopicName::new("_schemas").expect("a name");
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    log.create_topic(NewTopic {
        name: topic.clone(),
        partitions: 1,
        config,
    })
    .await
    .expect("a new topic");
    let partition = TopicPartition::new(topic, 0);
    let mut bytes = 0;
    for chunk in 0..VERSIONS / 500 {
        let record = |n: usize| {
            let text = schema(&format!("Order{n}"), 0);
            let (subject, version) = (n / 10, n % 10 + 1);
            let key = format!(
                r#"{{"keytype":"SCHEMA","subject":"subject-{subject}","version":{version},"magic":1}}"#
            );
            let value = format!(
                r#"{{"subject":"subject-{subject}","version":{version},"id":{},"schema":{},"deleted":false}}"#,
                n + 1,
                serde_json::Value::from(text.as_str())
            );
            (text.len(), key, value)
        };
        let mut records = Vec::new();
        for n in chunk * 500..(chunk + 1) * 500 {
            let (length, key, value) = record(n);
            bytes += length;
            records.push(Record {
                key: Some(key.into()),
                value: Some(value.into()),
                ..Record::default()
            });
        }
        log.append(&partition, records).await.expect("it is appended");
    }
    log.broker().close().await;
    bytes
}
