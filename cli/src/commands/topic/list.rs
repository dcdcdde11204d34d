use millstream_client::{Log, LogError, Topic};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions::{self, Bounds},
    store::Target,
};

/// List the topics
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic list
  millstream topic list --pipeline examples/flights/pipeline.yaml
  millstream topic list --all -o json | jq -r '.[].topic'")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Also the runtime's own topics, whose names begin with two underscores
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    partitions: i32,
    /// From the log start to the high watermark, all partitions together. Transaction markers count too.
    offsets: i64,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let mut rows = Vec::new();
        for topic in store.log().topics().await? {
            if self.all || !topic.name.is_internal() {
                rows.push(TopicRow::of(store.log(), &topic).await?);
            }
        }
        context.output.list(&rows)?;
        store.close().await;
        Ok(Exit::Ok)
    }
}

impl TopicRow {
    async fn of(log: &dyn Log, topic: &Topic) -> Result<Self, LogError> {
        let bounds = partitions::bounds(log, topic).await?;
        Ok(Self {
            topic: topic.name.to_string(),
            partitions: topic.partitions,
            offsets: bounds.iter().map(Bounds::offsets).sum(),
        })
    }
}

impl Row for TopicRow {
    const TITLES: &'static [&'static str] = &["TOPIC", "#PARTITIONS", "#OFFSETS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partitions.to_string(),
            grouped(self.offsets),
        ]
    }
}
