//! Files that are not as they were left.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use millstream_protocol::batch::split;
use millstream_tests_kit::{TempDir, batch_of};
use rand::{Rng, RngCore, rngs::SmallRng};

use crate::{
    broker::Broker,
    load::Load,
    machine::{python, rounds, seeded, until},
};

#[derive(Clone, Copy, Debug)]
enum Damage {
    Torn,
    Garbage,
    Flipped,
}

#[test]
fn a_destroyed_tail_leaves_a_prefix() {
    let Some(python) = python() else { return };
    let mut random = seeded("tail");
    for round in rounds(3) {
        let damage = [Damage::Torn, Damage::Garbage, Damage::Flipped][round % 3];
        let dir = TempDir::with_prefix("millstream-faults-").unwrap();
        let mut broker = Broker::start(dir.path());
        let mut load = Load::start(&python, &broker, 2, 4_000);
        load.run_for(Duration::from_millis(500));
        load.stop();
        broker.kill();
        let file = newest_log(dir.path());
        let bytes = fs::read(&file).unwrap();
        apply(damage, &file, &mut random);
        if !broker.try_restart() {
            // A later write lay behind the flipped bit: nothing of it is dropped without a word.
            assert!(matches!(damage, Damage::Flipped), "{damage:?}: {}", broker.said());
            assert!(broker.said().contains("is damaged"), "{}", broker.said());
            fs::write(&file, bytes).unwrap();
            broker.restart();
        }
        let counts = load.check(&broker);
        println!("{damage:?}: {counts}");
        assert!(counts["read"].as_u64() > Some(0), "{counts}");
        for (partition, end) in (0..).zip(load.high_watermarks(&broker)) {
            assert_eq!(
                broker.client().produce("load", partition, batch_of(10, b'x')),
                (0, end)
            );
        }
    }
}

/// The file of the write-ahead log that was written last.
fn newest_log(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap())
        .unwrap()
}

/// Destroys something of the last frames, within the last 2,000 bytes.
fn apply(damage: Damage, path: &Path, random: &mut SmallRng) {
    let bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let at = end - random.random_range(0..2_000);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    match damage {
        Damage::Torn => file.set_len(at as u64).unwrap(),
        Damage::Garbage => {
            let mut garbage = vec![0; end - at + 600];
            random.fill_bytes(&mut garbage);
            file.write_all_at(&garbage, at as u64).unwrap();
        }
        Damage::Flipped => {
            let bit = 1 << random.random_range(0..8);
            file.write_all_at(&[bytes[at] ^ bit], at as u64).unwrap();
        }
    }
}

#[test]
fn bit_rot_in_a_cold_segment_is_reported_and_never_served() {
    const RECORDS: i64 = 200;
    let mut random = seeded("rot");
    let dir = TempDir::with_prefix("millstream-faults-").unwrap();
    let mut broker = Broker::start(dir.path());
    let mut client = broker.client();
    client.create_topics(&["t".into(), "sound".into()], 1);
    for offset in 0..RECORDS {
        assert_eq!(client.produce("t", 0, batch_of(10_000, b'a')), (0, offset));
    }
    assert_eq!(client.produce("sound", 0, batch_of(100, b'b')), (0, 0));
    // what a crash left unsealed becomes segments at the start
    broker.kill();
    broker.restart();
    let mut segment = None;
    until("the log is sealed", Duration::from_secs(30), || {
        segment = largest_segment(&dir.path().join("topics"));
        segment.is_some()
    });
    let segment = segment.unwrap();
    let (status, _) = broker.terminate(Duration::from_secs(30));
    assert!(status.success());

    let bytes = fs::read(&segment).unwrap();
    let at = random.random_range(bytes.len() / 4..bytes.len() * 3 / 4);
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    broker.restart();
    let mut client = broker.client();
    let mut next = 0;
    let error = loop {
        let (error, batches) = client.fetch("t", 0, next);
        if error != 0 {
            break error;
        }
        for batch in split(batches) {
            let batch = batch.expect("what is served is whole");
            batch.validate_records().unwrap();
            next = batch.next_offset().0;
        }
        assert!(next < RECORDS, "rot at {at} of {} was not noticed", bytes.len());
    };
    println!(
        "rot at byte {at}: error {error} after offset {next}; {}",
        broker.said()
    );
    assert!(broker.said().contains("t-0"), "it is reported: {}", broker.said());
    assert_eq!(client.fetch("sound", 0, 0).0, 0, "other partitions go on");
    broker.assert_alive();
}

/// The largest segment under a folder, if there is one of some size.
fn largest_segment(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()? {
            let path = entry.ok()?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "log") {
                found.push((fs::metadata(&path).ok()?.len(), path));
            }
        }
    }
    let (bytes, path) = found.into_iter().max()?;
    (bytes > 1_000_000).then_some(path)
}
