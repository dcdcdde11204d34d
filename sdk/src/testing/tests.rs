//! The suites pass what is right and catch what is wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use millstream_types::{Offset, Record, Timestamp};

use super::{SinkRig, processor, sink, source};
use crate::{
    Position, Processed, Processor, Range, Rejected, RollReason, Sink, Source, SourceEvent, TaskError,
};

fn record(n: u64) -> Record {
    Record {
        offset: Offset(n as i64),
        value: Some(Bytes::from(n.to_string())),
        ..Record::default()
    }
}

/// Ways in which a source may be wrong.
#[derive(Clone, Copy, PartialEq)]
enum SourceFlaw {
    None,
    /// Its position lies one record before what was yielded.
    PositionBehind,
    /// Takes records before it can yield them.
    NotCancelSafe,
    TakesAnyVersion,
    MoreAfterDone,
}

struct Counting {
    next: u64,
    end: u64,
    boundary: bool,
    flaw: SourceFlaw,
    waited: bool,
}

const COUNT: u64 = 40;

fn counting(flaw: SourceFlaw) -> impl AsyncFn(Option<Position>) -> Result<Box<dyn Source>, TaskError> {
    async move |resume: Option<Position>| {
        let next = match &resume {
            None => 0,
            Some(position) if position.version != 1 && flaw != SourceFlaw::TakesAnyVersion => {
                return Err(TaskError::Lost {
                    what: "position".into(),
                    message: format!("unknown version {}", position.version),
                });
            }
            Some(position) => u64::from(position.bytes[0]),
        };
        let more = flaw == SourceFlaw::MoreAfterDone && next == COUNT;
        let source = Counting {
            next,
            end: if more { COUNT + 1 } else { COUNT },
            boundary: false,
            flaw,
            waited: false,
        };
        Ok(Box::new(source) as Box<dyn Source>)
    }
}

impl Counting {
    fn position(&self) -> Position {
        let behind = u64::from(self.flaw == SourceFlaw::PositionBehind);
        Position {
            version: 1,
            bytes: Bytes::from(vec![(self.next - behind) as u8]),
        }
    }
}

#[async_trait]
impl Source for Counting {
    async fn next(&mut self) -> Result<SourceEvent, TaskError> {
        if self.boundary {
            self.boundary = false;
            return Ok(SourceEvent::Boundary(self.position()));
        }
        if self.next >= self.end {
            return Ok(SourceEvent::Done(self.position()));
        }
        let first = self.next;
        let end = self.end.min(first + 3);
        if self.flaw == SourceFlaw::NotCancelSafe {
            self.next = end;
        }
        if !self.waited {
            self.waited = true;
            tokio::task::yield_now().await;
        }
        self.waited = false;
        self.next = end;
        self.boundary = true;
        let rejected = Rejected {
            record: record(first),
            reason: "the first of each batch".into(),
            origin: Vec::new(),
        };
        Ok(SourceEvent::Records {
            stream: 0,
            records: (first + 1..end).map(record).collect(),
            rejected: vec![rejected],
        })
    }

    async fn on_durable(&mut self, _: &Position) -> Result<(), TaskError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_right_source_passes() {
    source(counting(SourceFlaw::None)).await;
}

#[tokio::test]
#[should_panic(expected = "does not yield the rest")]
async fn a_position_that_lies_behind_is_caught() {
    source(counting(SourceFlaw::PositionBehind)).await;
}

#[tokio::test]
#[should_panic(expected = "dropping calls of `next`")]
async fn a_source_that_is_not_cancel_safe_is_caught() {
    source(counting(SourceFlaw::NotCancelSafe)).await;
}

#[tokio::test]
#[should_panic(expected = "unknown version must be refused")]
async fn a_source_that_takes_any_position_is_caught() {
    source(counting(SourceFlaw::TakesAnyVersion)).await;
}

#[tokio::test]
#[should_panic(expected = "after 26 records does not yield the rest")]
async fn a_source_that_is_never_done_is_caught() {
    source(counting(SourceFlaw::MoreAfterDone)).await;
}

/// Ways to put a range where others can see it.
#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    /// The first to prepare a start decides its end.
    Manifest,
    /// The foreign system holds the offset; whoever lies beside it is fenced.
    OwnOffset,
    /// Wrong: the last one to commit a start wins.
    Overwrite,
    /// Wrong: visible at once.
    Eager,
}

/// The foreign system: what is seen, by start, and what is fixed or known.
#[derive(Default)]
struct Store {
    fixed: BTreeMap<Offset, Offset>,
    seen: BTreeMap<(Offset, u64), Vec<Offset>>,
    offset: Offset,
    writes: u64,
}

#[derive(Clone)]
struct Rig {
    protocol: Protocol,
    store: Arc<Mutex<Store>>,
}

fn rig(protocol: Protocol) -> impl AsyncFn() -> Rig {
    async move || Rig {
        protocol,
        store: Arc::default(),
    }
}

