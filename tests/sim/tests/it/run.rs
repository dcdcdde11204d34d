//! One run: a broker, clients, faults for a while, then peace, then the reckoning.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::{
    clients::{
        Member, Outcomes, RETRY_MS, Topics, administer, audit, classic_member, copy, create_topics, fetch,
        modern_member, produce, read, transact,
    },
    ledger::Ledger,
    network::{Network, Wire},
    server::Server,
    world::{WORLD, World},
};

const FAULTS_FOR_MS: u64 = 15_000;
const FINISH_WITHIN_MS: u64 = 120_000;
const DOWN_FOR_MS: u64 = 800;
const LONGEST_JUMP_MS: i64 = 1_800_000;
const PARTITIONS: i32 = 2;

/// By partition and offset.
type Records = BTreeMap<(i32, i64), String>;

/// What a run did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) trace: Vec<String>,
    pub(crate) crashes: u64,
    pub(crate) acked: usize,
    pub(crate) copied: usize,
    pub(crate) transactions: usize,
    /// Partitions that were given to members of groups.
    pub(crate) given: usize,
    pub(crate) processed: usize,
    pub(crate) topics_made: usize,
    pub(crate) virtual_ms: u64,
    pub(crate) disk_operations: u64,
    pub(crate) disk_digest: u32,
}

impl Report {
    /// Sums, without the trace.
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.acked += other.acked;
        self.copied += other.copied;
        self.transactions += other.transactions;
        self.given += other.given;
        self.processed += other.processed;
        self.topics_made += other.topics_made;
        self.virtual_ms += other.virtual_ms;
        self.disk_operations += other.disk_operations;
    }
}

pub(crate) fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, Run::new(seed).to_the_end())
}

struct Run {
    world: Rc<World>,
    server: Rc<Server>,
    network: Rc<Network>,
    ledger: Rc<Ledger>,
    random: RefCell<SmallRng>,
    crashes: Cell<u64>,
    outcomes: Outcomes,
    topics: Topics,
    clients: RefCell<Vec<(String, JoinHandle<()>)>>,
}

impl Run {
    fn new(seed: u64) -> Rc<Self> {
        let world = World::new(seed);
        let server = Server::new(&world);
        Rc::new(Self {
            network: Rc::new(Network {
                world: world.clone(),
                server: server.clone(),
                wires: Cell::new(WORLD),
            }),
            world,
            server,
            ledger: Rc::default(),
            random: RefCell::new(SmallRng::seed_from_u64(seed ^ 0xfa_17)),
            crashes: Cell::new(0),
            outcomes: Rc::default(),
            topics: Rc::default(),
            clients: RefCell::default(),
        })
    }

    async fn to_the_end(self: Rc<Self>) -> Report {
        self.server.start().await.unwrap();
        self.begin("setup", |wire| async move {
            while let Err(refused) = create_topics(
                &wire,
                &[
                    ("plain", PARTITIONS),
                    ("in", PARTITIONS),
                    ("out", PARTITIONS),
                    ("both", PARTITIONS),
                ],
            )
            .await
            {
                refused.must_be_passing("setup");
                wire.pause(RETRY_MS).await;
            }
        });
        self.join("setup").await;
        self.start_clients();
        self.start_groups();
        self.schedule_faults();
        let supervised = || {
            self.supervise();
            false
        };
        self.world.pass(FAULTS_FOR_MS, supervised).await;
        self.server.disk.set_capacity(None);
        self.world.finishing.set(true);
        self.join("the end").await;
        // what is there must be there after one more power cut too
        self.crash(true);
        self.join("the last restart").await;
        let copied = self.reckon().await;
        let (given, processed) = self.ledger.of_groups();
        Report {
            given,
            processed,
            topics_made: self.topics.borrow().len(),
            trace: self.world.take_trace(),
            crashes: self.crashes.get(),
            acked: self.ledger.acked_count(),
            copied,
            transactions: self
                .outcomes
                .borrow()
                .values()
                .filter(|outcome| outcome.is_some())
                .count(),
            virtual_ms: self.world.now_ms(),
            disk_operations: self.server.disk.operations(),
            disk_digest: self.server.disk.digest(),
        }
    }

