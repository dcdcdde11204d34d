//! The connectors of these tests. They count: a source yields `task:number`, a processor thins the numbers out, a sink
//! keeps them in a foreign system that outlives runs, with the range-manifest protocol.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use arrow_schema::Schema;
use async_trait::async_trait;
use bytes::Bytes;
use millstream_sdk::{
    Config, Finding, Guarantee, Output, Position, Problem, Processed, Processor, ProcessorPlan, Range,
    Rejected, RollReason, Sink, SinkPlan, Source, SourceEvent, SourceFactory, SourceTask, Spec, StreamDesc,
    StreamSchema, TaskContext, TaskError, ValueFormat,
};
use millstream_types::{Offset, Record, Timestamp, TopicPartition};
use serde_json::Value;

/// Errors to come: at which number, and what. Each happens once.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<VecDeque<(u64, Fault)>>>);

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Retry,
    Fatal,
    Panic,
}

impl Faults {
    pub(crate) fn at(faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self(Arc::new(Mutex::new(faults.into_iter().collect())))
    }

    pub(crate) fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn strike(&self, number: u64) -> Result<(), TaskError> {
        let fault = {
            let mut faults = self.0.lock().unwrap();
            match faults.front() {
                Some((at, _)) if *at == number => faults.pop_front(),
                _ => None,
            }
        };
        match fault {
            None => Ok(()),
            Some((_, Fault::Retry)) => Err(TaskError::retry(format!("not now, at {number}"))),
            Some((_, Fault::Fatal)) => Err(TaskError::fatal(format!("broken at {number}"))),
            Some((_, Fault::Panic)) => panic!("lost my head at {number}"),
        }
    }
}

pub(crate) fn number(record: &Record) -> u64 {
    let value = record
        .value
        .as_deref()
        .expect("all records of these tests have values");
    let text = str::from_utf8(value).unwrap();
    text.split(':').next_back().unwrap().parse().unwrap()
}

/// Yields `count` numbers per task.
#[derive(Clone)]
pub(crate) struct Numbers {
    pub(crate) tasks: usize,
    pub(crate) count: u64,
    pub(crate) batch: u64,
    /// Batches between boundaries.
    pub(crate) boundary_every: u64,
    /// Numbers that are rejected instead.
    pub(crate) bad: fn(u64) -> bool,
    /// Zeros before the number, for values of that many bytes more.
    pub(crate) zeros: fn(u64) -> usize,
    /// After the last: wait for more instead of being done.
    pub(crate) endless: bool,
    pub(crate) faults: Faults,
    /// What `on_durable` was told, as numbers.
    pub(crate) durable: Arc<Mutex<Vec<u64>>>,
    /// How far any task was read.
    pub(crate) read_to: Arc<Mutex<u64>>,
}

impl Numbers {
    pub(crate) fn new(count: u64) -> Self {
        Self {
            tasks: 1,
            count,
            batch: 7,
            boundary_every: 2,
            bad: |_| false,
            zeros: |_| 0,
            endless: false,
            faults: Faults::default(),
            durable: Arc::default(),
            read_to: Arc::default(),
        }
    }
}

#[async_trait]
impl SourceFactory for Numbers {
    fn spec(&self) -> Spec {
        Spec {
            kind: "numbers",
            about: "Counts.",
            config: Default::default(),
            guarantee: Guarantee::ExactlyOnce,
        }
    }

    fn validate(&self, _: &Config) -> Vec<Problem> {
        Vec::new()
    }

    async fn check(&self, _: &Config) -> Vec<Finding> {
        Vec::new()
    }

    async fn discover(&self, _: &Config) -> Result<Vec<StreamDesc>, Vec<Problem>> {
        Ok(vec![StreamDesc {
            name: "numbers".into(),
            schema: raw(),
        }])
    }

    async fn plan(&self, _: &Config, _: usize) -> Result<Vec<SourceTask>, Vec<Problem>> {
        let task = |n: usize| SourceTask {
            name: format!("task-{n}"),
            work: Value::Null,
        };
        Ok((0..self.tasks).map(task).collect())
    }

