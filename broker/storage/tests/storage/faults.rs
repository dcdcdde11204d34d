//! What the engine does when the disk fails it.

use std::sync::Arc;

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, AppendOrigin, Disk, Isolation, OpenError, ReadError, Severity, StateKey, WriteError, verify,
};
use millstream_types::{Offset, Timestamp};

use crate::kit::{Bench, START_MS, open, partition, records};

/// The file of the write-ahead log that is in use, in a bench that never sealed.
fn newest_wal(bench: &Bench) -> String {
    let mut files: Vec<_> = bench.disk.files().into_iter().map(|(path, _)| path).collect();
    files.retain(|path| path.starts_with("wal/"));
    files.sort();
    files.pop().unwrap()
}

fn filled(batches: u64) -> Bench {
    let bench = Bench::new();
    bench.create("t", 1, &[]);
    for tag in 0..batches {
        bench
            .append(&partition("t", 0), records(1, tag).sized(200).build())
            .unwrap();
    }
    bench
}

/// The same, and all batches in one write.
fn filled_at_once(batches: u64) -> Bench {
    let bench = filled(0);
    for tag in 0..batches {
        let batch = records(1, tag).sized(200).build();
        let queued = bench
            .storage
            .append(&partition("t", 0), batch, AppendOrigin::Client);
        drop(queued.unwrap());
    }
    bench.storage.step();
    bench
}

fn used(mut bench: Bench) -> usize {
    usize::try_from(bench.reopen().unwrap().replayed_bytes).unwrap()
}

/// Whatever a power cut leaves of the last write.
#[test]
fn a_damaged_tail_leaves_a_prefix_at_every_byte() {
    for position in (used(filled(0))..used(filled_at_once(10))).step_by(37) {
        for garbage in [&[0u8; 8][..], &[0xff; 8]] {
            let mut bench = filled_at_once(10);
            let wal = newest_wal(&bench);
            assert!(bench.disk.overwrite(&wal, position, garbage));
            assert!(bench.reopen().unwrap().torn_tail);
            let left = bench.tags(&partition("t", 0), 0);
            let whole: Vec<_> = (0..left.len() as i64).map(|i| (i, Some(i as u64))).collect();
            assert_eq!(left, whole, "damage at {position}");
            let next = bench.append(&partition("t", 0), records(1, 99).build()).unwrap();
            assert_eq!(next.base_offset, Offset(left.len() as i64));
            bench.reopen().unwrap();
            assert_eq!(
                bench.tags(&partition("t", 0), 0).len(),
                left.len() + 1,
                "nothing of the old tail comes back"
            );
            bench.storage.seal().unwrap();
            assert_eq!(bench.tags(&partition("t", 0), 0).len(), left.len() + 1);
        }
    }
}

/// What was acknowledged before the last write is not dropped for a flipped bit, in the frame or in the file's header.
#[test]
fn damage_before_the_last_write_is_refused_and_verification_says_so() {
    let mut bench = filled(10);
    let wal = newest_wal(&bench);
    bench.disk.kill();
    let before = bench.disk.files();
    for position in (0..used(filled(9))).step_by(13) {
        assert!(bench.disk.flip(&wal, position));
        let refused = bench.reopen().unwrap_err();
        assert!(
            matches!(&refused, OpenError::Corrupt { file, .. } if file.ends_with(&wal)),
            "flipped at {position}: {refused}"
        );
        let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
        let found = verify(&disk).unwrap();
        let damage: Vec<_> = found
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Damage)
            .collect();
        assert_eq!(damage.len(), 1, "flipped at {position}: {:?}", found.findings);
        assert!(damage[0].file.ends_with(&wal) && damage[0].position <= position as u64);
        assert!(bench.disk.flip(&wal, position), "back");
        assert_eq!(bench.disk.files(), before, "nothing was changed");
    }
    bench.reopen().unwrap();
    assert_eq!(bench.tags(&partition("t", 0), 0).len(), 10);
}

/// The disk may have kept later frames of a write that was never acknowledged, and not the first.
#[test]
fn frames_of_the_same_write_behind_a_torn_one_are_no_damage() {
    let mut bench = filled_at_once(10);
    let wal = newest_wal(&bench);
    let first = used(filled(0));
    assert!(bench.disk.overwrite(&wal, first + 100, &[0xff; 8]));
    assert!(bench.reopen().unwrap().torn_tail);
    assert_eq!(bench.tags(&partition("t", 0), 0), []);
}

