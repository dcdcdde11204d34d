//! The first stage: foreign system → source → topics. Records and the position that covers them are one transaction;
//! the upstream is told (`on_durable`) after it.
//!
//! A commit is possible only at a boundary. Between boundaries records are appended as they come, so memory stays
//! bounded however far apart boundaries are; if the task dies there, its successor aborts them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_pipeline::SourceNode;
use millstream_sdk::{Position, Rejected, Source, SourceEvent, SourceTask as Work, TaskError};
use millstream_types::{Record, TopicName, TopicPartition};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    commit::{InDoubt, Transaction},
    dead_letter::{BadRecordHandler, Stage},
    names::positions_topic,
    partitioner::{Partitioner, murmur2},
    positions::{self, PositionKey},
    rewrite::Rewriter,
    scope::Scope,
    status::Counts,
    supervisor::{Ended, Task},
};

/// How long a stopping task goes on to reach a boundary before it drops what came after the last one.
const BOUNDARY_GRACE: Duration = Duration::from_secs(3);

pub(crate) struct SourceTask {
    pub(crate) scope: Scope,
    pub(crate) node: Arc<SourceNode>,
    pub(crate) work: Work,
    pub(crate) doubt: InDoubt<Position>,
}

/// One incarnation: what is rebuilt after every failure.
struct Running {
    source: Box<dyn Source>,
    transaction: Transaction,
    bad_records: BadRecordHandler,
    /// Of each stream.
    outputs: Vec<StreamOutput>,
    committed: Option<Position>,
    /// A boundary that covers everything appended so far.
    boundary: Option<Position>,
    /// Something was appended after the last boundary.
    uncovered: bool,
}

/// Where the records of a stream go.
struct StreamOutput {
    topic: TopicName,
    partitioner: Partitioner,
    /// If they are not written as they come.
    rewriter: Option<Rewriter>,
}

#[async_trait]
impl Task for SourceTask {
    async fn run(&mut self) -> Result<Ended, TaskError> {
        let scope = self.scope.clone();
        let Some(mut running) = scope.unless_stopped(self.open()).await? else {
            return Ok(Ended::Stopped);
        };
        loop {
            let due = running.transaction.due();
            tokio::select! {
                biased;
                () = scope.shared.stop.cancelled() => return self.stop(&mut running).await,
                event = running.source.next() => {
                    if running.take(event?).await? {
                        self.commit(&mut running).await?;
                        return Ok(Ended::Done);
                    }
                    if running.transaction.is_due() && !running.uncovered {
                        self.commit(&mut running).await?;
                    }
                }
                () = sleep_until(due), if !running.uncovered => {
                    if running.boundary.is_none() {
                        running.boundary = running.source.idle_position();
                    }
                    self.commit(&mut running).await?;
                }
            }
        }
    }
}

impl SourceTask {
    async fn open(&mut self) -> Result<Running, TaskError> {
        let scope = &self.scope;
        let transaction = Transaction::open(scope).await?;
        let position_partitions = scope.partitions(&positions_topic())?;
        let resume = positions::read(scope.log(), &self.key(), position_partitions).await?;
        if let Some(counts) = self.doubt.settle(resume.as_ref()) {
            scope.cell.committed(counts);
        }
        let node = &self.node;
        let outputs = node
            .topics
            .iter()
            .zip(&node.conversions)
            .map(|(topic, conversion)| {
                Ok(StreamOutput {
                    topic: topic.clone(),
                    partitioner: Partitioner::new(scope.partitions(topic)?, murmur2(scope.task.as_bytes())),
                    rewriter: conversion.as_ref().map(Rewriter::new).transpose()?,
                })
            });
        let source = node.factory.open(
            &node.config,
            self.work.clone(),
            node.output.clone(),
            resume.clone(),
            scope.context(),
        );
        Ok(Running {
            outputs: outputs.collect::<Result<_, TaskError>>()?,
            bad_records: BadRecordHandler::new(scope, Stage::Source, None)?,
            source: source.await?,
            transaction,
            committed: resume,
            boundary: None,
            uncovered: false,
        })
    }