    async fn open(
        &self,
        _: &Config,
        task: SourceTask,
        _: Output,
        resume: Option<Position>,
        _: TaskContext,
    ) -> Result<Box<dyn Source>, TaskError> {
        let next = resume.map_or(0, |position| read_position(&position));
        Ok(Box::new(Counting {
            plan: self.clone(),
            task: task.name,
            next,
            batches: 0,
        }))
    }
}

struct Counting {
    plan: Numbers,
    task: String,
    next: u64,
    batches: u64,
}

fn position(next: u64) -> Position {
    Position {
        version: 1,
        bytes: Bytes::copy_from_slice(&next.to_be_bytes()),
    }
}

fn read_position(position: &Position) -> u64 {
    u64::from_be_bytes(position.bytes.as_ref().try_into().unwrap())
}

#[async_trait]
impl Source for Counting {
    async fn next(&mut self) -> Result<SourceEvent, TaskError> {
        if self.batches == self.plan.boundary_every {
            self.batches = 0;
            return Ok(SourceEvent::Boundary(position(self.next)));
        }
        if self.next == self.plan.count {
            if !self.plan.endless {
                return Ok(SourceEvent::Done(position(self.next)));
            }
            if self.batches > 0 {
                self.batches = self.plan.boundary_every;
                return self.next().await;
            }
            return std::future::pending().await;
        }
        let end = self.plan.count.min(self.next + self.plan.batch);
        let mut records = Vec::new();
        let mut rejected = Vec::new();
        for n in self.next..end {
            self.plan.faults.strike(n)?;
            let record = Record {
                timestamp: Timestamp(n as i64),
                key: Some(Bytes::from(format!("key-{}", n % 11))),
                value: Some(Bytes::from(format!(
                    "{}:{}{n}",
                    self.task,
                    "0".repeat((self.plan.zeros)(n))
                ))),
                ..Record::default()
            };
            if (self.plan.bad)(n) {
                rejected.push(Rejected {
                    record,
                    reason: "a bad number".into(),
                    origin: vec![("line", n.to_string())],
                });
            } else {
                records.push(record);
            }
        }
        self.next = end;
        self.batches += 1;
        *self.plan.read_to.lock().unwrap() = end;
        Ok(SourceEvent::Records {
            stream: 0,
            records,
            rejected,
        })
    }

    async fn on_durable(&mut self, position: &Position) -> Result<(), TaskError> {
        self.plan.durable.lock().unwrap().push(read_position(position));
        Ok(())
    }
}

/// Drops multiples of three, rejects multiples of ten (that are not multiples of three), passes on the rest.
pub(crate) struct Thin {
    schema: StreamSchema,
    faults: Faults,
    miscounts: bool,
}

impl Thin {
    pub(crate) fn with(faults: Faults) -> Self {
        Self {
            schema: raw(),
            faults,
            miscounts: false,
        }
    }

    /// Forgets to count what it drops.
    pub(crate) fn that_miscounts() -> Self {
        Self {
            miscounts: true,
            ..Self::with(Faults::default())
        }
    }

    pub(crate) fn keeps(n: u64) -> bool {
        !n.is_multiple_of(3) && !n.is_multiple_of(10)
    }
}

impl ProcessorPlan for Thin {
    fn output(&self) -> &StreamSchema {
        &self.schema
    }

    fn explain(&self) -> String {
        "thins out numbers".into()
    }

    fn open(&self) -> Result<Box<dyn Processor>, TaskError> {
        Ok(Box::new(Thinning {
            faults: self.faults.clone(),
            miscounts: self.miscounts,
        }))
    }
}

struct Thinning {
    faults: Faults,
    miscounts: bool,
}

