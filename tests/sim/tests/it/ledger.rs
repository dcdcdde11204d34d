//! What clients were told, to be held against what is there.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

/// A group and a partition of its topic.
type Share = (String, i32);
/// A member, and an instant.
type At<'a> = (&'a str, u64);

/// Topic, partition, offset.
type Place = (String, i32, i64);

#[derive(Default)]
pub(crate) struct Ledger {
    sent: RefCell<BTreeSet<String>>,
    /// What was acknowledged or read, by where.
    known: RefCell<BTreeMap<Place, String>>,
    acked: RefCell<BTreeSet<String>>,
    high_watermarks: RefCell<BTreeMap<(String, i32), i64>>,
    /// The highest committed offset that was acknowledged, by group and partition.
    committed: RefCell<BTreeMap<Share, i64>>,
    /// Who was given a partition last, and when it knew.
    owners: RefCell<BTreeMap<Share, (String, u64)>>,
    processed: RefCell<BTreeMap<Share, BTreeSet<i64>>>,
    rebalanced: Cell<usize>,
}

impl Ledger {
    pub(crate) fn sending(&self, value: &str) {
        assert!(
            self.sent.borrow_mut().insert(value.to_owned()),
            "{value} is sent twice"
        );
    }

    pub(crate) fn acked(&self, topic: &str, partition: i32, base_offset: i64, values: &[String]) {
        for (offset, value) in (base_offset..).zip(values) {
            self.is_at((topic.to_owned(), partition, offset), value);
            self.acked.borrow_mut().insert(value.clone());
        }
    }

    /// A reader saw this record: from now on it must stay there.
    pub(crate) fn saw(&self, topic: &str, partition: i32, offset: i64, value: &str) {
        assert!(
            self.sent.borrow().contains(value),
            "phantom {value} in {topic}-{partition}@{offset}"
        );
        self.is_at((topic.to_owned(), partition, offset), value);
    }

    pub(crate) fn saw_high_watermark(&self, topic: &str, partition: i32, offset: i64) {
        let mut all = self.high_watermarks.borrow_mut();
        let known = all.entry((topic.to_owned(), partition)).or_insert(offset);
        assert!(
            offset >= *known,
            "high watermark of {topic}-{partition} went back from {known} to {offset}"
        );
        *known = offset;
    }

    /// An acknowledged commit of the only committer of that partition.
    pub(crate) fn committed(&self, group: &str, partition: i32, offset: i64) {
        let mut all = self.committed.borrow_mut();
        let known = all.entry((group.to_owned(), partition)).or_insert(offset);
        *known = offset.max(*known);
    }

    pub(crate) fn fetched(&self, group: &str, partition: i32, offset: i64) {
        let known = self
            .committed
            .borrow()
            .get(&(group.to_owned(), partition))
            .copied();
        assert!(
            Some(offset) >= known,
            "committed offset of {group} {partition} went back from {known:?} to {offset}"
        );
    }

    /// A member knows that a partition is its own from now on.
    pub(crate) fn takes(&self, group: &str, partition: i32, (member, now_ms): At<'_>) {
        let owner = (member.to_owned(), now_ms);
        self.owners
            .borrow_mut()
            .insert((group.to_owned(), partition), owner);
        self.rebalanced.set(self.rebalanced.get() + 1);
    }

    /// A member was told that its commit counts. What it asked after another had the partition must not.
    pub(crate) fn committed_by(&self, group: &str, partition: i32, (member, asked_ms): At<'_>, offset: i64) {
        let share = (group.to_owned(), partition);
        if let Some((owner, since_ms)) = self.owners.borrow().get(&share) {
            assert!(
                owner == member || *since_ms >= asked_ms,
                "{member} committed {offset} of {share:?} at {asked_ms}, which {owner} has since {since_ms}"
            );
        }
        self.committed(group, partition, offset);
    }

    pub(crate) fn processed(&self, group: &str, partition: i32, offset: i64) {
        let mut processed = self.processed.borrow_mut();
        processed
            .entry((group.to_owned(), partition))
            .or_default()
            .insert(offset);
    }

    /// Each record of a topic was processed by each of these groups.
    pub(crate) fn check_processed(&self, groups: &[&str], records: &BTreeMap<(i32, i64), String>) {
        let processed = self.processed.borrow();
        for group in groups {
            for (partition, offset) in records.keys() {
                let of_partition = processed.get(&((*group).to_owned(), *partition));
                assert!(
                    of_partition.is_some_and(|offsets| offsets.contains(offset)),
                    "{group} has left out {partition}@{offset}"
                );
            }
        }
    }

    /// How many partitions were given to members, and how many records these processed.
    pub(crate) fn of_groups(&self) -> (usize, usize) {
        let processed = self.processed.borrow().values().map(BTreeSet::len).sum();
        (self.rebalanced.get(), processed)
    }

    fn is_at(&self, place: Place, value: &str) {
        let mut known = self.known.borrow_mut();
        let before = known.entry(place.clone()).or_insert_with(|| value.to_owned());
        assert_eq!(before, value, "two records at {place:?}");
    }

    /// All records of a topic that plain producers wrote, as they are at the end.
    pub(crate) fn check(&self, topic: &str, records: &BTreeMap<(i32, i64), String>) {
        for ((of, partition, offset), value) in self.known.borrow().iter() {
            if of == topic {
                assert_eq!(
                    records.get(&(*partition, *offset)),
                    Some(value),
                    "lost or moved: {topic}-{partition}@{offset}"
                );
            }
        }
        let mut values = BTreeSet::new();
        for (place, value) in records {
            assert!(
                self.sent.borrow().contains(value),
                "phantom {value} at {place:?} of {topic}"
            );
            assert!(values.insert(value), "{value} is twice in {topic}");
        }
    }

    pub(crate) fn acked_count(&self) -> usize {
        self.acked.borrow().len()
    }
}
