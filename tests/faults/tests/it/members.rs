//! Members of a consumer group in processes of their own, and what they say that they have processed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use millstream_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId, StrBytes};
use millstream_tests_kit::{Process, TempDir};

use crate::{
    broker::Broker,
    machine::{script, until},
};

pub(crate) const TOPIC: &str = "load";
const LEAVES_WITHIN: Duration = Duration::from_secs(60);

/// The sessions of all members are that short, whatever their protocol.
pub(crate) const SHORT_SESSIONS: [&str; 5] = [
    "group.min.session.timeout.ms=500",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.min.session.timeout.ms=500",
    "group.consumer.session.timeout.ms=2000",
    "group.consumer.heartbeat.interval.ms=300",
];

/// All that were ever members of one group.
pub(crate) struct Members {
    python: PathBuf,
    protocol: &'static str,
    partitions: i32,
    count: usize,
    journals: TempDir,
}

/// What was processed.
#[derive(Debug, Default)]
pub(crate) struct Processed {
    pub(crate) records: u64,
    pub(crate) offsets: BTreeMap<i32, BTreeSet<i64>>,
    /// Who processed records of a partition in a generation.
    pub(crate) owners: BTreeMap<(i32, i32), BTreeSet<String>>,
}

impl Members {
    /// The group has the name of its protocol.
    pub(crate) fn new(python: &Path, protocol: &'static str, partitions: i32) -> Self {
        Self {
            python: python.to_owned(),
            protocol,
            partitions,
            count: 0,
            journals: TempDir::with_prefix("millstream-faults-").unwrap(),
        }
    }

    pub(crate) fn join(&mut self, broker: &Broker) -> Process {
        let name = format!("m{}", self.count);
        self.count += 1;
        let mut command = script(&self.python, "member.py");
        command.arg(broker.address().to_string());
        command.args([TOPIC, self.protocol, self.protocol, &name]);
        command.arg(self.journals.path().join(&name));
        Process::spawn(command).unwrap()
    }

    pub(crate) fn committed(&self, broker: &Broker) -> Vec<i64> {
        broker.client().committed(self.protocol, TOPIC, self.partitions)
    }

    /// The group as the broker describes it, by both protocols.
    pub(crate) fn describe(&self, broker: &Broker) -> String {
        let group = GroupId(StrBytes::from_static_str(self.protocol));
        let mut client = broker.client();
        let classic = DescribeGroupsRequest::default().with_groups(vec![group.clone()]);
        let modern = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group]);
        format!("{:#?}\n{:#?}", client.ask(&classic, 5), client.ask(&modern, 0))
    }

    pub(crate) fn processed(&self) -> Processed {
        let mut processed = Processed::default();
        for journal in fs::read_dir(self.journals.path()).unwrap() {
            let text = fs::read_to_string(journal.unwrap().path()).unwrap();
            // the last line of a member that was killed may be a part of one
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for line in whole.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [partition, offset, generation, name] = words[..] else {
                    panic!("{line}")
                };
                let partition = partition.parse().unwrap();
                let generation = generation.parse().unwrap();
                processed.records += 1;
                processed
                    .offsets
                    .entry(partition)
                    .or_default()
                    .insert(offset.parse().unwrap());
                let owners = processed.owners.entry((partition, generation)).or_default();
                owners.insert(name.to_owned());
            }
        }
        processed
    }
}

/// Nobody told it to end.
pub(crate) fn assert_runs(member: &mut Process) {
    let ended = member.wait(Duration::ZERO).unwrap();
    assert_eq!(ended, None, "{}\n{}", member.stdout(), member.stderr());
}

/// It leaves its group and ends.
pub(crate) fn leave(mut member: Process) {
    until("it listens to signals", LEAVES_WITHIN, || {
        member.stdout().contains("member")
    });
    member.terminate().unwrap();
    member.finish(LEAVES_WITHIN).unwrap();
}
