//! What a caller may rely on when nothing goes wrong, and after a restart.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, AppendOrigin, AtomicGroup, Changes, DeleteRecordsError, Isolation, Marker, Outcome,
    ProducerError, ReadError, StateKey, TopicError, UnknownPartition, Watermarks,
};
use millstream_protocol::batch::{Compression, ControlRecord};
use millstream_types::{Offset, ProducerId, Timestamp};

use crate::kit::{Bench, START_MS, name, partition, producer, read_all, records, spec};

fn marker(topic: &str, id: i64, epoch: i16, outcome: Outcome) -> Marker {
    Marker {
        partition: partition(topic, 0),
        producer: producer(id, epoch),
        outcome,
        coordinator_epoch: 0,
    }
}

fn key(key: &'static str) -> StateKey {
    StateKey(Bytes::from_static(key.as_bytes()))
}

#[test]
fn nothing_is_visible_before_it_is_durable() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let first = bench
        .storage
        .append(&t, records(3, 1).build(), AppendOrigin::Client)
        .unwrap();
    let second = bench
        .storage
        .append(&t, records(2, 2).build(), AppendOrigin::Client)
        .unwrap();
    assert_eq!(bench.storage.offsets(&t).unwrap().high_watermark, Offset(0));
    assert!(bench.read(&t, 0).is_empty());
    assert!(bench.storage.step());
    assert_eq!(first.wait().unwrap().base_offset, Offset(0));
    assert_eq!(second.wait().unwrap().base_offset, Offset(3));
    assert_eq!(bench.storage.offsets(&t).unwrap().high_watermark, Offset(5));
    assert_eq!(bench.tags(&t, 0), [(0, Some(1)), (3, Some(2))]);
    assert_eq!(
        bench.tags(&t, 4),
        [(3, Some(2))],
        "the batch that holds the offset, as a whole"
    );
    assert!(!bench.storage.step(), "nothing is left to do");
}

#[test]
fn what_was_written_is_there_after_a_restart_wherever_it_lies() {
    let mut bench = Bench::new();
    bench.create("t", 2, &[("segment.bytes", "20000")]);
    for tag in 0..300 {
        let to = partition("t", (tag % 2) as i32);
        bench.append(&to, records(4, tag).sized(100).build()).unwrap();
        if tag == 150 {
            bench.storage.maintain(Timestamp(START_MS)).unwrap();
        }
    }
    let expected: Vec<_> = (0..300).filter(|tag| tag % 2 == 1).collect();
    let tags = |bench: &Bench| -> Vec<u64> {
        bench
            .tags(&partition("t", 1), 0)
            .into_iter()
            .map(|(_, tag)| tag.unwrap())
            .collect()
    };
    assert_eq!(
        tags(&bench),
        expected,
        "from segments, the write-ahead log and memory"
    );
    let recovery = bench.crash();
    assert!(
        recovery.replayed_batches > 0 && recovery.replayed_batches < 300,
        "{recovery:?}"
    );
    assert_eq!(tags(&bench), expected, "after a power cut");
    bench.storage.seal().unwrap();
    assert_eq!(tags(&bench), expected, "all from segments");
    assert_eq!(bench.crash().replayed_batches, 0);
    assert_eq!(tags(&bench), expected);
    let read = bench
        .storage
        .read(&partition("t", 1), Offset(0), 10_000, Isolation::ReadUncommitted)
        .unwrap();
    let bytes: usize = read.batches.iter().map(Bytes::len).sum();
    assert!(
        (8_000..=10_000).contains(&bytes),
        "a read fills what was asked for: {bytes}"
    );
}

#[test]
fn files_of_the_write_ahead_log_are_used_again() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    for tag in 0..400 {
        bench
            .append(&partition("t", 0), records(1, tag).sized(1000).build())
            .unwrap();
        bench.storage.maintain(Timestamp(START_MS)).unwrap();
    }
    let files = bench.disk.files();
    let wal = files.iter().filter(|(path, _)| path.starts_with("wal/")).count();
    assert!(wal <= 3, "{files:?}");
    assert_eq!(bench.tags(&partition("t", 0), 0).len(), 400);
}

