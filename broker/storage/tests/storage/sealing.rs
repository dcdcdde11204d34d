//! Where the sealer takes from what it copies: memory, and the files of the write-ahead log where that is not enough.

use millstream_broker_storage::{Disk, Mode, Severity, verify};
use millstream_types::{Offset, Timestamp, TopicPartition};

use crate::kit::{Bench, START_MS, partition, records};

fn t() -> TopicPartition {
    partition("t", 0)
}

fn append(bench: &Bench, tags: std::ops::Range<u64>) {
    for tag in tags {
        bench.append(&t(), records(1, tag).sized(900).build()).unwrap();
    }
}

fn expect(bench: &Bench, tags: std::ops::Range<u64>) {
    let expected: Vec<_> = tags.map(|tag| (tag.cast_signed(), Some(tag))).collect();
    assert_eq!(bench.tags(&t(), expected[0].0), expected);
}

/// Of the only file of the write-ahead log: all that is in it now reads as zeros.
fn wipe_log(bench: &Bench) {
    let files = bench.disk.list("wal").unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    let file = bench
        .disk
        .open(&format!("wal/{}", files[0]), Mode::Existing)
        .unwrap();
    let zeros = vec![0; 16 << 10];
    file.write_at(&[std::io::IoSlice::new(&zeros)], 0).unwrap();
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.create("t", 1, &[("segment.bytes", "4000")]);
    bench
}

#[test]
fn what_is_in_memory_is_not_read_back() {
    let mut bench = bench();
    append(&bench, 0..3);
    // Too young to be sealed, but enough to be copied.
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    append(&bench, 3..8);
    wipe_log(&bench);
    bench.storage.seal().unwrap();
    expect(&bench, 0..8);
    bench.crash();
    expect(&bench, 0..8);
}

#[test]
fn what_left_memory_is_read_from_the_file() {
    for copied_ahead in [0, 3] {
        let mut bench = bench();
        append(&bench, 0..copied_ahead);
        bench.storage.maintain(Timestamp(START_MS)).unwrap();
        append(&bench, copied_ahead..13);
        bench.storage.seal().unwrap();
        expect(&bench, 0..13);
        bench.crash();
        expect(&bench, 0..13);
    }
    let bench = bench();
    append(&bench, 0..13);
    wipe_log(&bench);
    let error = bench.storage.seal().unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn work_ahead_is_given_up_when_segments_leave_meanwhile() {
    let mut bench = bench();
    append(&bench, 0..9);
    bench.storage.seal().unwrap();
    append(&bench, 9..12);
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    let deleted = bench.storage.delete_records(&t(), Offset(7)).unwrap();
    bench.done(deleted).unwrap();
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    append(&bench, 12..15);
    bench.storage.seal().unwrap();
    expect(&bench, 7..15);
    bench.crash();
    assert_eq!(bench.storage.offsets(&t()).unwrap().log_start, Offset(7));
    expect(&bench, 7..15);
    let size = bench.storage.size_bytes(&t()).unwrap();
    assert!(size < 12_000, "the first segments are gone: {size}");
    bench.disk.kill();
    let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(bench.disk.clone());
    let found = verify(&disk).unwrap();
    let bad = found
        .findings
        .iter()
        .find(|finding| finding.severity != Severity::Note);
    assert_eq!(bad, None);
}

#[test]
fn a_crash_after_work_ahead_leaves_nothing_that_counts() {
    let mut bench = bench();
    append(&bench, 0..5);
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    bench.crash();
    expect(&bench, 0..5);
    append(&bench, 5..9);
    bench.storage.seal().unwrap();
    bench.crash();
    expect(&bench, 0..9);
}
