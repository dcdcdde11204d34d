//! What a sink was given since its last commit, so that a range that ends anywhere in it is counted exactly.

use std::collections::VecDeque;

use millstream_sdk::Rejected;
use millstream_types::{Offset, Record};

use crate::status::Counts;

/// Written, not committed. Holds no record: runs of offsets without a gap, and the rejected records.
pub(super) struct Pending {
    start: Offset,
    next: Offset,
    runs: VecDeque<Run>,
    rejected: VecDeque<Rejected>,
}

/// Records `first..first + records`.
struct Run {
    first: Offset,
    records: u64,
    bytes: u64,
}

impl Pending {
    pub(super) fn starting_at(start: Offset) -> Self {
        Self {
            start,
            next: start,
            runs: VecDeque::new(),
            rejected: VecDeque::new(),
        }
    }

    /// The end of the last commit.
    pub(super) fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record written.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn is_all_rejected(&self) -> bool {
        self.runs.iter().map(|run| run.records).sum::<u64>() == self.rejected.len() as u64
    }

    pub(super) fn wrote(&mut self, records: &[Record]) {
        for record in records {
            let bytes = record.payload_bytes() as u64;
            match self.runs.back_mut() {
                Some(run) if run.end() == record.offset => {
                    run.records += 1;
                    run.bytes += bytes;
                }
                _ => self.runs.push_back(Run {
                    first: record.offset,
                    records: 1,
                    bytes,
                }),
            }
            self.next = record.offset.next();
        }
    }

    pub(super) fn rejected(&mut self, rejected: Vec<Rejected>) {
        self.rejected.extend(rejected);
    }

    /// Takes out all before `end`, the new last commit. The counts of the rejected are left to whoever handles them.
    /// Bytes of a run that is cut are shared out by records.
    pub(super) fn take_until(&mut self, end: Offset) -> (Counts, Vec<Rejected>) {
        let mut counts = Counts::default();
        while let Some(run) = self.runs.front_mut() {
            let records = (end - run.first).clamp(0, run.records as i64) as u64;
            if records == 0 {
                break;
            }
            let bytes = run.bytes * records / run.records;
            counts.records_in += records;
            counts.bytes += bytes;
            if records == run.records {
                self.runs.pop_front();
            } else {
                run.first = end;
                run.records -= records;
                run.bytes -= bytes;
            }
        }
        let (taken, left) = self
            .rejected
            .drain(..)
            .partition(|r: &Rejected| r.record.offset < end);
        self.rejected = left;
        let taken = Vec::from(taken);
        counts.records_out = counts.records_in.saturating_sub(taken.len() as u64);
        self.start = end;
        self.next = self.next.max(end);
        (counts, taken)
    }
}

impl Run {
    fn end(&self) -> Offset {
        self.first + self.records as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(offsets: impl IntoIterator<Item = i64>) -> Vec<Record> {
        let record = |offset| Record {
            offset: Offset(offset),
            value: Some("four".into()),
            ..Record::default()
        };
        offsets.into_iter().map(record).collect()
    }

    fn taken(pending: &mut Pending, end: i64) -> (u64, u64, usize) {
        let (counts, rejected) = pending.take_until(Offset(end));
        (counts.records_in, counts.bytes, rejected.len())
    }

    #[test]
    fn a_range_takes_exactly_its_records_over_gaps() {
        let mut pending = Pending::starting_at(Offset(3));
        pending.wrote(&records(3..6));
        pending.wrote(&records([7, 8, 12]));
        assert_eq!(pending.next(), Offset(13));
        pending.rejected(
            records([4, 8])
                .into_iter()
                .map(|record| Rejected {
                    record,
                    reason: String::new(),
                    origin: Vec::new(),
                })
                .collect(),
        );
        assert_eq!(taken(&mut pending, 5), (2, 8, 1));
        assert_eq!(pending.start(), Offset(5));
        assert_eq!(taken(&mut pending, 8), (2, 8, 0));
        assert_eq!(taken(&mut pending, 13), (2, 8, 1));
        assert!(pending.is_empty());
        assert_eq!((pending.start(), pending.next()), (Offset(13), Offset(13)));
    }

    #[test]
    fn a_range_may_end_in_a_gap_or_behind_the_last_record() {
        let mut pending = Pending::starting_at(Offset(0));
        pending.wrote(&records([0, 9]));
        assert_eq!(taken(&mut pending, 5), (1, 4, 0));
        assert_eq!(taken(&mut pending, 20), (1, 4, 0));
        assert_eq!(pending.next(), Offset(20));
    }
}