#[test]
fn a_batch_that_is_sent_again_is_answered_with_its_old_offset() {
    let mut bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let send = |sequence| records(2, 9).of(producer(5, 0), sequence).build();
    for round in 0..7 {
        assert_eq!(
            bench.append(&t, send(round * 2)).unwrap().base_offset,
            Offset(i64::from(round) * 2)
        );
    }
    for _ in 0..2 {
        let again = bench.append(&t, send(8)).unwrap();
        assert!(again.duplicate);
        assert_eq!(again.base_offset, Offset(8));
        bench.storage.seal().unwrap();
        bench.crash();
    }
    let error = bench.append(&t, send(2)).unwrap_err();
    let expected = ProducerError::OutOfOrderSequence {
        id: ProducerId(5),
        expected: 14,
        found: 2,
    };
    assert_eq!(
        error,
        AppendError::Producer(expected),
        "only the last five are remembered"
    );
    let gap = bench.append(&t, send(16)).unwrap_err();
    assert!(matches!(
        gap,
        AppendError::Producer(ProducerError::OutOfOrderSequence { expected: 14, .. })
    ));
    bench
        .append(&t, records(1, 1).of(producer(5, 1), 0).build())
        .unwrap();
    let stale = bench.append(&t, send(14)).unwrap_err();
    assert!(matches!(
        stale,
        AppendError::Producer(ProducerError::InvalidEpoch { .. })
    ));
    assert_eq!(bench.storage.offsets(&t).unwrap().high_watermark, Offset(15));
}

#[test]
fn a_duplicate_is_acknowledged_only_when_the_first_is_durable() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let batch = records(1, 1).of(producer(1, 0), 0).build();
    let first = bench
        .storage
        .append(&partition("t", 0), batch.clone(), AppendOrigin::Client)
        .unwrap();
    let again = bench
        .storage
        .append(&partition("t", 0), batch, AppendOrigin::Client)
        .unwrap();
    bench.disk.fail_syncs_after(Some(0));
    bench.storage.step();
    assert!(first.wait().is_err());
    assert!(again.wait().is_err());
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset() {
    let mut bench = Bench::new();
    bench.create("a", 1, &[]);
    bench.create("b", 1, &[]);
    let (a, b) = (partition("a", 0), partition("b", 0));
    bench.append(&a, records(2, 1).build()).unwrap();
    for to in [&a, &b] {
        bench
            .append(to, records(3, 2).of(producer(1, 0), 0).transactional().build())
            .unwrap();
    }
    bench
        .append(&a, records(1, 3).of(producer(2, 0), 0).transactional().build())
        .unwrap();
    let stable = |bench: &Bench, of| bench.storage.offsets(of).unwrap().last_stable;
    assert_eq!((stable(&bench, &a), stable(&bench, &b)), (Offset(2), Offset(0)));
    assert_eq!(read_all(&bench.storage, &a, 0, Isolation::ReadCommitted).len(), 1);
    bench.storage.seal().unwrap();
    bench.crash();
    assert_eq!(stable(&bench, &a), Offset(2));
    let open = bench.storage.open_transactions(&a).unwrap();
    assert_eq!(open, [(producer(1, 0), Offset(2)), (producer(2, 0), Offset(5))]);

    let group = AtomicGroup {
        markers: vec![
            marker("a", 2, 0, Outcome::Commit),
            marker("a", 1, 0, Outcome::Abort),
            marker("b", 1, 0, Outcome::Abort),
        ],
        puts: vec![(key("group/offset"), Some(Bytes::from_static(b"5")))],
    };
    let ticket = bench.storage.commit(group).unwrap();
    assert_eq!(bench.storage.get(&key("group/offset")), None, "not durable yet");
    bench.done(ticket).unwrap();
    for _ in 0..2 {
        assert_eq!((stable(&bench, &a), stable(&bench, &b)), (Offset(8), Offset(4)));
        assert_eq!(bench.storage.get(&key("group/offset")).unwrap(), "5");
        let read = bench
            .storage
            .read(&a, Offset(0), 1 << 20, Isolation::ReadCommitted)
            .unwrap();
        assert_eq!(read.aborted.len(), 1);
        assert_eq!(read.aborted[0].producer_id, ProducerId(1));
        assert_eq!(read.aborted[0].first_offset, Offset(2));
        let read = bench
            .storage
            .read(&a, Offset(5), 1, Isolation::ReadCommitted)
            .unwrap();
        assert_eq!(
            read.aborted.len(),
            1,
            "its marker comes later, but its records end before"
        );
        bench.crash();
    }
}

