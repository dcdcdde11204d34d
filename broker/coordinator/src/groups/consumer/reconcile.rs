//! How a member gets from what it has to what it is to have: first it gives back, then it gets what others gave back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ConsumerGroup;
use crate::groups::{MemberId, assign::Partitions};

/// Where a member is on its way to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::groups) enum Progress {
    /// It has reached its epoch, whatever came after.
    #[default]
    Stable,
    /// It is asked to give partitions back, and stays in its epoch until it says that it did.
    Revoking,
    /// Others still have some of its partitions.
    Waiting,
}

impl ConsumerGroup {
    /// One step, with what the member says to own (if it says so).
    pub(super) fn reconcile(&mut self, id: &MemberId, owned: Option<&Partitions>) {
        let member = &self.member(id).durable;
        let epoch = match member.progress {
            Progress::Stable if member.epoch == self.assignment_epoch => return,
            Progress::Revoking if owns_any(owned, &member.revoking) => return,
            // What it gave back is the step to the next epoch, which may be an older one than the target's.
            Progress::Revoking => member.epoch + 1,
            Progress::Stable | Progress::Waiting => member.epoch,
        };
        let kept = intersection(&member.assigned, &member.target);
        let revoking = difference(&member.assigned, &kept);
        let wanted = difference(&member.target, &kept);
        let mut next = member.clone();
        if !revoking.is_empty() && owns_any(owned, &revoking) {
            next.progress = Progress::Revoking;
            next.set_epoch(epoch.min(self.assignment_epoch));
            next.assigned = kept;
            next.revoking = revoking;
        } else {
            let free = self.without_others(id, &wanted);
            let all_free = free == wanted;
            next.progress = if all_free {
                Progress::Stable
            } else {
                Progress::Waiting
            };
            next.set_epoch(self.assignment_epoch);
            next.assigned = union(kept, free);
            next.revoking = Partitions::new();
        }
        if next != *member {
            self.members.get_mut(id).expect("it was looked at above").durable = next;
            self.unsaved_members.insert(id.clone());
        }
    }

    /// Whether a member that waits for partitions of others can have all of them now.
    pub(super) fn all_free(&self, id: &MemberId) -> bool {
        let member = &self.member(id).durable;
        let wanted = difference(&member.target, &member.assigned);
        self.without_others(id, &wanted) == wanted
    }

    /// What of these nobody else has, or is giving back.
    fn without_others(&self, id: &MemberId, wanted: &Partitions) -> Partitions {
        let mut free = wanted.clone();
        for (_, other) in self.members.iter().filter(|(other, _)| *other != id) {
            free = difference(&free, &other.durable.assigned);
            free = difference(&free, &other.durable.revoking);
        }
        free
    }
}

/// A member that does not say what it owns may own everything.
fn owns_any(owned: Option<&Partitions>, of: &Partitions) -> bool {
    owned.is_none_or(|owned| !intersection(owned, of).is_empty())
}

fn intersection(a: &Partitions, b: &Partitions) -> Partitions {
    combine(a, |topic, partitions| {
        b.get(topic)
            .map_or_else(BTreeSet::new, |b| partitions.intersection(b).copied().collect())
    })
}

fn difference(a: &Partitions, b: &Partitions) -> Partitions {
    combine(a, |topic, partitions| {
        b.get(topic).map_or_else(
            || partitions.clone(),
            |b| partitions.difference(b).copied().collect(),
        )
    })
}

fn combine(a: &Partitions, of: impl Fn(&Uuid, &BTreeSet<i32>) -> BTreeSet<i32>) -> Partitions {
    let topics = a
        .iter()
        .map(|(topic, partitions)| (*topic, of(topic, partitions)));
    topics
        .filter(|(_, partitions)| !partitions.is_empty())
        .collect::<BTreeMap<_, _>>()
}

pub(in crate::groups) fn union(mut a: Partitions, b: Partitions) -> Partitions {
    for (topic, partitions) in b {
        a.entry(topic).or_default().extend(partitions);
    }
    a
}
