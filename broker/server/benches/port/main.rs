//! What the port costs: the broker as a process of its own, over loopback, with fsync. CPU time and memory are the
//! kernel's account of it; the client is as simple as can be (`client.rs`).
//!
//! - produce and fetch: MB/s, and CPU seconds per GB of broker and client;
//! - latency from the making of a record to its arrival at a consumer, and of acknowledgements;
//! - memory of an idle broker and of idle connections, CPU of consumers that wait.
//!
//! `BENCH_DIR` chooses the disk, `BENCH_MB` the volume, and arguments choose scenarios by name.

#![allow(clippy::print_stdout, reason = "a bench talks to its reader")]
#![allow(clippy::disallowed_methods, reason = "a load has its pace")]

mod client;
mod process;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use millstream_protocol::{batch::split, messages::FetchRequest};
use millstream_tests_kit::request_frame;

use client::{Client, FETCH, ProduceFrame, acked, decode, fetch, records};
use process::{Server, own_cpu, serve_if_asked};

/// What librdkafka and the Java client keep on their way for one idempotent producer.
const IN_FLIGHT: usize = 5;
const SECONDS: u64 = 10;

fn main() {
    serve_if_asked();
    let base = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let volume = std::env::var("BENCH_MB").ok().and_then(|mb| mb.parse().ok());
    let volume = volume.unwrap_or(1000_usize) << 20;
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    if is_chosen("throughput") {
        for (record_bytes, batch_bytes) in
            [(1024, 1 << 20), (100, 1 << 20), (1024, 64 << 10), (100, 16 << 10)]
        {
            throughput(&base, record_bytes, batch_bytes, volume);
        }
    }
    if is_chosen("latency") {
        let raw = fdatasync(&base);
        println!(
            "the disk: 4 KB and fdatasync: p50 {} p99 {}",
            ms(&raw, 0.5),
            ms(&raw, 0.99)
        );
        latency(&base, 50, Duration::from_millis(5), Duration::from_millis(5));
        latency(&base, 1, Duration::from_millis(1), Duration::ZERO);
    }
    if is_chosen("idle") {
        idle(&base);
    }
}

fn start(base: &Path) -> (tempfile::TempDir, Server) {
    let dir = tempfile::Builder::new()
        .prefix("bench-port")
        .tempdir_in(base)
        .expect("a directory");
    let server = Server::start(dir.path());
    (dir, server)
}

fn throughput(base: &Path, record_bytes: usize, batch_bytes: usize, volume: usize) {
    let (_dir, server) = start(base);
    let mut client = Client::connect(&server.address);
    client.create("t", 1);
    let records_per_batch = (batch_bytes - 200) / (record_bytes + 12);
    let values = vec![vec![b'x'; record_bytes]; records_per_batch];
    let mut produce = ProduceFrame::new("t", 0, 1, &values);
    let requests = volume / (records_per_batch * record_bytes);
    println!(
        "{record_bytes} B records in batches of {} KB, one connection:",
        batch_bytes >> 10
    );

    let (meter, began) = (Meter::start(&server), Instant::now());
    for request in 0..requests + IN_FLIGHT {
        if request < requests {
            client.send(produce.next());
        }
        if request >= IN_FLIGHT {
            acked(client.answer());
        }
    }
    let produced = began.elapsed();
    server.settle();
    meter.report_within("produce, and all work that it leaves", produced, &server, volume);

    let end = i64::try_from(requests * records_per_batch).expect("few");
    let meter = Meter::start(&server);
    let read = consume(&mut client, 0, end);
    meter.report("fetch all", &server, read);

    let tail = end - i64::try_from((32 << 20) / record_bytes).expect("few");
    let meter = Meter::start(&server);
    let read = (0..volume / (32 << 20))
        .map(|_| consume(&mut client, tail, end))
        .sum();
    meter.report("fetch the last 32 MB again and again", &server, read);
}

/// Bytes of the batches from one offset to another.
fn consume(client: &mut Client, from: i64, end: i64) -> usize {
    let (mut next, mut bytes) = (from, 0);
    while next < end {
        client.send(&request_frame(&fetch("t", &[(0, next)], 500), FETCH, 1));
        let records = records(&decode::<FetchRequest>(client.answer(), FETCH));
        bytes += records.len();
        next = last_offset(&records) + 1;
    }
    bytes
}

/// Of the last batch, without a look at the checksums: that is the consumer's business, not the broker's.
fn last_offset(records: &[u8]) -> i64 {
    let (mut at, mut last) = (0, -1);
    while at < records.len() {
        let field = |at: usize, bytes: usize| &records[at..at + bytes];
        let base = i64::from_be_bytes(field(at, 8).try_into().expect("8 bytes"));
        let length = u32::from_be_bytes(field(at + 8, 4).try_into().expect("4 bytes"));
        let delta = u32::from_be_bytes(field(at + 23, 4).try_into().expect("4 bytes"));
        last = base + i64::from(delta);
        at += 12 + length as usize;
    }
    last
}

struct Meter {
    began: Instant,
    broker: Duration,
    client: Duration,
}

impl Meter {
    fn start(server: &Server) -> Self {
        Self {
            began: Instant::now(),
            broker: server.cpu(),
            client: own_cpu(),
        }
    }

    fn report(self, what: &str, server: &Server, bytes: usize) {
        let took = self.began.elapsed();
        self.report_within(what, took, server, bytes);
    }

    fn report_within(self, what: &str, took: Duration, server: &Server, bytes: usize) {
        let took = took.as_secs_f64();
        let gigabytes = bytes as f64 / 1e9;
        println!(
            "  {what}: {:.0} MB/s; CPU s/GB: broker {:.2}, client {:.2}; broker busy {:.0} %, RSS {} MB",
            bytes as f64 / 1e6 / took,
            (server.cpu() - self.broker).as_secs_f64() / gigabytes,
            (own_cpu() - self.client).as_secs_f64() / gigabytes,
            (server.cpu() - self.broker).as_secs_f64() / took * 100.0,
            server.rss_bytes() >> 20,
        );
    }
}

