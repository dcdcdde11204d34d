//! Groups with members of both protocols: up, down, and clients of both kinds that follow in any order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use millstream_protocol::messages::{
    self, ConsumerProtocolSubscription, Encodable, StrBytes, consumer_protocol_subscription::TopicPartition,
};
use millstream_types::TopicName;
use proptest::{prelude::*, sample::Index};

use super::{
    consumer::{beating, joining},
    embedded::{Named, read_assignment, read_subscription, write_assignment},
    kit::{Catalogue, Machine, dynamic, group, statically},
    *,
};

/// Partitions of topic "t".
type Share = BTreeSet<i32>;

fn subscription(topics: &[&str], owned: &Share) -> Bytes {
    let name = |topic: &str| messages::TopicName(StrBytes::from_string(topic.into()));
    let owned = TopicPartition::default()
        .with_topic(name("t"))
        .with_partitions(owned.iter().copied().collect());
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(
            topics
                .iter()
                .map(|t| StrBytes::from_string((*t).into()))
                .collect(),
        )
        .with_owned_partitions(vec![owned]);
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    subscription.encode(&mut bytes, 1).unwrap();
    bytes.freeze()
}

fn with(request: JoinRequest, topics: &[&str], owned: &Share) -> JoinRequest {
    let protocol = Protocol {
        name: "range".into(),
        metadata: subscription(topics, owned),
    };
    JoinRequest {
        protocols: vec![protocol],
        ..request
    }
}

fn share_of(assignment: Bytes) -> Share {
    let read = read_assignment(assignment).unwrap();
    read.partitions.into_values().flatten().collect()
}

fn assignment_of(share: &Share) -> Bytes {
    let topic = TopicName::new("t").unwrap();
    write_assignment(&Named::from([(topic, share.clone())]), 1)
}

/// A process with a consumer, which does as it is told when it gets to it.
#[derive(Clone, Debug)]
struct Client {
    id: MemberId,
    kind: Kind,
    generation: i32,
    owned: Share,
    /// Waits for the others of a classic group.
    joining: Option<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Gives everything back before it joins.
    Eager,
    /// Gives back what it is not to have any more, and joins again.
    Cooperative,
    /// KIP-848.
    Modern,
}

impl Client {
    fn new(kind: Kind, number: usize) -> Self {
        let id = if kind == Kind::Modern {
            format!("new-{number}")
        } else {
            MemberId::new()
        };
        Self {
            id,
            kind,
            generation: 0,
            owned: Share::new(),
            joining: None,
        }
    }

    /// One request, or the look at the answer to one.
    fn step(&mut self, world: &mut World) {
        if self.kind == Kind::Modern {
            self.beat(world);
        } else if let Some(token) = self.joining {
            self.look(token, world);
        } else if self.id.is_empty() {
            self.join(world);
        } else if let Err(error) = world.machine.heartbeat(&self.id, self.generation) {
            self.follow(&error, world);
        }
    }

    fn beat(&mut self, world: &mut World) {
        let owned = world.by_id(&self.owned);
        let request = if self.generation == 0 {
            joining(&self.id, &["t"])
        } else {
            ConsumerHeartbeat {
                owned: Some(owned),
                ..beating(&self.id, self.generation)
            }
        };
        match world.ask(&request) {
            Ok(answer) => {
                self.generation = answer.epoch;
                if let Some(assigned) = answer.assignment {
                    self.owned = assigned.into_values().flatten().collect();
                }
            }
            Err(_) => {
                self.generation = 0;
                self.owned.clear();
            }
        }
    }

    fn follow(&mut self, error: &GroupError, world: &mut World) {
        match error {
            GroupError::RebalanceInProgress { .. } => {}
            GroupError::IllegalGeneration { .. } => self.owned.clear(),
            GroupError::UnknownMember { .. } => {
                self.owned.clear();
                self.id.clear();
            }
            other => panic!("{self:?}: {other}"),
        }
        self.join(world);
    }