#[test]
fn a_marker_of_a_newer_epoch_fences_the_producer() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    bench
        .append(&t, records(1, 1).of(producer(1, 3), 0).transactional().build())
        .unwrap();
    let stale = AtomicGroup {
        markers: vec![marker("t", 1, 2, Outcome::Commit)],
        puts: Vec::new(),
    };
    assert!(bench.storage.commit(stale).is_err());
    let abort = AtomicGroup {
        markers: vec![marker("t", 1, 4, Outcome::Abort)],
        puts: Vec::new(),
    };
    let ticket = bench.storage.commit(abort).unwrap();
    bench.done(ticket).unwrap();
    let late = bench.append(&t, records(1, 2).of(producer(1, 3), 1).transactional().build());
    assert!(matches!(
        late,
        Err(AppendError::Producer(ProducerError::InvalidEpoch { .. }))
    ));
    assert_eq!(bench.storage.offsets(&t).unwrap().last_stable, Offset(2));
}

#[test]
fn refuses_batches_that_no_consumer_could_read() {
    let bench = Bench::new();
    bench.create("t", 1, &[("max.message.bytes", "500")]);
    let t = partition("t", 0);
    let good = records(2, 1).build();
    let flipped: Bytes = [&good[..70], &[good[70] ^ 1], &good[71..]].concat().into();
    assert!(matches!(
        bench.append(&t, flipped),
        Err(AppendError::Corrupt { .. })
    ));
    assert!(matches!(
        bench.append(&t, good.slice(..good.len() - 1)),
        Err(AppendError::Corrupt { .. })
    ));
    assert!(matches!(
        bench.append(&t, Bytes::new()),
        Err(AppendError::Corrupt { .. })
    ));
    let control = ControlRecord {
        outcome: Outcome::Commit,
        coordinator_epoch: 0,
    };
    let control = control.batch(producer(1, 0), Timestamp(START_MS));
    assert!(matches!(
        bench.append(&t, control),
        Err(AppendError::Invalid { .. })
    ));
    let large = records(1, 1).sized(600).build();
    assert!(matches!(
        bench.append(&t, large),
        Err(AppendError::TooLarge { max: 500, .. })
    ));
    let future = records(1, 1).at(START_MS + 4_000_000).build();
    assert!(matches!(
        bench.append(&t, future),
        Err(AppendError::InvalidTimestamps { .. })
    ));
    let nowhere = bench.append(&partition("t", 1), good.clone());
    assert!(matches!(nowhere, Err(AppendError::UnknownPartition(_))));
    assert_eq!(
        bench.append(&t, good).unwrap().base_offset,
        Offset(0),
        "nothing of it left a trace"
    );
}

