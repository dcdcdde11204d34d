//! Compaction: what stays, what goes and when, and that nothing in between can be seen, whatever is interrupted.

use std::sync::Arc;

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, AppendOrigin, AtomicGroup, Disk, Isolation, Marker, Outcome, StorageConfig, verify,
};
use millstream_protocol::batch::{BatchBuilder, Compression, RecordBatch};
use millstream_types::{Clock, Offset, Timestamp, TopicPartition};

use crate::kit::{Bench, START_MS, keyed, partition, producer, small};

type Pairs = Vec<(i64, String, Option<String>)>;

const DAY_MS: i64 = 86_400_000;

fn t() -> TopicPartition {
    partition("t", 0)
}

/// A compacted topic that is compacted whenever maintenance runs.
fn compacted(more: &[(&str, &str)]) -> Bench {
    with(small(), more)
}

fn with(config: StorageConfig, more: &[(&str, &str)]) -> Bench {
    let bench = Bench::with(config);
    let mut set = vec![
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    set.extend_from_slice(more);
    bench.create("t", 1, &set);
    bench
}

fn pairs(expected: &[(i64, &str, Option<&str>)]) -> Pairs {
    let owned = |(offset, key, value): &(i64, &str, Option<&str>)| {
        (*offset, (*key).to_owned(), value.map(str::to_owned))
    };
    expected.iter().map(owned).collect()
}

/// Lets time pass and maintenance run, as often as it takes: sealed, closed, compacted.
fn compact(bench: &Bench) {
    for _ in 0..3 {
        bench.clock.advance_ms(200);
        bench.storage.maintain(bench.clock.now()).unwrap();
    }
}

fn soundness(bench: &Bench) {
    bench.storage.close();
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let found = verify(&disk).unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset() {
    let mut bench = compacted(&[]);
    bench
        .append(
            &t(),
            keyed(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]),
        )
        .unwrap();
    bench
        .append(&t(), keyed(&[("b", Some("2")), ("c", Some("1"))]))
        .unwrap();
    compact(&bench);
    let expected = pairs(&[(2, "a", Some("2")), (3, "b", Some("2")), (4, "c", Some("1"))]);
    assert_eq!(bench.pairs(&t()), expected);
    let ends = bench.storage.offsets(&t()).unwrap();
    assert_eq!((ends.log_start, ends.high_watermark), (Offset(0), Offset(5)));
    let next = bench.append(&t(), keyed(&[("a", Some("3"))])).unwrap();
    assert_eq!(next.base_offset, Offset(5));
    bench.crash();
    compact(&bench);
    let expected = pairs(&[(3, "b", Some("2")), (4, "c", Some("1")), (5, "a", Some("3"))]);
    assert_eq!(bench.pairs(&t()), expected);
    bench.crash();
    assert_eq!(bench.pairs(&t()), expected);
    let stats = bench.storage.stats();
    assert_eq!(
        (stats.segments, stats.unsealed_bytes),
        (1, 0),
        "small neighbours became one"
    );
    soundness(&bench);
}

#[test]
fn a_tombstone_stays_for_delete_retention_and_is_not_resurrected() {
    let mut bench = compacted(&[("delete.retention.ms", "86400000")]);
    bench
        .append(&t(), keyed(&[("a", Some("1")), ("b", Some("1"))]))
        .unwrap();
    bench.append(&t(), keyed(&[("a", None)])).unwrap();
    compact(&bench);
    let before = pairs(&[(1, "b", Some("1")), (2, "a", None)]);
    assert_eq!(bench.pairs(&t()), before);
    bench.clock.advance_ms(DAY_MS - 1000);
    bench.storage.maintain(bench.clock.now()).unwrap();
    assert_eq!(
        bench.pairs(&t()),
        before,
        "a reader that began then has a day to see it"
    );
    bench.clock.advance_ms(2000);
    bench.storage.maintain(bench.clock.now()).unwrap();
    let after = pairs(&[(1, "b", Some("1"))]);
    assert_eq!(bench.pairs(&t()), after, "though nothing else was written");
    let rewritten = bench.storage.stats().compacted_bytes_before;
    bench.storage.maintain(bench.clock.now()).unwrap();
    assert_eq!(
        bench.storage.stats().compacted_bytes_before,
        rewritten,
        "and once only"
    );
    bench.crash();
    assert_eq!(bench.pairs(&t()), after);
    soundness(&bench);
}

#[test]
fn readers_find_the_next_batch_wherever_they_ask() {
    let bench = compacted(&[("segment.bytes", "300")]);
    for i in 0..40 {
        let key = ["a", "b", "c"][i % 3];
        bench.append(&t(), keyed(&[(key, Some(&i.to_string()))])).unwrap();
    }
    compact(&bench);
    let stays = [37, 38, 39];
    for from in 0..40 {
        let read = bench
            .storage
            .read(&t(), Offset(from), 1, Isolation::ReadCommitted)
            .unwrap();
        let batch = RecordBatch::parse_stored(read.batches[0].clone()).unwrap();
        assert!(batch.last_offset().0 >= from, "from {from}");
        let found: Vec<_> = bench
            .read(&t(), from)
            .iter()
            .flat_map(|b| b.records().unwrap())
            .collect();
        let offsets: Vec<_> = found.iter().map(|r| r.offset.0).filter(|o| *o >= from).collect();
        let expected: Vec<_> = stays.into_iter().filter(|o| *o >= from).collect();
        assert_eq!(offsets, expected, "from {from}");
    }
    let newest = bench.storage.max_timestamp(&t()).unwrap();
    assert_eq!(newest, Some((Offset(37), Timestamp(START_MS))));
    let first = bench
        .storage
        .offset_for_timestamp(&t(), Timestamp(START_MS))
        .unwrap();
    assert_eq!(first, Some((Offset(37), Timestamp(START_MS))));
}

#[test]
fn more_keys_than_fit_into_memory_take_several_rounds() {
    let config = StorageConfig {
        compaction_keys: 7,
        ..small()
    };
    let mut bench = with(config, &[("segment.bytes", "2000")]);
    for round in 0..5 {
        for i in 0..40 {
            let (key, value) = (format!("k{i}"), format!("{round}"));
            bench.append(&t(), keyed(&[(&key, Some(&value))])).unwrap();
        }
    }
    compact(&bench);
    let expected: Pairs = (0..40)
        .map(|i| (160 + i, format!("k{i}"), Some("4".to_owned())))
        .collect();
    assert_eq!(bench.pairs(&t()), expected);
    bench.crash();
    assert_eq!(bench.pairs(&t()), expected);
    soundness(&bench);
}

#[test]
fn what_was_aborted_goes_and_its_marker_follows() {
    let mut bench = compacted(&[]);
    let send = |bench: &Bench, sequence, value: &str| {
        let mut builder = BatchBuilder::new(Compression::Lz4)
            .producer(producer(9, 0), sequence)
            .transactional();
        builder.push_parts(Timestamp(START_MS), Some(b"a"), Some(value.as_bytes()), &[]);
        bench.append(&t(), builder.build().unwrap()).unwrap()
    };
    let end = |bench: &Bench, outcome| {
        let marker = Marker {
            partition: t(),
            producer: producer(9, 0),
            outcome,
            coordinator_epoch: 0,
        };
        let group = AtomicGroup {
            markers: vec![marker],
            puts: Vec::new(),
        };
        bench.done(bench.storage.commit(group).unwrap()).unwrap();
    };
    send(&bench, 0, "committed");
    end(&bench, Outcome::Commit);
    send(&bench, 1, "aborted");
    end(&bench, Outcome::Abort);
    send(&bench, 2, "open");
    compact(&bench);
    let both = pairs(&[
        (0, "a", Some("committed")),
        (2, "a", Some("aborted")),
        (4, "a", Some("open")),
    ]);
    assert_eq!(
        bench.pairs(&t()),
        both,
        "nothing moves above the last stable offset"
    );
    end(&bench, Outcome::Abort);
    bench.append(&t(), keyed(&[("b", Some("1"))])).unwrap();
    compact(&bench);
    let expected = pairs(&[(0, "a", Some("committed")), (6, "b", Some("1"))]);
    assert_eq!(bench.pairs(&t()), expected);
    let read = bench
        .storage
        .read(&t(), Offset(0), usize::MAX, Isolation::ReadCommitted)
        .unwrap();
    assert_eq!(read.aborted, [], "nothing is left of what was aborted");
    // the producer's last batch stays as an empty one, so that what is sent again is known
    let batches = bench.read(&t(), 0);
    let last = batches
        .iter()
        .find(|batch| batch.base_offset() == Offset(4))
        .unwrap();
    assert_eq!((last.header().records_count, last.header().base_sequence), (0, 2));
    assert!(send(&bench, 2, "open").duplicate);
    let markers = |bench: &Bench| {
        let batches = bench.read(&t(), 0).into_iter();
        let control = batches.filter(|batch| batch.header().attributes.is_control());
        control.map(|batch| batch.base_offset().0).collect::<Vec<_>>()
    };
    assert_eq!(markers(&bench), [1, 3, 5]);
    bench.clock.advance_ms(DAY_MS);
    bench.append(&t(), keyed(&[("b", Some("2"))])).unwrap();
    compact(&bench);
    assert_eq!(
        markers(&bench),
        [1],
        "the commit marker has a record left to decide about"
    );
    bench.crash();
    assert_eq!(
        bench.pairs(&t()),
        pairs(&[(0, "a", Some("committed")), (7, "b", Some("2"))])
    );
    soundness(&bench);
}

#[test]
fn records_without_a_key_are_refused() {
    let bench = compacted(&[]);
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push_parts(Timestamp(START_MS), Some(b"k"), None, &[]);
    builder.push_parts(Timestamp(START_MS), None, Some(b"v"), &[]);
    let bytes = builder.build().unwrap();
    for origin in [AppendOrigin::Client, AppendOrigin::Internal] {
        let refused = bench.storage.append(&t(), bytes.clone(), origin).unwrap_err();
        assert!(
            matches!(&refused, AppendError::InvalidRecords { records } if records[0].index == 1),
            "{refused}"
        );
    }
}

#[test]
fn compact_and_delete_go_together() {
    let bench = compacted(&[
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "10000"),
        ("segment.bytes", "200"),
    ]);
    for i in 0..20 {
        bench.append(&t(), keyed(&[("a", Some(&i.to_string()))])).unwrap();
    }
    compact(&bench);
    assert_eq!(bench.pairs(&t()), pairs(&[(19, "a", Some("19"))]));
    bench.clock.advance_ms(20_000);
    bench.storage.maintain(bench.clock.now()).unwrap();
    assert_eq!(bench.pairs(&t()), []);
    assert_eq!(bench.storage.offsets(&t()).unwrap().log_start, Offset(20));
}