    fn join(&mut self, world: &mut World) {
        if self.kind == Kind::Eager {
            self.owned.clear();
        }
        let request = with(dynamic(&self.id), &["t"], &self.owned);
        let token = world.machine.join(request);
        self.joining = Some(token);
        self.look(token, world);
    }

    fn look(&mut self, token: Token, world: &mut World) {
        if !world.machine.is_answered(token) {
            return;
        }
        self.joining = None;
        match world.machine.joined(token) {
            Err(refused) => match refused.error {
                GroupError::RebalanceInProgress { .. } => {}
                GroupError::UnknownMember { .. } => {
                    self.owned.clear();
                    self.id.clear();
                }
                other => panic!("{self:?}: {other}"),
            },
            Ok(joined) => {
                self.id = joined.member.clone();
                self.generation = joined.generation;
                let shares: Vec<_> = world.shares(&joined);
                let request = SyncRequest {
                    assignments: shares,
                    ..kit::sync_request(&self.id, self.generation, &[])
                };
                let token = world.machine.sync_with(request);
                // Whoever does not lead asks again; the leader is always answered.
                if world.machine.is_answered(token) {
                    self.take(world.machine.synced(token), world);
                }
            }
        }
    }

    fn take(&mut self, synced: Result<Synced, GroupError>, world: &mut World) {
        match synced {
            Ok(synced) => {
                let share = share_of(synced.assignment);
                let loses = !self.owned.is_subset(&share);
                self.owned = share;
                if loses && self.kind == Kind::Cooperative {
                    self.join(world);
                }
            }
            Err(GroupError::RebalanceInProgress { .. }) => {}
            Err(other) => self.follow(&other, world),
        }
    }
}

struct World {
    machine: Machine,
    partitions: i32,
}

impl World {
    fn new(partitions: i32) -> Self {
        let mut machine = Machine::new();
        machine.topics = Catalogue::of(&[("t", partitions)]);
        Self { machine, partitions }
    }

    fn by_id(&self, share: &Share) -> Partitions {
        let (id, _) = self.machine.topics.get(&TopicName::new("t").unwrap()).unwrap();
        if share.is_empty() {
            Partitions::new()
        } else {
            [(id, share.clone())].into()
        }
    }

    fn ask(&mut self, request: &ConsumerHeartbeat) -> Result<ConsumerAnswer, GroupError> {
        let now = self.machine.now;
        let (answer, effects) =
            self.machine
                .groups
                .consumer_heartbeat(&group(), request, &self.machine.topics, now)?;
        self.machine.perform(effects);
        Ok(answer)
    }

    /// What the leader of a classic group assigns: turn by turn. What another has it leaves out; that one learns from its
    /// own share that it is to give it back, and joins again.
    fn shares(&self, joined: &Joined) -> Vec<(MemberId, Bytes)> {
        let members: Vec<_> = joined.members.iter().map(|m| m.member.clone()).collect();
        if members.is_empty() {
            return Vec::new();
        }
        let mut shares: BTreeMap<MemberId, Share> =
            members.iter().map(|m| (m.clone(), Share::new())).collect();
        let owned_by = |partition| {
            let owner = joined.members.iter().find(|m| {
                let subscription = read_subscription(m.metadata.clone()).unwrap();
                let owned = subscription.owned.into_values();
                owned.flatten().any(|owned| owned == partition)
            });
            owner.map(|m| &m.member)
        };
        for (partition, member) in (0..self.partitions).zip(members.iter().cycle()) {
            if owned_by(partition).is_none_or(|owner| owner == member) {
                shares.get_mut(member).unwrap().insert(partition);
            }
        }
        shares
            .into_iter()
            .map(|(m, share)| (m, assignment_of(&share)))
            .collect()
    }

    fn is_consumer_group(&self) -> bool {
        self.machine.groups.describe_consumer(&group()).is_ok()
    }

    /// Two classic members that share everything, and nothing else to do.
    fn classic_pair(&mut self) -> Vec<Client> {
        let mut clients = vec![Client::new(Kind::Eager, 0), Client::new(Kind::Cooperative, 1)];
        settle(self, &mut clients);
        clients
    }
}

