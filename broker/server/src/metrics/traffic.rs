//! Bytes that went into and out of each topic.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use millstream_types::TopicName;

/// Topics that are counted one by one.
pub(super) const MAX_TOPICS: usize = 1000;
/// The label of all others together. No topic can be called so.
pub(super) const OTHERS: &str = "(others)";

#[derive(Debug, Default)]
pub(super) struct Traffic {
    topics: RwLock<HashMap<TopicName, Arc<Bytes>>>,
    others: Bytes,
}

/// Since the start of the process.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    pub(super) appended: AtomicU64,
    pub(super) fetched: AtomicU64,
}

impl Traffic {
    pub(super) fn count(&self, topic: &TopicName, what: impl Fn(&Bytes) -> &AtomicU64, bytes: usize) {
        let add = |counter: &AtomicU64| counter.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(known) = self.read().get(topic) {
            add(what(known));
            return;
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.len() < MAX_TOPICS || topics.contains_key(topic) {
            add(what(topics.entry(topic.clone()).or_default()));
        } else {
            add(what(&self.others));
        }
    }

    /// What was counted so far, by label; topics that are gone are forgotten.
    pub(super) fn read_out(&self, exists: impl Fn(&TopicName) -> bool) -> Vec<(String, u64, u64)> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|name, _| exists(name));
        let counted = |label: &str, bytes: &Bytes| {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (label.to_owned(), read(&bytes.appended), read(&bytes.fetched))
        };
        let mut all: Vec<_> = topics
            .iter()
            .map(|(name, bytes)| counted(name.as_str(), bytes))
            .collect();
        all.sort();
        let others = counted(OTHERS, &self.others);
        all.extend(Some(others).filter(|(_, appended, fetched)| appended + fetched > 0));
        all
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<TopicName, Arc<Bytes>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> TopicName {
        TopicName::new(format!("t{n}")).unwrap()
    }

    #[test]
    fn the_number_of_topics_is_bounded_and_nothing_is_lost() {
        let traffic = Traffic::default();
        for n in 0..MAX_TOPICS + 5 {
            traffic.count(&topic(n), |bytes| &bytes.appended, 10);
        }
        let all = traffic.read_out(|_| true);
        assert_eq!(all.len(), MAX_TOPICS + 1);
        assert_eq!(all.last().unwrap(), &(OTHERS.to_owned(), 50, 0));
    }

    #[test]
    fn a_topic_that_is_gone_is_forgotten() {
        let traffic = Traffic::default();
        traffic.count(&topic(1), |bytes| &bytes.appended, 1);
        traffic.count(&topic(2), |bytes| &bytes.fetched, 2);
        assert_eq!(
            traffic.read_out(|name| *name == topic(2)),
            [("t2".to_owned(), 0, 2)]
        );
        assert_eq!(traffic.read_out(|_| true).len(), 1);
    }
}
