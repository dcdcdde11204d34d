use std::collections::BTreeMap;

use millstream_client::{Log, LogError};
use millstream_types::{GroupId, Offset, Timestamp, TopicName, TopicPartition};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    lag::{self, Lag},
    output::{Row, grouped},
    remote::admin::{self, GroupState, MemberState},
    store::Target,
};

/// Show the members of a consumer group, what each has, and how far it is behind
///
/// The lag in records counts offsets from the next record to the end of the partition. The lag in seconds is the age of
/// that record: how long the oldest record that the group has not read waits.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream group describe audit
  millstream group describe audit --bootstrap kafka:9092 -o json | jq '[.partitions[].lag] | add'")]
pub(crate) struct Args {
    /// The group; `millstream group list` lists them
    group: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Description {
    #[serde(flatten)]
    state: GroupState,
    partitions: Vec<PartitionRow>,
}

#[derive(Serialize)]
struct PartitionRow {
    topic: String,
    partition: i32,
    /// `None`: nothing is committed for the partition, or it is gone.
    committed: Option<Offset>,
    #[serde(flatten)]
    lag: Option<Lag>,
    member: Option<String>,
    #[serde(skip)]
    client: String,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let state = admin::describe_group(&client, &self.group).await?;
        let partitions = rows(store.log(), &state, context.clock.now()).await?;
        store.close().await;
        let description = Description { state, partitions };
        if context.output.is_json() {
            context.output.json(&description)?;
            return Ok(Exit::Ok);
        }
        context.output.line(description.headline())?;
        if !description.partitions.is_empty() {
            context.output.table(&description.partitions)?;
        }
        for idle in description.idle_members() {
            let line = format_args!("member {} ({}) has no partition", idle.member, idle.client);
            context.output.line(line)?;
        }
        Ok(Exit::Ok)
    }
}

/// Every partition that the group has committed or a member has.
async fn rows(log: &dyn Log, group: &GroupState, now: Timestamp) -> Result<Vec<PartitionRow>, LogError> {
    let committed = log.all_committed(&GroupId::new(&group.group)).await?;
    let mut partitions: BTreeMap<TopicPartition, Option<&MemberState>> = committed
        .keys()
        .map(|partition| (partition.clone(), None))
        .collect();
    for member in &group.members {
        for (topic, indexes) in &member.assignment {
            let topic = TopicName::new(topic)?;
            for index in indexes {
                partitions.insert(TopicPartition::new(topic.clone(), *index), Some(member));
            }
        }
    }
    let mut rows = Vec::new();
    for (partition, member) in partitions {
        let offset = committed.get(&partition).copied();
        let lag = match offset {
            Some(offset) => lag::of(log, &partition, offset, now).await?,
            None => None,
        };
        rows.push(PartitionRow {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            committed: offset,
            lag,
            member: member.map(|member| member.member.clone()),
            client: member.map_or_else(String::new, |member| format!("{} {}", member.client, member.host)),
        });
    }
    Ok(rows)
}

impl Description {
    fn headline(&self) -> String {
        let GroupState {
            group,
            kind,
            state,
            assignor,
            members,
        } = &self.state;
        let assignor = Some(assignor.as_str()).filter(|assignor| !assignor.is_empty());
        format!(
            "{group}: {state}, {kind}{}{}, {} members",
            if assignor.is_some() { ", " } else { "" },
            assignor.unwrap_or_default(),
            members.len()
        )
    }

    fn idle_members(&self) -> impl Iterator<Item = &MemberState> {
        self.state
            .members
            .iter()
            .filter(|member| member.assignment.is_empty())
    }
}

impl Row for PartitionRow {
    const TITLES: &'static [&'static str] = &[
        "TOPIC",
        "#PARTITION",
        "#COMMITTED",
        "#END",
        "#LAG",
        "#BEHIND",
        "MEMBER",
        "CLIENT",
    ];

    fn cells(&self) -> Vec<String> {
        let none = || "-".to_owned();
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.committed.map_or_else(none, |offset| grouped(offset.0)),
            self.lag.map_or_else(none, |lag| grouped(lag.high_watermark.0)),
            self.lag.map_or_else(none, |lag| grouped(lag.records)),
            self.lag.map_or_else(none, |lag| lag::readable(lag.seconds)),
            self.member.clone().unwrap_or_else(none),
            self.client.clone(),
        ]
    }
}
