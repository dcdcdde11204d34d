//! Data directories as the storage itself leaves them at several moments.

use std::sync::Arc;

use bytes::Bytes;
use millstream_broker_storage::{
    AppendOrigin, AtomicGroup, Disk, Marker, Mode, NewTopicSpec, Outcome, StateKey, Storage, sim::SimDisk,
};
use millstream_protocol::batch::{BatchBuilder, Compression};
use millstream_types::{
    Clock, ManualClock, Offset, Producer, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition,
};

use super::{File, START_MS, open, seal};
use crate::batch::samples;

pub fn seeds() -> Vec<Vec<u8>> {
    images()
        .iter()
        .map(|files| {
            let mut seed = vec![0];
            files.iter().for_each(|file| file.write(&mut seed));
            seed
        })
        .collect()
}

/// All files, in the life of a directory.
pub(super) fn images() -> Vec<Vec<File>> {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::at(Timestamp(START_MS)));
    let storage = open(&disk, &clock, 7).expect("an empty disk can be used");
    let mut images = vec![image(&disk)];
    create(&storage, "plain", &[("segment.ms", "1")]);
    create(
        &storage,
        "keyed",
        &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")],
    );
    images.push(image(&disk));
    append(&storage, &clock);
    images.push(image(&disk));
    storage.seal().expect("room");
    images.push(image(&disk));
    append(&storage, &clock);
    let everything = TopicPartition::new(name("plain"), 0);
    drop(storage.delete_records(&everything, Offset(3)));
    storage.step();
    images.push(image(&disk));
    storage.seal().expect("room");
    clock.advance_ms(86_400_000);
    storage.maintain(clock.now()).expect("room");
    append(&storage, &clock);
    images.push(image(&disk));
    storage.close();
    images.push(image(&disk));
    images
}

fn name(topic: &str) -> TopicName {
    TopicName::new(topic).expect("a name")
}

fn create(storage: &Storage, topic: &str, config: &[(&str, &str)]) {
    let spec = NewTopicSpec {
        name: name(topic),
        partitions: 2,
        config: config
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    };
    drop(storage.create_topic(spec).expect("a new topic"));
    storage.step();
}

/// Of every kind something: codecs, a transaction that commits and one that aborts, keys that come again, state.
fn append(storage: &Storage, clock: &ManualClock) {
    let plain = TopicPartition::new(name("plain"), 0);
    for batch in samples().into_iter().take(5) {
        drop(
            storage
                .append(&plain, batch, AppendOrigin::Client)
                .expect("it is in order"),
        );
    }
    let producer = Producer {
        id: ProducerId(clock.now().0),
        epoch: ProducerEpoch(0),
    };
    for (sequence, outcome) in [(0, Outcome::Commit), (1, Outcome::Abort)] {
        let mut batch = BatchBuilder::new(Compression::None)
            .producer(producer, sequence)
            .transactional();
        batch.push_parts(clock.now(), None, Some(b"in a transaction"), &[]);
        let batch = batch.build().expect("a small batch");
        drop(
            storage
                .append(&plain, batch, AppendOrigin::Client)
                .expect("it is in order"),
        );
        let marker = Marker {
            partition: plain.clone(),
            producer,
            outcome,
            coordinator_epoch: 0,
        };
        let group = AtomicGroup {
            markers: vec![marker],
            puts: vec![(
                StateKey(Bytes::from_static(b"key")),
                Some(Bytes::from_static(b"value")),
            )],
        };
        drop(storage.commit(group).expect("it is in order"));
    }
    let keyed = TopicPartition::new(name("keyed"), 1);
    for key in ["a", "b", "a"] {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push_parts(
            clock.now(),
            Some(key.as_bytes()),
            (key == "a").then_some(b"value"),
            &[],
        );
        let batch = batch.build().expect("a small batch");
        drop(
            storage
                .append(&keyed, batch, AppendOrigin::Client)
                .expect("it is in order"),
        );
    }
    storage.step();
    clock.advance_ms(1_000);
}

fn image(disk: &SimDisk) -> Vec<File> {
    let read = |(path, size): (String, u64)| {
        let file = disk.open(&path, Mode::Existing).expect("it was listed");
        let size = usize::try_from(size).expect("files are small");
        let mut content = Vec::with_capacity(size);
        file.read_at(&mut content, 0, size).expect("it does not fail");
        if path.ends_with(".wal") {
            // what an earlier use of the file left behind would be brought back to life by new checksums
            content.truncate(seal::frames_end(&content));
        }
        File {
            path,
            size: u32::try_from(size).expect("files are small"),
            content,
        }
    };
    disk.files().into_iter().map(read).collect()
}
