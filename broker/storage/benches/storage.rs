//! What the engine costs beside the disk it stands on: each figure next to the raw one, measured in turns in one run.
//!
//! - append: durable in-process appends against `pwrite` + `fdatasync` of the same bytes in the same groups;
//! - read: sealed segments from first to last offset against a `pread` loop over the same files;
//! - restart: a process that wrote 1,000,000 records to 1,000 partitions is killed, and the directory opened again.
//!
//! `BENCH_DIR` chooses the disk, `BENCH_MB` the volume of a round.

#![allow(clippy::print_stdout, reason = "a bench talks to its reader")]

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IoSlice},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use millstream_broker_storage::{
    AppendOrigin, Disk, DiskFile, DiskLock, Isolation, LockedBy, Mode, NewTopicSpec, RealDisk, Storage,
    StorageConfig,
};
use millstream_protocol::batch::{BatchBuilder, BatchHeader, Compression};
use millstream_types::{Offset, SystemClock, Timestamp, TopicName, TopicPartition};

const ROUNDS: usize = 5;
const PARTITIONS: i32 = 8;
const CHILD: &str = "BENCH_RESTART_CHILD";

fn main() {
    if let Ok(dir) = std::env::var(CHILD) {
        fill_and_wait(Path::new(&dir));
        return;
    }
    let base = std::env::var("BENCH_DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let megabytes = std::env::var("BENCH_MB")
        .ok()
        .and_then(|mb| mb.parse().ok())
        .unwrap_or(768);
    append(&base, megabytes << 20);
    read(&base, megabytes << 20);
    restart(&base);
}

fn append(base: &Path, volume: usize) {
    println!(
        "append: {} MB in 64 KB batches of 1 KB records to {PARTITIONS} partitions, fsync on",
        volume >> 20
    );
    let batch = batch(63, 1000);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let dir = tempfile::tempdir_in(base).expect("a directory");
        let groups = Arc::new(Mutex::new(Vec::new()));
        let disk = Recording {
            disk: RealDisk::new(dir.path().join("data")),
            groups: groups.clone(),
        };
        let storage = open(Arc::new(disk));
        create(&storage, PARTITIONS);
        groups.lock().expect("no panic").clear();
        let ours = timed(|| fill(&storage, &batch, volume, PARTITIONS));
        let groups: Vec<usize> = groups.lock().expect("no panic").clone();
        storage.seal().expect("room");
        storage.close();
        // the disk is shared and moody: the better of two is the bar
        let grown = timed(|| write_raw(&dir.path().join("grown"), &batch, &groups, false));
        let reserved = timed(|| write_raw(&dir.path().join("reserved"), &batch, &groups, true));
        let raw = grown.min(reserved);
        let ratio = raw.as_secs_f64() / ours.as_secs_f64();
        let bytes: usize = groups.iter().sum();
        println!(
            "  round {round}: {:7.0} MB/s, raw {:7.0} MB/s, ratio {ratio:.2} ({} groups of {} KB)",
            rate(bytes, ours),
            rate(bytes, raw),
            groups.len(),
            bytes / groups.len() / 1024
        );
        ratios.push(ratio);
    }
    println!("  median ratio {:.2} (bar: 0.70)", median(ratios));
}

fn read(base: &Path, volume: usize) {
    println!(
        "read: {} MB of sealed segments, 1 MB at a time, from the page cache",
        volume >> 20
    );
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let data = dir.path().join("data");
    let storage = open(Arc::new(RealDisk::new(&data)));
    create(&storage, PARTITIONS);
    fill(&storage, &batch(63, 1000), volume, PARTITIONS);
    storage.seal().expect("room");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let mut bytes = 0;
        let raw = timed(|| bytes = read_raw(&data.join("topics")));
        let mut ours_bytes = 0;
        let ours = timed(|| ours_bytes = (0..PARTITIONS).map(|p| read_ours(&storage, p)).sum());
        assert_eq!(bytes, ours_bytes);
        let ratio = raw.as_secs_f64() / ours.as_secs_f64();
        let (ours, raw) = (rate(bytes, ours), rate(bytes, raw));
        println!("  round {round}: {ours:7.0} MB/s, raw {raw:7.0} MB/s, ratio {ratio:.2}");
        ratios.push(ratio);
    }
    println!("  median ratio {:.2} (bar: 0.80, or 1,000 MB/s)", median(ratios));
}

fn restart(base: &Path) {
    println!("restart: 1,000,000 records of 100 bytes in 1,000 partitions, kill -9");
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe)
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the same program starts again");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line.trim(), "filled");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    for round in 1..=3 {
        let started = Instant::now();
        let (storage, recovery) = Storage::open(
            Arc::new(RealDisk::new(dir.path())),
            Arc::new(SystemClock),
            StorageConfig::default(),
        )
        .expect("recovers");
        let ready = started.elapsed();
        let records: i64 = (0..1000).map(|p| ends(&storage, p).0).sum();
        assert_eq!(records, 1_000_000);
        println!(
            "  start {round}: ready in {:.3} s ({} batches, {} MB replayed; bar: 2 s)",
            ready.as_secs_f64(),
            recovery.replayed_batches,
            recovery.replayed_bytes >> 20
        );
    }
}

