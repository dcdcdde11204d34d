//! Reads partitions as commands do: committed records only, up to where the end was at the start, or for ever.

use std::{sync::Arc, time::Duration};

use millstream_client::{Fetch, Isolation, Log, LogError};
use millstream_types::{Offset, Record, TopicPartition};
use tokio::{sync::mpsc, task::JoinSet};

const FETCH_BYTES: usize = 1 << 20;
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// Batches that were read and not yet printed; more would only cost memory.
const READ_AHEAD_BATCHES: usize = 4;
/// Fetches in a row that may bring nothing before the known end; then the log does not keep its word.
const MAX_EMPTY_FETCHES: u32 = 20;

/// A part of a partition to read.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) partition: TopicPartition,
    pub(crate) from: Offset,
    /// Exclusive; `None`: follow what is written from now on.
    pub(crate) to: Option<Offset>,
}

/// Records of one partition, in offset order.
pub(crate) type Batch = (TopicPartition, Vec<Record>);

/// Running readers. Dropping it ends them.
pub(crate) struct Reader {
    inbox: mpsc::Receiver<Result<Batch, LogError>>,
    _tasks: JoinSet<()>,
}

impl Reader {
    /// Bounded spans are read one after the other, so that the result is the same each time; endless ones all at once.
    pub(crate) fn start(log: &Arc<dyn Log>, spans: Vec<Span>) -> Self {
        let (outbox, inbox) = mpsc::channel(READ_AHEAD_BATCHES);
        let (bounded, endless): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.to.is_some());
        let queues = std::iter::once(bounded).chain(endless.into_iter().map(|span| vec![span]));
        let mut tasks = JoinSet::new();
        for spans in queues {
            tasks.spawn(read_all(log.clone(), spans, outbox.clone()));
        }
        Self { inbox, _tasks: tasks }
    }

    /// The next batch; `None` when all spans have been read. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, LogError> {
        self.inbox.recv().await.transpose()
    }

    /// Whether nothing more waits to be printed: a good moment to flush.
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty()
    }
}

async fn read_all(log: Arc<dyn Log>, spans: Vec<Span>, outbox: mpsc::Sender<Result<Batch, LogError>>) {
    for span in spans {
        match read(log.as_ref(), span, &outbox).await {
            Ok(Listening::Yes) => {}
            Ok(Listening::No) => return,
            Err(error) => {
                let _ = outbox.send(Err(error)).await;
                return;
            }
        }
    }
}

/// Whether anybody still takes what is read.
enum Listening {
    Yes,
    No,
}

async fn read(
    log: &dyn Log,
    span: Span,
    outbox: &mpsc::Sender<Result<Batch, LogError>>,
) -> Result<Listening, LogError> {
    let mut next = span.from;
    let mut empty_fetches = 0;
    while span.to.is_none_or(|end| next < end) {
        let fetched = log
            .fetch(Fetch {
                partition: span.partition.clone(),
                offset: next,
                max_bytes: FETCH_BYTES,
                max_wait: FETCH_WAIT,
                isolation: Isolation::ReadCommitted,
            })
            .await?;
        empty_fetches = if fetched.next_offset > next {
            0
        } else {
            empty_fetches + 1
        };
        if span.to.is_some() && empty_fetches == MAX_EMPTY_FETCHES {
            return Err(LogError::Unavailable {
                message: format!("nothing more of {} comes after offset {next}", span.partition),
            });
        }
        next = fetched.next_offset;
        let mut records = fetched.records;
        records.retain(|record| span.to.is_none_or(|end| record.offset < end));
        if !records.is_empty() && outbox.send(Ok((span.partition.clone(), records))).await.is_err() {
            return Ok(Listening::No);
        }
        if outbox.is_closed() {
            return Ok(Listening::No);
        }
    }
    Ok(Listening::Yes)
}
