use std::collections::BTreeMap;

use millstream_types::TopicName;
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions::{self, Bounds},
    store::Target,
};

/// Show the partitions and the configuration of a topic
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic describe flights
  millstream topic describe flights -o json | jq '.partitions[].high_watermark'")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Description {
    topic: String,
    /// Only the keys that were set.
    config: BTreeMap<String, String>,
    partitions: Vec<Bounds>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let topic = partitions::topic(store.log(), &self.topic).await?;
        let description = Description {
            topic: topic.name.to_string(),
            partitions: partitions::bounds(store.log(), &topic).await?,
            config: topic.config,
        };
        let output = &mut context.output;
        if output.is_json() {
            output.json(&description)?;
        } else {
            output.table(&description.partitions)?;
            for (key, value) in &description.config {
                output.line(format_args!("{key}={value}"))?;
            }
        }
        store.close().await;
        Ok(Exit::Ok)
    }
}

impl Row for Bounds {
    const TITLES: &'static [&'static str] = &[
        "#PARTITION",
        "#LOG START",
        "#LAST STABLE",
        "#HIGH WATERMARK",
        "#OFFSETS",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.partition.to_string(),
            grouped(self.log_start.0),
            grouped(self.last_stable_offset.0),
            grouped(self.high_watermark.0),
            grouped(self.offsets()),
        ]
    }
}
