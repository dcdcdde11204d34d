//! Random calls, crashes and faults from a seed, checked against the model.
//!
//! The write-ahead log is one sequence, so after a crash the engine must hold exactly what some prefix of the accepted
//! calls makes, and the prefix must contain every acknowledged one. That is lost, moved, phantom, reordered, torn and
//! half-visible in one check.
//!
//! `STORAGE_SEED=17 cargo test -p millstream-broker-storage seeded` repeats one seed; `STORAGE_SEEDS=10000` runs more.

use std::{collections::BTreeMap, sync::Arc};

use millstream_broker_storage::{
    AppendError, AppendOrigin, AtomicGroup, CommitError, DeleteRecordsError, Disk, Drive, Marker, Outcome,
    ProducerError, Storage, StorageConfig, Ticket, TopicError, WriteError, sim::SimDisk, verify,
};
use millstream_types::{Clock, ManualClock, Offset, ProducerId, Timestamp};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::{
    kit::{self, START_MS, name, open, partition, producer, records, spec},
    model::{Batch, COMPACTED, MarkerOp, Model, Op, Sender, state_key, topic_id},
};

/// Name, partitions, configuration.
type TopicSpec = (&'static str, i32, &'static [(&'static str, &'static str)]);

const TOPICS: [TopicSpec; 4] = [
    ("plain", 2, &[("segment.bytes", "3000")]),
    (
        "short",
        1,
        &[("segment.bytes", "1500"), ("retention.bytes", "4000")],
    ),
    ("wide", 6, &[]),
    (
        COMPACTED,
        2,
        &[
            ("cleanup.policy", "compact"),
            ("segment.bytes", "900"),
            ("segment.ms", "1000"),
            ("min.cleanable.dirty.ratio", "0.1"),
            ("delete.retention.ms", "200000"),
        ],
    ),
];
const PRODUCERS: std::ops::Range<i64> = 0..3;
const STEPS: usize = 250;

/// Resolves to the fate of a write; the index is that of the call that it acknowledges.
type Waiting = (Box<dyn FnOnce() -> Result<(), WriteError>>, usize);

struct World {
    random: SmallRng,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    config: StorageConfig,
    storage: Storage,
    /// Accepted since the last check after a crash, on top of `durable`.
    accepted: Vec<Op>,
    /// How many of them are acknowledged.
    acked: usize,
    durable: Model,
    /// All that was accepted.
    front: Model,
    waiting: Vec<Waiting>,
    failed: bool,
    next_tag: u64,
    /// Log start and high watermark that a reader saw, by topic id and partition.
    seen: BTreeMap<(u128, i32), (i64, i64)>,
}

#[test]
fn seeded_crashes_and_faults_keep_every_promise() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    let seeds = match number("STORAGE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STORAGE_SEEDS").unwrap_or(96),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| World::run(seed));
        if let Err(panic) = run {
            println!("failing seed: STORAGE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in [1, 2, 3] {
        let (first, second) = (World::run(seed), World::run(seed));
        assert_eq!(first, second, "seed {seed}");
        assert!(first.1 > 100, "it does something: {}", first.1);
    }
    assert_ne!(World::run(1), World::run(2));
}

impl World {
    /// Answers the digest and the number of all operations of the disk.
    fn run(seed: u64) -> (u32, u64) {
        let mut random = SmallRng::seed_from_u64(seed);
        let disk = SimDisk::new(random.random());
        let clock = Arc::new(ManualClock::at(Timestamp(START_MS)));
        let config = StorageConfig {
            wal_file_bytes: *[4 << 10, 8 << 10, 32 << 10].choose(&mut random).unwrap(),
            ring_bytes: *[0, 2 << 10, 1 << 20].choose(&mut random).unwrap(),
            queue_bytes: 4 << 10,
            compaction_keys: *[2, 1000].choose(&mut random).unwrap(),
            drive: Drive::Manual,
            seed: Some(random.random()),
            ..StorageConfig::default()
        };
        let (storage, _) = open(&disk, &clock, &config).unwrap();
        let mut world = Self {
            random,
            disk,
            clock,
            config,
            storage,
            accepted: Vec::new(),
            acked: 0,
            durable: Model::default(),
            front: Model::default(),
            waiting: Vec::new(),
            failed: false,
            next_tag: 0,
            seen: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            world.act();
        }
        world.disk.set_capacity(None);
        world.crash();
        world.storage.seal().unwrap();
        world.check();
        world.nothing_is_left_of_deleted_topics();
        world.is_sound();
        (world.disk.digest(), world.disk.operations())
    }