fn fill_and_wait(dir: &Path) {
    let storage = open(Arc::new(RealDisk::new(dir)));
    create(&storage, 1000);
    let batch = batch(10, 100);
    let volume = batch.len() * 100_000;
    fill(&storage, &batch, volume, 1000);
    println!("filled");
    // until it is killed
    io::stdin().read_line(&mut String::new()).ok();
    std::thread::park();
}

fn open(disk: Arc<dyn Disk>) -> Storage {
    Storage::open(disk, Arc::new(SystemClock), StorageConfig::default())
        .expect("an empty directory")
        .0
}

fn create(storage: &Storage, partitions: i32) {
    let spec = NewTopicSpec {
        name: topic(),
        partitions,
        config: std::collections::BTreeMap::new(),
    };
    storage
        .create_topic(spec)
        .expect("a new topic")
        .wait()
        .expect("durable");
}

fn topic() -> TopicName {
    TopicName::new("bench").expect("a name")
}

fn batch(records: i32, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let value: Vec<u8> = (0..value_bytes).map(|i| i as u8).collect();
    for i in 0..records {
        builder.push_parts(Timestamp(i64::from(i)), Some(b"key"), Some(&value), &[]);
    }
    builder.build().expect("a batch")
}

fn fill(storage: &Storage, batch: &Bytes, volume: usize, partitions: i32) {
    let targets: Vec<_> = (0..partitions).map(|p| TopicPartition::new(topic(), p)).collect();
    let mut last = None;
    for target in targets.iter().cycle().take(volume / batch.len()) {
        last = Some(
            storage
                .append(target, batch.clone(), AppendOrigin::Internal)
                .expect("accepted"),
        );
    }
    last.expect("at least one").wait().expect("durable");
}

fn write_raw(path: &Path, batch: &[u8], groups: &[usize], reserve: bool) {
    let disk = RealDisk::new(path.parent().expect("a directory"));
    let name = path.file_name().expect("a name").to_string_lossy();
    let file = disk.open(&name, Mode::Truncate).expect("a file");
    if reserve {
        file.allocate(groups.iter().sum::<usize>() as u64).expect("room");
        file.sync().expect("a disk");
    }
    let most = groups.iter().max().copied().unwrap_or(0);
    let bytes: Vec<u8> = batch.iter().copied().cycle().take(most).collect();
    let mut position = 0;
    for group in groups {
        file.write_at(&[IoSlice::new(&bytes[..*group])], position)
            .expect("room");
        file.sync().expect("a disk");
        position += *group as u64;
    }
}

fn read_raw(dir: &Path) -> usize {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            bytes += read_raw(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let file = File::open(path).expect("a file");
            let mut buffer = vec![0; 1 << 20];
            let mut position = 0;
            loop {
                let read = file.read_at(&mut buffer, position).expect("readable");
                if read == 0 {
                    break;
                }
                position += read as u64;
            }
            bytes += usize::try_from(position).expect("fits");
        }
    }
    bytes
}

fn read_ours(storage: &Storage, partition: i32) -> usize {
    let from = TopicPartition::new(topic(), partition);
    let (mut next, mut bytes) = (Offset(0), 0);
    loop {
        let read = storage
            .read(&from, next, 1 << 20, Isolation::ReadUncommitted)
            .expect("readable");
        let Some(last) = read.batches.last() else {
            return bytes;
        };
        next = BatchHeader::read(last).expect("a batch").last_offset().next();
        bytes += read.batches.iter().map(Bytes::len).sum::<usize>();
    }
}

fn ends(storage: &Storage, partition: i32) -> Offset {
    storage
        .offsets(&TopicPartition::new(topic(), partition))
        .expect("a partition")
        .high_watermark
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Notes the size of every group that is written to the write-ahead log.
#[derive(Debug)]
struct Recording {
    disk: RealDisk,
    groups: Arc<Mutex<Vec<usize>>>,
}

impl Disk for Recording {
    fn describe(&self, path: &str) -> PathBuf {
        self.disk.describe(path)
    }
    fn create_dir_all(&self, path: &str) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn open(&self, path: &str, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        if !path.starts_with("wal/") {
            return Ok(file);
        }
        Ok(Arc::new(RecordingFile {
            file,
            groups: self.groups.clone(),
        }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.disk.sync_all()
    }
    fn lock(&self, path: &str) -> io::Result<Result<Box<dyn DiskLock>, LockedBy>> {
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct RecordingFile {
    file: Arc<dyn DiskFile>,
    groups: Arc<Mutex<Vec<usize>>>,
}

impl DiskFile for RecordingFile {
    fn read_at(&self, buffer: &mut Vec<u8>, position: u64, len: usize) -> io::Result<usize> {
        self.file.read_at(buffer, position, len)
    }
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.groups.lock().expect("no panic").push(bytes);
        self.file.write_at(parts, position)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn make_room(&self, part: std::ops::Range<u64>) {
        self.file.make_room(part);
    }
    fn begin_sync(&self, part: std::ops::Range<u64>) {
        self.file.begin_sync(part);
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}
