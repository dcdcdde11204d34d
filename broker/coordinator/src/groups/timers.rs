//! The one queue of deadlines of all groups. A key has at most one deadline; setting it again moves it.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::{GroupId, Timestamp};

use super::MemberId;

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A member was silent for its session timeout.
    Session(MemberId),
    /// A member of a consumer group did not give its partitions back in time.
    Revocation(MemberId),
    /// A classic member of a consumer group was told to join again, or has joined and is to sync, and did not.
    Answer(MemberId),
    /// The join phase of a classic group ends, whoever is missing.
    Join,
    /// The sync phase of a classic group ends, whoever is missing.
    Sync,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeMap<(GroupId, Timer), Timestamp>,
    queue: BTreeSet<(Timestamp, GroupId, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, group: &GroupId, timer: Timer, at: Timestamp) {
        self.cancel(group, &timer);
        self.deadlines.insert((group.clone(), timer.clone()), at);
        self.queue.insert((at, group.clone(), timer));
    }

    pub(super) fn cancel(&mut self, group: &GroupId, timer: &Timer) {
        if let Some(at) = self.deadlines.remove(&(group.clone(), timer.clone())) {
            self.queue.remove(&(at, group.clone(), timer.clone()));
        }
    }

    pub(super) fn is_set(&self, group: &GroupId, timer: &Timer) -> bool {
        self.deadlines.contains_key(&(group.clone(), timer.clone()))
    }

    /// Forgets all deadlines of a group.
    pub(super) fn cancel_all(&mut self, group: &GroupId) {
        let from = (group.clone(), Timer::Session(MemberId::new()));
        let of_group = self
            .deadlines
            .range(from..)
            .map_while(|((g, timer), _)| (g == group).then_some(timer));
        for timer in of_group.cloned().collect::<Vec<_>>() {
            self.cancel(group, &timer);
        }
    }

    /// Moves all deadlines.
    pub(super) fn shift(&mut self, by_ms: i64) {
        let moved = |at: Timestamp| Timestamp(at.0.saturating_add(by_ms));
        self.deadlines.values_mut().for_each(|at| *at = moved(*at));
        let queue = std::mem::take(&mut self.queue).into_iter();
        self.queue = queue
            .map(|(at, group, timer)| (moved(at), group, timer))
            .collect();
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _, _)| *at)
    }

    /// Takes the first deadline that is not after `now`.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(GroupId, Timer)> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, group, timer) = self.queue.pop_first()?;
        self.deadlines.remove(&(group.clone(), timer.clone()));
        Some((group, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_moves_and_goes_with_its_group() {
        let (a, b) = (GroupId::new("a"), GroupId::new("b"));
        let mut timers = Timers::default();
        timers.set(&a, Timer::Join, Timestamp(5));
        timers.set(&a, Timer::Session("m".into()), Timestamp(4));
        timers.set(&a, Timer::Session("m".into()), Timestamp(9));
        timers.set(&b, Timer::Sync, Timestamp(7));
        assert!(timers.is_set(&b, &Timer::Sync) && !timers.is_set(&a, &Timer::Sync));
        assert_eq!(timers.next_deadline(), Some(Timestamp(5)));
        assert_eq!(timers.pop(Timestamp(4)), None);
        assert_eq!(timers.pop(Timestamp(5)), Some((a.clone(), Timer::Join)));
        timers.shift(-3);
        assert_eq!(timers.next_deadline(), Some(Timestamp(4)));
        timers.shift(3);
        timers.cancel_all(&a);
        assert_eq!(timers.pop(Timestamp(100)), Some((b, Timer::Sync)));
        assert_eq!((timers.pop(Timestamp(100)), timers.next_deadline()), (None, None));
    }
}
