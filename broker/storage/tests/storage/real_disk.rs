//! The engine with its threads on the machine's own disk.

use std::{sync::Arc, time::Duration};

use millstream_broker_storage::{
    AppendOrigin, Durability, Isolation, OpenError, RealDisk, Storage, StorageConfig, sim::SimDisk,
};
use millstream_types::{Offset, SystemClock};

use crate::kit::{partition, read_all, records, spec};

fn config() -> StorageConfig {
    StorageConfig {
        wal_file_bytes: 256 << 10,
        ring_bytes: 64 << 10,
        ..StorageConfig::default()
    }
}

fn open(dir: &std::path::Path, config: StorageConfig) -> Result<Storage, OpenError> {
    Storage::open(Arc::new(RealDisk::new(dir)), Arc::new(SystemClock), config).map(|(storage, _)| storage)
}

#[test]
fn many_threads_append_and_every_record_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path(), config()).unwrap();
    storage
        .create_topic(spec("t", 4, &[("segment.bytes", "300000")]))
        .unwrap()
        .wait()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let storage = storage.clone();
            scope.spawn(move || {
                let mut last = None;
                for i in 0..200 {
                    let to = partition("t", (i % 4) as i32);
                    let batch = records(1, thread * 1000 + i).at(0).sized(1000).build();
                    last = Some(storage.append(&to, batch, AppendOrigin::Client).unwrap());
                }
                last.unwrap().wait().unwrap();
            });
        }
    });
    let check = |storage: &Storage| {
        let mut tags = Vec::new();
        for index in 0..4 {
            let batches = read_all(storage, &partition("t", index), 0, Isolation::ReadUncommitted);
            assert_eq!(batches.len(), 200);
            tags.extend(batches.iter().filter_map(crate::kit::tag));
        }
        tags.sort_unstable();
        let expected: Vec<u64> = (0..4)
            .flat_map(|thread| (0..200).map(move |i| thread * 1000 + i))
            .collect();
        assert_eq!(tags, expected);
    };
    check(&storage);
    drop(storage);
    let storage = open(dir.path(), config()).unwrap();
    check(&storage);
    storage.seal().unwrap();
    check(&storage);
}

#[test]
fn a_second_engine_on_the_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), config()).unwrap();
    match open(dir.path(), config()) {
        Err(OpenError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    open(dir.path(), config()).unwrap();
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(file.path(), config()).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains(&file.path().display().to_string()));
}

#[tokio::test]
async fn tickets_and_watermarks_can_be_awaited() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(
        dir.path(),
        StorageConfig {
            durability: Durability::Os,
            ..config()
        },
    )
    .unwrap();
    storage.create_topic(spec("t", 1, &[])).unwrap().await.unwrap();
    let t = partition("t", 0);
    let mut watch = storage.watch(&t).unwrap();
    storage.room().await;
    let ticket = storage
        .append(&t, records(2, 1).at(0).build(), AppendOrigin::Internal)
        .unwrap();
    let moved = watch.wait_for(|now| now.high_watermark == Offset(2));
    tokio::time::timeout(Duration::from_secs(20), moved)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ticket.await.unwrap().base_offset, Offset(0));
    tokio::task::spawn_blocking(move || drop(storage)).await.unwrap();
}

#[test]
fn what_crashes_left_unsealed_does_not_hold_up_writers() {
    const DEADLINE: Duration = Duration::from_secs(30);
    let (tell, done) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let disk = SimDisk::new(5);
        let config = StorageConfig {
            // only what a start does by itself can help
            maintain_every_ms: 3_600_000,
            ..config()
        };
        for life in 0..20 {
            let opened = Storage::open(Arc::new(disk.clone()), Arc::new(SystemClock), config.clone());
            let (storage, _) = opened.unwrap();
            if life == 0 {
                storage.create_topic(spec("t", 1, &[])).unwrap().wait().unwrap();
            }
            let batch = records(1, life).build();
            let appended = storage.append(&partition("t", 0), batch, AppendOrigin::Client);
            assert_eq!(appended.unwrap().wait().unwrap().base_offset, Offset(life as i64));
            disk.kill();
        }
        tell.send(()).unwrap();
    });
    done.recv_timeout(DEADLINE)
        .expect("every life accepts a write at once");
}