impl Processor for Thinning {
    fn process(&mut self, input: &[Record]) -> Result<Processed, TaskError> {
        let mut processed = Processed::default();
        for record in input {
            let n = number(record);
            self.faults.strike(n)?;
            if n.is_multiple_of(3) {
                processed.filtered += u64::from(!self.miscounts);
            } else if n.is_multiple_of(10) {
                processed.rejected.push(Rejected {
                    record: record.clone(),
                    reason: "a multiple of ten".into(),
                    origin: Vec::new(),
                });
            } else {
                processed.passed += 1;
                processed.records.push(record.clone());
            }
        }
        Ok(processed)
    }
}

/// A foreign system that holds what sinks have committed.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    ranges: Arc<Mutex<Ranges>>,
    pub(crate) faults: Faults,
    /// Rejected by the sink.
    pub(crate) refuses: Option<fn(u64) -> bool>,
    /// Most records that were held at once.
    pub(crate) most_held: Arc<Mutex<usize>>,
    pub(crate) roll_records: usize,
}

#[derive(Default)]
struct Ranges {
    /// By partition and start: the fixed end, then the content.
    fixed: BTreeMap<(TopicPartition, Offset), Offset>,
    content: BTreeMap<(TopicPartition, Offset), Vec<u64>>,
}

impl Shelf {
    pub(crate) fn rolling_at(roll_records: usize) -> Self {
        Self {
            roll_records,
            ..Self::default()
        }
    }

    /// All numbers on it, sorted.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.ranges().content.values().flatten().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// As if another incarnation had fixed a range and then died.
    pub(crate) fn fix(&self, partition: TopicPartition, start: i64, end: i64) {
        self.ranges()
            .fixed
            .insert((partition, Offset(start)), Offset(end));
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        self.ranges.lock().unwrap()
    }
}

#[async_trait]
impl SinkPlan for Shelf {
    async fn open(&self, partition: TopicPartition, _: TaskContext) -> Result<Box<dyn Sink>, TaskError> {
        Ok(Box::new(Shelving {
            shelf: self.clone(),
            partition,
            start: Offset::ZERO,
            held: Vec::new(),
        }))
    }
}

struct Shelving {
    shelf: Shelf,
    partition: TopicPartition,
    start: Offset,
    held: Vec<Record>,
}

#[async_trait]
impl Sink for Shelving {
    async fn resume(&mut self, group: Offset) -> Result<Offset, TaskError> {
        self.start = group;
        Ok(group)
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<Rejected>, TaskError> {
        let mut rejected = Vec::new();
        for record in records {
            let n = number(&record);
            self.shelf.faults.strike(n)?;
            if self.shelf.refuses.is_some_and(|refuses| refuses(n)) {
                rejected.push(Rejected {
                    record,
                    reason: "does not fit on the shelf".into(),
                    origin: Vec::new(),
                });
            } else {
                self.held.push(record);
            }
        }
        let mut most = self.shelf.most_held.lock().unwrap();
        *most = (*most).max(self.held.len());
        Ok(rejected)
    }

    fn should_roll(&self, _: Timestamp) -> Option<RollReason> {
        (self.held.len() >= self.shelf.roll_records).then_some(RollReason::Records)
    }

    async fn prepare(&mut self, next: Offset) -> Result<Range, TaskError> {
        let key = (self.partition.clone(), self.start);
        let end = *self.shelf.ranges().fixed.entry(key).or_insert(next);
        Ok(Range {
            start: self.start,
            end,
        })
    }

    async fn commit(&mut self, range: Range) -> Result<(), TaskError> {
        let within = |record: &Record| record.offset < range.end;
        let content = self.held.iter().filter(|r| within(r)).map(number).collect();
        self.held.retain(|r| !within(r));
        self.start = range.end;
        let key = (self.partition.clone(), range.start);
        self.shelf.ranges().content.insert(key, content);
        Ok(())
    }
}

fn raw() -> StreamSchema {
    StreamSchema {
        format: ValueFormat::Raw,
        columns: Arc::new(Schema::empty()),
    }
}
