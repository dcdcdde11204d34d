//! Rules of the classic protocol, named as in Kafka's `GroupMetadataManagerTest` where it has the case.

mod consumer;
mod kit;
mod migration;
mod random;

use millstream_types::{Timestamp, TopicName};

use super::*;
use kit::{Machine, caller, dynamic, statically};

fn refused(machine: &Machine, token: Token) -> GroupError {
    machine.joined(token).expect_err("it is refused").error
}

#[test]
fn session_timeouts_are_bounded_and_groups_named() {
    let mut machine = Machine::new();
    for timeout_ms in [5_999, 1_800_001] {
        let join = JoinRequest {
            session_timeout_ms: timeout_ms,
            ..dynamic("")
        };
        let token = machine.join(join);
        assert!(matches!(
            refused(&machine, token),
            GroupError::InvalidSessionTimeout { .. }
        ));
    }
    let token = machine.join(JoinRequest {
        group: GroupId::new(""),
        ..dynamic("")
    });
    assert_eq!(refused(&machine, token), GroupError::NoGroupId);
    let token = machine.join(dynamic("stranger"));
    assert!(matches!(
        refused(&machine, token),
        GroupError::UnknownMember { .. }
    ));
    assert_eq!(machine.groups.list().count(), 0);
}

#[test]
fn a_new_dynamic_member_is_given_its_id_first() {
    let mut machine = Machine::new();
    let token = machine.join(JoinRequest {
        requires_member_id: true,
        ..dynamic("")
    });
    let refusal = machine.joined(token).expect_err("first the id");
    assert_eq!(
        refusal.error,
        GroupError::MemberIdRequired {
            member: refusal.member.clone()
        }
    );
    let token = machine.join(JoinRequest {
        requires_member_id: true,
        ..dynamic(&refusal.member)
    });
    machine.initial_delay();
    let joined = machine.joined(token).expect("with the id it joins");
    assert_eq!((joined.generation, &joined.member), (1, &refusal.member));
    assert_eq!(joined.leader, joined.member);
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn a_member_that_does_not_come_with_its_id_is_forgotten() {
    let mut machine = Machine::new();
    let mut group = machine.stable(1);
    machine.join(JoinRequest {
        requires_member_id: true,
        ..dynamic("")
    });
    machine.advance(6_000, &group);
    machine.advance(6_000, &group);
    let token = machine.join(dynamic(&group.remove(0)));
    assert!(machine.joined(token).is_ok(), "nobody waits for it");
}

#[test]
fn the_first_rebalance_waits_for_members_that_keep_coming() {
    let mut machine = Machine::new();
    let first = machine.join(dynamic(""));
    machine.tick(60);
    let second = machine.join(dynamic(""));
    machine.tick(60);
    assert!(!machine.is_answered(first), "the delay begins again");
    machine.tick(100);
    let (first, second) = (machine.joined(first).unwrap(), machine.joined(second).unwrap());
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(
        first.members.len() + second.members.len(),
        2,
        "only the leader sees them"
    );
}

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut machine = Machine::new();
    let (leader, follower) = machine.joined_pair();
    let waiting = machine.sync(&follower, 1, &[]);
    assert!(!machine.is_answered(waiting));
    let token = machine.sync(&leader, 1, &[(&leader, "L"), (&follower, "F")]);
    assert_eq!(machine.synced(token).unwrap().assignment, "L");
    assert_eq!(machine.synced(waiting).unwrap().assignment, "F");
    assert_eq!(machine.state(), "Stable");
    let again = machine.sync(&follower, 1, &[]);
    assert_eq!(machine.synced(again).unwrap().assignment, "F");
    let described = machine.groups.describe(&kit::group()).unwrap();
    assert_eq!(
        (described.protocol.as_str(), described.members.len()),
        ("range", 2)
    );
}

#[test]
fn sync_is_refused_to_strangers_old_generations_and_other_protocols() {
    let mut machine = Machine::new();
    let members = machine.stable(1);
    let stranger = machine.sync("stranger", 1, &[]);
    assert!(matches!(
        machine.synced(stranger),
        Err(GroupError::UnknownMember { .. })
    ));
    let old = machine.sync(&members[0], 7, &[]);
    assert!(matches!(
        machine.synced(old),
        Err(GroupError::IllegalGeneration { .. })
    ));
    let mut request = kit::sync_request(&members[0], 1, &[]);
    request.protocol = Some("roundrobin".into());
    let other = machine.sync_with(request);
    assert!(matches!(
        machine.synced(other),
        Err(GroupError::InconsistentProtocol { .. })
    ));
    let other_type = JoinRequest {
        protocol_type: "connect".into(),
        ..dynamic("")
    };
    let token = machine.join(other_type);
    assert!(matches!(
        refused(&machine, token),
        GroupError::InconsistentProtocol { .. }
    ));
}