#[test]
fn the_broker_stamps_records_if_the_topic_says_so() {
    let bench = Bench::new();
    bench.create("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let t = partition("t", 0);
    bench.clock.advance_ms(500);
    let appended = bench
        .append(&t, records(3, 1).at(5).compressed(Compression::Lz4).build())
        .unwrap();
    assert_eq!(appended.log_append_time, Some(Timestamp(START_MS + 500)));
    let batches = bench.read(&t, 0);
    assert!(
        batches[0]
            .records()
            .unwrap()
            .iter()
            .all(|r| r.timestamp == Timestamp(START_MS + 500))
    );
}

#[test]
fn a_timestamp_leads_to_the_record() {
    let mut bench = Bench::new();
    bench.create("t", 1, &[("segment.bytes", "8000")]);
    let t = partition("t", 0);
    assert_eq!(bench.storage.max_timestamp(&t).unwrap(), None);
    for round in 0..100_i64 {
        let batch = records(10, 1)
            .sized(40)
            .at(START_MS + round * 10)
            .compressed(Compression::Zstd);
        bench.append(&t, batch.build()).unwrap();
    }
    let check = |bench: &Bench| {
        for (time, offset) in [
            (0, 0),
            (START_MS, 0),
            (START_MS + 1, 1),
            (START_MS + 457, 457),
            (START_MS + 999, 999),
        ] {
            let found = bench.storage.offset_for_timestamp(&t, Timestamp(time)).unwrap();
            let time = time.max(START_MS);
            assert_eq!(found, Some((Offset(offset), Timestamp(time))));
        }
        assert_eq!(
            bench
                .storage
                .offset_for_timestamp(&t, Timestamp(START_MS + 1000))
                .unwrap(),
            None
        );
        let last = bench.storage.max_timestamp(&t).unwrap();
        assert_eq!(last, Some((Offset(999), Timestamp(START_MS + 999))));
    };
    check(&bench);
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    check(&bench);
    bench.storage.seal().unwrap();
    check(&bench);
    bench.crash();
    check(&bench);
    let ticket = bench.storage.delete_records(&t, Offset(455)).unwrap();
    bench.done(ticket).unwrap();
    let found = bench.storage.offset_for_timestamp(&t, Timestamp(0)).unwrap();
    assert_eq!(
        found,
        Some((Offset(455), Timestamp(START_MS + 455))),
        "not before the log start"
    );
}

#[test]
fn deleted_records_are_out_of_range_and_their_segments_go() {
    let mut bench = Bench::new();
    bench.create("t", 1, &[("segment.bytes", "4000")]);
    let t = partition("t", 0);
    for tag in 0..40 {
        bench.append(&t, records(1, tag).sized(1000).build()).unwrap();
    }
    bench.storage.seal().unwrap();
    let before = bench.storage.size_bytes(&t).unwrap();
    let ticket = bench.storage.delete_records(&t, Offset(30)).unwrap();
    assert_eq!(bench.done(ticket), Ok(Offset(30)));
    assert!(
        bench
            .storage
            .delete_records(&t, Offset(41))
            .is_err_and(|e| matches!(e, DeleteRecordsError::OffsetOutOfRange { .. }))
    );
    for _ in 0..2 {
        let gone = bench
            .storage
            .read(&t, Offset(29), 100, Isolation::ReadUncommitted);
        assert!(matches!(
            gone,
            Err(ReadError::OffsetOutOfRange {
                start: Offset(30),
                end: Offset(40),
                ..
            })
        ));
        assert_eq!(bench.tags(&t, 30).len(), 10);
        bench.crash();
    }
    bench.storage.maintain(Timestamp(START_MS)).unwrap();
    assert!(bench.storage.size_bytes(&t).unwrap() < before / 3);
    bench.crash();
    assert_eq!(bench.storage.offsets(&t).unwrap().log_start, Offset(30));
    assert_eq!(bench.tags(&t, 30).len(), 10);
}

#[test]
fn retention_removes_old_segments_by_age_and_by_size() {
    let mut bench = Bench::new();
    let defaults = [("segment.bytes", "4000"), ("retention.ms", "60000")];
    let defaults = defaults.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let ticket = bench.storage.set_topic_defaults(defaults.clone().into()).unwrap();
    bench.done(ticket).unwrap();
    bench.create("aged", 1, &[]);
    bench.create(
        "sized",
        1,
        &[
            ("segment.bytes", "4000"),
            ("retention.bytes", "10000"),
            ("retention.ms", "-1"),
        ],
    );
    bench.create("kept", 1, &[("segment.bytes", "4000"), ("retention.ms", "-1")]);
    for tag in 0..40_i64 {
        for topic in ["aged", "sized", "kept"] {
            let batch = records(1, tag as u64).sized(900).at(START_MS + tag * 1000);
            bench.append(&partition(topic, 0), batch.build()).unwrap();
        }
    }
    bench.storage.seal().unwrap();
    bench.storage.maintain(Timestamp(START_MS + 75_000)).unwrap();
    let starts = |bench: &Bench| -> Vec<i64> {
        let start = |topic| bench.storage.offsets(&partition(topic, 0)).unwrap().log_start.0;
        ["aged", "sized", "kept"].map(start).into()
    };
    let after = starts(&bench);
    assert!((9..=16).contains(&after[0]), "{after:?}");
    assert!((24..=32).contains(&after[1]), "{after:?}");
    assert_eq!(after[2], 0);
    let size = bench.storage.size_bytes(&partition("sized", 0)).unwrap();
    assert!(
        (10_000..14_000).contains(&size),
        "at least what is to be kept: {size}"
    );
    bench.crash();
    assert_eq!(starts(&bench), after);
    let ticket = bench.storage.set_topic_defaults(defaults.into()).unwrap();
    bench.done(ticket).unwrap();
    bench.storage.maintain(Timestamp(START_MS + 500_000)).unwrap();
    assert_eq!(
        bench.storage.offsets(&partition("aged", 0)).unwrap().log_start,
        Offset(40)
    );
    assert_eq!(
        bench
            .append(&partition("aged", 0), records(1, 0).at(START_MS).build())
            .unwrap()
            .base_offset
            .0,
        40
    );
    assert_eq!(bench.tags(&partition("aged", 0), 40), [(40, Some(0))]);
}

#[test]
fn topics_are_created_changed_and_deleted() {
    let mut bench = Bench::new();
    bench.create("t", 2, &[("retention.ms", "1000")]);
    let exists = bench.storage.create_topic(spec("t", 1, &[])).unwrap_err();
    assert_eq!(exists, TopicError::Exists { topic: name("t") });
    assert!(matches!(
        bench.storage.create_topic(spec("u", 0, &[])),
        Err(TopicError::InvalidPartitions { .. })
    ));
    let unknown = bench.storage.create_topic(spec("u", 1, &[("retention", "1")]));
    assert!(matches!(unknown, Err(TopicError::InvalidConfig(_))));
    let first = bench.storage.topic(&name("t")).unwrap();
    bench.append(&partition("t", 1), records(1, 1).build()).unwrap();

    let ticket = bench.storage.create_partitions(&name("t"), 4).unwrap();
    assert_eq!(bench.done(ticket).unwrap().partitions, 4);
    assert!(bench.storage.create_partitions(&name("t"), 4).is_err());
    let ticket = bench
        .storage
        .alter_topic_config(&name("t"), [("retention.ms".into(), "5".into())].into())
        .unwrap();
    bench.done(ticket).unwrap();
    bench.append(&partition("t", 3), records(1, 2).build()).unwrap();
    let default = |bytes: &str| [("max.message.bytes".to_owned(), bytes.to_owned())].into();
    let ticket = bench.storage.set_topic_defaults(default("1000")).unwrap();
    bench.done(ticket).unwrap();
    let topic = bench.storage.topic(&name("t")).unwrap();
    assert_eq!(
        (topic.config.max_message_bytes, topic.config.retention_ms),
        (1000, Some(5))
    );
    assert!(bench.storage.set_topic_defaults(default("many")).is_err());
    bench.crash();
    let topic = bench.storage.topic(&name("t")).unwrap();
    assert_eq!(
        topic.config.max_message_bytes, 1_048_588,
        "defaults are not stored"
    );
    assert_eq!(
        (topic.id, topic.partitions, topic.config.retention_ms),
        (first.id, 4, Some(5))
    );
    assert_eq!(bench.tags(&partition("t", 1), 0), [(0, Some(1))]);

    bench.storage.seal().unwrap();
    let watch = bench.storage.watch(&partition("t", 1)).unwrap();
    let ticket = bench.storage.delete_topic(&name("t")).unwrap();
    bench.done(ticket).unwrap();
    assert!(watch.has_changed().unwrap_or(true), "who waits looks again");
    assert!(bench.storage.topics().is_empty());
    assert!(matches!(
        bench.storage.offsets(&partition("t", 1)),
        Err(UnknownPartition { .. })
    ));
    bench.create("t", 1, &[]);
    assert_eq!(
        bench
            .append(&partition("t", 0), records(1, 3).build())
            .unwrap()
            .base_offset,
        Offset(0)
    );
    bench.crash();
    assert_ne!(bench.storage.topic(&name("t")).unwrap().id, first.id);
    bench.storage.seal().unwrap();
    assert_eq!(bench.tags(&partition("t", 0), 0), [(0, Some(3))]);
    let left = bench
        .disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.contains(&first.id.to_string()))
        .count();
    assert_eq!(left, 0, "its files are gone");
}

