use anyhow::bail;
use millstream_client::{Consumed, Log, LogError, OffsetAt};
use millstream_types::{GroupId, Offset, TopicName, TopicPartition};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    moment::{self, Moment},
    output::{Row, grouped},
    partitions,
    store::DataDir,
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
  millstream offsets reset --group audit --topic orders --partition 2 --to-offset 1200 --execute

Exit code 3 says that the preview shows changes.")]
#[command(group(clap::ArgGroup::new("to").required(true)))]
pub(crate) struct Args {
    /// The group; `millstream offsets show` lists them
    #[arg(long)]
    group: String,
    #[command(flatten)]
    target: DataDir,
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
struct Reset {
    group: String,
    executed: bool,
    changes: Vec<Change>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let group = GroupId::new(&self.group);
        let changes = self.changes(store.log(), &group).await?;
        if self.execute {
            let offsets = changes.iter().map(|change| (change.of(), change.new)).collect();
            store.log().commit_offsets(Consumed { group, offsets }).await?;
        }
        store.close().await;
        self.show(changes, context)
    }

    async fn changes(&self, log: &dyn Log, group: &GroupId) -> anyhow::Result<Vec<Change>> {
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
            let new = self.destination(log, &partition).await?;
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

    async fn destination(&self, log: &dyn Log, partition: &TopicPartition) -> Result<Offset, LogError> {
        match (self.to_offset, self.to_time) {
            (Some(offset), _) => Ok(Offset(offset)),
            (None, Some(moment)) => log.offset(partition, OffsetAt::Time(moment.0)).await,
            (None, None) if self.to_latest => log.offset(partition, OffsetAt::Latest).await,
            (None, None) => log.offset(partition, OffsetAt::Earliest).await,
        }
    }

    fn show(self, changes: Vec<Change>, context: &mut Context) -> anyhow::Result<Exit> {
        let count = changes.len();
        if context.output.is_json() {
            context.output.json(&Reset {
                group: self.group.clone(),
                executed: self.execute,
                changes,
            })?;
        } else if count > 0 {
            context.output.table(&changes)?;
        }
        if count == 0 {
            context.talk.say(format_args!(
                "group {} is there already: nothing to change",
                self.group
            ));
            return Ok(Exit::Ok);
        }
        if self.execute {
            context
                .talk
                .say(format_args!("moved {count} offsets of group {}", self.group));
            return Ok(Exit::Ok);
        }
        context
            .talk
            .say("this is a preview: nothing was changed; add --execute to do it");
        Ok(Exit::Changes)
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
