use anyhow::bail;
use millstream_types::TopicName;

use super::key_value;
use crate::{
    Context,
    exit::Exit,
    remote::admin::{self, Change, Entity},
    store::Target,
};

/// Give a topic more partitions or another configuration
///
/// More partitions move keys: records with the same key lie in another partition from then on than before.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic alter orders --partitions 12
  millstream topic alter orders --config retention.ms=86400000 --unset segment.bytes")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
    /// The new number of partitions; never less than before
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting with one of Kafka's own keys; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    /// A key that goes back to its default; may be given several times
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let set = self
            .config
            .into_iter()
            .map(|(key, value)| Change::Set(key, value));
        let changes: Vec<_> = set.chain(self.unset.into_iter().map(Change::Unset)).collect();
        if self.partitions.is_none() && changes.is_empty() {
            bail!("nothing to change: say what with --partitions, --config or --unset");
        }
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        if !changes.is_empty() {
            admin::alter_configs(&client, &Entity::Topic(self.topic.clone()), &changes).await?;
        }
        if let Some(count) = self.partitions {
            admin::create_partitions(&client, &self.topic, count).await?;
        }
        store.close().await;
        context.talk.say(format_args!("changed topic {}", self.topic));
        Ok(Exit::Ok)
    }
}
