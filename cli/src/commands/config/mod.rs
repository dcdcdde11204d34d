mod change;
mod get;

use clap::Subcommand;
use millstream_types::TopicName;

use crate::{
    Context,
    exit::Exit,
    remote::{Client, admin::Entity},
};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Get(get::Args),
    Set(change::Set),
    Unset(change::Unset),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Get(args) => args.execute(context).await,
            Self::Set(args) => args.execute(context).await,
            Self::Unset(args) => args.execute(context).await,
        }
    }
}

/// Whose configuration.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// Of this topic
    #[arg(long)]
    topic: Option<TopicName>,
    /// Of the broker; with =ID, of that broker of a cluster
    #[arg(long, value_name = "ID", num_args = 0..=1, require_equals = true)]
    broker: Option<Option<i32>>,
}

impl Whose {
    async fn entity(&self, client: &Client) -> anyhow::Result<Entity> {
        if let Some(topic) = &self.topic {
            return Ok(Entity::Topic(topic.clone()));
        }
        if let Some(Some(id)) = self.broker {
            return Ok(Entity::Broker(id));
        }
        match client.brokers().await?.as_slice() {
            [(id, _)] => Ok(Entity::Broker(*id)),
            brokers => anyhow::bail!(
                "the cluster has {} brokers: say which with --broker=ID",
                brokers.len()
            ),
        }
    }
}
