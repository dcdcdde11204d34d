//! The memory that requests and answers of all connections may take together.
//!
//! Bytes are taken as they arrive, in turn, and given back with the answer. Two requests that each hold half of the
//! memory would wait for each other for ever; so one at a time may go on beyond the budget, until it is answered. What is
//! held at most is therefore the budget and one request.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// What a permit of the semaphore stands for.
const UNIT_BYTES: usize = 1 << 10;

#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    overdraft: Arc<Mutex<()>>,
}

/// A share of a budget, given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    units: Option<OwnedSemaphorePermit>,
    /// Whatever it may become.
    overdraft: Option<OwnedMutexGuard<()>>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(units(bytes).min(Semaphore::MAX_PERMITS))),
            overdraft: Arc::default(),
        }
    }

    /// The share, if it is there at once and nobody waits for it.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        let units = u32::try_from(units(bytes)).ok()?;
        Some(Held {
            units: Some(self.units.clone().try_acquire_many_owned(units).ok()?),
            overdraft: None,
        })
    }

    /// Waits for the share, or for being the one that needs none.
    pub(crate) async fn take(&self, bytes: usize) -> Held {
        let units = u32::try_from(units(bytes)).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            units = self.units.clone().acquire_many_owned(units) => Held {
                units: Some(units.expect("the semaphore is never closed")),
                overdraft: None,
            },
            overdraft = self.overdraft.clone().lock_owned() => Held {
                units: None,
                overdraft: Some(overdraft),
            },
        }
    }

    /// As much of `wish` as there is, if that is at least `least`; else waits for that. Answers the bytes as well.
    pub(crate) async fn take_up_to(&self, wish: usize, least: usize) -> (Held, usize) {
        let there = self.units.available_permits() * UNIT_BYTES;
        let bytes = wish.min(there.max(least));
        match self.try_take(bytes) {
            Some(held) => (held, bytes),
            None => (self.take(wish.min(least)).await, wish.min(least)),
        }
    }
}

impl Held {
    /// What it covers.
    pub(crate) fn bytes(&self) -> usize {
        match (&self.overdraft, &self.units) {
            (Some(_), _) => usize::MAX,
            (None, Some(units)) => units.num_permits() * UNIT_BYTES,
            (None, None) => 0,
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        match (&mut self.units, more.units) {
            (Some(units), Some(more)) => units.merge(more),
            (units, more) => *units = units.take().or(more),
        }
        self.overdraft = self.overdraft.take().or(more.overdraft);
    }

    /// Gives back what is not needed after all.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.units {
            let surplus = held.num_permits().saturating_sub(units(bytes));
            drop(held.split(surplus));
        }
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const KB: usize = 1 << 10;

    #[test]
    fn what_is_dropped_or_not_needed_is_there_again() {
        let budget = Budget::new(100 * KB);
        let mut held = budget.try_take(60 * KB).unwrap();
        held.add(budget.try_take(30 * KB).unwrap());
        assert_eq!(held.bytes(), 90 * KB);
        assert!(budget.try_take(11 * KB).is_none());
        held.shrink_to(50 * KB);
        assert!(budget.try_take(50 * KB).is_some());
        drop(held);
        assert!(budget.try_take(100 * KB).is_some());
    }

    #[test]
    fn one_at_a_time_goes_on_beyond_it_so_that_nobody_waits_for_ever() {
        let budget = Budget::new(10 * KB);
        let (mut one, mut two) = (budget.try_take(5 * KB).unwrap(), budget.try_take(5 * KB).unwrap());
        one.add(budget.take(7 * KB).now_or_never().expect("the first may"));
        assert_eq!(one.bytes(), usize::MAX);
        let mut waiting = Box::pin(budget.take(5 * KB));
        assert!(waiting.as_mut().now_or_never().is_none(), "the second may not");
        drop(one);
        two.add(waiting.now_or_never().expect("the first is done"));
        drop(two);
        assert!(budget.try_take(10 * KB).is_some());
    }

    #[test]
    fn a_wish_is_cut_to_what_is_there() {
        let budget = Budget::new(100 * KB);
        let take = |wish, least| budget.take_up_to(wish, least).now_or_never().expect("at once");
        let (_most, bytes) = take(80 * KB, 10 * KB);
        assert_eq!(bytes, 80 * KB);
        let (_rest, bytes) = take(80 * KB, 10 * KB);
        assert_eq!(bytes, 20 * KB);
    }
}