#[test]
fn a_topic_that_is_not_compacted_is_left_alone_until_it_is() {
    let bench = Bench::new();
    bench.create("t", 1, &[("segment.ms", "100")]);
    for i in 0..10 {
        bench.append(&t(), keyed(&[("a", Some(&i.to_string()))])).unwrap();
    }
    compact(&bench);
    assert_eq!(bench.pairs(&t()).len(), 10);
    let set = [("cleanup.policy", "compact"), ("segment.ms", "100")];
    let set = set
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into_iter()
        .collect();
    bench
        .done(bench.storage.alter_topic_config(&t().topic, set).unwrap())
        .unwrap();
    bench.storage.seal().unwrap();
    compact(&bench);
    assert_eq!(bench.pairs(&t()), pairs(&[(9, "a", Some("9"))]));
}

/// What a topic holds before compaction, and what it may hold after.
fn filled() -> (Bench, [Pairs; 2]) {
    let bench = compacted(&[("segment.bytes", "400"), ("delete.retention.ms", "0")]);
    for i in 0..30_u64 {
        let value = (i % 7 != 0).then(|| i.to_string());
        let key = format!("k{}", i % 5);
        bench.append(&t(), keyed(&[(&key, value.as_deref())])).unwrap();
    }
    bench.storage.seal().unwrap();
    let before = bench.pairs(&t());
    let after = before[25..].to_vec();
    (bench, [before, after])
}

