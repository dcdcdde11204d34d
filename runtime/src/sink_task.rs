//! The last stage: topic-partition → sink → foreign system. The life cycle is the one drawn in `millstream_sdk::Sink`:
//! write, roll, prepare (fixes a range, perhaps one that another incarnation chose), commit, and only then the group
//! offset together with the dead letters of the range.
//!
//! The group offset only ever moves to the end of a range, never over control records behind it: the chain of ranges
//! must be the same for every incarnation, and each range begins where the last one ended.

mod pending;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_client::Consumed;
use millstream_sdk::{Range, Rejected, Sink, SinkPlan, TaskError};
use millstream_types::{Offset, Record, TopicPartition};

use self::pending::Pending;
use crate::{
    commit::{InDoubt, Transaction},
    dead_letter::{BadRecordHandler, Stage},
    input::{EndOfInput, Input, PartitionReader},
    scope::Scope,
    supervisor::{Ended, Task},
};

/// How often a sink is asked whether to roll while no record comes.
const ROLL_TICK: Duration = Duration::from_millis(100);

pub(crate) struct SinkTask {
    pub(crate) scope: Scope,
    pub(crate) plan: Arc<dyn SinkPlan>,
    pub(crate) input: TopicPartition,
    pub(crate) end: EndOfInput,
    pub(crate) doubt: InDoubt<Offset>,
}

/// One incarnation: what is rebuilt after every failure.
struct Running<'a> {
    scope: &'a Scope,
    input: TopicPartition,
    sink: Box<dyn Sink>,
    reader: PartitionReader<'a>,
    transaction: Transaction,
    bad_records: BadRecordHandler,
    /// Written since the last commit.
    pending: Pending,
    doubt: &'a mut InDoubt<Offset>,
}

/// What opening a sink gives.
struct Opened {
    sink: Box<dyn Sink>,
    transaction: Transaction,
    start: Offset,
}

#[async_trait]
impl Task for SinkTask {
    async fn run(&mut self) -> Result<Ended, TaskError> {
        let scope = self.scope.clone();
        let Some(opened) = scope.unless_stopped(self.open()).await? else {
            return Ok(Ended::Stopped);
        };
        let mut running = Running {
            scope: &scope,
            input: self.input.clone(),
            sink: opened.sink,
            reader: PartitionReader::open(&scope, self.input.clone(), &mut self.end, opened.start).await?,
            transaction: opened.transaction,
            bad_records: BadRecordHandler::new(&scope, Stage::Sink, Some(self.input.clone()))?,
            pending: Pending::starting_at(opened.start),
            doubt: &mut self.doubt,
        };
        running.run().await
    }
}

impl SinkTask {
    async fn open(&mut self) -> Result<Opened, TaskError> {
        let scope = &self.scope;
        let transaction = Transaction::open(scope).await?;
        let group = scope.group_offset(&self.input).await?;
        let mut sink = self.plan.open(self.input.clone(), scope.context()).await?;
        let start = sink.resume(group).await?;
        if let Some(counts) = self.doubt.settle(Some(&start)) {
            scope.cell.committed(counts);
        }
        Ok(Opened {
            sink,
            transaction,
            start,
        })
    }
}

impl Running<'_> {
    async fn run(&mut self) -> Result<Ended, TaskError> {
        loop {
            let ended = match self.reader.next(ROLL_TICK).await? {
                Input::Records(records) => {
                    self.write(records).await?;
                    None
                }
                Input::Idle => None,
                Input::End => Some(Ended::Done),
                Input::Stopped => Some(Ended::Stopped),
            };
            if self.should_roll() {
                self.roll().await?;
            }
            if let Some(ended) = ended {
                // A range that was adopted may end before what is written: then there is a rest.
                while !self.pending.is_empty() {
                    self.roll().await?;
                }
                self.show_lag();
                return Ok(ended);
            }
            self.show_lag();
        }
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<(), TaskError> {
        let written = records.len();
        self.pending.wrote(&records);
        let rejected = self.sink.write(records).await?;
        self.bad_records.check(&rejected)?;
        if rejected.len() > written {
            return Err(TaskError::fatal(format!(
                "the sink rejects {} of {written} records",
                rejected.len()
            )));
        }
        self.pending.rejected(rejected);
        Ok(())
    }

    fn should_roll(&self) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        // A sink that took nothing may see no reason to roll, but the dead letters should not wait for it.
        let only_rejected = self.pending.is_all_rejected() && self.transaction.is_due();
        only_rejected || self.sink.should_roll(self.scope.shared.clock.now()).is_some()
    }

    /// Commits one range.
    async fn roll(&mut self) -> Result<(), TaskError> {
        let range = self.sink.prepare(self.pending.next()).await?;
        if range.start != self.pending.start() || range.end <= range.start {
            return Err(TaskError::fatal(format!(
                "the sink fixed the range {}..{}, but the last commit was at {}",
                range.start,
                range.end,
                self.pending.start()
            )));
        }
        self.fill(range).await?;
        self.sink.commit(range).await?;

        let (counts, rejected) = self.pending.take_until(range.end);
        self.transaction.counts = counts;
        self.settle(range, rejected).await
    }

    /// Writes on until the sink has every record of a range that another incarnation chose.
    async fn fill(&mut self, range: Range) -> Result<(), TaskError> {
        while self.pending.next() < range.end && self.reader.position() < range.end
            || self.reader.has_returned_before(range.end)
        {
            let records = self.reader.next_within(range.end).await?;
            if !records.is_empty() {
                self.write(records).await?;
            }
        }
        Ok(())
    }

    /// The log's part of the commit.
    async fn settle(&mut self, range: Range, rejected: Vec<Rejected>) -> Result<(), TaskError> {
        self.bad_records.handle(rejected, &mut self.transaction).await?;
        self.doubt.begin(range.end, self.transaction.counts);
        let consumed = Consumed {
            group: self.scope.group(),
            offsets: vec![(self.input.clone(), range.end)],
        };
        let counts = self.transaction.commit(Some(consumed)).await?;
        self.doubt.clear();
        self.scope.cell.committed(counts);
        Ok(())
    }

    fn show_lag(&self) {
        let done_to = if self.pending.is_empty() {
            self.reader.position()
        } else {
            self.pending.start()
        };
        self.scope.cell.set_lag(self.reader.lag(done_to));
    }
}