#[test]
fn a_heartbeat_tells_of_a_rebalance() {
    let mut machine = Machine::new();
    let members = machine.stable(2);
    assert_eq!(machine.heartbeat(&members[0], 1), Ok(()));
    machine.join(dynamic(""));
    assert!(matches!(
        machine.heartbeat(&members[0], 1),
        Err(GroupError::RebalanceInProgress { .. })
    ));
    assert!(matches!(
        machine.heartbeat(&members[0], 9),
        Err(GroupError::IllegalGeneration { .. })
    ));
    assert!(matches!(
        machine.heartbeat("x", 1),
        Err(GroupError::UnknownMember { .. })
    ));
}

#[test]
fn whoever_does_not_rejoin_in_time_is_out() {
    let mut machine = Machine::new();
    let members = machine.stable(2);
    let new = machine.join(dynamic(""));
    let back = machine.join(dynamic(&members[0]));
    // It heartbeats, and still does not join.
    machine.advance(9_000, &members);
    machine.advance(9_000, &members);
    machine.advance(9_000, &members);
    machine.advance(4_000, &members);
    assert_eq!(machine.joined(new).unwrap().generation, 2);
    assert_eq!(machine.joined(back).unwrap().generation, 2);
    assert!(matches!(
        machine.heartbeat(&members[1], 2),
        Err(GroupError::UnknownMember { .. })
    ));
}

#[test]
fn a_silent_member_is_removed_and_the_others_share_anew() {
    let mut machine = Machine::new();
    let members = machine.stable(2);
    machine.advance(6_000, &members[..1]);
    machine.advance(6_000, &members[..1]);
    assert_eq!(machine.state(), "PreparingRebalance");
    let token = machine.join(dynamic(&members[0]));
    assert_eq!(machine.joined(token).unwrap().members.len(), 1);
}

#[test]
fn members_that_join_and_do_not_sync_are_removed() {
    let mut machine = Machine::new();
    let (leader, follower) = machine.joined_pair();
    let waiting = machine.sync(&follower, 1, &[]);
    for _ in 0..5 {
        // The leader heartbeats, and does not assign.
        machine.advance(6_000, std::slice::from_ref(&leader));
    }
    machine.tick(1);
    assert!(matches!(
        machine.synced(waiting),
        Err(GroupError::RebalanceInProgress { .. })
    ));
    let token = machine.join(dynamic(&follower));
    let joined = machine.joined(token).unwrap();
    assert_eq!((joined.generation, &joined.leader), (2, &follower));
}

#[test]
fn a_rebalance_ends_the_wait_for_the_assignment() {
    let mut machine = Machine::new();
    let (_, follower) = machine.joined_pair();
    let waiting = machine.sync(&follower, 1, &[]);
    machine.join(dynamic(""));
    assert!(matches!(
        machine.synced(waiting),
        Err(GroupError::RebalanceInProgress { .. })
    ));
}

#[test]
fn rejoining_without_a_change_does_not_rebalance_unless_it_is_the_leader() {
    let mut machine = Machine::new();
    let members = machine.stable(2);
    let leader = machine.leader();
    let follower = members.iter().find(|m| **m != leader).unwrap();
    let token = machine.join(dynamic(follower));
    assert_eq!(machine.joined(token).unwrap().generation, 1);
    assert_eq!(machine.state(), "Stable");
    machine.join(dynamic(&leader));
    assert_eq!(machine.state(), "PreparingRebalance");
}