#[test]
fn wherever_compaction_is_interrupted_it_happened_or_it_did_not() {
    let mut survived = 0;
    for power_cut in [true, false] {
        for kind in ["write", "sync", "nothing"] {
            for after in 0..40 {
                let (mut bench, [before, compacted]) = filled();
                match kind {
                    "write" => bench.disk.fail_writes_after(Some(after)),
                    "sync" => bench.disk.fail_syncs_after(Some(after)),
                    _ => {}
                }
                bench.clock.advance_ms(200);
                let done = bench.storage.maintain(bench.clock.now());
                let what = format!("{kind} {after}, power cut {power_cut}");
                let seen = bench.pairs(&t());
                assert!(seen == before || seen == compacted, "{what}: {seen:?}");
                assert!(
                    done.is_err() || seen == compacted,
                    "{what}: it says that it is done"
                );
                bench.disk.fail_writes_after(None);
                bench.disk.fail_syncs_after(None);
                if power_cut {
                    bench.crash();
                } else {
                    bench.reopen().unwrap();
                }
                let seen_after = bench.pairs(&t());
                assert!(
                    seen_after == compacted || (seen_after == before && seen == before),
                    "{what}, after: {seen_after:?}"
                );
                survived += usize::from(seen_after == before);
                compact(&bench);
                assert_eq!(bench.pairs(&t()).last(), compacted.last(), "{what}, again");
                bench.reopen().unwrap();
                let files = bench.disk.files().len();
                soundness(&bench);
                bench.reopen().unwrap();
                assert_eq!(bench.disk.files().len(), files, "{what}: nothing is left behind");
                if kind == "nothing" {
                    break;
                }
            }
        }
    }
    assert!(survived > 10, "some attempts were interrupted: {survived}");
}

