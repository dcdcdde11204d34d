use anyhow::bail;
use millstream_client::{Consumed, Log, LogError, OffsetAt};
use millstream_types::{GroupId, HumanDuration, Offset, Timestamp, TopicName, TopicPartition};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    moment::{self, Moment},
    output::{Row, grouped},
    partitions,
    remote::admin,
    store::{Store, Target},
};

/// Move the committed offsets of a consumer group
///
/// Shows what would change and changes nothing; with --execute it is done. A group keeps one offset for each partition:
/// the next record that its node will read. A sink that keeps its own offset beside the data (the file sink does)
/// goes on from there, whatever its group says.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream offsets reset --group ms.flights.delays --to-earliest
  millstream offsets reset --group ms.flights.delays --to-time 2013-01-15 --execute
  millstream offsets reset --group ms.flights.delays --by-duration 2h
  millstream offsets reset --group audit --topic orders --partition 2 --to-offset 1200 --execute

Exit code 3 says that the preview shows changes.")]
#[command(group(clap::ArgGroup::new("to").required(true)))]
pub(crate) struct Args {
    /// The group; `millstream offsets show` lists them
    #[arg(long)]
    group: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    reset: Reset,
}

/// Which offsets move, and where to: the same for `offsets reset` and `group reset`.
#[derive(clap::Args, Debug)]
pub(crate) struct Reset {
    /// Only this topic; needed where the group has not committed anything yet
    #[arg(long)]
    topic: Option<TopicName>,
    /// Only this partition of the topic
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// To the oldest record
    #[arg(long, group = "to")]
    to_earliest: bool,
    /// Behind the newest record
    #[arg(long, group = "to")]
    to_latest: bool,
    /// To this offset, or the nearest one that exists
    #[arg(long, group = "to", value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// To the first record of that time or later: 2013-01-15, 2013-01-15T06:00:00Z or milliseconds since 1970
    #[arg(long, group = "to", value_name = "TIME", value_parser = moment::parse)]
    to_time: Option<Moment>,
    /// To the first record of that long ago or later: 30m, 2h, 7d
    #[arg(long, group = "to", value_name = "DURATION")]
    by_duration: Option<HumanDuration>,
    /// Do it
    #[arg(long)]
    execute: bool,
}

/// What becomes of one partition.
#[derive(Serialize)]
struct Change {
    topic: TopicName,
    partition: i32,
    /// `None`: the group has not committed this partition.
    committed: Option<Offset>,
    new: Offset,
    /// Records between the new offset and the end.
    lag: i64,
}

#[derive(Serialize)]
struct Moved<'a> {
    group: &'a str,
    executed: bool,
    changes: Vec<Change>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        self.reset.execute(&self.group, &self.target, context).await
    }
}

impl Reset {
    pub(crate) async fn execute(
        &self,
        group: &str,
        target: &Target,
        context: &mut Context,
    ) -> anyhow::Result<Exit> {
        let mut store = target.open(context).await?;
        let id = GroupId::new(group);
        let changes = self.changes(store.log(), &id, context.clock.now()).await?;
        if self.execute && !changes.is_empty() {
            if store.is_remote() {
                refuse_members(group, &mut store).await?;
            }
            let offsets = changes.iter().map(|change| (change.of(), change.new)).collect();
            let consumed = Consumed { group: id, offsets };
            store.log().commit_offsets(consumed).await?;
        }
        store.close().await;
        self.show(group, changes, context)
    }

    async fn changes(&self, log: &dyn Log, group: &GroupId, now: Timestamp) -> anyhow::Result<Vec<Change>> {
        let committed = log.all_committed(group).await?;
        let partitions: Vec<TopicPartition> = match &self.topic {
            Some(topic) => partitions::chosen(&partitions::topic(log, topic).await?, self.partition)?,
            None => committed.keys().cloned().collect(),
        };
        if partitions.is_empty() {
            bail!(
                "group '{group}' has not committed any offset: see `millstream offsets show`, or name a topic with --topic"
            );
        }
        let mut changes = Vec::new();
        for partition in partitions {
            let bounds = partitions::bounds_of(log, &partition).await?;
            let new = self.destination(log, &partition, now).await?;
            let new = new.clamp(bounds.log_start, bounds.high_watermark);
            let committed = committed.get(&partition).copied();
            if committed != Some(new) {
                changes.push(Change {
                    topic: partition.topic,
                    partition: partition.partition,
                    committed,
                    new,
                    lag: bounds.high_watermark - new,
                });
            }
        }
        Ok(changes)
    }

    async fn destination(
        &self,
        log: &dyn Log,
        partition: &TopicPartition,
        now: Timestamp,
    ) -> Result<Offset, LogError> {
        if let Some(offset) = self.to_offset {
            return Ok(Offset(offset));
        }
        let ago = |duration: HumanDuration| {
            let ms = i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX);
            Timestamp(now.0.saturating_sub(ms).max(0))
        };
        let time = self.to_time.map(|moment| moment.0).or(self.by_duration.map(ago));
        let at = match time {
            Some(time) => OffsetAt::Time(time),
            None if self.to_latest => OffsetAt::Latest,
            None => OffsetAt::Earliest,
        };
        log.offset(partition, at).await
    }

    fn show(&self, group: &str, changes: Vec<Change>, context: &mut Context) -> anyhow::Result<Exit> {
        let count = changes.len();
        if context.output.is_json() {
            context.output.json(&Moved {
                group,
                executed: self.execute,
                changes,
            })?;
        } else if count > 0 {
            context.output.table(&changes)?;
        }
        if count == 0 {
            context
                .talk
                .say(format_args!("group {group} is there already: nothing to change"));
            return Ok(Exit::Ok);
        }
        if self.execute {
            context
                .talk
                .say(format_args!("moved {count} offsets of group {group}"));
            return Ok(Exit::Ok);
        }
        context
            .talk
            .say("this is a preview: nothing was changed; add --execute to do it");
        Ok(Exit::Changes)
    }
}

/// The broker would refuse it too, but with fewer words.
async fn refuse_members(group: &str, store: &mut Store) -> anyhow::Result<()> {
    let client = store.client().await?;
    let state = admin::describe_group(&client, group).await?;
    match state.members.len() {
        0 => Ok(()),
        members => bail!("group '{group}' has {members} members: stop its consumers first"),
    }
}

impl Change {
    fn of(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}

impl Row for Change {
    const TITLES: &'static [&'static str] = &["TOPIC", "#PARTITION", "#COMMITTED", "#NEW", "#LAG"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.to_string(),
            self.partition.to_string(),
            self.committed
                .map_or_else(|| "-".to_owned(), |offset| grouped(offset.0)),
            grouped(self.new.0),
            grouped(self.lag),
        ]
    }
}