#[test]
fn the_protocol_is_one_that_all_speak_and_most_prefer() {
    let mut machine = Machine::new();
    let with = |names: &[&str]| JoinRequest {
        protocols: kit::protocols(names),
        ..dynamic("")
    };
    let tokens = [
        machine.join(with(&["roundrobin", "range"])),
        machine.join(with(&["range", "roundrobin", "sticky"])),
        machine.join(with(&["range", "roundrobin"])),
    ];
    let odd = machine.join(with(&["sticky"]));
    assert!(matches!(
        refused(&machine, odd),
        GroupError::InconsistentProtocol { .. }
    ));
    machine.initial_delay();
    for token in tokens {
        assert_eq!(machine.joined(token).unwrap().protocol.as_deref(), Some("range"));
    }
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut machine = Machine::new();
    let members = machine.stable_static(2);
    let leader = machine.leader();
    let (index, former) = members.iter().enumerate().find(|(_, m)| **m == leader).unwrap();
    let instance = format!("i{index}");
    let token = machine.join(JoinRequest {
        can_skip_assignment: true,
        ..statically("", &instance)
    });
    let joined = machine.joined(token).unwrap();
    assert_eq!((joined.generation, joined.skip_assignment), (1, true));
    assert_eq!((joined.leader == joined.member, joined.members.len()), (true, 2));
    assert_eq!(machine.state(), "Stable");
    let token = machine.sync_with(SyncRequest {
        caller: Caller {
            member: joined.member.clone(),
            instance: Some(instance.clone()),
            generation: 1,
        },
        ..kit::sync_request("", 1, &[])
    });
    assert_eq!(
        machine.synced(token).unwrap().assignment,
        format!("share of {former}")
    );
    let fenced = Caller {
        member: former.clone(),
        instance: Some(instance.clone()),
        generation: 1,
    };
    let result = machine.groups.heartbeat(&kit::group(), &fenced, machine.now);
    assert!(matches!(result, Err(GroupError::FencedInstance { .. })));
    assert!(matches!(
        machine.groups.check_commit(&kit::group(), &fenced, false),
        Err(GroupError::FencedInstance { .. })
    ));

    let token = machine.join(statically("", &instance));
    let joined = machine.joined(token).unwrap();
    assert!(
        !joined.skip_assignment && joined.leader != joined.member,
        "an old client is told of another leader"
    );
}

#[test]
fn a_static_member_that_is_gone_keeps_its_place_for_its_session() {
    let mut machine = Machine::new();
    let members = machine.stable_static(2);
    machine.advance(6_000, &members[..1]);
    assert_eq!(machine.state(), "Stable");
    machine.advance(6_000, &members[..1]);
    assert_eq!(machine.state(), "PreparingRebalance");
}

/// How long a rebalance may take is the client's to say.
#[test]
fn a_static_member_that_is_gone_and_gave_no_time_for_rebalances_keeps_nobody_busy() {
    for rebalance_timeout_ms in [0, -1, i32::MIN] {
        let mut machine = Machine::new();
        let impatient = |request| JoinRequest {
            rebalance_timeout_ms,
            ..request
        };
        let tokens = [
            machine.join(impatient(dynamic(""))),
            machine.join(impatient(statically("", "i0"))),
        ];
        let [leaves, _] = {
            machine.settle(tokens.to_vec());
            tokens.map(|token| machine.joined(token).unwrap().member)
        };
        assert!(machine.leave(&[(&leaves, None)])[0].is_ok());
        assert_eq!(machine.state(), "PreparingRebalance");
        machine.tick(1);
        let soon = machine.groups.next_deadline().unwrap().0 - machine.now.0;
        assert!(soon > 500, "again in {soon} ms");
        for _ in 0..20 {
            machine.tick(1_000);
        }
        assert_eq!(machine.state(), "Empty", "its session is over");
    }
}

#[test]
fn members_leave_by_id_or_by_instance() {
    let mut machine = Machine::new();
    let members = machine.stable_static(2);
    let results = machine.leave(&[
        ("", Some("i0")),
        ("", Some("nobody")),
        ("stranger", None),
        (&members[0], Some("i1")),
    ]);
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(GroupError::UnknownMember { .. })));
    assert!(matches!(results[2], Err(GroupError::UnknownMember { .. })));
    assert!(matches!(results[3], Err(GroupError::FencedInstance { .. })));
    let results = machine.leave(&[(&members[1], None)]);
    assert!(results[0].is_ok());
    assert_eq!(machine.state(), "Empty");
    let unknown = machine.groups.leave(&GroupId::new("other"), &[], machine.now);
    assert!(matches!(unknown, Err(GroupError::UnknownMember { .. })));
}

#[test]
fn a_full_group_takes_nobody_more() {
    let mut machine = Machine::with(GroupConfig {
        max_size: 2,
        ..GroupConfig::default()
    });
    let members = machine.stable(2);
    let token = machine.join(dynamic(""));
    assert!(matches!(
        refused(&machine, token),
        GroupError::Full { max: 2, .. }
    ));
    let token = machine.join(dynamic(&machine.leader()));
    assert!(!machine.is_answered(token), "{members:?} may come back");
}