    fn begin<F: Future<Output = ()> + 'static>(&self, name: &str, client: impl FnOnce(Wire) -> F) {
        let task = spawn_local(client(self.network.wire(name)));
        self.clients.borrow_mut().push((name.to_owned(), task));
    }

    /// Waits until all clients have ended and the broker lives.
    async fn join(self: &Rc<Self>, what: &str) {
        let done = self
            .world
            .pass(FINISH_WITHIN_MS, || {
                self.supervise();
                self.clients.borrow().iter().all(|(_, task)| task.is_finished()) && self.server.is_alive()
            })
            .await;
        for (name, task) in self.clients.take() {
            assert!(
                done || task.is_finished(),
                "{what}: {name} does not end within {FINISH_WITHIN_MS} ms\n{}",
                self.world.take_trace().join("\n")
            );
            task.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert!(
            done,
            "{what}: the broker does not start within {FINISH_WITHIN_MS} ms"
        );
    }

    fn start_clients(&self) {
        for name in ["p1", "p2"] {
            let ledger = self.ledger.clone();
            self.begin(name, |wire| produce(wire, ledger, "plain", PARTITIONS));
        }
        let ledger = self.ledger.clone();
        let world = self.world.clone();
        self.begin("feeder", |wire| async move {
            produce(wire, ledger, "in", PARTITIONS).await;
            world.fed.set(true);
        });
        for twin in ["both-a", "both-b"] {
            let outcomes = self.outcomes.clone();
            self.begin(twin, |wire| transact(wire, outcomes, "both", "both", PARTITIONS));
        }
        for partition in 0..PARTITIONS {
            let ledger = self.ledger.clone();
            self.begin(&format!("reader{partition}"), move |wire| {
                read(wire, ledger, "plain", partition)
            });
            for twin in ["a", "b"] {
                let ledger = self.ledger.clone();
                self.begin(&format!("copier{partition}{twin}"), move |wire| {
                    copy(wire, ledger, "in", "out", partition)
                });
            }
        }
    }

    /// Two applications that read a topic, and somebody who looks after other topics.
    fn start_groups(&self) {
        for name in ["c1", "c2", "c3"] {
            let ledger = self.ledger.clone();
            self.begin(name, |wire| {
                classic_member(Member::new(wire, ledger, "classic", ("in", PARTITIONS)))
            });
        }
        for name in ["m1", "m2"] {
            let ledger = self.ledger.clone();
            self.begin(name, |wire| {
                modern_member(Member::new(wire, ledger, "modern", ("in", PARTITIONS)))
            });
        }
        let topics = self.topics.clone();
        self.begin("admin", |wire| administer(wire, topics));
    }

    fn schedule_faults(self: &Rc<Self>) {
        let count = self.random.borrow_mut().random_range(2..10);
        for _ in 0..count {
            let at_ms = self.random.borrow_mut().random_range(500..FAULTS_FOR_MS);
            let run = self.clone();
            self.world
                .after(WORLD, at_ms, "fault".into(), move || run.fault());
        }
    }

    fn fault(self: &Rc<Self>) {
        let (kind, number) = {
            let mut random = self.random.borrow_mut();
            (random.random_range(0..10), random.random_range(0..20_u64))
        };
        self.world.note(format!("fault {kind} {number}"));
        let disk = &self.server.disk;
        match kind {
            0..3 => self.crash(true),
            3..5 => self.crash(false),
            5 => disk.fail_syncs_after(Some(number)),
            6 => disk.fail_writes_after(Some(number)),
            7 => {
                disk.set_capacity(Some(disk.used() + number * 1_000));
                let run = self.clone();
                self.world.after(WORLD, 3_000, "space again".into(), move || {
                    run.server.disk.set_capacity(None)
                });
            }
            // somebody sets the clock, forward or back
            8 => self
                .world
                .clock
                .jump_ms(LONGEST_JUMP_MS / 10 * (i64::try_from(number).unwrap() - 10)),
            _ => {
                let run = self.clone();
                self.world
                    .after(WORLD, number * 20, "second crash".into(), move || run.crash(true));
                self.crash(true);
            }
        }
    }

    fn crash(self: &Rc<Self>, power: bool) {
        if !self.server.is_alive() {
            return;
        }
        self.crashes.set(self.crashes.get() + 1);
        self.server.crash(power);
        self.heal();
        let down_ms = self.random.borrow_mut().random_range(1..DOWN_FOR_MS);
        self.restart_after(down_ms);
    }

    /// Whoever starts it again has a look at the disk first.
    fn heal(&self) {
        self.server.disk.fail_syncs_after(None);
        self.server.disk.fail_writes_after(None);
    }

    fn restart_after(self: &Rc<Self>, down_ms: u64) {
        let run = self.clone();
        self.world.after(WORLD, down_ms, "restart".into(), move || {
            spawn_local(async move {
                if let Err(error) = run.server.start().await {
                    run.world.note(format!("no start: {error}"));
                    run.server.disk.kill();
                    run.heal();
                    run.restart_after(DOWN_FOR_MS);
                }
            });
        });
    }

    /// What a service manager does: a broker that takes no more writes is started again.
    fn supervise(self: &Rc<Self>) {
        if self.server.has_failed() {
            self.crash(false);
        }
    }

    /// Reads everything and holds it against what was promised. Answers how many records were copied.
    async fn reckon(self: &Rc<Self>) -> usize {
        let read: Rc<RefCell<BTreeMap<&str, Records>>> = Rc::default();
        let result = read.clone();
        let topics = self.topics.clone();
        self.begin("auditor", |wire| async move {
            audit(&wire, &topics).await;
            for topic in ["plain", "in", "out", "both"] {
                for partition in 0..PARTITIONS {
                    for (offset, value) in read_all(&wire, topic, partition).await {
                        let mut read = read.borrow_mut();
                        read.entry(topic).or_default().insert((partition, offset), value);
                    }
                }
            }
        });
        self.join("the audit").await;
        let read = result.take();
        for topic in ["plain", "in"] {
            self.ledger.check(topic, &read[topic]);
        }
        self.ledger.check_processed(&["classic", "modern"], &read["in"]);
        let of = |topic: &str, partition| -> Vec<&String> {
            let all = read.get(topic).into_iter().flatten();
            all.filter(|((p, _), _)| *p == partition)
                .map(|(_, value)| value)
                .collect()
        };
        self.check_outcomes(&of);
        (0..PARTITIONS)
            .map(|partition| {
                let (from, to) = (of("in", partition), of("out", partition));
                assert!(
                    from == to,
                    "partition {partition} is copied once and in order: {from:?} {to:?}"
                );
                to.len()
            })
            .sum()
    }
    /// What was committed is in every partition, what was aborted in none, the rest in all or none.
    fn check_outcomes<'a>(&self, of: &dyn Fn(&str, i32) -> Vec<&'a String>) {
        let partitions: Vec<Vec<&String>> = (0..PARTITIONS).map(|partition| of("both", partition)).collect();
        for (value, outcome) in self.outcomes.borrow().iter() {
            let found: Vec<usize> = partitions
                .iter()
                .map(|values| values.iter().filter(|found| **found == value).count())
                .collect();
            let expected: &[usize] = match outcome {
                Some(true) => &[1],
                Some(false) => &[0],
                None => &[0, 1],
            };
            let is_whole = found.iter().all(|count| *count == found[0]);
            assert!(
                is_whole && expected.contains(&found[0]),
                "{value}, {outcome:?}, is found {found:?} times"
            );
        }
    }
}

/// A partition to its end, as committed. Nothing may be open any more.
async fn read_all(wire: &Wire, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    let mut next = 0;
    loop {
        match fetch(wire, (topic, partition), next, 0).await {
            Ok(fetched) => {
                let ends = (fetched.last_stable_offset, fetched.high_watermark);
                assert_eq!(
                    ends.0, ends.1,
                    "{topic}-{partition} has an open transaction at the end"
                );
                records.extend(fetched.records);
                next = fetched.next_offset;
                if next == fetched.high_watermark {
                    return records;
                }
            }
            Err(refused) => {
                refused.must_be_passing("auditor");
                wire.pause(RETRY_MS).await;
            }
        }
    }
}
