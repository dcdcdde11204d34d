use millstream_client::NewTopic;
use millstream_types::TopicName;

use crate::{Context, exit::Exit, store::Target};

/// Create a topic
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic create orders --partitions 6
  millstream topic create orders.latest --config cleanup.policy=compact
  millstream topic create logs --config retention.ms=86400000 --config segment.bytes=16777216")]
pub(crate) struct Args {
    /// The name: letters, digits, '.', '_' and '-'
    topic: TopicName,
    #[command(flatten)]
    target: Target,
    /// How many partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// A setting with one of Kafka's own keys; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open_or_create(context).await?;
        store
            .log()
            .create_topic(NewTopic {
                name: self.topic.clone(),
                partitions: self.partitions,
                config: self.config.into_iter().collect(),
            })
            .await?;
        store.close().await;
        context.talk.say(format_args!("created topic {}", self.topic));
        Ok(Exit::Ok)
    }
}

pub(in crate::commands) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
