use millstream_types::{Offset, Record};
use tokio::sync::watch;

use crate::{Fetch, Fetched, Isolation, LogError, OffsetAt};

/// What a record costs beside its payload, about: `max_bytes` must bound fetches of empty records too.
const RECORD_OVERHEAD: usize = 8;

/// The batches of one partition, in offset order, without holes.
#[derive(Debug)]
pub(super) struct Partition {
    batches: Vec<Batch>,
    end: Offset,
    /// Tells the long polls that there may be more to read.
    grown: watch::Sender<()>,
}

#[derive(Debug)]
struct Batch {
    base: Offset,
    next: Offset,
    bytes: usize,
    fate: Fate,
    /// Offsets are set. Empty for a control record.
    records: Vec<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Visible,
    /// Part of that open transaction.
    Open(TransactionNumber),
    Aborted,
}

/// Names one transaction of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TransactionNumber(pub(super) u64);

impl Default for Partition {
    fn default() -> Self {
        Self {
            batches: Vec::new(),
            end: Offset::ZERO,
            grown: watch::Sender::new(()),
        }
    }
}

impl Partition {
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    pub(super) fn append(
        &mut self,
        mut records: Vec<Record>,
        transaction: Option<TransactionNumber>,
    ) -> Offset {
        let base = self.end;
        for record in &mut records {
            record.offset = self.end;
            self.end = self.end.next();
        }
        if !records.is_empty() {
            let fate = transaction.map_or(Fate::Visible, Fate::Open);
            self.push(base, fate, records);
        }
        base
    }

    /// Decides the fate of a transaction's records and leaves the control record that says so.
    pub(super) fn end_transaction(&mut self, transaction: TransactionNumber, committed: bool) {
        let fate = if committed { Fate::Visible } else { Fate::Aborted };
        for batch in self
            .batches
            .iter_mut()
            .filter(|b| b.fate == Fate::Open(transaction))
        {
            batch.fate = fate;
        }
        let marker = self.end;
        self.end = self.end.next();
        self.push(marker, Fate::Visible, Vec::new());
    }

    fn push(&mut self, base: Offset, fate: Fate, records: Vec<Record>) {
        self.batches.push(Batch {
            base,
            next: self.end,
            bytes: records.iter().map(|r| r.payload_bytes() + RECORD_OVERHEAD).sum(),
            fate,
            records,
        });
        self.grown.send_replace(());
    }

    pub(super) fn offset(&self, at: OffsetAt) -> Offset {
        match at {
            OffsetAt::Earliest => Offset::ZERO,
            OffsetAt::Latest => self.end,
            OffsetAt::LatestCommitted => self.last_stable(),
            OffsetAt::Time(time) => self
                .batches
                .iter()
                .flat_map(|b| &b.records)
                .find(|r| r.timestamp >= time)
                .map_or(self.end, |r| r.offset),
        }
    }

    fn last_stable(&self) -> Offset {
        let open = self.batches.iter().find(|b| matches!(b.fate, Fate::Open(_)));
        open.map_or(self.end, |b| b.base)
    }

    pub(super) fn read(&self, fetch: &Fetch) -> Result<Fetched, LogError> {
        if fetch.offset < Offset::ZERO || fetch.offset > self.end {
            return Err(LogError::OffsetOutOfRange {
                partition: fetch.partition.clone(),
                offset: fetch.offset,
                start: Offset::ZERO,
                end: self.end,
            });
        }
        let last_stable = self.last_stable();
        let limit = match fetch.isolation {
            Isolation::ReadUncommitted => self.end,
            Isolation::ReadCommitted => last_stable,
        };
        let first = self.batches.partition_point(|b| b.next <= fetch.offset);
        let mut records = Vec::new();
        let mut next_offset = fetch.offset;
        let mut bytes = 0;
        for batch in self.batches[first..].iter().take_while(|b| b.next <= limit) {
            let hidden = batch.fate == Fate::Aborted && fetch.isolation == Isolation::ReadCommitted;
            if !hidden && !batch.records.is_empty() {
                bytes += batch.bytes;
                if !records.is_empty() && bytes > fetch.max_bytes {
                    break;
                }
                let from = usize::try_from(fetch.offset - batch.base).unwrap_or(0);
                records.extend_from_slice(&batch.records[from..]);
            }
            next_offset = batch.next;
        }
        Ok(Fetched {
            records,
            next_offset,
            high_watermark: self.end,
            last_stable_offset: last_stable,
            log_start: Offset::ZERO,
        })
    }
}
