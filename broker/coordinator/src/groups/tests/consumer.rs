//! Rules of the consumer protocol, and clients that follow it in any order.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};

use super::{
    kit::{Catalogue, Machine},
    *,
};

fn group() -> GroupId {
    kit::group()
}

pub(super) fn joining(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member: member.into(),
        rebalance_timeout_ms: 30_000,
        topics: Some(topics.iter().map(|t| (*t).into()).collect()),
        owned: Some(Partitions::new()),
        may_use_regex: true,
        ..ConsumerHeartbeat::default()
    }
}

pub(super) fn beating(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member: member.into(),
        epoch,
        rebalance_timeout_ms: -1,
        may_use_regex: true,
        ..ConsumerHeartbeat::default()
    }
}

/// A machine and what there is to read.
struct Broker {
    machine: Machine,
}

impl Broker {
    fn new(topics: &[(&str, i32)]) -> Self {
        let mut machine = Machine::new();
        machine.topics = Catalogue::of(topics);
        Self { machine }
    }

    fn ask(&mut self, request: &ConsumerHeartbeat) -> Result<ConsumerAnswer, GroupError> {
        let now = self.machine.now;
        let (answer, effects) =
            self.machine
                .groups
                .consumer_heartbeat(&group(), request, &self.machine.topics, now)?;
        self.machine.perform(effects);
        self.is_durable();
        Ok(answer)
    }

    fn grow(&mut self, topic: &str, partitions: i32) {
        self.machine.topics.set(topic, partitions);
        let effects = self
            .machine
            .groups
            .topics_changed(&self.machine.topics, self.machine.now);
        self.machine.perform(effects);
        self.is_durable();
    }

    /// What a restart would find is what there is.
    fn is_durable(&self) {
        assert!(
            self.machine.recovered() == self.machine.groups,
            "the log tells something else"
        );
    }

    fn state(&self) -> &'static str {
        self.machine.groups.describe_consumer(&group()).unwrap().state
    }

    fn epoch(&self) -> i32 {
        self.machine.groups.describe_consumer(&group()).unwrap().epoch
    }
}

