//! What operators feel, each figure beside its bar: how long a start takes after `kill -9`, what memory many partitions
//! need, and what one append allocates.
//!
//! Every start is a process of its own, so that memory is that of the engine and nothing else. `BENCH_DIR` chooses the disk,
//! `BENCH_MB` the data of the large directory (4096).

#![allow(clippy::print_stdout, reason = "a bench talks to its reader")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use millstream_broker_storage::{
    AppendOrigin, Drive, NewTopicSpec, RealDisk, Storage, StorageConfig, sim::SimDisk,
};
use millstream_protocol::batch::{BatchBuilder, Compression};
use millstream_types::{Clock, SystemClock, Timestamp, TopicName, TopicPartition};

const CHILD: &str = "BENCH_BARS_CHILD";

fn main() {
    if let Ok(task) = std::env::var(CHILD) {
        child(&task);
        return;
    }
    allocations();
    let base = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let megabytes = std::env::var("BENCH_MB").ok().and_then(|mb| mb.parse().ok());
    let megabytes: usize = megabytes.unwrap_or(4096);
    restart(&base, 8, megabytes << 20, 64, "bar: ready in 1.5 s");
    restart(&base, 10_000, 640 << 20, 64, "bar: ready in 5 s, RSS 500 MB");
}

/// Fills a directory in a process that is killed, and opens it in others.
fn restart(base: &Path, partitions: i32, bytes: usize, records: i32, bar: &str) {
    println!(
        "restart after kill -9: {} MB in {partitions} partitions ({bar})",
        bytes >> 20
    );
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let path = dir.path().display();
    let filled = run(&format!("fill {partitions} {bytes} {records} {path}"), true);
    println!("  {filled}");
    for start in 1..=3 {
        println!("  start {start}: {}", run(&format!("open 0 0 0 {path}"), false));
    }
}

/// Starts this program again for one task; answers the line that it prints.
fn run(task: &str, kill: bool) -> String {
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe)
        .env(CHILD, task)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the same program starts again");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    if kill {
        child.kill().expect("it runs");
    }
    drop(child.stdin.take());
    child.wait().expect("it ends");
    line.trim().to_owned()
}

fn child(task: &str) {
    let mut words = task.splitn(5, ' ');
    let mut word = || words.next().expect("five words");
    let what = word();
    let mut number = || word().parse::<i64>().expect("a number");
    let (partitions, bytes, records) = (number(), number(), number());
    let dir = PathBuf::from(word());
    match what {
        "fill" => fill(&dir, partitions as i32, bytes as usize, records as i32),
        _ => open(&dir),
    }
    // the parent kills it, or closes its input
    io::stdin().read_line(&mut String::new()).ok();
}

fn fill(dir: &Path, partitions: i32, bytes: usize, records: i32) {
    let storage = start(dir).0;
    create(&storage, partitions);
    let batch = batch(records, 1000);
    let started = Instant::now();
    let mut last = None;
    for i in 0..bytes / batch.len() {
        let to = TopicPartition::new(topic(), i as i32 % partitions);
        let ticket = storage.append(&to, batch.clone(), AppendOrigin::Internal);
        last = Some(ticket.expect("accepted"));
    }
    last.expect("at least one").wait().expect("durable");
    let stats = storage.stats();
    println!(
        "filled in {:.1} s: {} segments with {} MB, {} MB not sealed",
        started.elapsed().as_secs_f64(),
        stats.segments,
        stats.segment_bytes >> 20,
        stats.unsealed_bytes >> 20
    );
}

fn open(dir: &Path) {
    let started = Instant::now();
    let (storage, recovery) = start(dir);
    let ready = started.elapsed();
    let at_once = resident_megabytes();
    let maintained = timed(|| storage.maintain(SystemClock.now()).expect("room"));
    let idle = timed(|| storage.maintain(SystemClock.now()).expect("room"));
    println!(
        "ready in {:.3} s ({} MB replayed), RSS {at_once} MB, {} MB after maintenance ({:.3} s, then {:.3} s)",
        ready.as_secs_f64(),
        recovery.replayed_bytes >> 20,
        resident_megabytes(),
        maintained.as_secs_f64(),
        idle.as_secs_f64()
    );
    storage.close();
}

fn start(dir: &Path) -> (Storage, millstream_broker_storage::Recovery) {
    let disk = Arc::new(RealDisk::new(dir));
    Storage::open(disk, Arc::new(SystemClock), StorageConfig::default()).expect("opens")
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse::<u64>().ok());
    kilobytes.expect("a number") >> 10
}

/// Whatever the number of records, an append allocates as often.
fn allocations() {
    println!(
        "allocations per append, until it is durable and visible (bar: the same for every number of records)"
    );
    let config = StorageConfig {
        drive: Drive::Manual,
        ..StorageConfig::default()
    };
    let opened = Storage::open(Arc::new(SimDisk::new(1)), Arc::new(SystemClock), config);
    let storage = opened.expect("an empty directory").0;
    let create = NewTopicSpec {
        name: topic(),
        partitions: 1,
        config: BTreeMap::new(),
    };
    let created = storage.create_topic(create).expect("a new topic");
    storage.step();
    created.wait().expect("durable");
    let to = TopicPartition::new(topic(), 0);
    for codec in [Compression::None, Compression::Lz4] {
        for records in [1, 10, 100, 1000] {
            let batches: Vec<Bytes> = (0..200).map(|_| encode(codec, records, 100)).collect();
            let count = batches.len() as u64;
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let mut engine = 0;
            for batch in batches {
                let at = ALLOCATIONS.load(Ordering::Relaxed);
                let ticket = storage
                    .append(&to, batch, AppendOrigin::Client)
                    .expect("accepted");
                engine += ALLOCATIONS.load(Ordering::Relaxed) - at;
                storage.step();
                ticket.wait().expect("durable");
            }
            let all = ALLOCATIONS.load(Ordering::Relaxed) - before;
            println!(
                "  {codec:>4}, {records:4} records: {:.1} to accept, {:.1} with the write on a simulated disk",
                engine as f64 / count as f64,
                all as f64 / count as f64
            );
        }
    }
}

fn create(storage: &Storage, partitions: i32) {
    let spec = NewTopicSpec {
        name: topic(),
        partitions,
        config: BTreeMap::new(),
    };
    let created = storage.create_topic(spec).expect("a new topic");
    created.wait().expect("durable");
}

fn topic() -> TopicName {
    TopicName::new("bench").expect("a name")
}

fn batch(records: i32, value_bytes: usize) -> Bytes {
    encode(Compression::None, records, value_bytes)
}

/// In a buffer of its own, as the network layer hands it over.
fn encode(codec: Compression, records: i32, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    let value: Vec<u8> = (0..value_bytes).map(|i| i as u8).collect();
    let now = SystemClock.now();
    for i in 0..records {
        builder.push_parts(Timestamp(now.0 + i64::from(i)), Some(b"key"), Some(&value), &[]);
    }
    BytesMut::from(&builder.build().expect("a batch")[..]).freeze()
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
