use millstream_types::TopicName;

use crate::{Context, exit::Exit, store::Target};

/// Delete a topic with all its records
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic delete orders")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        store.log().delete_topic(&self.topic).await?;
        store.close().await;
        context.talk.say(format_args!("deleted topic {}", self.topic));
        Ok(Exit::Ok)
    }
}
