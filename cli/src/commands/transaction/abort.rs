use anyhow::bail;
use millstream_types::{Offset, TopicName, TopicPartition};

use crate::{Context, exit::Exit, remote::admin, store::Target};

/// Abort a transaction
///
/// By its transactional id: the producer that holds it is fenced and cannot go on. Or, for a transaction that hangs in a
/// partition without an id that knows of it, by the place where it begins, as `transaction list --hanging` shows it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream transaction abort orders-copier
  millstream transaction abort --topic orders --partition 2 --start-offset 1200")]
pub(crate) struct Args {
    /// The transactional id
    #[arg(required_unless_present = "topic", conflicts_with = "topic")]
    transactional_id: Option<String>,
    /// The topic in which it hangs
    #[arg(long, requires_all = ["partition", "start_offset"])]
    topic: Option<TopicName>,
    /// The partition
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// The offset of its first record there
    #[arg(long, requires = "topic")]
    start_offset: Option<i64>,
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        if let (Some(topic), Some(partition), Some(start)) = (self.topic, self.partition, self.start_offset) {
            let partition = TopicPartition::new(topic, partition);
            admin::abort_at(&client, &partition, Offset(start)).await?;
            context
                .talk
                .say(format_args!("aborted the transaction at {partition}@{start}"));
        } else if let Some(id) = self.transactional_id {
            // Fencing an id that nobody has would make it.
            let found = admin::describe_transaction(&client, &id).await?;
            if found.started_at_ms.is_none() {
                bail!(
                    "'{id}' has no open transaction: it is in the state {}",
                    found.state
                );
            }
            admin::fence(&client, &id).await?;
            context.talk.say(format_args!(
                "aborted the transaction of {id}; its producer is fenced"
            ));
        }
        store.close().await;
        Ok(Exit::Ok)
    }
}
