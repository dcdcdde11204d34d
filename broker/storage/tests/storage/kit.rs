//! Shorthand for batches, topics and an engine that is driven by hand.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, AppendOrigin, Appended, Disk, Drive, Isolation, NewTopicSpec, OpenError, Recovery, Storage,
    StorageConfig, Ticket, WriteError, sim::SimDisk,
};
use millstream_protocol::batch::{BatchBuilder, Compression, RecordBatch};
use millstream_types::{
    ManualClock, Offset, Producer, ProducerEpoch, ProducerId, Timestamp, TopicName, TopicPartition,
};

pub(crate) const START_MS: i64 = 1_700_000_000_000;

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::new(topic).unwrap()
}

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(name(topic), partition)
}

pub(crate) fn spec(topic: &str, partitions: i32, config: &[(&str, &str)]) -> NewTopicSpec {
    let config: BTreeMap<_, _> = config.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    NewTopicSpec {
        name: name(topic),
        partitions,
        config,
    }
}

pub(crate) fn producer(id: i64, epoch: i16) -> Producer {
    Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
    }
}

/// What a batch in a test is made of.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) count: i32,
    /// Says which batch it is.
    pub(crate) tag: u64,
    pub(crate) value_bytes: usize,
    pub(crate) timestamp: i64,
    pub(crate) producer: Option<(Producer, i32)>,
    pub(crate) transactional: bool,
    pub(crate) compression: Compression,
    /// As [`key_of`] and [`value_of`] say, instead of the tag for all.
    pub(crate) few_keys: bool,
}

/// The key of a record in a topic with few keys.
pub(crate) fn key_of(tag: u64, index: i32) -> Bytes {
    Bytes::from(format!("key-{}", (tag * 7 + index as u64) % 5))
}

/// Its value, which no other record has; now and then it is a tombstone.
pub(crate) fn value_of(tag: u64, index: i32) -> Option<Bytes> {
    (!(tag + index as u64).is_multiple_of(4)).then(|| Bytes::from(format!("value {tag} {index}")))
}

pub(crate) fn records(count: i32, tag: u64) -> Spec {
    Spec {
        count,
        tag,
        value_bytes: 20,
        timestamp: START_MS,
        producer: None,
        transactional: false,
        compression: Compression::None,
        few_keys: false,
    }
}

impl Spec {
    pub(crate) fn of(mut self, producer: Producer, sequence: i32) -> Self {
        self.producer = Some((producer, sequence));
        self
    }

    pub(crate) fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    pub(crate) fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = timestamp;
        self
    }

    pub(crate) fn sized(mut self, value_bytes: usize) -> Self {
        self.value_bytes = value_bytes;
        self
    }

    pub(crate) fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub(crate) fn few_keys(mut self) -> Self {
        self.few_keys = true;
        self
    }

    /// Record `i` has timestamp `timestamp + i` and the tag as its key.
    pub(crate) fn build(self) -> Bytes {
        let mut builder = BatchBuilder::new(self.compression);
        if let Some((producer, sequence)) = self.producer {
            builder = builder.producer(producer, sequence);
        }
        if self.transactional {
            builder = builder.transactional();
        }
        let value = vec![b'v'; self.value_bytes];
        for i in 0..self.count {
            let time = Timestamp(self.timestamp + i64::from(i));
            if self.few_keys {
                let (key, value) = (key_of(self.tag, i), value_of(self.tag, i));
                builder.push_parts(time, Some(&key), value.as_deref(), &[]);
                continue;
            }
            builder.push_parts(time, Some(&self.tag.to_le_bytes()), Some(&value), &[]);
        }
        builder.build().unwrap()
    }
}

/// The tag of a batch that was read; `None` for a marker.
pub(crate) fn tag(batch: &RecordBatch) -> Option<u64> {
    if batch.header().attributes.is_control() {
        return None;
    }
    let records = batch.records().unwrap();
    let key = records[0].key.as_ref().unwrap();
    Some(u64::from_le_bytes(key.as_ref().try_into().unwrap()))
}

