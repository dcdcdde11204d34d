//! The second stage: input partition → processor → topic. One task per input partition, so its records keep their
//! order. Outputs, dead letters and the input offset are one transaction.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use millstream_client::Consumed;
use millstream_pipeline::ProcessorNode;
use millstream_sdk::{Processed, Processor, TaskError};
use millstream_types::{Offset, Record, TopicPartition};
use tokio::time::Instant;

use crate::{
    commit::{InDoubt, Transaction},
    dead_letter::{BadRecordHandler, Stage},
    input::{EndOfInput, Input, PartitionReader},
    partitioner::Partitioner,
    scope::Scope,
    status::Counts,
    supervisor::{Ended, Task},
};

/// Long poll on an idle topic.
const FETCH_MAX_WAIT: Duration = Duration::from_millis(500);
/// Records given to a processor at once: bounds the columns it holds in memory.
const MICRO_BATCH_RECORDS: usize = 8192;

pub(crate) struct ProcessorTask {
    pub(crate) scope: Scope,
    pub(crate) node: Arc<ProcessorNode>,
    pub(crate) input: TopicPartition,
    pub(crate) end: EndOfInput,
    pub(crate) doubt: InDoubt<Offset>,
}

/// One incarnation: what is rebuilt after every failure.
struct Running {
    input: TopicPartition,
    processor: Box<dyn Processor>,
    transaction: Transaction,
    bad_records: BadRecordHandler,
    partitioner: Partitioner,
    committed: Offset,
}

#[async_trait]
impl Task for ProcessorTask {
    async fn run(&mut self) -> Result<Ended, TaskError> {
        let scope = self.scope.clone();
        let Some(mut running) = scope.unless_stopped(self.open()).await? else {
            return Ok(Ended::Stopped);
        };
        let mut reader =
            PartitionReader::open(&scope, self.input.clone(), &mut self.end, running.committed).await?;
        loop {
            let until_due = running
                .transaction
                .due()
                .saturating_duration_since(Instant::now());
            let ended = match reader.next(until_due.min(FETCH_MAX_WAIT)).await? {
                Input::Records(records) => {
                    running.process(&self.node, &records).await?;
                    None
                }
                Input::Idle => None,
                Input::End => Some(Ended::Done),
                Input::Stopped => Some(Ended::Stopped),
            };
            if ended.is_some() || running.transaction.is_due() {
                running.commit(&scope, reader.position(), &mut self.doubt).await?;
            }
            let pending = running.transaction.counts.records_in > 0;
            let done_to = if pending {
                running.committed
            } else {
                reader.position()
            };
            scope.cell.set_lag(reader.lag(done_to));
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }
}

impl ProcessorTask {
    async fn open(&mut self) -> Result<Running, TaskError> {
        let scope = &self.scope;
        let transaction = Transaction::open(scope).await?;
        let committed = scope.group_offset(&self.input).await?;
        if let Some(counts) = self.doubt.settle(Some(&committed)) {
            scope.cell.committed(counts);
        }
        Ok(Running {
            input: self.input.clone(),
            processor: self.node.plan.open()?,
            transaction,
            bad_records: BadRecordHandler::new(scope, Stage::Processor, Some(self.input.clone()))?,
            // Records without a key stay in the order of their input partition.
            partitioner: Partitioner::new(scope.partitions(&self.node.into)?, self.input.partition),
            committed,
        })
    }
}

impl Running {
    async fn process(&mut self, node: &ProcessorNode, records: &[Record]) -> Result<(), TaskError> {
        for records in records.chunks(MICRO_BATCH_RECORDS) {
            let processed = self.processor.process(records)?;
            check_accounts(node, records.len(), &processed)?;
            self.transaction.counts += Counts {
                records_in: records.len() as u64,
                records_out: processed.passed,
                filtered: processed.filtered,
                dead_letters: 0,
                bytes: records.iter().map(|r| r.payload_bytes() as u64).sum(),
            };
            for (partition, records) in self.partitioner.split(processed.records) {
                let to = TopicPartition::new(node.into.clone(), partition);
                let too_large = self.transaction.append(&to, &records).await?;
                self.bad_records
                    .handle_too_large(too_large, &to, &mut self.transaction)
                    .await?;
            }
            self.bad_records
                .handle(processed.rejected, &mut self.transaction)
                .await?;
        }
        Ok(())
    }

    /// `position`: all before it was processed.
    async fn commit(
        &mut self,
        scope: &Scope,
        position: Offset,
        doubt: &mut InDoubt<Offset>,
    ) -> Result<(), TaskError> {
        if position == self.committed {
            self.transaction.postpone();
            return Ok(());
        }
        doubt.begin(position, self.transaction.counts);
        let consumed = Consumed {
            group: scope.group(),
            offsets: vec![(self.input.clone(), position)],
        };
        let counts = self.transaction.commit(Some(consumed)).await?;
        doubt.clear();
        self.committed = position;
        scope.cell.committed(counts);
        Ok(())
    }
}

/// A processor that loses count would lose records unseen.
fn check_accounts(node: &ProcessorNode, records_in: usize, processed: &Processed) -> Result<(), TaskError> {
    let accounted = processed.passed + processed.filtered + processed.rejected.len() as u64;
    if accounted == records_in as u64 {
        return Ok(());
    }
    Err(TaskError::fatal(format!(
        "processor '{}' accounts for {accounted} of {records_in} records",
        node.name
    )))
}