#[test]
fn keyed_state_is_durable_and_in_order() {
    let mut bench = Bench::new();
    for (k, v) in [("b/2", "x"), ("a/1", "y"), ("b/1", "z"), ("c", "w")] {
        let ticket = bench
            .storage
            .put(key(k), Some(Bytes::from_static(v.as_bytes())))
            .unwrap();
        bench.done(ticket).unwrap();
    }
    let ticket = bench.storage.put(key("c"), None).unwrap();
    bench.done(ticket).unwrap();
    for _ in 0..3 {
        let found = bench.storage.scan(b"b/");
        let keys: Vec<_> = found.iter().map(|(StateKey(k), v)| (&k[..], &v[..])).collect();
        assert_eq!(keys, [(&b"b/1"[..], &b"z"[..]), (&b"b/2"[..], &b"x"[..])]);
        assert_eq!(bench.storage.get(&key("c")), None);
        assert_eq!(bench.storage.scan(b"").len(), 3);
        bench.crash();
        bench.storage.seal().unwrap();
    }
}

#[test]
fn a_watcher_hears_of_every_move() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let mut watch = bench.storage.watch(&t).unwrap();
    assert_eq!(*watch.borrow_and_update(), Watermarks::default());
    bench
        .append(&t, records(2, 1).of(producer(1, 0), 0).transactional().build())
        .unwrap();
    assert!(watch.has_changed().unwrap());
    let seen = *watch.borrow_and_update();
    assert_eq!((seen.last_stable, seen.high_watermark), (Offset(0), Offset(2)));
    let commit = AtomicGroup {
        markers: vec![marker("t", 1, 0, Outcome::Commit)],
        puts: Vec::new(),
    };
    let ticket = bench.storage.commit(commit).unwrap();
    bench.done(ticket).unwrap();
    assert_eq!(watch.borrow_and_update().last_stable, Offset(3));
}