#[test]
fn damage_before_the_newest_file_is_refused() {
    let mut bench = filled(120);
    let names: Vec<_> = bench.disk.files().into_iter().map(|(path, _)| path).collect();
    assert!(names.contains(&"wal/1.wal".into()), "{names:?}");
    assert!(bench.disk.flip("wal/0.wal", 5_000));
    match bench.reopen() {
        Err(OpenError::Corrupt { file, reason }) => {
            assert!(file.ends_with("wal/0.wal"), "{file:?}");
            assert!(reason.contains("a later file goes on"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let mut bench = filled(10);
    bench.storage.seal().unwrap();
    assert!(bench.disk.flip("checkpoint", 40));
    assert!(matches!(bench.reopen(), Err(OpenError::Corrupt { file, .. }) if file.ends_with("checkpoint")));
}

#[test]
fn a_rotten_segment_takes_only_its_partition_offline() {
    let bench = Bench::new();
    bench.create("good", 1, &[]);
    bench.create("bad", 1, &[]);
    for tag in 0..50 {
        for topic in ["good", "bad"] {
            bench
                .append(&partition(topic, 0), records(2, tag).sized(300).build())
                .unwrap();
        }
    }
    bench.storage.seal().unwrap();
    let id = bench.storage.topics()[0].id.to_string();
    let bad = bench
        .disk
        .files()
        .into_iter()
        .find(|(path, _)| path.contains(&id))
        .unwrap()
        .0;
    assert!(bench.disk.flip(&bad, 10_000));
    let (bad, good) = (partition("bad", 0), partition("good", 0));
    let mut next = Offset(0);
    let error = loop {
        match bench.storage.read(&bad, next, 3_000, Isolation::ReadUncommitted) {
            Ok(read) => next = next + 2 * read.batches.len() as i64,
            Err(error) => break error,
        }
        assert!(next < Offset(100), "the damage was served");
    };
    match error {
        ReadError::Offline(offline) => {
            assert!(offline.reason.contains(".log is corrupt at byte"), "{offline}")
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        bench.append(&bad, records(1, 1).build()),
        Err(AppendError::Offline(_))
    ));
    assert_eq!(bench.tags(&good, 0).len(), 50);
    bench.append(&good, records(1, 1).build()).unwrap();
}

#[test]
fn a_damaged_index_is_built_again() {
    let mut bench = Bench::new();
    bench.create("t", 1, &[("segment.bytes", "20000")]);
    for tag in 0..100 {
        bench
            .append(&partition("t", 0), records(1, tag).sized(500).build())
            .unwrap();
    }
    bench.storage.seal().unwrap();
    let indexes: Vec<_> = bench
        .disk
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.ends_with(".index"))
        .collect();
    assert!(!indexes.is_empty());
    for index in &indexes {
        assert!(bench.disk.flip(index, 40));
    }
    bench.reopen().unwrap();
    for offset in [99, 3, 50] {
        assert_eq!(bench.tags(&partition("t", 0), offset).len() as i64, 100 - offset);
    }
}

#[test]
fn nothing_is_acknowledged_after_a_failed_fsync() {
    let mut bench = filled(5);
    let t = partition("t", 0);
    bench.disk.fail_syncs_after(Some(0));
    let lost = bench
        .storage
        .append(&t, records(1, 5).build(), AppendOrigin::Client)
        .unwrap();
    let lost = bench.done(lost).unwrap_err();
    assert!(
        matches!(&lost, WriteError::Failed { reason } if reason.contains("write-ahead log")),
        "{lost}"
    );
    bench.disk.fail_syncs_after(None);
    let after = bench
        .storage
        .append(&t, records(1, 6).build(), AppendOrigin::Client);
    assert!(matches!(
        after,
        Err(AppendError::Write(WriteError::Failed { .. }))
    ));
    assert!(
        bench
            .storage
            .put(StateKey(Bytes::from_static(b"k")), None)
            .is_err()
    );
    assert!(bench.storage.refusal().is_some());
    assert_eq!(bench.tags(&t, 0).len(), 5, "what is durable can be read");
    bench.crash();
    let left = bench.tags(&t, 0).len() as i64;
    assert!((5..=6).contains(&left));
    assert_eq!(
        bench.append(&t, records(1, 7).build()).unwrap().base_offset,
        Offset(left)
    );
}

#[test]
fn a_failed_write_is_as_bad_as_a_failed_fsync() {
    let mut bench = filled(5);
    bench.disk.fail_writes_after(Some(0));
    let lost = bench.append(&partition("t", 0), records(1, 5).build());
    assert!(matches!(lost, Err(AppendError::Write(WriteError::Failed { .. }))));
    bench.disk.fail_writes_after(None);
    assert!(bench.append(&partition("t", 0), records(1, 5).build()).is_err());
    bench.crash();
    assert_eq!(bench.tags(&partition("t", 0), 0).len(), 5);
}

#[test]
fn a_full_disk_is_an_error_until_there_is_space() {
    let mut bench = filled(5);
    let t = partition("t", 0);
    bench.disk.set_capacity(Some(bench.disk.used() + 100));
    let mut accepted = 5;
    let error = loop {
        match bench.append(&t, records(1, accepted).sized(700).build()) {
            Ok(appended) => {
                assert_eq!(appended.base_offset, Offset(accepted as i64));
                accepted += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, AppendError::Write(WriteError::DiskFull { .. })),
        "{error}"
    );
    assert!(bench.append(&t, records(1, 0).sized(700).build()).is_err());
    assert_eq!(
        bench.tags(&t, 0).len() as u64,
        accepted,
        "all that was acknowledged can be read"
    );
    assert!(bench.storage.seal().is_err(), "sealing needs space too");
    bench.crash();
    assert_eq!(bench.tags(&t, 0).len() as u64, accepted);
    assert!(bench.append(&t, records(1, 0).build()).is_err());
    bench.disk.set_capacity(None);
    assert_eq!(
        bench.append(&t, records(1, 0).build()).unwrap().base_offset,
        Offset(accepted as i64)
    );
    bench.storage.seal().unwrap();
    bench.crash();
    assert_eq!(bench.tags(&t, 0).len() as u64, accepted + 1);
}

#[test]
fn sealing_that_fails_is_done_again() {
    for operation in 0..12 {
        let mut bench = filled(100);
        bench.disk.fail_syncs_after(Some(operation));
        let _ = bench.storage.maintain(Timestamp(START_MS));
        bench.disk.fail_syncs_after(None);
        assert_eq!(bench.tags(&partition("t", 0), 0).len(), 100);
        bench.storage.maintain(Timestamp(START_MS)).unwrap();
        assert_eq!(bench.tags(&partition("t", 0), 0).len(), 100);
        bench.crash();
        assert_eq!(bench.tags(&partition("t", 0), 0).len(), 100);
    }
}

#[test]
fn sealing_that_fails_twice_leaves_what_either_checkpoint_names() {
    for operation in 0..12 {
        for seed in 0..4 {
            let mut bench = filled(100);
            bench.disk.reseed(seed);
            bench.disk.fail_syncs_after(Some(operation));
            let _ = bench.storage.maintain(Timestamp(START_MS));
            bench.disk.fail_syncs_after(Some(0));
            let _ = bench.storage.maintain(Timestamp(START_MS));
            bench.disk.fail_syncs_after(None);
            bench.crash();
            assert_eq!(bench.tags(&partition("t", 0), 0).len(), 100, "sync {operation}");
        }
    }
}

#[test]
fn what_a_restart_found_survives_a_power_cut() {
    for batches in 5..40 {
        let mut bench = filled(batches);
        bench.disk.fail_syncs_after(Some(0));
        assert!(
            bench
                .append(&partition("t", 0), records(1, batches).sized(200).build())
                .is_err()
        );
        bench.disk.fail_syncs_after(None);
        // the process restarts, the machine does not: the page cache still has what the disk never got
        bench.reopen().unwrap();
        let found = bench.tags(&partition("t", 0), 0);
        bench.append(&partition("t", 0), records(1, 99).build()).unwrap();
        bench.crash();
        let left = bench.tags(&partition("t", 0), 0);
        assert_eq!(left[..found.len()], found);
        assert_eq!(left.len(), found.len() + 1);
    }
}

#[test]
fn a_directory_in_use_is_refused_and_free_after_close() {
    let bench = filled(1);
    let again = open(&bench.disk, &bench.clock, &bench.config).unwrap_err();
    assert!(matches!(again, OpenError::Locked { pid: Some(_), .. }), "{again}");
    assert!(again.to_string().contains("in use by process"), "{again}");
    bench.storage.close();
    let refused = bench
        .storage
        .append(&partition("t", 0), records(1, 1).build(), AppendOrigin::Client);
    assert!(matches!(refused, Err(AppendError::Write(WriteError::Closed))));
    let (storage, _) = open(&bench.disk, &bench.clock, &bench.config).unwrap();
    assert_eq!(
        storage.offsets(&partition("t", 0)).unwrap().high_watermark,
        Offset(1)
    );
}

#[test]
fn a_newer_format_is_refused() {
    let mut bench = filled(1);
    assert!(bench.disk.overwrite("format", "millstream-storage ".len(), b"7"));
    let error = bench.reopen().unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::NewerFormat {
                found: 7,
                supported: 3,
                ..
            }
        ),
        "{error}"
    );
    assert!(bench.disk.overwrite("format", 0, b"x"));
    assert!(matches!(bench.reopen(), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_full_disk_at_the_start_is_said() {
    let disk = millstream_broker_storage::sim::SimDisk::new(3);
    disk.set_capacity(Some(5));
    let bench = Bench::new();
    assert!(matches!(
        open(&disk, &bench.clock, &bench.config),
        Err(OpenError::Full { .. })
    ));
}
