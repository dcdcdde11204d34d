//! Reads one partition for a processor or sink: committed records only, until told to stop or, with `until_end`, until
//! nothing more can come.

use std::{sync::Arc, time::Duration};

use millstream_client::{Fetch, Fetched, Isolation, OffsetAt};
use millstream_sdk::TaskError;
use millstream_types::{Offset, Record, TopicPartition};
use tokio_util::sync::CancellationToken;

use crate::{error::from_log, scope::Scope};

/// When the end is known there is nothing to wait for but the log's own bookkeeping.
const WAIT_NEAR_END: Duration = Duration::from_millis(10);

/// Where the input of a task ends, if it ends. Outlives restarts of the task.
pub(crate) struct EndOfInput {
    until_end: bool,
    /// Every node of this pipeline that writes the topic; cancelled when it has ended.
    upstream: Arc<[CancellationToken]>,
    /// Known once all upstream has ended: the end of the committed log at that moment.
    offset: Option<Offset>,
}

impl EndOfInput {
    pub(crate) fn new(until_end: bool, upstream: Arc<[CancellationToken]>) -> Self {
        Self {
            until_end,
            upstream,
            offset: None,
        }
    }

    fn is_closed(&self) -> bool {
        self.until_end && self.upstream.iter().all(CancellationToken::is_cancelled)
    }

    async fn closed(&self) {
        if !self.until_end {
            return std::future::pending().await;
        }
        for node in self.upstream.iter() {
            node.cancelled().await;
        }
    }
}

pub(crate) enum Input {
    /// In offset order, never empty.
    Records(Vec<Record>),
    /// Nothing came in time.
    Idle,
    /// Nothing will come any more.
    End,
    /// The run is told to stop.
    Stopped,
}

/// The reading end of one incarnation of a task.
pub(crate) struct PartitionReader<'a> {
    scope: &'a Scope,
    partition: TopicPartition,
    end: &'a mut EndOfInput,
    /// Where the next fetch begins.
    position: Offset,
    /// Fetched, but given back: comes first next time.
    returned: Vec<Record>,
    log_end: Offset,
}

impl<'a> PartitionReader<'a> {
    /// Fails if the log ends before `position`: then it is not the log that the position was committed for.
    pub(crate) async fn open(
        scope: &'a Scope,
        partition: TopicPartition,
        end: &'a mut EndOfInput,
        position: Offset,
    ) -> Result<Self, TaskError> {
        let log_end = scope.log().offset(&partition, OffsetAt::Latest).await;
        let log_end = log_end.map_err(from_log)?;
        if position > log_end {
            return Err(TaskError::Lost {
                what: format!("{partition}@{log_end}"),
                message: format!("{position} is committed, but the log ends before"),
            });
        }
        Ok(Self {
            scope,
            partition,
            end,
            position,
            returned: Vec::new(),
            log_end,
        })
    }

    /// All before this offset was answered by `next` (or given back).
    pub(crate) fn position(&self) -> Offset {
        self.position
    }

    /// Takes back the rest of a batch.
    pub(crate) fn give_back(&mut self, records: Vec<Record>) {
        debug_assert!(self.returned.is_empty(), "one batch is out at a time");
        self.returned = records;
    }

    /// Whether records before `end` were given back.
    pub(crate) fn has_returned_before(&self, end: Offset) -> bool {
        self.returned.first().is_some_and(|record| record.offset < end)
    }

    /// Committed records that exist behind `offset`.
    pub(crate) fn lag(&self, offset: Offset) -> i64 {
        (self.log_end - offset).max(0)
    }

    pub(crate) async fn next(&mut self, max_wait: Duration) -> Result<Input, TaskError> {
        if self.scope.is_stopping() {
            return Ok(Input::Stopped);
        }
        if !self.returned.is_empty() {
            return Ok(Input::Records(std::mem::take(&mut self.returned)));
        }
        let end = self.end().await?;
        if end.is_some_and(|end| self.position >= end) {
            return Ok(Input::End);
        }
        let max_wait = end.map_or(max_wait, |_| WAIT_NEAR_END);
        let stop = self.scope.shared.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(Input::Stopped),
            // The end of the input becomes known: look again, without waiting out a long poll.
            () = self.end.closed(), if end.is_none() => Ok(Input::Idle),
            fetched = self.fetch(max_wait) => Ok(self.take(fetched?)),
        }
    }

    /// The next records although the run may be stopping: for a sink that must fill a range.
    pub(crate) async fn next_within(&mut self, end: Offset) -> Result<Vec<Record>, TaskError> {
        let records = if self.returned.is_empty() {
            let fetched = self.fetch(WAIT_NEAR_END).await?;
            if fetched.records.is_empty() && fetched.high_watermark < end {
                return Err(TaskError::Lost {
                    what: format!("{}@{}", self.partition, fetched.high_watermark),
                    message: format!("the sink has fixed a range up to {end}, but the log ends before"),
                });
            }
            match self.take(fetched) {
                Input::Records(records) => records,
                Input::Idle | Input::End | Input::Stopped => Vec::new(),
            }
        } else {
            std::mem::take(&mut self.returned)
        };
        let (within, beyond) = records.into_iter().partition(|r| r.offset < end);
        self.give_back(beyond);
        Ok(within)
    }

    async fn end(&mut self) -> Result<Option<Offset>, TaskError> {
        if self.end.offset.is_none() && self.end.is_closed() {
            let end = self
                .scope
                .log()
                .offset(&self.partition, OffsetAt::LatestCommitted)
                .await;
            self.end.offset = Some(end.map_err(from_log)?);
        }
        Ok(self.end.offset)
    }

    async fn fetch(&self, max_wait: Duration) -> Result<Fetched, TaskError> {
        let fetch = Fetch {
            partition: self.partition.clone(),
            offset: self.position,
            max_bytes: self.scope.shared.options.fetch_max_bytes,
            max_wait,
            isolation: Isolation::ReadCommitted,
        };
        self.scope.log().fetch(fetch).await.map_err(from_log)
    }

    fn take(&mut self, fetched: Fetched) -> Input {
        self.position = fetched.next_offset;
        self.log_end = fetched.last_stable_offset;
        if fetched.records.is_empty() {
            Input::Idle
        } else {
            Input::Records(fetched.records)
        }
    }
}