pub(crate) fn small() -> StorageConfig {
    StorageConfig {
        wal_file_bytes: 16 << 10,
        ring_bytes: 8 << 10,
        drive: Drive::Manual,
        seed: Some(7),
        ..StorageConfig::default()
    }
}

/// One batch of these keys and values.
pub(crate) fn keyed(pairs: &[(&str, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (key, value) in pairs {
        builder.push_parts(
            Timestamp(START_MS),
            Some(key.as_bytes()),
            value.map(str::as_bytes),
            &[],
        );
    }
    builder.build().unwrap()
}

/// An engine on a simulated disk, driven by hand.
pub(crate) struct Bench {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: StorageConfig,
    pub(crate) storage: Storage,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(small())
    }

    pub(crate) fn with(config: StorageConfig) -> Self {
        let disk = SimDisk::new(1);
        let clock = Arc::new(ManualClock::at(Timestamp(START_MS)));
        let (storage, _) = open(&disk, &clock, &config).unwrap();
        Self {
            disk,
            clock,
            config,
            storage,
        }
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let ticket = self
            .storage
            .create_topic(spec(topic, partitions, config))
            .unwrap();
        self.done(ticket).unwrap();
    }

    /// The fate of a write after the writer did its work.
    pub(crate) fn done<T: Send + 'static>(&self, ticket: Ticket<T>) -> Result<T, WriteError> {
        self.storage.step();
        ticket.wait()
    }

    pub(crate) fn append(&self, to: &TopicPartition, batch: Bytes) -> Result<Appended, AppendError> {
        let ticket = self.storage.append(to, batch, AppendOrigin::Client)?;
        Ok(self.done(ticket)?)
    }

    /// Everything that was not synced may be gone; then opened again.
    pub(crate) fn crash(&mut self) -> Recovery {
        self.disk.crash();
        self.reopen().unwrap()
    }

    pub(crate) fn reopen(&mut self) -> Result<Recovery, OpenError> {
        self.disk.kill();
        let (storage, recovery) = open(&self.disk, &self.clock, &self.config)?;
        self.storage = storage;
        Ok(recovery)
    }

    pub(crate) fn read(&self, from: &TopicPartition, offset: i64) -> Vec<RecordBatch> {
        read_all(&self.storage, from, offset, Isolation::ReadUncommitted)
    }

    /// Offset, key and value of every record, markers left out.
    pub(crate) fn pairs(&self, from: &TopicPartition) -> Vec<(i64, String, Option<String>)> {
        let start = self.storage.offsets(from).unwrap().log_start.0;
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let batches = self.read(from, start).into_iter();
        let data = batches.filter(|batch| !batch.header().attributes.is_control());
        data.flat_map(|batch| batch.records().unwrap())
            .map(|r| (r.offset.0, text(r.key.unwrap()), r.value.map(text)))
            .collect()
    }

    /// First offset and tag of every batch from an offset on.
    pub(crate) fn tags(&self, from: &TopicPartition, offset: i64) -> Vec<(i64, Option<u64>)> {
        self.read(from, offset)
            .iter()
            .map(|batch| (batch.base_offset().0, tag(batch)))
            .collect()
    }
}

pub(crate) fn open(
    disk: &SimDisk,
    clock: &Arc<ManualClock>,
    config: &StorageConfig,
) -> Result<(Storage, Recovery), OpenError> {
    let lives = disk.operations();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let seed = config.seed.map(|seed| seed ^ lives);
    Storage::open(
        disk,
        clock.clone(),
        StorageConfig {
            seed,
            ..config.clone()
        },
    )
}

/// Reads to the end in small steps.
pub(crate) fn read_all(
    storage: &Storage,
    from: &TopicPartition,
    offset: i64,
    isolation: Isolation,
) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut next = Offset(offset);
    loop {
        let read = storage.read(from, next, 2_000, isolation).unwrap();
        if read.batches.is_empty() {
            return batches;
        }
        for bytes in read.batches {
            let batch = RecordBatch::parse_stored(bytes).unwrap();
            assert!(
                batch.last_offset() >= next,
                "a batch before the offset that was asked for"
            );
            next = batch.next_offset();
            batches.push(batch);
        }
    }
}
