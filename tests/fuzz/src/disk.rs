//! The files of a data directory: write-ahead log, checkpoint, segments, indexes. Whatever is in them, verification says
//! what is wrong, and a start takes it or refuses it. What was found sound can be opened and read to its end; what was
//! opened can be read, written, tidied, closed, and opened again.
//!
//! ```text
//!  1 byte: even, and all checksums are set right before anybody looks, so that what they guard is reached
//!  file: path length u8 | path | size u24 | content length u24 | content (the rest of the file is zero)
//! ```

mod seal;
mod seeds;

use std::{io::IoSlice, sync::Arc};

use bytes::{Buf, BufMut};
use millstream_broker_storage::{
    AppendOrigin, Disk, Drive, Isolation, Mode, NewTopicSpec, ReadError, Storage, StorageConfig,
    sim::SimDisk, verify,
};
use millstream_types::{Clock, ManualClock, Offset, Timestamp, TopicName, TopicPartition};

pub use seeds::seeds;

const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const DISK_BYTES: u64 = 8 << 20;
const MOST_FILES: usize = 24;
const MOST_FILE_BYTES: u32 = 64 << 10;
/// Of all that there may be; each costs the same.
const MOST_PARTITIONS: usize = 8;
const MOST_READS: usize = 50;

pub fn run(data: &[u8]) {
    let Some((choice, mut files)) = data.split_first() else {
        return;
    };
    let disk = SimDisk::new(1);
    // a file that goes on where a checkpoint says is not sparse here
    disk.set_capacity(Some(DISK_BYTES));
    for _ in 0..MOST_FILES {
        let Some(file) = File::read(&mut files) else { break };
        file.put_on(&disk, choice % 2 == 0);
    }
    // the folders, too: nobody else knows that they are new
    disk.sync_all().expect("this disk does not fail");
    let opened: Arc<dyn Disk> = Arc::new(disk.clone());
    let is_sound = verify(&opened).is_ok_and(|found| found.is_sound());
    let clock = Arc::new(ManualClock::at(Timestamp(START_MS)));
    let first = match open(&disk, &clock, 1) {
        Ok(storage) => storage,
        Err(error) => {
            assert!(!is_sound, "verification found it sound: {error}");
            return;
        }
    };
    read_everything(&first, is_sound);
    write_something(&first, &clock);
    // a disk that was not in order may not be tidied
    let _ = first.maintain(clock.now());
    let _ = first.seal();
    clock.advance_ms(DAY_MS);
    let _ = first.maintain(clock.now());
    read_everything(&first, false);
    first.close();
    drop(first);
    disk.crash();
    match open(&disk, &clock, 2) {
        Ok(again) => read_everything(&again, is_sound),
        Err(error) => panic!("it was opened before: {error}"),
    }
}

fn open(
    disk: &SimDisk,
    clock: &Arc<ManualClock>,
    seed: u64,
) -> Result<Storage, millstream_broker_storage::OpenError> {
    let config = StorageConfig {
        wal_file_bytes: 16 << 10,
        ring_bytes: 8 << 10,
        drive: Drive::Manual,
        seed: Some(seed),
        ..StorageConfig::default()
    };
    Storage::open(Arc::new(disk.clone()), clock.clone(), config).map(|(storage, _)| storage)
}

fn partitions(storage: &Storage) -> impl Iterator<Item = TopicPartition> {
    let topics = storage.topics().into_iter();
    let partitions = topics.flat_map(|topic| {
        (0..topic.partitions.min(3)).map(move |index| TopicPartition::new(topic.name.clone(), index))
    });
    partitions.take(MOST_PARTITIONS)
}

fn read_everything(storage: &Storage, must_be_sound: bool) {
    for partition in partitions(storage) {
        let ends = storage.offsets(&partition).expect("it was listed");
        for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
            if let Err(error) = read(storage, &partition, ends.log_start, isolation) {
                assert!(!must_be_sound, "verification found it sound: {error}");
            }
        }
        for timestamp in [0, START_MS, i64::MAX] {
            let _ = storage.offset_for_timestamp(&partition, Timestamp(timestamp));
        }
        let _ = storage.max_timestamp(&partition);
        let _ = storage.describe_producers(&partition);
        let _ = storage.open_transactions(&partition);
        let _ = storage.size_bytes(&partition);
    }
    let _ = storage.stats();
}

fn read(
    storage: &Storage,
    partition: &TopicPartition,
    from: Offset,
    isolation: Isolation,
) -> Result<(), ReadError> {
    let mut next = from;
    for _ in 0..MOST_READS {
        let read = storage.read(partition, next, 2_000, isolation)?;
        let before = next;
        for bytes in read.batches {
            let batch = millstream_protocol::batch::RecordBatch::parse_stored(bytes)
                .expect("what is served is whole");
            next = next.max(batch.next_offset());
        }
        if next == before {
            return Ok(());
        }
    }
    Ok(())
}

fn write_something(storage: &Storage, clock: &ManualClock) {
    let names: Vec<TopicPartition> = partitions(storage).collect();
    for partition in names {
        for batch in crate::batch::samples().into_iter().take(6) {
            drop(storage.append(&partition, batch, AppendOrigin::Client));
        }
        storage.step();
        let ends = storage.offsets(&partition).expect("it was listed");
        drop(storage.delete_records(&partition, Offset(ends.high_watermark.0 / 2)));
        clock.advance_ms(1);
    }
    drop(storage.create_topic(NewTopicSpec {
        name: TopicName::new("another").expect("a name"),
        partitions: 1,
        config: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
    }));
    storage.step();
}

/// A file as an input holds it.
struct File {
    path: String,
    size: u32,
    content: Vec<u8>,
}

impl File {
    fn read(data: &mut &[u8]) -> Option<Self> {
        let take = |data: &mut &[u8], length: usize| {
            let (taken, rest) = data.split_at(length.min(data.len()));
            *data = rest;
            taken.to_vec()
        };
        let path_bytes = data.try_get_u8().ok()?;
        let path = String::from_utf8(take(data, path_bytes.into())).ok()?;
        let size = u32::try_from(data.try_get_uint(3).ok()?).ok()?;
        let content_bytes = usize::try_from(data.try_get_uint(3).ok()?).ok()?;
        let is_name = |part: &str| !part.is_empty() && part != "." && part != "..";
        path.split('/').all(is_name).then_some(())?;
        Some(Self {
            path,
            size: size.min(MOST_FILE_BYTES),
            content: take(data, content_bytes),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::try_from(self.path.len()).expect("paths are short"));
        out.put_slice(self.path.as_bytes());
        out.put_uint(self.size.into(), 3);
        out.put_uint(self.content.len() as u64, 3);
        out.put_slice(&self.content);
    }

    fn put_on(mut self, disk: &SimDisk, seal: bool) {
        if seal {
            seal::set_checksums(&self.path, &mut self.content);
        }
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let written = disk.create_dir_all(parent).and_then(|()| {
            let file = disk.open(&self.path, Mode::Truncate)?;
            file.write_at(&[IoSlice::new(&self.content)], 0)?;
            file.allocate(self.size.into())?;
            file.sync()?;
            disk.sync_dir(parent)
        });
        // a path may be a file and a folder in an input, on a disk it is not
        let _ = written;
    }
}
