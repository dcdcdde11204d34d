mod replay;
mod show;

use clap::Subcommand;
use millstream_client::{Log, LogError, Topic};
use millstream_types::{GroupId, TopicName};

use crate::{Context, exit::Exit, partitions, reader::Span};

/// What the names of dead letter topics end with, unless a pipeline names its own.
const SUFFIX: &str = ".dlq";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Show(show::Args),
    Replay(replay::Args),
}

impl Command {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        match self {
            Self::Show(args) => args.execute(context).await,
            Self::Replay(args) => args.execute(context).await,
        }
    }
}

/// The consumer group whose committed offsets say which letters of a topic were replayed.
fn replay_group(topic: &TopicName) -> GroupId {
    GroupId::new(format!("ms.dlq-replay.{topic}"))
}

/// The committed records of all partitions; without those that were replayed if `waiting_only`.
async fn letters(log: &dyn Log, topic: &Topic, waiting_only: bool) -> Result<Vec<Span>, LogError> {
    let replayed = log.all_committed(&replay_group(&topic.name)).await?;
    let mut spans = Vec::new();
    for partition in partitions::chosen(topic, None)? {
        let bounds = partitions::bounds_of(log, &partition).await?;
        let done = replayed.get(&partition).copied().filter(|_| waiting_only);
        spans.push(Span {
            from: done.unwrap_or(bounds.log_start).max(bounds.log_start),
            to: Some(bounds.last_stable_offset),
            partition,
        });
    }
    Ok(spans)
}
