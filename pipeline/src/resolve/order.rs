//! In which order nodes can be planned, and where they wait for each other.

/// The next thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All that this node waits for has gone before.
    Node(usize),
    /// These wait for each other: each writes what the next one reads, the last what the first reads.
    Cycle(Vec<usize>),
}

/// Every node once. `before[n]`: the nodes that `n` waits for. A cycle counts as gone before once it is told.
pub(super) fn order(before: &[Vec<usize>]) -> Vec<Step> {
    let mut done = vec![false; before.len()];
    let mut steps = Vec::new();
    let mut waiting: Vec<usize> = (0..before.len()).collect();
    while !waiting.is_empty() {
        let is_ready = |node: &usize| before[*node].iter().all(|first| done[*first]);
        let (ready, blocked): (Vec<usize>, Vec<usize>) = waiting.iter().partition(|node| is_ready(node));
        if ready.is_empty() {
            let members = cycle(&blocked, before, &done);
            members.iter().for_each(|member| done[*member] = true);
            steps.push(Step::Cycle(members));
        }
        ready.iter().for_each(|node| done[*node] = true);
        steps.extend(ready.into_iter().map(Step::Node));
        waiting = blocked;
        waiting.retain(|node| !done[*node]);
    }
    steps
}

/// `blocked` is not empty and each of it waits for another of it.
fn cycle(blocked: &[usize], before: &[Vec<usize>], done: &[bool]) -> Vec<usize> {
    let mut way: Vec<usize> = Vec::new();
    let mut at = blocked.first().copied();
    while let Some(node) = at {
        if let Some(start) = way.iter().position(|seen| *seen == node) {
            way.drain(..start);
            break;
        }
        way.push(node);
        at = before[node].iter().copied().find(|first| !done[*first]);
    }
    // Walked from reader to writer; told in the direction of the data, beginning with the first in the file.
    way.reverse();
    let first = way.iter().enumerate().min_by_key(|(_, node)| **node);
    let first = first.map_or(0, |(n, _)| n);
    way.rotate_left(first);
    way
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_waited_for_goes_before() {
        let steps = order(&[vec![2], vec![], vec![1], vec![]]);
        assert_eq!(steps, [1, 3, 2, 0].map(Step::Node));
    }

    #[test]
    fn a_cycle_is_told_in_the_direction_of_the_data() {
        // 1 reads what 2 writes, 2 reads what 3 writes, 3 reads what 1 writes; 0 waits for 1, nobody for 4.
        let steps = order(&[vec![1], vec![2], vec![3], vec![1], vec![]]);
        assert_eq!(steps, [Step::Node(4), Step::Cycle(vec![1, 3, 2]), Step::Node(0)]);
        assert_eq!(order(&[vec![0]]), [Step::Cycle(vec![0])]);
    }

    proptest! {
        #[test]
        fn every_node_comes_once_and_after_what_it_waits_for(
            before in (1..12_usize).prop_flat_map(|n| {
                proptest::collection::vec(proptest::collection::vec(0..n, 0..4), n)
            }),
        ) {
            let mut done = vec![false; before.len()];
            for step in order(&before) {
                let members = match step {
                    Step::Node(node) => {
                        prop_assert!(before[node].iter().all(|first| done[*first]));
                        vec![node]
                    }
                    Step::Cycle(members) => {
                        for (n, member) in members.iter().enumerate() {
                            let next = members[(n + 1) % members.len()];
                            prop_assert!(before[next].contains(member));
                        }
                        members
                    }
                };
                for node in members {
                    prop_assert!(!std::mem::replace(&mut done[node], true));
                }
            }
            prop_assert!(done.into_iter().all(|done| done));
        }
    }
}
