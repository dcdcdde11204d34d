use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use millstream_types::TopicName;
use uuid::Uuid;

use crate::{Coordinator, Put};

use super::*;

pub(super) fn group() -> GroupId {
    GroupId::new("g")
}

pub(super) fn protocols(names: &[&str]) -> Vec<Protocol> {
    let protocol = |name: &&str| Protocol {
        name: (*name).into(),
        metadata: Bytes::from_static(b"topics"),
    };
    names.iter().map(protocol).collect()
}

pub(super) fn dynamic(member: &str) -> JoinRequest {
    JoinRequest {
        group: group(),
        member: member.into(),
        instance: None,
        client: ClientInfo {
            id: "client".into(),
            host: "/127.0.0.1".into(),
        },
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        requires_member_id: false,
        can_skip_assignment: false,
        new_member: String::new(),
    }
}

pub(super) fn statically(member: &str, instance: &str) -> JoinRequest {
    JoinRequest {
        instance: Some(instance.into()),
        ..dynamic(member)
    }
}

pub(super) fn caller(member: &str, generation: i32) -> Caller {
    Caller {
        member: member.into(),
        instance: None,
        generation,
    }
}

pub(super) fn sync_request(member: &str, generation: i32, shares: &[(&str, &str)]) -> SyncRequest {
    SyncRequest {
        group: group(),
        caller: caller(member, generation),
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: shares
            .iter()
            .map(|(m, share)| ((*m).into(), Bytes::copy_from_slice(share.as_bytes())))
            .collect(),
    }
}

/// A catalogue of topics, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue(pub(super) BTreeMap<String, (Uuid, i32)>);

impl Catalogue {
    pub(super) fn of(topics: &[(&str, i32)]) -> Self {
        let mut catalogue = Self::default();
        topics
            .iter()
            .for_each(|(name, partitions)| catalogue.set(name, *partitions));
        catalogue
    }

    pub(super) fn set(&mut self, name: &str, partitions: i32) {
        let id = Uuid::from_u128(u128::from(name.as_bytes()[0]));
        self.0.insert(name.into(), (id, partitions));
    }
}

impl Topics for Catalogue {
    fn get(&self, name: &TopicName) -> Option<(Uuid, i32)> {
        self.0.get(name.as_str()).copied()
    }

    fn names(&self) -> Vec<TopicName> {
        self.0.keys().map(|name| TopicName::new(name).unwrap()).collect()
    }
}

/// A machine with its log: what it writes is replayed, and after every step a machine that knows only the log must be in
/// the same state, as far as it is not on the way to another.
pub(super) struct Machine {
    pub(super) groups: Groups,
    pub(super) now: Timestamp,
    pub(super) topics: Catalogue,
    pub(super) loses_writes: bool,
    config: GroupConfig,
    log: BTreeMap<Bytes, Bytes>,
    replies: HashMap<Token, Reply>,
    tokens: u64,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    pub(super) fn with(config: GroupConfig) -> Self {
        Self {
            groups: Groups::new(config.clone()),
            now: Timestamp(1_000),
            topics: Catalogue::default(),
            loses_writes: false,
            config,
            log: BTreeMap::new(),
            replies: HashMap::new(),
            tokens: 0,
        }
    }