    fn act(&mut self) {
        match self.random.random_range(0..1000) {
            0..30 => self.create(),
            30..36 => self.delete(),
            36..400 => self.append(),
            400..440 => self.send_again(),
            440..470 => self.send_wrongly(),
            470..560 => self.end_transactions(),
            560..610 => self.put(),
            610..640 => self.delete_records(),
            640..880 => self.step(),
            880..910 => self.check(),
            910..940 => drop(self.storage.maintain(self.clock.now())),
            940..950 => drop(self.storage.seal()),
            950..960 => self.clock.advance_ms(self.random.random_range(0..400_000)),
            960..965 => self.disk.fail_syncs_after(Some(self.random.random_range(0..8))),
            965..970 => self.disk.fail_writes_after(Some(self.random.random_range(0..8))),
            970..976 => self
                .disk
                .set_capacity(Some(self.disk.used() + self.random.random_range(0..20_000))),
            976..985 => self.disk.set_capacity(None),
            _ => self.crash(),
        }
        if self.failed {
            self.crash();
        }
    }

    fn accept<T: Send + 'static>(&mut self, ticket: Ticket<T>, op: Op) {
        self.front.apply(&op);
        self.accepted.push(op);
        self.wait_for(ticket);
    }

    fn wait_for<T: Send + 'static>(&mut self, ticket: Ticket<T>) {
        self.waiting
            .push((Box::new(move || ticket.wait().map(drop)), self.accepted.len()));
    }

    /// A call was refused for a reason that only a failing disk gives.
    fn refused(&mut self, error: &WriteError) {
        match error {
            WriteError::DiskFull { .. } => {}
            WriteError::Failed { .. } => self.failed = true,
            WriteError::Closed => panic!("nobody closed it"),
        }
    }

    fn any_partition(&mut self) -> Option<(String, i32)> {
        let topics: Vec<_> = self
            .front
            .topics
            .iter()
            .map(|(t, parts)| (t.clone(), parts.len() as i32))
            .collect();
        let (topic, partitions) = topics.choose(&mut self.random)?.clone();
        Some((topic, self.random.random_range(0..partitions)))
    }

    fn create(&mut self) {
        let (topic, partitions, config) = *TOPICS.choose(&mut self.random).unwrap();
        let exists = self.front.topics.contains_key(topic);
        match self.storage.create_topic(spec(topic, partitions, config)) {
            Ok(ticket) => {
                assert!(!exists);
                self.accept(
                    ticket,
                    Op::Create {
                        topic: topic.into(),
                        partitions,
                    },
                );
            }
            Err(TopicError::Exists { .. }) => assert!(exists),
            Err(TopicError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}"),
        }
    }

    fn delete(&mut self) {
        let Some((topic, _)) = self.any_partition() else {
            return;
        };
        match self.storage.delete_topic(&name(&topic)) {
            Ok(ticket) => self.accept(ticket, Op::Delete { topic }),
            Err(TopicError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}"),
        }
    }

    fn append(&mut self) {
        let Some((topic, index)) = self.any_partition() else {
            return;
        };
        self.next_tag += 1;
        let mut batch = Batch {
            count: self.random.random_range(1..4),
            tag: self.next_tag,
            producer: None,
            transactional: false,
        };
        if self.random.random_bool(0.7) {
            let id = self.random.random_range(PRODUCERS);
            let known = self
                .front
                .part(&topic, index)
                .producers
                .get(&id)
                .cloned()
                .unwrap_or_default();
            let renew = known.open.is_none() && self.random.random_bool(0.1);
            let (epoch, sequence) = if renew {
                (known.epoch + 1, 0)
            } else {
                (known.epoch, known.next_sequence)
            };
            batch.producer = Some(Sender { id, epoch, sequence });
            batch.transactional = known.open.is_some() || self.random.random_bool(0.5);
        }
        match self.send(&topic, index, batch) {
            Ok(ticket) => self.accept(
                ticket,
                Op::Append {
                    topic,
                    partition: index,
                    batch,
                },
            ),
            Err(AppendError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}: {batch:?} to {topic}-{index}"),
        }
    }

    fn send(
        &mut self,
        topic: &str,
        index: i32,
        batch: Batch,
    ) -> Result<Ticket<millstream_broker_storage::Appended>, AppendError> {
        // the same batch has the same bytes whenever it is sent
        let size = (batch.tag * 37 % 400) as usize;
        let mut spec: kit::Spec = records(batch.count, batch.tag).sized(size);
        if let Some(sender) = batch.producer {
            spec = spec.of(producer(sender.id, sender.epoch), sender.sequence);
        }
        if batch.transactional {
            spec = spec.transactional();
        }
        if topic == COMPACTED {
            spec = spec.few_keys();
        }
        self.storage
            .append(&partition(topic, index), spec.build(), AppendOrigin::Client)
    }

    /// A producer that heard nothing tries once more.
    fn send_again(&mut self) {
        let Some((topic, index)) = self.any_partition() else {
            return;
        };
        let part = self.front.part(&topic, index).clone();
        let recent: Vec<_> = part
            .producers
            .values()
            .flat_map(|p| p.recent.iter().rev().take(5))
            .copied()
            .collect();
        let Some((batch, base)) = recent.choose(&mut self.random).copied() else {
            return;
        };
        match self.send(&topic, index, batch) {
            Ok(ticket) => {
                let accepted = self.accepted.len();
                let check = move || {
                    let appended = ticket.wait()?;
                    assert!(appended.duplicate, "{batch:?} was appended twice");
                    assert_eq!(appended.base_offset, Offset(base));
                    Ok(())
                };
                self.waiting.push((Box::new(check), accepted));
            }
            // after its transaction ended, a batch of it is refused only while another one is open
            Err(AppendError::Producer(ProducerError::InvalidTxnState { .. })) => {
                assert!(!batch.transactional)
            }
            Err(AppendError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}"),
        }
    }

    fn send_wrongly(&mut self) {
        let Some((topic, index)) = self.any_partition() else {
            return;
        };
        let part = self.front.part(&topic, index).clone();
        let known: Vec<_> = part
            .producers
            .iter()
            .filter(|(_, p)| !p.recent.is_empty())
            .collect();
        let Some((id, known)) = known.choose(&mut self.random).copied() else {
            return;
        };
        let stale = known.epoch > 0 && self.random.random_bool(0.5);
        let (epoch, sequence) = if stale {
            (known.epoch - 1, 0)
        } else {
            (known.epoch, known.next_sequence + 1)
        };
        let sender = Sender {
            id: *id,
            epoch,
            sequence,
        };
        let batch = Batch {
            count: 1,
            tag: 0,
            producer: Some(sender),
            transactional: true,
        };
        match self.send(&topic, index, batch) {
            Err(AppendError::Producer(ProducerError::InvalidEpoch { .. })) => assert!(stale),
            Err(AppendError::Producer(ProducerError::OutOfOrderSequence { id, expected, .. })) => {
                assert!(!stale);
                assert_eq!((id, expected), (ProducerId(sender.id), known.next_sequence));
            }
            Err(AppendError::Write(error)) => self.refused(&error),
            other => panic!("{other:?}"),
        }
    }

    /// Ends the transactions of one producer everywhere, with its offsets, as a coordinator does.
    fn end_transactions(&mut self) {
        let id = self.random.random_range(PRODUCERS);
        let commit = self.random.random_bool(0.6);
        let mut markers = Vec::new();
        for (topic, parts) in &self.front.topics {
            for (index, part) in (0..).zip(parts) {
                if let Some(prod) = part.producers.get(&id).filter(|p| p.open.is_some()) {
                    // an abort by the coordinator fences the producer
                    let epoch = if commit { prod.epoch } else { prod.epoch + 1 };
                    markers.push(MarkerOp {
                        topic: topic.clone(),
                        partition: index,
                        id,
                        epoch,
                        commit,
                    });
                }
            }
        }
        let puts = vec![(
            format!("offset/{id}"),
            Some(self.random.random_range(0..1000).to_string()),
        )];
        self.group(markers, puts);
    }

    fn put(&mut self) {
        let key = format!("key/{}", self.random.random_range(0..10));
        let value = self
            .random
            .random_bool(0.7)
            .then(|| self.random.random_range(0..1000).to_string());
        self.group(Vec::new(), vec![(key, value)]);
    }

    fn group(&mut self, markers: Vec<MarkerOp>, puts: Vec<(String, Option<String>)>) {
        let group = AtomicGroup {
            markers: markers
                .iter()
                .map(|m| Marker {
                    partition: partition(&m.topic, m.partition),
                    producer: producer(m.id, m.epoch),
                    outcome: if m.commit { Outcome::Commit } else { Outcome::Abort },
                    coordinator_epoch: 0,
                })
                .collect(),
            puts: puts
                .iter()
                .map(|(k, v)| (state_key(k), v.clone().map(Into::into)))
                .collect(),
        };
        match self.storage.commit(group) {
            Ok(ticket) => self.accept(ticket, Op::Group { markers, puts }),
            Err(CommitError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}"),
        }
    }

    fn delete_records(&mut self) {
        let Some((topic, index)) = self.any_partition() else {
            return;
        };
        let Ok(ends) = self.storage.offsets(&partition(&topic, index)) else {
            return;
        };
        let before = self.random.random_range(0..=ends.high_watermark.0);
        // the ends may be of an earlier topic of that name: then the answer says so
        match self
            .storage
            .delete_records(&partition(&topic, index), Offset(before))
        {
            Ok(ticket) => self.accept(
                ticket,
                Op::DeleteRecords {
                    topic,
                    partition: index,
                    before,
                },
            ),
            Err(DeleteRecordsError::OffsetOutOfRange { end, .. }) => assert!(end.0 < before),
            Err(DeleteRecordsError::Write(error)) => self.refused(&error),
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self) {
        self.storage.step();
        for (wait, accepted) in std::mem::take(&mut self.waiting) {
            match wait() {
                Ok(()) => {
                    assert!(!self.failed, "acknowledged after a failure");
                    self.acked = self.acked.max(accepted);
                }
                Err(error) => self.refused(&error),
            }
        }
        if !self.failed {
            assert_eq!(
                self.acked,
                self.accepted.len(),
                "all that was accepted is durable"
            );
        }
    }

    /// Without a crash, readers see exactly what is acknowledged.
    fn check(&mut self) {
        self.step();
        if self.failed {
            return;
        }
        if let Some(difference) = self.front.differs(&self.storage) {
            panic!("{difference}");
        }
        self.watermarks_only_rise();
    }

    fn watermarks_only_rise(&mut self) {
        for (topic, parts) in &self.front.topics {
            let id = topic_id(&self.storage, topic);
            for index in 0..parts.len() as i32 {
                let ends = self.storage.offsets(&partition(topic, index)).unwrap();
                let now = (ends.log_start.0, ends.high_watermark.0);
                let before = self.seen.insert((id, index), now).unwrap_or_default();
                assert!(
                    before.0 <= now.0 && before.1 <= now.1,
                    "{topic}-{index}: {before:?}, then {now:?}"
                );
            }
        }
    }

    /// Whatever happened, nothing that verification reads is damaged.
    fn is_sound(&self) {
        self.storage.close();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let found = verify(&disk).unwrap();
        assert!(found.is_sound(), "{:?}", found.findings);
    }

    fn nothing_is_left_of_deleted_topics(&self) {
        let ids: Vec<_> = self
            .storage
            .topics()
            .iter()
            .map(|topic| topic.id.to_string())
            .collect();
        for (path, _) in self.disk.files() {
            let topic = path
                .strip_prefix("topics/")
                .and_then(|path| path.split('/').next());
            assert!(
                topic.is_none_or(|topic| ids.iter().any(|id| id == topic)),
                "{path} was left"
            );
        }
    }

    fn crash(&mut self) {
        if self.random.random_bool(0.7) {
            self.disk.crash();
        } else {
            self.disk.kill();
        }
        self.disk.fail_syncs_after(None);
        self.disk.fail_writes_after(None);
        self.waiting.clear();
        self.failed = false;
        let (storage, _) = open(&self.disk, &self.clock, &self.config).unwrap();
        self.storage = storage;
        self.find_prefix();
        self.watermarks_only_rise();
    }

    /// The engine holds what a prefix of the accepted calls makes, and no acknowledged call is missing.
    fn find_prefix(&mut self) {
        let mut model = self.durable.clone();
        let mut differences = Vec::new();
        for count in 0..=self.accepted.len() {
            if count > 0 {
                model.apply(&self.accepted[count - 1]);
            }
            if count < self.acked {
                continue;
            }
            match model.differs(&self.storage) {
                None => {
                    self.accepted.clear();
                    self.acked = 0;
                    self.durable = model.clone();
                    self.front = model;
                    return;
                }
                Some(difference) => differences.push(format!("{count} calls: {difference}")),
            }
        }
        panic!(
            "no prefix of {} calls, {} acknowledged:\n{}",
            self.accepted.len(),
            self.acked,
            differences.join("\n")
        );
    }
}