    fn key(&self) -> PositionKey {
        PositionKey {
            pipeline: self.scope.shared.pipeline.clone(),
            source: self.node.name.clone(),
            task: self.work.name.clone(),
        }
    }

    /// Commits what the last boundary covers, if that is anything new.
    async fn commit(&mut self, running: &mut Running) -> Result<(), TaskError> {
        debug_assert!(!running.uncovered, "commits happen at boundaries");
        let Some(position) = running.boundary.take() else {
            running.transaction.postpone();
            return Ok(());
        };
        let idle = running.transaction.counts == Counts::default();
        if idle && running.committed.as_ref() == Some(&position) {
            running.transaction.postpone();
            return Ok(());
        }
        let scope = &self.scope;
        let partitions = scope.partitions(&positions_topic())?;
        let (partition, record) =
            positions::record(&self.key(), &position, partitions, scope.shared.clock.now());
        if let Some(position) = running.transaction.append(&partition, &[record]).await?.pop() {
            return Err(TaskError::fatal(position.reason));
        }
        self.doubt.begin(position.clone(), running.transaction.counts);
        let counts = running.transaction.commit(None).await?;
        self.doubt.clear();
        scope.cell.committed(counts);
        running.source.on_durable(&position).await?;
        running.committed = Some(position);
        Ok(())
    }

    /// Commits what can be committed; goes on for a while to reach a boundary.
    async fn stop(&mut self, running: &mut Running) -> Result<Ended, TaskError> {
        let deadline = Instant::now() + BOUNDARY_GRACE;
        while running.uncovered {
            match timeout_at(deadline, running.source.next()).await {
                Ok(event) => running.take(event?).await.map(drop)?,
                Err(_) => {
                    running.transaction.abort().await?;
                    return Ok(Ended::Stopped);
                }
            }
        }
        self.commit(running).await?;
        Ok(Ended::Stopped)
    }
}

impl Running {
    /// Answers whether that was the last event.
    async fn take(&mut self, event: SourceEvent) -> Result<bool, TaskError> {
        match event {
            SourceEvent::Records {
                stream,
                records,
                rejected,
            } => {
                self.uncovered = true;
                self.append(stream, records, rejected).await?;
                Ok(false)
            }
            SourceEvent::Boundary(position) => {
                self.uncovered = false;
                self.boundary = Some(position);
                Ok(false)
            }
            SourceEvent::Done(position) => {
                self.uncovered = false;
                self.boundary = Some(position);
                Ok(true)
            }
        }
    }

    async fn append(
        &mut self,
        stream: usize,
        mut records: Vec<Record>,
        mut rejected: Vec<Rejected>,
    ) -> Result<(), TaskError> {
        let Some(output) = self.outputs.get_mut(stream) else {
            return Err(TaskError::fatal(format!(
                "the source yields records of stream {stream}, which it did not discover"
            )));
        };
        let StreamOutput {
            topic,
            partitioner,
            rewriter,
        } = output;
        if let Some(rewriter) = rewriter {
            let (rewritten, unfit) = rewriter.rewrite(records)?;
            records = rewritten;
            rejected.extend(unfit);
        }
        let bytes = |records: &mut dyn Iterator<Item = &Record>| -> u64 {
            records.map(|r| r.payload_bytes() as u64).sum()
        };
        self.transaction.counts += Counts {
            records_in: (records.len() + rejected.len()) as u64,
            records_out: records.len() as u64,
            bytes: bytes(&mut records.iter()) + bytes(&mut rejected.iter().map(|r| &r.record)),
            ..Counts::default()
        };
        for (partition, records) in partitioner.split(records) {
            let to = TopicPartition::new(topic.clone(), partition);
            let too_large = self.transaction.append(&to, &records).await?;
            self.bad_records
                .handle_too_large(too_large, &to, &mut self.transaction)
                .await?;
        }
        partitioner.rotate();
        self.bad_records.handle(rejected, &mut self.transaction).await
    }
}