#[test]
fn a_full_disk_leaves_the_log_as_it_is() {
    let (bench, [before, compacted]) = filled();
    bench.disk.set_capacity(Some(bench.disk.used()));
    bench.clock.advance_ms(200);
    assert!(bench.storage.maintain(bench.clock.now()).is_err());
    assert_eq!(bench.pairs(&t()), before);
    bench.disk.set_capacity(None);
    bench.storage.maintain(bench.clock.now()).unwrap();
    assert_eq!(bench.pairs(&t()), compacted);
}

#[test]
fn a_damaged_segment_is_not_compacted_away() {
    let (bench, _) = filled();
    let segment = bench.disk.files().into_iter().map(|(path, _)| path);
    let segment = segment.filter(|path| path.ends_with(".log")).nth(1).unwrap();
    assert!(bench.disk.flip(&segment, 100));
    bench.clock.advance_ms(200);
    bench.storage.maintain(bench.clock.now()).unwrap();
    assert_eq!(bench.storage.stats().uncleanable_partitions, 1);
    assert_eq!(bench.storage.stats().compactions, 0);
    let names = bench
        .disk
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .collect::<Vec<_>>();
    assert!(names.contains(&segment), "{names:?}");
}

#[test]
fn compression_type_recompresses_what_has_another_codec() {
    let bench = Bench::new();
    let all = [
        ("producer", None),
        ("uncompressed", Some(Compression::None)),
        ("gzip", Some(Compression::Gzip)),
        ("snappy", Some(Compression::Snappy)),
        ("lz4", Some(Compression::Lz4)),
        ("zstd", Some(Compression::Zstd)),
    ];
    let value = "compress ".repeat(200);
    for (name, wanted) in all {
        bench.create(
            name,
            1,
            &[("compression.type", name), ("compression.zstd.level", "9")],
        );
        for (base, sent) in (0..).zip(Compression::ALL) {
            let mut builder = BatchBuilder::new(sent).producer(producer(1, 0), base);
            builder.push_parts(Timestamp(START_MS), Some(b"k"), Some(value.as_bytes()), &[]);
            let bytes: Bytes = builder.build().unwrap();
            let to = partition(name, 0);
            let appended = bench.append(&to, bytes.clone()).unwrap();
            assert_eq!(appended.base_offset, Offset(i64::from(base)));
            let batch = bench.read(&to, i64::from(base)).remove(0);
            let codec = batch.header().attributes.compression().unwrap();
            assert_eq!(codec, wanted.unwrap_or(sent), "{name}, sent with {sent}");
            assert_eq!(
                batch.records().unwrap()[0].value.as_deref(),
                Some(value.as_bytes())
            );
            assert!(
                bench.append(&to, bytes).unwrap().duplicate,
                "the producer is still known"
            );
        }
    }
    let stats = bench.storage.stats();
    assert_eq!(stats.recompressed_batches, 2 * 5 * 4);
}

#[test]
fn what_is_too_large_after_recompression_is_refused() {
    let bench = Bench::new();
    let set = [
        ("compression.type", "uncompressed"),
        ("max.message.bytes", "1000"),
    ];
    bench.create("t", 1, &set);
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push_parts(Timestamp(START_MS), None, Some(&[7; 2000]), &[]);
    let refused = bench.append(&t(), builder.build().unwrap()).unwrap_err();
    assert!(
        matches!(refused, AppendError::TooLarge { max: 1000, .. }),
        "{refused}"
    );
}
