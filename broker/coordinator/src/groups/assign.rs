//! The assignors of the server (KIP-848), under Kafka's names. Pure: the same input gives the same shares.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{MemberId, local::range};

/// Partitions by the ids of their topics. A topic without partitions is not in it.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

pub(super) const UNIFORM: &str = "uniform";
pub(super) const RANGE: &str = "range";

/// A member as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriber {
    /// Members are taken in this order, so that static ones keep their shares over restarts.
    pub(super) order: String,
    pub(super) topics: BTreeSet<Uuid>,
    /// What it was to have until now.
    pub(super) target: Partitions,
}

/// Shares the partitions of `topics` (their counts) among those who are subscribed to them.
pub(super) fn assign(
    assignor: &str,
    members: &BTreeMap<MemberId, Subscriber>,
    topics: &BTreeMap<Uuid, i32>,
) -> BTreeMap<MemberId, Partitions> {
    if assignor == RANGE {
        by_range(members, topics)
    } else {
        Uniform::new(members, topics).balance()
    }
}

/// Of each topic a contiguous share: who reads several topics gets the same partitions of each.
fn by_range(
    members: &BTreeMap<MemberId, Subscriber>,
    topics: &BTreeMap<Uuid, i32>,
) -> BTreeMap<MemberId, Partitions> {
    let mut shares: BTreeMap<_, Partitions> =
        members.keys().map(|id| (id.clone(), Partitions::new())).collect();
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by(|(_, a), (_, b)| a.order.cmp(&b.order));
    for (topic, partitions) in topics {
        let readers: Vec<_> = ordered.iter().filter(|(_, m)| m.topics.contains(topic)).collect();
        for (index, (id, _)) in readers.iter().enumerate() {
            let share: BTreeSet<i32> = range(*partitions, readers.len(), index).into_iter().collect();
            if !share.is_empty() {
                shares
                    .get_mut(*id)
                    .expect("one for each member")
                    .insert(*topic, share);
            }
        }
    }
    shares
}

type Partition = (Uuid, i32);

/// As even as the subscriptions allow, and with as few moves as possible.
struct Uniform<'a> {
    members: Vec<(&'a MemberId, &'a Subscriber)>,
    shares: Vec<BTreeSet<Partition>>,
    unassigned: Vec<Partition>,
}

impl<'a> Uniform<'a> {
    /// Everybody keeps what it has and may keep.
    fn new(members: &'a BTreeMap<MemberId, Subscriber>, topics: &BTreeMap<Uuid, i32>) -> Self {
        let mut members: Vec<_> = members.iter().collect();
        members.sort_by(|(_, a), (_, b)| a.order.cmp(&b.order));
        let is_read = |topic: &Uuid| members.iter().any(|(_, m)| m.topics.contains(topic));
        let all = topics.iter().filter(|(topic, _)| is_read(topic));
        let mut free: BTreeSet<Partition> = all.flat_map(|(t, n)| (0..*n).map(move |p| (*t, p))).collect();
        let mut shares = Vec::with_capacity(members.len());
        for (_, member) in &members {
            let had = member
                .target
                .iter()
                .filter(|(topic, _)| member.topics.contains(*topic));
            let had = had.flat_map(|(topic, partitions)| partitions.iter().map(move |p| (*topic, *p)));
            shares.push(had.filter(|partition| free.remove(partition)).collect());
        }
        Self {
            members,
            shares,
            unassigned: free.into_iter().collect(),
        }
    }

    fn balance(mut self) -> BTreeMap<MemberId, Partitions> {
        let alike = self
            .members
            .windows(2)
            .all(|pair| pair[0].1.topics == pair[1].1.topics);
        if alike {
            self.balance_alike();
        } else {
            self.balance_mixed();
        }
        let mut result = BTreeMap::new();
        for ((id, _), share) in self.members.iter().zip(self.shares) {
            let mut partitions = Partitions::new();
            for (topic, partition) in share {
                partitions.entry(topic).or_default().insert(partition);
            }
            result.insert((*id).clone(), partitions);
        }
        result
    }

    /// All read the same: shares differ by one at most, and who has most already gets the larger ones.
    fn balance_alike(&mut self) {
        let members = self.members.len();
        if members == 0 {
            return;
        }
        let partitions = self.unassigned.len() + self.shares.iter().map(BTreeSet::len).sum::<usize>();
        let mut by_load: Vec<usize> = (0..members).collect();
        by_load.sort_by_key(|i| std::cmp::Reverse(self.shares[*i].len()));
        let quota = |rank: usize| partitions / members + usize::from(rank < partitions % members);
        for (rank, index) in by_load.iter().enumerate() {
            while self.shares[*index].len() > quota(rank) {
                self.unassigned.extend(self.shares[*index].pop_last());
            }
        }
        self.unassigned
            .sort_unstable_by_key(|partition| std::cmp::Reverse(*partition));
        for (rank, index) in by_load.iter().enumerate() {
            while self.shares[*index].len() < quota(rank) {
                let next = self.unassigned.pop().expect("quotas add up to all partitions");
                self.shares[*index].insert(next);
            }
        }
    }

