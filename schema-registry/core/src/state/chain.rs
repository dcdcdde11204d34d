//! Which of two writes that know nothing of each other is true: the first in the log.
//!
//! Every write of this registry names the write that it was decided on ([`Origin`]). One that names an older write than
//! the last has lost: nothing of it is applied, its author sees that when it reads its own records, and decides again.
//! Records of other registries have no origin and are always true, as their own single writer wants it.
//!
//! A write that names one that is not known here (compaction removed it, or the topic was copied) is true too: whoever
//! could have contradicted it has been repaired since, see [`State::repairs`](super::State::repairs).

use std::collections::VecDeque;

use crate::record::Origin;

/// How many writes are remembered. A writer that is further behind has long been told that it is.
const REMEMBERED: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Chain {
    last: u64,
    recent: VecDeque<Origin>,
}

impl Chain {
    /// The write that a new one comes after.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether a record of that write is true. The records of one write are one batch, and true or not together.
    pub(super) fn admits(&self, origin: Origin) -> bool {
        if origin.write == self.last || origin.after == self.last {
            return true;
        }
        let contradicts = |other: &Origin| other.write == origin.after || other.after == origin.after;
        !self.recent.iter().rev().any(contradicts)
    }

    pub(super) fn push(&mut self, origin: Origin) {
        if origin.write == self.last {
            return;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.last = origin.write;
        self.recent.push_back(origin);
    }

    /// A record of another registry: it comes after whatever was last.
    pub(super) fn push_foreign(&mut self, offset: i64) {
        let after = self.last;
        // Told apart from random numbers by nothing but chance, which is good enough for 64 bits.
        let write = (offset.cast_unsigned() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.push(Origin { write, after });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(write: u64, after: u64) -> Origin {
        Origin { write, after }
    }

    /// Offers writes one after the other and says which were true.
    fn check(writes: &[(u64, u64)], expected: &[bool]) {
        let mut chain = Chain::default();
        let mut admitted = Vec::new();
        for (write, after) in writes {
            let origin = origin(*write, *after);
            admitted.push(chain.admits(origin));
            if chain.admits(origin) {
                chain.push(origin);
            }
        }
        assert_eq!(admitted, expected, "{writes:?}");
    }

    #[test]
    fn of_two_writes_after_the_same_the_first_is_true() {
        check(&[(1, 0), (2, 1), (3, 2)], &[true, true, true]);
        check(&[(1, 0), (2, 0), (3, 1)], &[true, false, true]);
        check(&[(1, 0), (2, 1), (9, 1), (3, 2)], &[true, true, false, true]);
        // Two steps behind.
        check(&[(1, 0), (2, 1), (3, 2), (9, 1)], &[true, true, true, false]);
    }

    #[test]
    fn the_records_of_one_write_are_true_together() {
        check(
            &[(1, 0), (1, 0), (1, 0), (2, 0), (2, 0)],
            &[true, true, true, false, false],
        );
    }

    #[test]
    fn a_write_after_an_unknown_one_is_true() {
        check(&[(7, 6), (8, 7), (20, 19), (21, 19)], &[true, true, true, false]);
    }

    #[test]
    fn a_record_of_another_registry_contradicts_writes_that_did_not_see_it() {
        let mut chain = Chain::default();
        chain.push(origin(1, 0));
        chain.push_foreign(17);
        assert!(!chain.admits(origin(2, 1)));
        assert!(chain.admits(origin(2, chain.last())));
    }

    #[test]
    fn memory_is_bounded() {
        let mut chain = Chain::default();
        for offset in 0..10_000 {
            chain.push_foreign(offset);
        }
        assert_eq!(chain.recent.len(), REMEMBERED);
    }
}
