use millstream_types::{Offset, TopicName, TopicPartition};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions,
    remote::admin,
    store::Target,
};

/// The high watermark, in `DeleteRecords`.
const ALL: Offset = Offset(-1);

/// Delete the oldest records of a topic
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic delete-records orders --partition 2 --before 1200
  millstream topic delete-records scratch --all")]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
    /// Only of this partition
    #[arg(long)]
    partition: Option<i32>,
    /// Records before this offset
    #[arg(long, group = "which", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,
    /// All records that are there now
    #[arg(long, group = "which")]
    all: bool,
}

#[derive(Serialize)]
struct Deleted {
    partition: i32,
    /// The oldest record that is left, or the next one that will come.
    log_start: Offset,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        let topic = partitions::topic(store.log(), &self.topic).await?;
        let before = self.before.map_or(ALL, Offset);
        let mut rows = Vec::new();
        for partition in partitions::chosen(&topic, self.partition)? {
            let TopicPartition { partition: index, .. } = partition;
            let log_start = admin::delete_records(&client, &partition, before).await?;
            rows.push(Deleted {
                partition: index,
                log_start,
            });
        }
        store.close().await;
        context.output.list(&rows)?;
        Ok(Exit::Ok)
    }
}

impl Row for Deleted {
    const TITLES: &'static [&'static str] = &["#PARTITION", "#LOG START"];

    fn cells(&self) -> Vec<String> {
        vec![self.partition.to_string(), grouped(self.log_start.0)]
    }
}
