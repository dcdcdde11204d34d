//! The one commit: outputs, dead letters and progress of a task in a single log transaction (KIP-98, KIP-129).
//!
//! Taking the transactional id fences every former incarnation of the task and settles its open transaction; so what
//! is read back afterwards (committed offset, position) is final. Counts travel with the transaction: they reach the
//! status only when it is committed.

use std::time::Duration;

use millstream_client::{Consumed, LogError, TransactionalProducer};
use millstream_sdk::TaskError;
use millstream_types::{Record, TopicPartition};
use tokio::time::Instant;

use crate::{error::from_log, names, scope::Scope, status::Counts};

/// Payload per append call: with framing it stays below Kafka's default `max.message.bytes` of 1 MiB. A larger single
/// record goes alone; one that is too large for its topic comes back.
const APPEND_BYTES: usize = 512 * 1024;
/// Framing of a small record: lengths, deltas, attributes.
const RECORD_OVERHEAD: usize = 32;

/// A record that its topic does not take: nothing of it is in the log.
pub(crate) struct TooLarge {
    pub(crate) record: Record,
    pub(crate) reason: String,
}

/// The transactions of one incarnation of a task.
pub(crate) struct Transaction {
    producer: Box<dyn TransactionalProducer>,
    interval: Duration,
    max_bytes: usize,
    due: Instant,
    bytes: usize,
    /// Work of this transaction.
    pub(crate) counts: Counts,
}

impl Transaction {
    /// Fences all former incarnations of the task.
    pub(crate) async fn open(scope: &Scope) -> Result<Self, TaskError> {
        let id = names::transactional_id(&scope.shared.pipeline, &scope.node, &scope.task);
        let producer = scope.log().transactional(&id).await.map_err(from_log)?;
        let options = &scope.shared.options;
        Ok(Self {
            producer,
            interval: options.commit_interval,
            max_bytes: options.commit_max_bytes,
            due: Instant::now() + options.commit_interval,
            bytes: 0,
            counts: Counts::default(),
        })
    }

    /// Appends what the topic takes and gives back the rest; the transaction goes on in either case.
    pub(crate) async fn append(
        &mut self,
        partition: &TopicPartition,
        records: &[Record],
    ) -> Result<Vec<TooLarge>, TaskError> {
        let mut too_large = Vec::new();
        for records in chunks(records) {
            match self.producer.append(partition, records).await {
                Ok(()) => self.bytes += records.iter().map(Record::payload_bytes).sum::<usize>(),
                Err(LogError::TooLarge { .. }) => {
                    too_large.extend(self.append_one_by_one(partition, records).await?);
                }
                Err(error) => return Err(from_log(error)),
            }
        }
        Ok(too_large)
    }

    async fn append_one_by_one(
        &mut self,
        partition: &TopicPartition,
        records: &[Record],
    ) -> Result<Vec<TooLarge>, TaskError> {
        let mut too_large = Vec::new();
        for record in records {
            match self
                .producer
                .append(partition, std::slice::from_ref(record))
                .await
            {
                Ok(()) => self.bytes += record.payload_bytes(),
                Err(error @ LogError::TooLarge { .. }) => too_large.push(TooLarge {
                    record: record.clone(),
                    reason: error.to_string(),
                }),
                Err(error) => return Err(from_log(error)),
            }
        }
        Ok(too_large)
    }

    /// Whether what is pending should be committed at the next chance.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes >= self.max_bytes || Instant::now() >= self.due
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Makes all of it durable at once; answers the counts of the work. After an error nobody knows whether it was.
    pub(crate) async fn commit(&mut self, consumed: Option<Consumed>) -> Result<Counts, TaskError> {
        self.producer.commit(consumed).await.map_err(from_log)?;
        self.postpone();
        self.bytes = 0;
        Ok(std::mem::take(&mut self.counts))
    }

    /// Nothing to commit now: look again after the interval.
    pub(crate) fn postpone(&mut self) {
        self.due = Instant::now() + self.interval;
    }

    pub(crate) async fn abort(&mut self) -> Result<(), TaskError> {
        self.producer.abort().await.map_err(from_log)
    }
}

/// Cuts a batch into parts of bounded size, in order.
fn chunks(records: &[Record]) -> Vec<&[Record]> {
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, record) in records.iter().enumerate() {
        let size = record.payload_bytes() + RECORD_OVERHEAD;
        if bytes + size > APPEND_BYTES && start < index {
            chunks.push(&records[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < records.len() {
        chunks.push(&records[start..]);
    }
    chunks
}

/// Work whose commit did not answer. Kept over restarts of a task: if the next incarnation finds the progress in the
/// log, the work was committed and must be counted; otherwise it is done again and counted then.
pub(crate) struct InDoubt<M>(Option<(M, Counts)>);

impl<M: PartialEq> InDoubt<M> {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Just before a commit of progress up to `mark`.
    pub(crate) fn begin(&mut self, mark: M, counts: Counts) {
        self.0 = Some((mark, counts));
    }

    /// The commit has answered.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// The log holds progress up to `found`: answers the counts of the commit in doubt if that was it.
    pub(crate) fn settle(&mut self, found: Option<&M>) -> Option<Counts> {
        let (mark, counts) = self.0.take()?;
        (found == Some(&mark)).then_some(counts)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn large_batches_are_cut_in_order_and_a_giant_goes_alone() {
        let record = |size: usize| Record {
            value: Some(Bytes::from(vec![0; size])),
            ..Record::default()
        };
        let sizes = |records: Vec<Record>| -> Vec<usize> {
            chunks(&records).iter().map(|chunk| chunk.len()).collect()
        };
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
        assert_eq!(sizes(vec![record(10); 3]), [3]);
        assert_eq!(sizes(vec![record(200_000); 5]), [2, 2, 1]);
        assert_eq!(
            sizes(vec![record(10), record(APPEND_BYTES), record(10)]),
            [1, 1, 1]
        );
    }

    #[test]
    fn a_commit_in_doubt_is_counted_only_if_the_log_holds_it() {
        let counts = Counts {
            records_in: 1,
            records_out: 1,
            ..Counts::default()
        };
        let mut doubt = InDoubt::none();
        doubt.begin(7, counts);
        assert_eq!(doubt.settle(Some(&7)), Some(counts));
        assert_eq!(doubt.settle(Some(&7)), None);
        doubt.begin(8, counts);
        assert_eq!(doubt.settle(Some(&7)), None);
        doubt.begin(9, counts);
        doubt.clear();
        assert_eq!(doubt.settle(Some(&9)), None);
    }
}
