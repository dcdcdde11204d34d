//! Verification says what is wrong and where, and nothing about what is right.

use std::sync::Arc;

use millstream_broker_storage::{Disk, OpenError, Severity, Verification, verify};
use millstream_types::Timestamp;

use crate::kit::{Bench, START_MS, partition, records};

/// Sealed segments with indexes, and frames that are not sealed; closed by a crash.
fn directory() -> Bench {
    let bench = Bench::new();
    bench.create("t", 2, &[("segment.bytes", "20000")]);
    for tag in 0..300 {
        let to = partition("t", (tag % 2) as i32);
        bench.append(&to, records(4, tag).sized(100).build()).unwrap();
        if tag == 250 {
            bench.storage.maintain(Timestamp(START_MS)).unwrap();
        }
    }
    bench.disk.kill();
    bench
}

fn check(bench: &Bench) -> Verification {
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    verify(&disk).unwrap()
}

fn files(bench: &Bench, end: &str) -> Vec<(String, usize)> {
    let files = bench.disk.files().into_iter();
    let files = files.filter(|(path, _)| path.ends_with(end));
    files.map(|(path, len)| (path, len as usize)).collect()
}

#[test]
fn a_sound_directory_has_notes_at_the_most() {
    let bench = directory();
    let before = bench.disk.files();
    let found = check(&bench);
    assert!(found.is_sound(), "{:#?}", found.findings);
    assert_eq!((found.topics, found.partitions), (1, 2));
    assert_eq!(found.batches, 300);
    assert_eq!(found.records, 1200);
    assert!(
        found.segments >= 4 && found.indexes >= 2 && found.wal_frames > 0,
        "{found:?}"
    );
    assert_eq!(bench.disk.files(), before, "nothing was changed");
    assert_eq!(check(&bench), found);
}

#[test]
fn every_flipped_byte_of_a_segment_is_found_where_it_lies() {
    let bench = directory();
    let (path, len) = files(&bench, ".log").remove(0);
    for position in (0..len).step_by(211) {
        // the leader epoch is outside of the checksum, and of no use on one node
        if (12..16).contains(&(position % 500)) {
            continue;
        }
        assert!(bench.disk.flip(&path, position));
        let found = check(&bench);
        let damage: Vec<_> = found
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Damage)
            .collect();
        assert!(!damage.is_empty(), "flipped at {position}");
        assert!(damage[0].file.to_string_lossy().ends_with(&path), "{damage:?}");
        assert!(damage[0].position <= position as u64, "{damage:?}");
        assert_eq!(damage[0].partition.as_deref(), Some("t-0"));
        assert!(bench.disk.flip(&path, position), "back");
    }
    assert!(check(&bench).is_sound());
}

#[test]
fn a_damaged_index_is_a_note_and_damage_of_acknowledged_frames_is_not() {
    let bench = directory();
    let (index, len) = files(&bench, ".index").remove(0);
    assert!(bench.disk.flip(&index, len / 2));
    let found = check(&bench);
    assert!(found.is_sound());
    let noted = found
        .findings
        .iter()
        .any(|f| f.file.to_string_lossy().ends_with(&index));
    assert!(noted, "{:?}", found.findings);
    let torn: Vec<_> = found
        .findings
        .iter()
        .filter(|f| f.reason.contains("without an end frame"))
        .collect();
    assert_eq!(torn.len(), 1, "{:?}", found.findings);
    assert!(bench.disk.flip("checkpoint", 40));
    let found = check(&bench);
    assert!(!found.is_sound());
    assert!(found.findings[0].file.to_string_lossy().ends_with("checkpoint"));
    assert!(found.wal_frames > 0, "the rest is read all the same");
}

#[test]
fn what_is_in_use_or_no_data_directory_is_refused() {
    let mut bench = directory();
    bench.reopen().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let refused = verify(&disk).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    let empty: Arc<dyn Disk> = Arc::new(millstream_broker_storage::sim::SimDisk::new(3));
    let refused = verify(&empty).unwrap_err();
    assert!(matches!(refused, OpenError::NoDataDirectory { .. }), "{refused}");
}