    /// The partitions with the fewest readers first, each to the reader with least; then from who has much to who has
    /// little, until no move makes it more even.
    fn balance_mixed(&mut self) {
        let mut readers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (index, (_, member)) in self.members.iter().enumerate() {
            for topic in &member.topics {
                readers.entry(*topic).or_default().push(index);
            }
        }
        let mut unassigned = std::mem::take(&mut self.unassigned);
        unassigned.sort_by_key(|(topic, partition)| (readers[topic].len(), *topic, *partition));
        for partition in unassigned {
            let least = self.least_loaded(&readers[&partition.0]);
            self.shares[least].insert(partition);
        }
        // Every move makes the sum of the squares of the loads smaller, so this ends.
        while self.move_one_round(&readers) {}
    }

    fn move_one_round(&mut self, readers: &BTreeMap<Uuid, Vec<usize>>) -> bool {
        let mut moved = false;
        for owner in 0..self.shares.len() {
            for partition in self.shares[owner].clone() {
                let least = self.least_loaded(&readers[&partition.0]);
                if self.shares[owner].len() > self.shares[least].len() + 1 {
                    self.shares[owner].remove(&partition);
                    self.shares[least].insert(partition);
                    moved = true;
                }
            }
        }
        moved
    }

    fn least_loaded(&self, readers: &[usize]) -> usize {
        let least = readers.iter().min_by_key(|i| self.shares[**i].len());
        *least.expect("only partitions that somebody reads are shared")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(index: usize) -> Uuid {
        Uuid::from_u128(index as u128 + 1)
    }

    fn members(subscriptions: &[BTreeSet<usize>]) -> BTreeMap<MemberId, Subscriber> {
        let member = |(index, topics): (usize, &BTreeSet<usize>)| {
            let id = format!("m{index:03}");
            let subscriber = Subscriber {
                order: id.clone(),
                topics: topics.iter().map(|t| topic(*t)).collect(),
                target: Partitions::new(),
            };
            (id, subscriber)
        };
        subscriptions.iter().enumerate().map(member).collect()
    }

    fn topics(counts: &[i32]) -> BTreeMap<Uuid, i32> {
        counts.iter().enumerate().map(|(i, n)| (topic(i), *n)).collect()
    }

    fn load(share: &Partitions) -> usize {
        share.values().map(BTreeSet::len).sum()
    }

    /// Every partition that somebody reads has one owner, and that reads it.
    fn check(
        members: &BTreeMap<MemberId, Subscriber>,
        topics: &BTreeMap<Uuid, i32>,
        shares: &BTreeMap<MemberId, Partitions>,
    ) {
        let mut owned = BTreeSet::new();
        for (id, share) in shares {
            for (topic, partitions) in share {
                assert!(members[id].topics.contains(topic) && !partitions.is_empty());
                assert!(
                    partitions.iter().all(|p| owned.insert((*topic, *p))),
                    "two owners"
                );
            }
        }
        let read = topics
            .iter()
            .filter(|(t, _)| members.values().any(|m| m.topics.contains(*t)));
        assert_eq!(
            owned,
            read.flat_map(|(t, n)| (0..*n).map(move |p| (*t, p))).collect()
        );
    }

    #[test]
    fn range_gives_the_same_partitions_of_every_topic() {
        let members = members(&[[0, 1].into(), [0, 1].into(), [1].into()]);
        let shares = assign(RANGE, &members, &topics(&[4, 3]));
        assert_eq!(
            shares["m000"],
            [(topic(0), [0, 1].into()), (topic(1), [0].into())].into()
        );
        assert_eq!(
            shares["m001"],
            [(topic(0), [2, 3].into()), (topic(1), [1].into())].into()
        );
        assert_eq!(shares["m002"], [(topic(1), [2].into())].into());
    }

    #[test]
    fn uniform_moves_only_what_it_must() {
        let mut members = members(&[[0].into(), [0].into()]);
        let topics = topics(&[6]);
        let first = assign(UNIFORM, &members, &topics);
        for (id, share) in &first {
            members.get_mut(id).unwrap().target = share.clone();
        }
        assert_eq!(assign(UNIFORM, &members, &topics), first);
        let third = Subscriber {
            order: "m002".into(),
            topics: [topic(0)].into(),
            ..Subscriber::default()
        };
        members.insert("m002".into(), third);
        let second = assign(UNIFORM, &members, &topics);
        for (id, share) in &first {
            assert!(second[id][&topic(0)].is_subset(&share[&topic(0)]));
        }
        assert!(second.values().all(|share| load(share) == 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn everybody_gets_a_fair_share(
            mut subscriptions in prop::collection::vec(prop::collection::btree_set(0..5_usize, 0..5), 1..12),
            counts in prop::collection::vec(0..40_i32, 5),
            alike: bool,
        ) {
            if alike {
                let first = subscriptions[0].clone();
                subscriptions.fill(first);
            }
            let (members, topics) = (members(&subscriptions), topics(&counts));
            check(&members, &topics, &assign(RANGE, &members, &topics));
            let shares = assign(UNIFORM, &members, &topics);
            check(&members, &topics, &shares);
            for (id, share) in &shares {
                // Nobody could give one to somebody who has two less.
                for (other, less) in &shares {
                    let could = share.keys().any(|t| members[other].topics.contains(t));
                    prop_assert!(!could || load(share) <= load(less) + 1, "{id} and {other}");
                }
            }
        }
    }
}