/// Everybody has its turn until all partitions have one owner each and nobody has anything to do.
fn settle(world: &mut World, clients: &mut [Client]) {
    for _ in 0..100 {
        for client in clients.iter_mut() {
            // A follower learns its share when the leader has synced.
            client.step(world);
            if client.kind != Kind::Modern && client.joining.is_none() && !client.id.is_empty() {
                let token = world.machine.sync(&client.id.clone(), client.generation, &[]);
                if world.machine.is_answered(token)
                    && let Ok(synced) = world.machine.synced(token)
                {
                    client.take(Ok(synced), world);
                }
            }
        }
        world.machine.tick(200);
    }
    check_shares(world, clients, true);
}

/// Nobody has what another has; `whole`: and everything is had. Whom the group has removed may not know it yet.
fn check_shares(world: &World, clients: &[Client], whole: bool) {
    let mut owners = BTreeMap::new();
    let described = world.machine.groups.describe_consumer(&group());
    let is_member = |client: &Client| {
        let members = described.as_ref().map(|group| &group.members);
        members.map_or(true, |members| members.iter().any(|m| m.member == client.id))
    };
    for client in clients.iter().filter(|client| is_member(client)) {
        for partition in &client.owned {
            let before = owners.insert(*partition, &client.id);
            assert_eq!(before, None, "partition {partition} of {clients:#?}");
        }
    }
    if whole && !clients.is_empty() {
        assert_eq!(owners.len(), world.partitions as usize, "{clients:#?}");
    }
}

fn recovered_is_the_same(world: &World) {
    assert!(world.machine.recovered() == world.machine.groups);
}

#[test]
fn a_classic_group_becomes_a_consumer_group_and_a_classic_one_again() {
    let mut world = World::new(6);
    let mut clients = world.classic_pair();
    let before = world.machine.generation();
    clients.push(Client::new(Kind::Modern, 2));
    clients[2].step(&mut world);
    assert!(world.is_consumer_group());
    recovered_is_the_same(&world);
    assert_eq!(clients[2].generation, before + 1, "epochs go on");
    assert!(clients[2].owned.is_empty(), "the others have everything still");
    let described = world.machine.groups.describe_consumer(&group()).unwrap();
    let classic = described.members.iter().filter(|m| m.is_classic).count();
    assert_eq!((described.members.len(), classic), (3, 2));
    settle(&mut world, &mut clients);
    assert!(
        clients.iter().all(|client| client.owned.len() == 2),
        "{clients:?}"
    );
    recovered_is_the_same(&world);

    world.machine.restart();
    let owned: Vec<_> = clients.iter().map(|client| client.owned.clone()).collect();
    settle(&mut world, &mut clients);
    let after: Vec<_> = clients.iter().map(|client| client.owned.clone()).collect();
    assert_eq!(owned, after, "a restart moves nothing");

    let gone = clients.pop().unwrap();
    world.ask(&beating(&gone.id, -1)).unwrap();
    assert!(!world.is_consumer_group());
    assert_eq!(world.machine.state(), "PreparingRebalance");
    recovered_is_the_same(&world);
    for client in &clients {
        let told = world.machine.heartbeat(&client.id, client.generation);
        assert!(
            matches!(told, Err(GroupError::RebalanceInProgress { .. })),
            "nobody's generation ends, so nobody gives up what it has: {told:?}"
        );
    }
    settle(&mut world, &mut clients);
    assert_eq!(world.machine.state(), "Stable");
    assert!(world.machine.generation() > gone.generation);
}