#[test]
fn one_waiter_hears_of_many_partitions_and_misses_nothing() {
    let bench = Bench::new();
    bench.create("t", 3, &[]);
    let all = [0, 1, 2, 9].map(|index| partition("t", index));
    let changes = bench.storage.changes(&all);
    let hears = |changes: &Changes| {
        let mut context = Context::from_waker(Waker::noop());
        pin!(changes.changed()).poll(&mut context).is_ready()
    };
    assert!(!hears(&changes));
    bench.append(&all[1], records(1, 1).build()).unwrap();
    bench.append(&all[2], records(1, 1).build()).unwrap();
    assert!(hears(&changes), "what happened before the wait");
    assert!(!hears(&changes), "once");
    let other = bench.storage.changes(&all[..1]);
    let ticket = bench.storage.delete_topic(&name("t")).unwrap();
    bench.done(ticket).unwrap();
    assert!(hears(&changes) && hears(&other), "of a deletion too");
}

#[test]
fn a_read_from_memory_ends_where_the_disk_would_be_needed() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let from_memory = |from| {
        let read = bench
            .storage
            .read_from_memory(&t, Offset(from), 1 << 20, Isolation::ReadUncommitted)
            .unwrap();
        read.map(|read| read.batches.len())
    };
    bench.append(&t, records(2, 1).build()).unwrap();
    bench.append(&t, records(2, 1).build()).unwrap();
    assert_eq!((from_memory(0), from_memory(2)), (Some(2), Some(1)));
    bench.storage.seal().unwrap();
    bench.append(&t, records(2, 1).build()).unwrap();
    assert_eq!(from_memory(0), None, "it is in a segment");
    assert_eq!((from_memory(4), from_memory(6)), (Some(1), Some(0)));
}

#[test]
fn a_stranger_may_not_claim_a_transaction_of_nobody_or_a_marker() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let nobody = bench
        .append(&t, records(1, 1).transactional().build())
        .unwrap_err();
    assert!(matches!(nobody, AppendError::Invalid { .. }), "{nobody}");
    let marker = ControlRecord {
        outcome: Outcome::Commit,
        coordinator_epoch: 0,
    };
    let marker = bench
        .append(&t, marker.batch(producer(1, 0), Timestamp(START_MS)))
        .unwrap_err();
    assert!(matches!(marker, AppendError::Invalid { .. }), "{marker}");
    assert_eq!(bench.storage.offsets(&t).unwrap().high_watermark, Offset(0));
}