#[test]
fn commits_are_checked_against_the_group() {
    let mut machine = Machine::new();
    let group = kit::group();
    let check = |m: &Machine, c: &Caller, tx| m.groups.check_commit(&group, c, tx);
    assert_eq!(check(&machine, &Caller::outsider(), false), Ok(()));
    assert!(matches!(
        check(&machine, &caller("m", 3), false),
        Err(GroupError::IllegalGeneration { .. })
    ));
    let (leader, _) = machine.joined_pair();
    let member = caller(&leader, 1);
    assert!(matches!(
        check(&machine, &member, false),
        Err(GroupError::RebalanceInProgress { .. })
    ));
    assert_eq!(check(&machine, &member, true), Ok(()), "a transaction may end");
    assert!(matches!(
        check(&machine, &Caller::outsider(), false),
        Err(GroupError::UnknownMember { .. })
    ));
    assert_eq!(check(&machine, &Caller::outsider(), true), Ok(()));
    assert!(matches!(
        check(&machine, &caller(&leader, 2), true),
        Err(GroupError::IllegalGeneration { .. })
    ));
    assert!(matches!(
        check(&machine, &caller("x", 1), true),
        Err(GroupError::UnknownMember { .. })
    ));
}

#[test]
fn after_a_restart_members_go_on_where_they_were() {
    let mut machine = Machine::new();
    let members = machine.stable(3);
    machine.restart();
    assert_eq!(machine.state(), "Stable");
    for member in &members {
        assert_eq!(machine.heartbeat(member, 1), Ok(()));
        let token = machine.sync(member, 1, &[]);
        assert_eq!(
            machine.synced(token).unwrap().assignment,
            format!("share of {member}")
        );
    }
    machine.advance(6_000, &members[..2]);
    machine.advance(6_000, &members[..2]);
    assert_eq!(machine.state(), "PreparingRebalance", "sessions run on");
}

#[test]
fn a_restart_between_join_and_sync_is_no_new_generation() {
    let mut machine = Machine::new();
    let (leader, follower) = machine.joined_pair();
    machine.restart();
    assert_eq!(machine.state(), "CompletingRebalance");
    let again = machine.join(dynamic(&follower));
    assert_eq!(machine.joined(again).unwrap().generation, 1);
    let waiting = machine.sync(&follower, 1, &[]);
    machine.sync(&leader, 1, &[(&follower, "F")]);
    assert_eq!(machine.synced(waiting).unwrap().assignment, "F");
}

#[test]
fn a_decision_that_was_not_written_is_written_with_the_next() {
    let mut machine = Machine::new();
    machine.loses_writes = true;
    let (leader, follower) = machine.joined_pair();
    machine.loses_writes = false;
    machine.sync(&follower, 1, &[]);
    machine.sync(&leader, 1, &[]);
    machine.restart();
    assert_eq!(
        (machine.state(), machine.heartbeat(&leader, 1)),
        ("Stable", Ok(()))
    );
}

#[test]
fn groups_of_this_process_and_of_the_port_keep_apart() {
    let mut machine = Machine::new();
    machine.stable(1);
    let local = LocalJoin {
        group: kit::group(),
        member: "task".into(),
        topic: TopicName::new("t").unwrap(),
        partitions: 2,
        session_timeout_ms: 10_000,
    };
    assert!(matches!(
        machine.groups.join_local(local.clone(), machine.now),
        Err(GroupError::InconsistentProtocol { .. })
    ));
    let member = machine.leader();
    machine.leave(&[(&member, None)]);
    let joined = machine.groups.join_local(local, machine.now).unwrap();
    assert!(joined.response.generation > 2, "generations go on");
    let token = machine.join(dynamic(""));
    assert!(matches!(
        refused(&machine, token),
        GroupError::InconsistentProtocol { .. }
    ));
    let described = machine.groups.describe(&kit::group()).unwrap();
    assert_eq!((described.state, described.members.len()), ("Stable", 1));
    let left = machine
        .groups
        .leave_local(&kit::group(), &"task".into(), Timestamp(0))
        .unwrap();
    assert_eq!(left.puts.len(), 1);
    let token = machine.join(dynamic(""));
    machine.initial_delay();
    assert!(machine.joined(token).unwrap().generation > joined.response.generation);
}