#[test]
fn whoever_has_not_heard_of_two_changes_keeps_what_it_has() {
    let mut world = World::new(6);
    let mut clients = world.classic_pair();
    // The first member of the consumer protocol is gone before the others notice it; then comes another.
    let mut first = Client::new(Kind::Modern, 2);
    first.step(&mut world);
    world.ask(&beating(&first.id, -1)).unwrap();
    assert!(!world.is_consumer_group());
    clients.push(Client::new(Kind::Modern, 3));
    for _ in 0..3 {
        clients[2].step(&mut world);
        check_shares(&world, &clients, false);
    }
    assert!(clients[2].owned.is_empty());
    assert!(clients[..2].iter().all(|client| client.owned.len() == 3));
    // It leaves while one of them gives partitions back.
    clients[1].step(&mut world);
    let gone = clients.pop().unwrap();
    world.ask(&beating(&gone.id, -1)).unwrap();
    clients.push(Client::new(Kind::Modern, 4));
    clients[2].step(&mut world);
    check_shares(&world, &clients, false);
    settle(&mut world, &mut clients);
}

#[test]
fn what_members_bring_into_a_classic_rebalance_is_theirs_in_the_new_group() {
    let mut world = World::new(4);
    let mut clients = world.classic_pair();
    // Both have joined, and the leader has not assigned yet.
    world.machine.restart();
    for client in &mut clients {
        client.kind = Kind::Cooperative;
    }
    let tokens = clients.iter().map(|client| {
        let joining = with(dynamic(&client.id), &["t"], &client.owned);
        world.machine.join(joining)
    });
    let tokens: Vec<_> = tokens.collect();
    world.machine.tick(100);
    assert!(tokens.iter().all(|token| world.machine.is_answered(*token)));
    assert_eq!(world.machine.state(), "CompletingRebalance");
    clients.push(Client::new(Kind::Modern, 2));
    clients[2].step(&mut world);
    check_shares(&world, &clients, false);
    settle(&mut world, &mut clients);
}

#[test]
fn a_restart_in_the_middle_of_the_way_down_asks_members_to_join_again() {
    let mut world = World::new(4);
    let mut clients = world.classic_pair();
    clients.push(Client::new(Kind::Modern, 2));
    settle(&mut world, &mut clients);
    let gone = clients.pop().unwrap();
    // Its session ends.
    for _ in 0..10 {
        world.machine.tick(5_000);
        for client in &mut clients {
            client.step(&mut world);
        }
        if !world.is_consumer_group() {
            break;
        }
    }
    assert!(!world.is_consumer_group(), "{gone:?} is gone");
    world.machine.restart();
    settle(&mut world, &mut clients);
    assert_eq!(world.machine.state(), "Stable");
}

#[test]
fn whoever_waits_in_a_classic_rebalance_is_sent_to_join_the_new_group() {
    let mut world = World::new(2);
    let first = world.machine.join(with(dynamic(""), &["t"], &Share::new()));
    world.machine.tick(100);
    let first = world.machine.joined(first).unwrap().member;
    let late = world.machine.join(with(dynamic(""), &["t"], &Share::new()));
    assert!(!world.machine.is_answered(late), "it waits for the first");
    world.ask(&joining("new", &["t"])).unwrap();
    let refused = world.machine.joined(late).unwrap_err();
    assert!(matches!(refused.error, GroupError::RebalanceInProgress { .. }));
    let described = world.machine.groups.describe_consumer(&group()).unwrap();
    assert!(described.members.iter().any(|m| m.member == first));
    recovered_is_the_same(&world);
}

#[test]
fn the_policy_decides_in_either_direction() {
    let policy = |upgrade, downgrade| {
        let mut config = GroupConfig::default();
        config.consumer.migration = MigrationPolicy { upgrade, downgrade };
        let mut world = World::new(2);
        world.machine = Machine::with(config);
        world.machine.topics = Catalogue::of(&[("t", 2)]);
        world
    };
    let mut world = policy(false, true);
    world.classic_pair();
    let refused = world.ask(&joining("new", &["t"])).unwrap_err();
    assert!(matches!(
        refused,
        GroupError::OtherType {
            wanted: "consumer",
            ..
        }
    ));

    let mut world = policy(true, false);
    world.classic_pair();
    world.ask(&joining("new", &["t"])).unwrap();
    world.ask(&beating("new", -1)).unwrap();
    assert!(world.is_consumer_group(), "with classic members only");
    recovered_is_the_same(&world);
}