/// Records of 100 B that say when they were made: a batch of `per_batch` each `interval`, its first record made `linger`
/// before it is sent.
fn latency(base: &Path, per_batch: u32, interval: Duration, linger: Duration) {
    let (_dir, server) = start(base);
    let mut client = Client::connect(&server.address);
    client.create("t", 1);
    let began = Instant::now();
    let rounds =
        u32::try_from(SECONDS * 1000).expect("small") / u32::try_from(interval.as_millis()).expect("small");
    let consumer = {
        let mut client = Client::connect(&server.address);
        let end = i64::from(rounds * per_batch);
        thread::spawn(move || arrivals(&mut client, end, began))
    };
    let sent = |round: u32| interval * (round + 1);
    let made = |round: u32, index: u32| sent(round) - linger + linger * index / per_batch;
    let cpu = server.cpu();
    let mut unanswered = 0;
    for round in 0..rounds {
        thread::sleep(sent(round).saturating_sub(began.elapsed()));
        let values: Vec<_> = (0..per_batch)
            .map(|index| {
                let nanos = made(round, index).as_nanos().to_be_bytes();
                [&nanos[..], &[0; 84]].concat()
            })
            .collect();
        client.send(ProduceFrame::new("t", 0, -1, &values).next());
        unanswered += 1;
        while unanswered > IN_FLIGHT || (round + 1 == rounds && unanswered > 0) {
            acked(client.answer());
            unanswered -= 1;
        }
    }
    let took = began.elapsed();
    let cpu = (server.cpu() - cpu).as_secs_f64() / took.as_secs_f64() * 100.0;
    let arrived = consumer.join().expect("no panic");
    println!(
        "{} records/s of 100 B, a batch each {} ms, linger {} ms: made to arrived p50 {} p99 {} max {}; broker busy {cpu:.0} %",
        f64::from(per_batch) / interval.as_secs_f64(),
        interval.as_millis(),
        linger.as_millis(),
        ms(&arrived, 0.5),
        ms(&arrived, 0.99),
        ms(&arrived, 1.0),
    );
}

/// How old each record was when it came.
fn arrivals(client: &mut Client, end: i64, began: Instant) -> Vec<Duration> {
    let mut ages = Vec::new();
    let mut next = 0;
    while next < end {
        client.send(&request_frame(&fetch("t", &[(0, next)], 500), FETCH, 1));
        let records = records(&decode::<FetchRequest>(client.answer(), FETCH));
        let now = began.elapsed();
        for batch in split(records) {
            let batch = batch.expect("whole");
            next = batch.next_offset().0;
            for record in batch.records().expect("well-formed") {
                let value = record.value.expect("a time");
                let nanos = u128::from_be_bytes(value[..16].try_into().expect("16 bytes"));
                ages.push(now - Duration::from_nanos(u64::try_from(nanos).expect("seconds")));
            }
        }
    }
    ages
}

/// What one small append costs on this disk.
fn fdatasync(base: &Path) -> Vec<Duration> {
    let file = tempfile::tempfile_in(base).expect("a file");
    let file: &File = &file;
    file.write_all_at(&vec![0; 32 << 20], 0).expect("room");
    file.sync_all().expect("a disk");
    let once = |index: u64| {
        let began = Instant::now();
        file.write_all_at(&[1; 4096], index * 4096).expect("room");
        file.sync_data().expect("a disk");
        began.elapsed()
    };
    (0..2000).map(once).collect()
}

fn idle(base: &Path) {
    const CONNECTIONS: usize = 2000;
    const CONSUMERS: usize = 1000;
    const PARTITIONS: i32 = 100;
    let (_dir, server) = start(base);
    thread::sleep(Duration::from_secs(1));
    let empty = server.rss_bytes();
    let mut client = Client::connect(&server.address);
    client.create("t", PARTITIONS);
    let mut connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| Client::connect(&server.address))
        .collect();
    let metadata = millstream_protocol::messages::MetadataRequest::default();
    for connection in &mut connections {
        connection.ask(&metadata, 12);
    }
    let connected = server.rss_bytes();
    println!(
        "idle broker: RSS {:.1} MB; {CONNECTIONS} connections that have asked once: {:.1} MB more",
        empty as f64 / 1e6,
        (connected - empty) as f64 / 1e6
    );
    connections.truncate(CONSUMERS);
    let all: Vec<_> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    for partitions in [&all[..1], &all[..10], &all[..]] {
        let request = request_frame(&fetch("t", partitions, 500), FETCH, 1);
        let cpu = server.cpu();
        let began = Instant::now();
        let mut polls = 0;
        connections
            .iter_mut()
            .for_each(|connection| connection.send(&request));
        while began.elapsed() < Duration::from_secs(SECONDS) {
            for connection in &mut connections {
                connection.answer();
                connection.send(&request);
                polls += 1;
            }
        }
        let cpu = (server.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
        connections
            .iter_mut()
            .for_each(|connection| drop(connection.answer()));
        println!(
            "{CONSUMERS} consumers that wait on {} empty partitions each, 500 ms at a time: broker busy {cpu:.1} % \
             of a core ({polls} polls), RSS {} MB",
            partitions.len(),
            server.rss_bytes() >> 20
        );
    }
}

fn ms(durations: &[Duration], share: f64) -> String {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() - 1) as f64 * share) as usize;
    format!("{:.2} ms", sorted[at].as_secs_f64() * 1e3)
}