#[test]
fn says_what_it_counted_and_who_produced() {
    let mut bench = Bench::new();
    bench.create("t", 2, &[]);
    let t = partition("t", 0);
    let sent = records(3, 1).of(producer(7, 2), 0).transactional();
    bench.append(&t, sent.build()).unwrap();
    bench.append(&t, sent.build()).unwrap();
    let described = bench.storage.describe_producers(&t).unwrap();
    assert_eq!(described.len(), 1);
    assert_eq!(described[0].producer, producer(7, 2));
    assert_eq!(
        (described[0].last_sequence, described[0].coordinator_epoch),
        (2, -1)
    );
    assert_eq!(described[0].last_timestamp, Timestamp(START_MS + 2));
    assert_eq!(described[0].transaction_start, Some(Offset(0)));
    let group = AtomicGroup {
        markers: vec![Marker {
            coordinator_epoch: 4,
            ..marker("t", 7, 3, Outcome::Commit)
        }],
        puts: Vec::new(),
    };
    bench.done(bench.storage.commit(group).unwrap()).unwrap();
    let stats = bench.storage.stats();
    assert_eq!((stats.appended_batches, stats.appended_records), (1, 3));
    assert_eq!(stats.duplicate_batches, 1);
    assert_eq!((stats.topics, stats.partitions, stats.segments), (1, 2, 0));
    assert_eq!(stats.unsealed_bytes, bench.storage.size_bytes(&t).unwrap());
    assert!(stats.syncs.count >= 3 && stats.written_bytes > stats.appended_bytes);
    bench.storage.seal().unwrap();
    bench.crash();
    let described = bench.storage.describe_producers(&t).unwrap();
    assert_eq!(described[0].producer, producer(7, 3));
    assert_eq!(
        (described[0].last_sequence, described[0].coordinator_epoch),
        (-1, 4)
    );
    assert_eq!(described[0].transaction_start, None);
    let stats = bench.storage.stats();
    assert_eq!((stats.segments, stats.unsealed_bytes), (1, 0));
    assert_eq!(stats.segment_bytes, bench.storage.size_bytes(&t).unwrap());
    assert_eq!(bench.storage.end_offset_for_epoch(&t, 0), Ok(Some(Offset(4))));
    assert_eq!(bench.storage.end_offset_for_epoch(&t, 1), Ok(None));
}

#[test]
fn a_reader_at_the_tail_costs_no_disk_read() {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    let t = partition("t", 0);
    let mut bytes = 0;
    for tag in 0..5 {
        bench.append(&t, records(2, tag).build()).unwrap();
        let before = bench.disk.operations();
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let from = Offset(tag as i64 * 2);
            let read = bench.storage.read(&t, from, 1 << 20, isolation).unwrap();
            assert_eq!(read.batches.len(), 1);
            bytes += read.batches[0].len() as u64;
            let end = bench.storage.read(&t, from + 2, 1 << 20, isolation).unwrap();
            assert_eq!(end.batches.len(), 0);
        }
        assert_eq!(bench.disk.operations(), before, "the disk was not asked");
    }
    let stats = bench.storage.stats();
    assert_eq!(stats.read_from_memory_bytes, bytes);
    assert_eq!((stats.read_from_wal_bytes, stats.read_from_segment_bytes), (0, 0));
}

#[test]
fn limits_on_time_are_those_of_each_record_and_the_header_is_put_right() {
    let bench = Bench::new();
    let set = [
        ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "500"),
    ];
    bench.create("t", 1, &set);
    let t = partition("t", 0);
    let send = |deltas: &[i64]| {
        let mut builder = millstream_protocol::batch::BatchBuilder::new(Compression::None);
        for delta in deltas {
            let time = if *delta == i64::MIN { -1 } else { START_MS + delta };
            builder.push_parts(Timestamp(time), None, None, &[]);
        }
        bench.append(&t, builder.build().unwrap())
    };
    assert!(send(&[0, -1000, 500]).is_ok());
    assert!(send(&[i64::MIN, 0]).is_ok(), "no time is any time");
    for wrong in [&[0, -1001, 0][..], &[0, 501], &[501, 0]] {
        let refused = send(wrong).unwrap_err();
        assert!(
            matches!(refused, AppendError::InvalidTimestamps { .. }),
            "{wrong:?}: {refused}"
        );
    }
    // a header that lies about the newest record would mislead whoever looks for a time
    let mut lying = records(3, 1).build().to_vec();
    lying[35..43].copy_from_slice(&(START_MS - 77).to_be_bytes());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &lying[21..]) as u32;
    lying[17..21].copy_from_slice(&crc.to_be_bytes());
    let at = bench.append(&t, lying.into()).unwrap().base_offset;
    let batch = bench.read(&t, at.0).remove(0);
    assert_eq!(batch.header().max_timestamp, Timestamp(START_MS + 2));
    assert_eq!(batch.records().unwrap().len(), 3);
}