#[test]
fn groups_that_share_by_something_of_their_own_stay_classic() {
    let mut world = World::new(2);
    let member = world.machine.stable(1).remove(0);
    assert!(!member.is_empty(), "its subscription is not one of consumers");
    let refused = world.ask(&joining("new", &["t"])).unwrap_err();
    assert!(matches!(refused, GroupError::OtherType { .. }));
    assert_eq!(world.machine.state(), "Stable", "nothing was changed");
    assert_eq!(
        world.machine.heartbeat(&member, world.machine.generation()),
        Ok(())
    );
}

#[test]
fn a_static_member_changes_its_protocol_and_keeps_what_it_had() {
    let mut world = World::new(2);
    let modern = |id: &str| ConsumerHeartbeat {
        instance: Some("i".into()),
        ..joining(id, &["t"])
    };
    let joined = world.ask(&modern("new")).unwrap();
    assert_eq!(joined.assignment.unwrap().values().flatten().count(), 2);
    // Down: the same process with the other protocol. Nobody else is there, so nothing is shared anew.
    let token = world
        .machine
        .join(with(statically("", "i"), &["t"], &Share::new()));
    let classic = world.machine.joined(token).unwrap();
    assert!(!world.is_consumer_group());
    assert_eq!(world.machine.state(), "Stable");
    let token = world.machine.sync(&classic.member, classic.generation, &[]);
    let share = share_of(world.machine.synced(token).unwrap().assignment);
    assert_eq!(share, [0, 1].into());
    recovered_is_the_same(&world);
    let fenced = world.ask(&ConsumerHeartbeat {
        instance: Some("i".into()),
        ..beating("new", joined.epoch)
    });
    assert!(fenced.is_err(), "the former process is out: {fenced:?}");
    // And up again; a classic member need not have left for now.
    let answer = world.ask(&modern("newer")).unwrap();
    assert_eq!(answer.assignment.unwrap().values().flatten().count(), 2);
    let described = world.machine.groups.describe_consumer(&group()).unwrap();
    assert_eq!(described.members.len(), 1);
    recovered_is_the_same(&world);
}

#[test]
fn who_is_told_to_join_again_and_does_not_is_removed() {
    let mut world = World::new(4);
    let clients = world.classic_pair();
    world.ask(&joining("new", &["t"])).unwrap();
    let mut epoch = 0;
    for _ in 0..8 {
        for client in &clients {
            // They live, and do not follow.
            let told = world.machine.heartbeat(&client.id, client.generation);
            assert!(told.is_err(), "{told:?}");
        }
        epoch = world
            .ask(&beating("new", epoch))
            .map_or(epoch, |answer| answer.epoch);
        world.machine.tick(5_000);
    }
    let described = world.machine.groups.describe_consumer(&group()).unwrap();
    let left: Vec<_> = described.members.iter().map(|m| m.member.as_str()).collect();
    assert_eq!(left, ["new"], "after 30 s, their rebalance timeout");
    recovered_is_the_same(&world);
}

#[test]
fn an_administrator_takes_out_members_of_either_protocol() {
    let mut world = World::new(2);
    let clients = world.classic_pair();
    world.ask(&joining("new", &["t"])).unwrap();
    world
        .ask(&ConsumerHeartbeat {
            instance: Some("i".into()),
            ..joining("static", &["t"])
        })
        .unwrap();
    let results = world.machine.leave(&[
        ("new", None),
        ("", Some("i")),
        (&clients[0].id.clone(), None),
        ("nobody", None),
        ("", Some("nobody")),
    ]);
    assert_eq!(results[..3], [Ok(()), Ok(()), Ok(())]);
    for unknown in &results[3..] {
        assert!(matches!(unknown, Err(GroupError::UnknownMember { .. })));
    }
    assert!(!world.is_consumer_group(), "a classic member is left");
    recovered_is_the_same(&world);
}