    pub(super) fn perform(&mut self, effects: Effects) {
        if !self.loses_writes {
            for (key, value) in &effects.puts {
                self.groups = replayed(std::mem::take(&mut self.groups), &(key.clone(), value.clone()));
                match value {
                    Some(value) => self.log.insert(key.clone(), value.clone()),
                    None => self.log.remove(key),
                };
            }
        }
        for (token, reply) in effects.replies {
            assert!(self.replies.insert(token, reply).is_none(), "one reply to each");
        }
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    pub(super) fn join(&mut self, mut request: JoinRequest) -> Token {
        let token = self.token();
        request.new_member = format!("m{}", token.0);
        let effects = self.groups.join(request, &self.topics, token, self.now);
        self.perform(effects);
        token
    }

    pub(super) fn sync(&mut self, member: &str, generation: i32, shares: &[(&str, &str)]) -> Token {
        self.sync_with(sync_request(member, generation, shares))
    }

    pub(super) fn sync_with(&mut self, request: SyncRequest) -> Token {
        let token = self.token();
        let effects = self.groups.sync(request, token, self.now);
        self.perform(effects);
        token
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        self.groups
            .heartbeat(&group(), &caller(member, generation), self.now)
    }

    pub(super) fn leave(&mut self, leaving: &[(&str, Option<&str>)]) -> Vec<Result<(), GroupError>> {
        let leaving: Vec<_> = leaving
            .iter()
            .map(|(m, i)| ((*m).into(), i.map(Into::into)))
            .collect();
        let (results, effects) = self.groups.leave(&group(), &leaving, self.now).unwrap();
        self.perform(effects);
        results
    }

    /// Lets time pass, and what becomes due happen.
    pub(super) fn tick(&mut self, ms: i64) {
        self.now = Timestamp(self.now.0 + ms);
        let effects = self.groups.expire(self.now);
        self.perform(effects);
    }

    /// Lets time pass while these members heartbeat.
    pub(super) fn advance(&mut self, ms: i64, alive: &[String]) {
        let generation = self.generation();
        self.tick(ms);
        for member in alive {
            // What it answers, other tests look at.
            let _ = self.heartbeat(member, generation);
        }
    }

    pub(super) fn initial_delay(&mut self) {
        while self.state() == "PreparingRebalance" {
            self.tick(self.config.initial_rebalance_delay_ms);
        }
    }

    pub(super) fn is_answered(&self, token: Token) -> bool {
        self.replies.contains_key(&token)
    }

    pub(super) fn joined(&self, token: Token) -> Result<Joined, JoinRefused> {
        match self.replies.get(&token) {
            Some(Reply::Join(reply)) => reply.clone(),
            other => panic!("no answer to a join: {other:?}"),
        }
    }

    pub(super) fn synced(&self, token: Token) -> Result<Synced, GroupError> {
        match self.replies.get(&token) {
            Some(Reply::Sync(reply)) => reply.clone(),
            other => panic!("no answer to a sync: {other:?}"),
        }
    }

    pub(super) fn state(&self) -> &'static str {
        self.groups.describe(&group()).unwrap().state
    }

    pub(super) fn generation(&self) -> i32 {
        match self.groups.groups.get(&group()) {
            Some(Group::Classic(group)) => group.generation,
            other => panic!("not a classic group: {other:?}"),
        }
    }

    pub(super) fn leader(&self) -> MemberId {
        match self.groups.stored().get(&group()) {
            Some(Stored::Classic(group)) => group.leader.clone().expect("somebody is"),
            other => panic!("not a classic group: {other:?}"),
        }
    }

    /// Two members that have joined and not synced: the leader first.
    pub(super) fn joined_pair(&mut self) -> (MemberId, MemberId) {
        let tokens = [self.join(dynamic("")), self.join(dynamic(""))];
        self.initial_delay();
        let mut joined = tokens.map(|t| self.joined(t).unwrap());
        joined.sort_by_key(|j| j.leader != j.member);
        let [leader, follower] = joined.map(|j| j.member);
        (leader, follower)
    }

    pub(super) fn stable(&mut self, members: usize) -> Vec<MemberId> {
        let tokens = (0..members).map(|_| self.join(dynamic(""))).collect();
        self.settle(tokens)
    }

    /// As [`Self::stable`], with the instance ids `i0`, `i1`...
    pub(super) fn stable_static(&mut self, members: usize) -> Vec<MemberId> {
        let tokens = (0..members)
            .map(|i| self.join(statically("", &format!("i{i}"))))
            .collect();
        self.settle(tokens)
    }

    pub(super) fn settle(&mut self, tokens: Vec<Token>) -> Vec<MemberId> {
        self.initial_delay();
        let members: Vec<_> = tokens
            .into_iter()
            .map(|t| self.joined(t).unwrap().member)
            .collect();
        let shares: Vec<_> = members
            .iter()
            .map(|m| (m.as_str(), format!("share of {m}")))
            .collect();
        let shares: Vec<_> = shares.iter().map(|(m, s)| (*m, s.as_str())).collect();
        let (leader, generation) = (self.leader(), self.generation());
        for member in members.iter().filter(|m| **m != leader) {
            self.sync(member, generation, &[]);
        }
        self.sync(&leader, generation, &shares);
        assert_eq!(self.state(), "Stable");
        members
    }

    /// Ends and starts again from the log.
    pub(super) fn restart(&mut self) {
        self.groups = self.recovered();
        self.groups.start(self.now);
    }

    pub(super) fn recovered(&self) -> Groups {
        let fresh = Groups::new(self.config.clone());
        self.log.iter().fold(fresh, |groups, (key, value)| {
            replayed(groups, &(key.clone(), Some(value.clone())))
        })
    }
}

fn replayed(groups: Groups, put: &Put) -> Groups {
    let mut coordinator = Coordinator {
        groups,
        ..Coordinator::default()
    };
    coordinator.replay(put).expect("it reads what it wrote");
    coordinator.groups
}
