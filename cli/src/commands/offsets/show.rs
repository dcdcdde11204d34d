use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use millstream_client::{Log, LogError};
use millstream_runtime::{PositionKey, decode_position, positions_topic};
use millstream_types::{GroupId, Offset, Timestamp, TopicName};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    lag,
    output::{Row, grouped},
    partitions,
    reader::{Reader, Span},
    record,
    store::Target,
};

/// Show how far consumer groups and sources have come
///
/// Processors and sinks of a pipeline read as the consumer group `ms.<pipeline>.<node>`; sources keep a position
/// of their own kind for each task.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream offsets show
  millstream offsets show --group ms.flights.delays
  millstream offsets show -o json | jq '[.groups[].lag] | add'")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only this group
    #[arg(long)]
    group: Option<String>,
}

#[derive(Serialize)]
struct Progress {
    groups: Vec<GroupRow>,
    sources: Vec<SourceRow>,
}

#[derive(Serialize)]
struct GroupRow {
    group: GroupId,
    topic: TopicName,
    partition: i32,
    /// The next offset that the group will read.
    committed: Offset,
    /// `None`: the partition is gone.
    high_watermark: Option<Offset>,
    lag: Option<i64>,
}

#[derive(Serialize)]
struct SourceRow {
    pipeline: String,
    source: String,
    task: String,
    /// As the source wrote it: text where it is text, else hexadecimal.
    position: String,
    committed_at: String,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let groups = self.groups(store.log(), context.clock.now()).await?;
        let sources = match &self.group {
            None => sources(&store.shared()).await?,
            Some(_) => Vec::new(),
        };
        let output = &mut context.output;
        if output.is_json() {
            output.json(&Progress { groups, sources })?;
        } else {
            if !groups.is_empty() {
                output.table(&groups)?;
            }
            if !groups.is_empty() && !sources.is_empty() {
                output.line("")?;
            }
            if !sources.is_empty() {
                output.table(&sources)?;
            } else if groups.is_empty() {
                context.talk.say("nothing has been committed here yet");
            }
        }
        store.close().await;
        Ok(Exit::Ok)
    }

    async fn groups(&self, log: &dyn Log, now: Timestamp) -> Result<Vec<GroupRow>, LogError> {
        let groups = match &self.group {
            Some(group) => vec![GroupId::new(group)],
            None => log.groups().await?,
        };
        let mut rows = Vec::new();
        for group in groups {
            for (partition, committed) in log.all_committed(&group).await? {
                let lag = lag::of(log, &partition, committed, now).await?;
                rows.push(GroupRow {
                    group: group.clone(),
                    topic: partition.topic,
                    partition: partition.partition,
                    committed,
                    high_watermark: lag.map(|lag| lag.high_watermark),
                    lag: lag.map(|lag| lag.records),
                });
            }
        }
        Ok(rows)
    }
}

/// The last position of every source task.
async fn sources(log: &Arc<dyn Log>) -> anyhow::Result<Vec<SourceRow>> {
    let Some(topic) = log.topic(&positions_topic()).await? else {
        return Ok(Vec::new());
    };
    let mut spans = Vec::new();
    for partition in partitions::chosen(&topic, None)? {
        let bounds = partitions::bounds_of(log.as_ref(), &partition).await?;
        spans.push(Span {
            partition,
            from: bounds.log_start,
            to: Some(bounds.last_stable_offset),
        });
    }
    let mut last = BTreeMap::new();
    let mut reader = Reader::start(log, spans);
    while let Some((_, records)) = reader.next().await? {
        for record in records {
            last.insert(record.key.clone(), record);
        }
    }
    let rows = last.into_values().filter_map(|record| {
        let key = PositionKey::decode(record.key.as_deref()?).ok()?;
        Some(SourceRow {
            position: readable(record.value.as_ref()?),
            committed_at: record::instant(record.timestamp),
            pipeline: key.pipeline,
            source: key.source,
            task: key.task,
        })
    });
    Ok(rows.collect())
}

fn readable(value: &Bytes) -> String {
    match decode_position(value) {
        Ok(position) => match str::from_utf8(&position.bytes) {
            Ok(text) if !text.contains(char::is_control) => text.to_owned(),
            _ => record::hex(&position.bytes),
        },
        Err(error) => format!("unreadable: {error}"),
    }
}

impl Row for GroupRow {
    const TITLES: &'static [&'static str] = &["GROUP", "TOPIC", "#PARTITION", "#COMMITTED", "#END", "#LAG"];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), grouped);
        vec![
            self.group.to_string(),
            self.topic.to_string(),
            self.partition.to_string(),
            grouped(self.committed.0),
            number(self.high_watermark.map(|offset| offset.0)),
            number(self.lag),
        ]
    }
}

impl Row for SourceRow {
    const TITLES: &'static [&'static str] = &["PIPELINE", "SOURCE", "TASK", "COMMITTED AT", "POSITION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.pipeline.clone(),
            self.source.clone(),
            self.task.clone(),
            self.committed_at.clone(),
            self.position.clone(),
        ]
    }
}