fn count(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

/// A consumer that does as it is told, when it gets to it.
#[derive(Clone, Debug)]
struct Client {
    id: MemberId,
    topics: Vec<&'static str>,
    epoch: i32,
    owned: Partitions,
    /// What it was told to have.
    assigned: Partitions,
    /// An answer was lost: it says all again, and so is told all.
    says_all: bool,
}

impl Client {
    fn new(id: String, topics: &[&'static str]) -> Self {
        Self {
            id,
            topics: topics.to_vec(),
            epoch: 0,
            owned: Partitions::new(),
            assigned: Partitions::new(),
            says_all: false,
        }
    }

    /// One heartbeat. If its answer is lost the client says the same again.
    fn beat(&mut self, broker: &mut Broker, answer_is_lost: bool) {
        let request = if self.epoch == 0 {
            self.owned.clear();
            joining(&self.id, &self.topics)
        } else {
            let mut request = beating(&self.id, self.epoch);
            if self.says_all {
                request = ConsumerHeartbeat {
                    epoch: self.epoch,
                    ..joining(&self.id, &self.topics)
                };
            }
            ConsumerHeartbeat {
                owned: Some(self.owned.clone()),
                ..request
            }
        };
        self.says_all = answer_is_lost;
        match broker.ask(&request) {
            Ok(_) if answer_is_lost => {}
            Ok(answer) => {
                self.epoch = answer.epoch;
                if let Some(assigned) = answer.assignment {
                    self.assigned = assigned;
                }
                // It gives back and takes before it heartbeats again.
                self.owned.clone_from(&self.assigned);
            }
            Err(GroupError::FencedEpoch { .. } | GroupError::UnknownMember { .. }) => {
                self.epoch = 0;
                self.owned.clear();
                self.assigned.clear();
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn nobody_shares(clients: &[Client]) {
    let mut owned = BTreeSet::new();
    for client in clients {
        for (topic, partitions) in &client.owned {
            for partition in partitions {
                assert!(
                    owned.insert((*topic, *partition)),
                    "two own {topic} {partition}: {clients:?}"
                );
            }
        }
    }
}

fn settle(broker: &mut Broker, clients: &mut [Client]) {
    for _ in 0..50 {
        for client in clients.iter_mut() {
            client.beat(broker, false);
        }
        if broker.state() == "Stable" {
            return;
        }
    }
    panic!("it does not settle: {clients:?}");
}

#[test]
fn a_member_gets_all_and_gives_back_before_another_takes() {
    let mut broker = Broker::new(&[("a", 6)]);
    let mut first = Client::new("m1".into(), &["a"]);
    first.beat(&mut broker, false);
    assert_eq!(
        (count(&first.owned), first.epoch, broker.state()),
        (6, 1, "Stable")
    );

    let joined = broker.ask(&joining("m2", &["a"])).unwrap();
    assert_eq!(joined.assignment, Some(Partitions::new()), "nothing is free yet");
    assert_eq!((joined.epoch, broker.state()), (2, "Reconciling"));
    // Asked to give back, it stays in its epoch until it has.
    let asked = broker.ask(&beating("m1", 1)).unwrap();
    assert_eq!((asked.epoch, count(asked.assignment.as_ref().unwrap())), (1, 3));
    let still = broker.ask(&beating("m2", 2)).unwrap();
    assert_eq!(still.assignment, None);
    let kept = asked.assignment.unwrap();
    let gave = broker
        .ask(&ConsumerHeartbeat {
            owned: Some(kept),
            ..beating("m1", 1)
        })
        .unwrap();
    assert_eq!((gave.epoch, gave.assignment), (2, None));
    let got = broker.ask(&beating("m2", 2)).unwrap();
    assert_eq!((count(&got.assignment.unwrap()), broker.state()), (3, "Stable"));
}

#[test]
fn a_heartbeat_without_news_writes_nothing() {
    let mut broker = Broker::new(&[("a", 2)]);
    broker.ask(&joining("m", &["a"])).unwrap();
    let now = broker.machine.now;
    let (answer, effects) = broker
        .machine
        .groups
        .consumer_heartbeat(&group(), &beating("m", 1), &broker.machine.topics, now)
        .unwrap();
    assert_eq!((answer.assignment, effects), (None, Effects::default()));
}

#[test]
fn requests_are_checked() {
    let mut broker = Broker::new(&[("a", 1)]);
    let mut refused = |request: ConsumerHeartbeat| broker.ask(&request).expect_err("it is refused");
    let invalid = |error| matches!(error, GroupError::InvalidRequest { .. });
    let good = || joining("m", &["a"]);
    assert!(invalid(refused(ConsumerHeartbeat {
        member: String::new(),
        ..good()
    })));
    assert!(invalid(refused(ConsumerHeartbeat {
        rebalance_timeout_ms: -1,
        ..good()
    })));
    assert!(invalid(refused(ConsumerHeartbeat {
        owned: None,
        ..good()
    })));
    assert!(invalid(refused(ConsumerHeartbeat {
        topics: None,
        ..good()
    })));
    assert!(invalid(refused(ConsumerHeartbeat {
        instance: Some(String::new()),
        ..good()
    })));
    assert!(invalid(refused(ConsumerHeartbeat { epoch: -3, ..good() })));
    assert!(invalid(refused(ConsumerHeartbeat { epoch: -2, ..good() })));
    let assignor = ConsumerHeartbeat {
        assignor: Some("sticky".into()),
        ..good()
    };
    assert!(matches!(
        refused(assignor),
        GroupError::UnsupportedAssignor { .. }
    ));
    let regex = ConsumerHeartbeat {
        regex: Some("(".into()),
        ..good()
    };
    assert!(matches!(refused(regex), GroupError::InvalidRegex { .. }));
    let huge = ConsumerHeartbeat {
        regex: Some("(a{1000}){1000}".into()),
        ..good()
    };
    assert!(matches!(refused(huge), GroupError::InvalidRegex { .. }));
    assert!(matches!(
        refused(beating("m", 1)),
        GroupError::UnknownGroup { .. }
    ));
    broker.ask(&good()).unwrap();
    assert!(matches!(
        broker.ask(&beating("x", 1)),
        Err(GroupError::UnknownMember { .. })
    ));
    assert!(matches!(
        broker.ask(&beating("m", 9)),
        Err(GroupError::FencedEpoch { current: 1, .. })
    ));
}

#[test]
fn the_epoch_before_is_accepted_if_the_answer_was_lost() {
    let mut broker = Broker::new(&[("a", 2)]);
    broker.ask(&joining("m", &["a"])).unwrap();
    broker.grow("a", 4);
    let lost = broker.ask(&beating("m", 1)).unwrap();
    assert_eq!(lost.epoch, 2);
    let again = ConsumerHeartbeat {
        owned: Some(Partitions::new()),
        ..beating("m", 1)
    };
    assert_eq!(broker.ask(&again).unwrap().epoch, 2);
    assert!(matches!(
        broker.ask(&beating("m", 1)),
        Err(GroupError::FencedEpoch { .. })
    ));
}

#[test]
fn new_topics_and_partitions_are_assigned() {
    let mut broker = Broker::new(&[("a", 2)]);
    let by_regex = ConsumerHeartbeat {
        topics: None,
        regex: Some("[ab]".into()),
        ..joining("m", &[])
    };
    assert_eq!(count(&broker.ask(&by_regex).unwrap().assignment.unwrap()), 2);
    broker.grow("a", 3);
    assert_eq!(broker.state(), "Assigning");
    let grown = broker.ask(&beating("m", 1)).unwrap();
    assert_eq!((grown.epoch, count(&grown.assignment.unwrap())), (2, 3));
    broker.grow("b", 4);
    assert_eq!(
        count(&broker.ask(&beating("m", 2)).unwrap().assignment.unwrap()),
        7
    );
    let before = broker.epoch();
    broker.grow("c", 1);
    assert_eq!(broker.epoch(), before, "nobody reads it");
    let none = ConsumerHeartbeat {
        regex: Some(String::new()),
        topics: Some(vec!["c".into()]),
        ..beating("m", 3)
    };
    assert_eq!(
        count(&broker.ask(&none).unwrap().assignment.unwrap()),
        0,
        "first it gives back"
    );
}

#[test]
fn a_deleted_topic_is_taken_away() {
    let mut broker = Broker::new(&[("a", 2), ("b", 2)]);
    let mut client = Client::new("m".into(), &["a", "b"]);
    client.beat(&mut broker, false);
    broker.machine.topics.0.remove("b");
    let effects = broker
        .machine
        .groups
        .topics_changed(&broker.machine.topics, broker.machine.now);
    broker.machine.perform(effects);
    settle(&mut broker, std::slice::from_mut(&mut client));
    assert_eq!(count(&client.owned), 2);
}

#[test]
fn members_leave_are_silent_or_do_not_give_back() {
    let mut broker = Broker::new(&[("a", 4)]);
    let mut clients = [Client::new("m1".into(), &["a"]), Client::new("m2".into(), &["a"])];
    settle(&mut broker, &mut clients);
    let left = broker.ask(&beating("m2", -1)).unwrap();
    assert_eq!((left.epoch, left.assignment), (-1, None));
    settle(&mut broker, &mut clients[..1]);
    assert_eq!(count(&clients[0].owned), 4);

    clients[1] = Client::new("m2".into(), &["a"]);
    clients[1].beat(&mut broker, false);
    // It heartbeats, and keeps what it is asked for.
    let epoch = clients[0].epoch;
    broker.ask(&beating("m1", epoch)).unwrap();
    broker.machine.tick(20_000);
    broker.ask(&beating("m1", epoch)).unwrap();
    broker.ask(&beating("m2", clients[1].epoch)).unwrap();
    broker.machine.tick(10_000);
    assert!(matches!(
        broker.ask(&beating("m1", epoch)),
        Err(GroupError::UnknownMember { .. })
    ));
    settle(&mut broker, &mut clients[1..]);
    assert_eq!(count(&clients[1].owned), 4);

    broker.machine.tick(45_000);
    assert_eq!(broker.state(), "Empty");
    broker.is_durable();
}

#[test]
fn a_static_member_leaves_for_now_and_comes_back_to_what_it_had() {
    let mut broker = Broker::new(&[("a", 4)]);
    let fixed = |member: &str, epoch| ConsumerHeartbeat {
        instance: Some("i".into()),
        ..beating(member, epoch)
    };
    let join = |member: &str| ConsumerHeartbeat {
        instance: Some("i".into()),
        ..joining(member, &["a"])
    };
    broker.ask(&join("m1")).unwrap();
    assert!(matches!(
        broker.ask(&join("m2")),
        Err(GroupError::UnreleasedInstance { .. })
    ));
    assert_eq!(broker.ask(&fixed("m1", -2)).unwrap().epoch, -2);
    let epoch = broker.epoch();
    let back = broker.ask(&join("m2")).unwrap();
    assert_eq!((back.epoch, count(&back.assignment.unwrap())), (1, 4));
    assert_eq!(broker.epoch(), epoch, "nobody else notices");
    assert!(matches!(
        broker.ask(&fixed("m1", 1)),
        Err(GroupError::FencedInstance { .. })
    ));
    broker.ask(&fixed("m2", -2)).unwrap();
    broker.machine.tick(45_000);
    assert_eq!(broker.state(), "Empty");
}

#[test]
fn the_assignor_is_the_one_that_most_want() {
    let mut broker = Broker::new(&[("a", 4), ("b", 4)]);
    let join = |member: &str, assignor: Option<&str>| ConsumerHeartbeat {
        assignor: assignor.map(Into::into),
        ..joining(member, &["a", "b"])
    };
    let assignor = |broker: &Broker| {
        broker
            .machine
            .groups
            .describe_consumer(&group())
            .unwrap()
            .assignor
    };
    broker.ask(&join("m1", None)).unwrap();
    assert_eq!(assignor(&broker), "uniform");
    broker.ask(&join("m2", Some("range"))).unwrap();
    assert_eq!(assignor(&broker), "range");
}

#[test]
fn a_full_consumer_group_takes_nobody_more() {
    let consumer = ConsumerGroupConfig {
        max_size: 1,
        ..ConsumerGroupConfig::default()
    };
    let mut machine = Machine::with(GroupConfig {
        consumer,
        ..GroupConfig::default()
    });
    machine.topics = Catalogue::of(&[("a", 1)]);
    let mut broker = Broker { machine };
    broker.ask(&joining("m1", &["a"])).unwrap();
    assert!(matches!(
        broker.ask(&joining("m2", &["a"])),
        Err(GroupError::Full { max: 1, .. })
    ));
    broker.ask(&joining("m1", &["a"])).unwrap();
}

#[test]
fn a_group_changes_its_protocol_while_it_is_empty() {
    let mut broker = Broker::new(&[("a", 1)]);
    let member = broker.machine.stable(1).remove(0);
    assert!(matches!(
        broker.ask(&joining("m", &["a"])),
        Err(GroupError::OtherType { .. })
    ));
    broker.machine.leave(&[(&member, None)]);
    let classic = broker.machine.generation();
    let joined = broker.ask(&joining("m", &["a"])).unwrap();
    assert!(joined.epoch > classic, "epochs go on");
    let token = broker.machine.join(dynamic(""));
    assert!(matches!(
        broker.machine.joined(token).expect_err("it has members").error,
        GroupError::InconsistentProtocol { .. }
    ));
    assert!(matches!(
        broker.machine.groups.describe(&group()),
        Err(GroupError::OtherType { .. })
    ));
    broker.ask(&beating("m", -1)).unwrap();
    let token = broker.machine.join(dynamic(""));
    broker.machine.initial_delay();
    assert!(broker.machine.joined(token).unwrap().generation > joined.epoch);
}

#[test]
fn commits_and_fetches_know_their_epoch() {
    let mut broker = Broker::new(&[("a", 1)]);
    broker.ask(&joining("m", &["a"])).unwrap();
    let groups = &broker.machine.groups;
    let check = |member: &str, epoch, tx| groups.check_commit(&group(), &caller(member, epoch), tx);
    assert_eq!(check("m", 1, false), Ok(()));
    assert!(matches!(check("m", 2, false), Err(GroupError::StaleEpoch { .. })));
    assert!(matches!(
        check("x", 1, false),
        Err(GroupError::UnknownMember { .. })
    ));
    assert!(matches!(
        check("", -1, false),
        Err(GroupError::UnknownMember { .. })
    ));
    assert_eq!(
        check("", -1, true),
        Ok(()),
        "older transactional clients name no member"
    );
    assert!(matches!(check("m", 0, true), Err(GroupError::StaleEpoch { .. })));
    assert_eq!(
        groups.check_commit_version(&group(), &Caller::outsider(), true),
        Ok(())
    );
    assert!(matches!(
        groups.check_commit_version(&group(), &Caller::outsider(), false),
        Err(GroupError::UnsupportedVersion { .. })
    ));
    assert_eq!(groups.check_offset_fetch(&group(), &Caller::outsider()), Ok(()));
    assert!(groups.check_offset_fetch(&group(), &caller("m", 7)).is_err());
}

#[test]
fn after_a_restart_members_heartbeat_on() {
    let mut broker = Broker::new(&[("a", 4)]);
    let mut clients = [Client::new("m1".into(), &["a"]), Client::new("m2".into(), &["a"])];
    settle(&mut broker, &mut clients);
    let epoch = broker.epoch();
    broker.machine.restart();
    for client in &mut clients {
        let owned = client.owned.clone();
        client.beat(&mut broker, false);
        assert_eq!((client.epoch, &client.owned), (epoch, &owned));
    }
    broker.machine.tick(45_000);
    assert_eq!(broker.state(), "Empty", "sessions run on");
}

#[derive(Clone, Debug)]
enum Step {
    Join(bool),
    Beat(Index, bool),
    Leave(Index),
    Crash(Index),
    Grow(bool, u8),
    Pass(u16),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<bool>().prop_map(Step::Join),
        12 => (any::<Index>(), prop::bool::weighted(0.15)).prop_map(|(i, lost)| Step::Beat(i, lost)),
        1 => any::<Index>().prop_map(Step::Leave),
        1 => any::<Index>().prop_map(Step::Crash),
        1 => (any::<bool>(), 1..12_u8).prop_map(|(a, n)| Step::Grow(a, n)),
        2 => (1..12_000_u16).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_partition_has_one_owner_at_most(steps in prop::collection::vec(step(), 1..120)) {
        let mut broker = Broker::new(&[("a", 3), ("b", 2)]);
        let mut clients: Vec<Client> = Vec::new();
        let mut names = 0;
        let mut epoch = 0;
        for step in steps {
            match step {
                Step::Join(both) => {
                    names += 1;
                    let topics: &[&str] = if both { &["a", "b"] } else { &["a"] };
                    clients.push(Client::new(format!("m{names}"), topics));
                }
                Step::Beat(index, lost) if !clients.is_empty() => {
                    let index = index.index(clients.len());
                    clients[index].beat(&mut broker, lost);
                }
                Step::Leave(index) if !clients.is_empty() => {
                    let client = clients.remove(index.index(clients.len()));
                    if client.epoch > 0 {
                        // It may have been removed before.
                        let _ = broker.ask(&beating(&client.id, -1));
                    }
                }
                Step::Crash(index) if !clients.is_empty() => {
                    clients.remove(index.index(clients.len()));
                }
                Step::Beat(..) | Step::Leave(_) | Step::Crash(_) => {}
                Step::Grow(a, n) => {
                    let name = if a { "a" } else { "b" };
                    let now = broker.machine.topics.0[name].1;
                    broker.grow(name, now.max(n.into()));
                }
                Step::Pass(ms) => {
                    broker.machine.tick(ms.into());
                    // A client that could not heartbeat for its session stops by itself, before the broker gives
                    // its partitions away.
                    let alive: BTreeSet<MemberId> = broker
                        .machine
                        .groups
                        .describe_consumer(&group())
                        .map_or_else(|_| BTreeSet::new(), |g| g.members.into_iter().map(|m| m.member).collect());
                    for client in clients.iter_mut().filter(|c| !alive.contains(&c.id)) {
                        client.owned.clear();
                    }
                }
                Step::Restart => broker.machine.restart(),
            }
            nobody_shares(&clients);
            if let Ok(described) = broker.machine.groups.describe_consumer(&group()) {
                prop_assert!(described.epoch >= epoch);
                epoch = described.epoch;
                broker.is_durable();
            }
        }
        // Who crashed is noticed, and then all settles.
        for _ in 0..10 {
            broker.machine.tick(5_000);
            clients.iter_mut().for_each(|c| c.beat(&mut broker, false));
            nobody_shares(&clients);
        }
        if clients.is_empty() {
            return Ok(());
        }
        settle(&mut broker, &mut clients);
        nobody_shares(&clients);
        let owned: usize = clients.iter().map(|c| count(&c.owned)).sum();
        let reads_b = clients.iter().any(|c| c.topics.len() == 2);
        let (a, b) = (broker.machine.topics.0["a"].1, broker.machine.topics.0["b"].1);
        let expected = a + if reads_b { b } else { 0 };
        prop_assert_eq!(i64::try_from(owned).unwrap(), i64::from(expected));
    }
}

#[test]
fn a_storm_of_consumers_settles() {
    let mut broker = Broker::new(&[("a", 400)]);
    let mut clients: Vec<_> = (0..120)
        .map(|i| Client::new(format!("m{i:03}"), &["a"]))
        .collect();
    clients.iter_mut().for_each(|c| c.beat(&mut broker, false));
    for round in 0..3 {
        let gone: Vec<_> = clients.drain(..10).collect();
        for client in gone {
            broker.ask(&beating(&client.id, -1)).unwrap();
        }
        clients.extend((0..5).map(|i| Client::new(format!("n{round}{i}"), &["a"])));
        clients.iter_mut().for_each(|c| c.beat(&mut broker, false));
        nobody_shares(&clients);
    }
    settle(&mut broker, &mut clients);
    let most = clients.iter().map(|c| count(&c.owned)).max();
    let least = clients.iter().map(|c| count(&c.owned)).min();
    assert_eq!((most, least), (Some(4), Some(3)), "{} share 400", clients.len());
}