#[test]
fn a_classic_member_commits_in_its_generation_with_any_version() {
    let mut world = World::new(2);
    let clients = world.classic_pair();
    world.ask(&joining("new", &["t"])).unwrap();
    let (groups, g) = (&world.machine.groups, group());
    let of = |member: &str, generation| Caller {
        member: member.into(),
        instance: None,
        generation,
    };
    let classic = of(&clients[0].id, clients[0].generation);
    assert_eq!(groups.check_commit(&g, &classic, false), Ok(()));
    assert_eq!(groups.check_commit_version(&g, &classic, false), Ok(()));
    let old = of(&clients[0].id, clients[0].generation - 1);
    assert!(matches!(
        groups.check_commit(&g, &old, false),
        Err(GroupError::IllegalGeneration { .. })
    ));
    let modern = of("new", 99);
    assert!(matches!(
        groups.check_commit(&g, &modern, false),
        Err(GroupError::StaleEpoch { .. })
    ));
    assert!(matches!(
        groups.check_commit_version(&g, &modern, false),
        Err(GroupError::UnsupportedVersion { .. })
    ));
}

#[test]
fn a_group_has_times_of_its_own() {
    let mut world = World::new(2);
    let own = GroupOverrides {
        session_timeout_ms: Some(50_000),
        heartbeat_interval_ms: Some(7_000),
    };
    world.machine.groups.configure(group(), own);
    let joined = world.ask(&joining("new", &["t"])).unwrap();
    assert_eq!(joined.heartbeat_interval_ms, 7_000);
    world.machine.tick(49_999);
    assert!(world.ask(&beating("new", joined.epoch)).is_ok());
    world.machine.groups.configure(group(), GroupOverrides::default());
    assert_eq!(
        world
            .ask(&beating("new", joined.epoch))
            .unwrap()
            .heartbeat_interval_ms,
        5_000
    );
    world.machine.tick(45_000);
    assert!(world.ask(&beating("new", joined.epoch)).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8),
    Leave(Index),
    Turn(Index),
    Pass(u16),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..3).prop_map(Step::Enter),
        2 => any::<Index>().prop_map(Step::Leave),
        12 => any::<Index>().prop_map(Step::Turn),
        3 => (1_u16..2_000).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_enters_and_leaves_every_partition_has_one_owner_in_the_end(steps in steps()) {
        let mut world = World::new(5);
        let mut clients: Vec<Client> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Enter(kind) if clients.len() < 5 => {
                    let kind = [Kind::Eager, Kind::Cooperative, Kind::Modern][usize::from(kind)];
                    clients.push(Client::new(kind, number));
                    let mut client = clients.pop().unwrap();
                    client.step(&mut world);
                    clients.push(client);
                }
                Step::Enter(_) => {}
                Step::Leave(_) | Step::Turn(_) if clients.is_empty() => {}
                Step::Leave(which) => {
                    let gone = clients.swap_remove(which.index(clients.len()));
                    if gone.kind == Kind::Modern {
                        let _ = world.ask(&beating(&gone.id, -1));
                    } else if !gone.id.is_empty() {
                        let leaving = [(gone.id.clone(), None)];
                        if let Ok((_, effects)) = world.machine.groups.leave(&group(), &leaving, world.machine.now) {
                            world.machine.perform(effects);
                        }
                    }
                }
                Step::Turn(which) => {
                    let which = which.index(clients.len());
                    clients[which].step(&mut world);
                }
                Step::Pass(ms) => world.machine.tick(ms.into()),
                // Requests that wait are lost with it, and sent again.
                Step::Restart => {
                    world.machine.restart();
                    for client in &mut clients {
                        if client.joining.take().is_some() {
                            client.join(&mut world);
                        }
                    }
                }
            }
            if world.is_consumer_group() {
                check_shares(&world, &clients, false);
                recovered_is_the_same(&world);
            }
        }
        // Whoever is gone without a word is noticed by its session.
        for _ in 0..20 {
            for client in &mut clients {
                client.step(&mut world);
            }
            world.machine.tick(5_000);
        }
        settle(&mut world, &mut clients);
        let modern = clients.iter().filter(|c| c.kind == Kind::Modern).count();
        if !clients.is_empty() && modern < clients.len() {
            prop_assert_eq!(world.is_consumer_group(), modern > 0);
        }
    }
}
