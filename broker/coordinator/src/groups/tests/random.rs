//! Members that come, go, fall silent and come back in any order.

use proptest::{prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join { fixed: Option<u8>, requires_id: bool },
    Rejoin(Index),
    SyncAll,
    Leave(Index),
    Heartbeats,
    Pass(u16),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (proptest::option::of(0..3_u8), any::<bool>())
            .prop_map(|(fixed, requires_id)| Step::Join { fixed, requires_id }),
        4 => any::<Index>().prop_map(Step::Rejoin),
        4 => Just(Step::SyncAll),
        1 => any::<Index>().prop_map(Step::Leave),
        3 => Just(Step::Heartbeats),
        3 => (1..15_000_u16).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

fn members(machine: &Machine) -> Vec<(MemberId, Option<String>)> {
    match machine.groups.stored().get(&kit::group()) {
        Some(Stored::Classic(group)) => group
            .members
            .iter()
            .map(|m| (m.id.clone(), m.instance.clone()))
            .collect(),
        _ => Vec::new(),
    }
}

fn act(machine: &mut Machine, step: Step) {
    let known = members(machine);
    let pick = |index: Index| (!known.is_empty()).then(|| known[index.index(known.len())].clone());
    match step {
        Step::Join { fixed, requires_id } => {
            let instance = fixed.map(|i| format!("i{i}"));
            machine.join(JoinRequest {
                instance,
                requires_member_id: requires_id,
                ..dynamic("")
            });
        }
        Step::Rejoin(index) => {
            if let Some((member, instance)) = pick(index) {
                machine.join(JoinRequest {
                    instance,
                    ..dynamic(&member)
                });
            }
        }
        Step::SyncAll => {
            if known.is_empty() {
                return;
            }
            let generation = machine.generation();
            let shares: Vec<_> = known.iter().map(|(m, _)| (m.as_str(), m.as_str())).collect();
            for (member, _) in &known {
                machine.sync(member, generation, &shares);
            }
        }
        Step::Leave(index) => {
            if let Some((member, instance)) = pick(index) {
                machine.leave(&[(&member, instance.as_deref())]);
            }
        }
        Step::Heartbeats => {
            let alive: Vec<_> = known.iter().map(|(m, _)| m.clone()).collect();
            if !alive.is_empty() {
                machine.advance(0, &alive);
            }
        }
        Step::Pass(ms) => machine.tick(ms.into()),
        Step::Restart => machine.restart(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn generations_grow_and_the_log_tells_all(steps in prop::collection::vec(step(), 1..60)) {
        let mut machine = Machine::new();
        let mut last = 0;
        for step in steps {
            let restarts = matches!(step, Step::Restart);
            act(&mut machine, step);
            let generation = match machine.groups.groups.get(&kit::group()) {
                Some(Group::Classic(group)) => group.generation,
                _ => 0,
            };
            prop_assert!(generation >= last, "{generation} after {last}");
            last = generation;
            // A rebalance under way is not in the log; all else is.
            let settled = machine.groups.groups.values().all(|g| matches!(
                g,
                Group::Classic(g) if g.state != State::Empty && !matches!(g.state, State::Preparing { .. })
            ));
            if settled || restarts {
                prop_assert_eq!(machine.recovered().stored(), machine.groups.stored());
            }
        }
    }
}

/// Four hundred members come at once, and again and again some of them leave: in the end all that are left share.
#[test]
fn a_rebalance_storm_ends() {
    let mut machine = Machine::new();
    for _ in 0..400 {
        machine.join(dynamic(""));
    }
    machine.initial_delay();
    for round in 0..20 {
        let known = members(&machine);
        let (leaving, staying) = known.split_at(known.len() / 20);
        for (member, _) in leaving {
            machine.leave(&[(member, None)]);
        }
        for (member, _) in staying {
            machine.join(dynamic(member));
        }
        assert_eq!(machine.state(), "CompletingRebalance", "round {round}");
    }
    let known = members(&machine);
    let generation = machine.generation();
    let leader = machine.leader();
    let tokens: Vec<_> = known
        .iter()
        .filter(|(m, _)| *m != leader)
        .map(|(m, _)| machine.sync(m, generation, &[]))
        .collect();
    machine.sync(&leader, generation, &[]);
    assert!(tokens.into_iter().all(|t| machine.synced(t).is_ok()));
    assert_eq!((machine.state(), known.len() > 100), ("Stable", true));
}