#[async_trait]
impl SinkRig for Rig {
    async fn open(&self) -> Result<Box<dyn Sink>, TaskError> {
        Ok(Box::new(Keeping {
            rig: self.clone(),
            start: Offset::ZERO,
            held: Vec::new(),
        }))
    }

    fn record(&self, offset: Offset) -> Record {
        record(offset.0 as u64)
    }

    async fn visible(&self) -> Vec<Offset> {
        let store = self.store.lock().unwrap();
        store.seen.values().flatten().copied().collect()
    }
}

struct Keeping {
    rig: Rig,
    start: Offset,
    held: Vec<Offset>,
}

#[async_trait]
impl Sink for Keeping {
    async fn resume(&mut self, group: Offset) -> Result<Offset, TaskError> {
        self.start = match self.rig.protocol {
            Protocol::OwnOffset => self.rig.store.lock().unwrap().offset,
            Protocol::Manifest | Protocol::Overwrite | Protocol::Eager => group,
        };
        Ok(self.start)
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Vec<Rejected>, TaskError> {
        let offsets = records.iter().map(|r| r.offset);
        if self.rig.protocol == Protocol::Eager {
            let mut store = self.rig.store.lock().unwrap();
            store.writes += 1;
            let key = (self.start, store.writes);
            store.seen.insert(key, offsets.collect());
        } else {
            self.held.extend(offsets);
        }
        Ok(Vec::new())
    }

    fn should_roll(&self, _: Timestamp) -> Option<RollReason> {
        None
    }

    async fn prepare(&mut self, next: Offset) -> Result<Range, TaskError> {
        let mut store = self.rig.store.lock().unwrap();
        let end = match self.rig.protocol {
            Protocol::Manifest => *store.fixed.entry(self.start).or_insert(next),
            Protocol::OwnOffset | Protocol::Overwrite | Protocol::Eager => next,
        };
        Ok(Range {
            start: self.start,
            end,
        })
    }

    async fn commit(&mut self, range: Range) -> Result<(), TaskError> {
        let mut store = self.rig.store.lock().unwrap();
        // A repeat, or what a zombie finds already there.
        let known = self.rig.protocol == Protocol::OwnOffset && store.offset == range.end;
        if self.rig.protocol == Protocol::OwnOffset && !known && store.offset != range.start {
            return Err(TaskError::Fenced);
        }
        store.offset = range.end;
        let (within, beyond): (Vec<Offset>, _) = self.held.iter().partition(|o| **o < range.end);
        if !known && !within.is_empty() {
            store.seen.insert((range.start, 0), within);
        }
        self.held = beyond;
        self.start = range.end;
        Ok(())
    }
}

#[tokio::test]
async fn right_sinks_pass() {
    sink(rig(Protocol::Manifest)).await;
    sink(rig(Protocol::OwnOffset)).await;
}

#[tokio::test]
#[should_panic(expected = "repeated")]
async fn a_sink_that_overwrites_is_caught() {
    sink(rig(Protocol::Overwrite)).await;
}

#[tokio::test]
#[should_panic(expected = "after a crash before anything was committed")]
async fn a_sink_that_shows_what_is_not_committed_is_caught() {
    sink(rig(Protocol::Eager)).await;
}

/// Drops odd values, rejects multiples of ten.
struct Even {
    forgets: bool,
    remembers: bool,
}

impl Processor for Even {
    fn process(&mut self, input: &[Record]) -> Result<Processed, TaskError> {
        let mut processed = Processed::default();
        for (n, record) in input.iter().enumerate() {
            match record.offset.0 {
                odd if odd % 2 == 1 => processed.filtered += u64::from(!self.forgets),
                ten if ten % 10 == 0 => processed.rejected.push(Rejected {
                    record: record.clone(),
                    reason: "ten".into(),
                    origin: Vec::new(),
                }),
                // Wrong: the place in the batch shows.
                _ if self.remembers && n == 0 => processed.filtered += 1,
                _ => {
                    processed.passed += 1;
                    processed.records.push(record.clone());
                }
            }
        }
        Ok(processed)
    }
}

fn even(forgets: bool, remembers: bool) -> impl Fn() -> Box<dyn Processor> {
    move || Box::new(Even { forgets, remembers })
}

#[test]
fn a_right_processor_passes() {
    let input: Vec<_> = (0..200).map(record).collect();
    processor(even(false, false), &input);
}

#[test]
#[should_panic(expected = "not accounted for")]
fn a_processor_that_forgets_is_caught() {
    let input: Vec<_> = (0..200).map(record).collect();
    processor(even(true, false), &input);
}

#[test]
#[should_panic(expected = "something else than one batch")]
fn a_processor_that_depends_on_batches_is_caught() {
    let input: Vec<_> = (0..200).map(record).collect();
    processor(even(false, true), &input);
}
