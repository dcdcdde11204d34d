use std::{collections::BTreeMap, sync::Arc};

use millstream_client::{Log, LogError, Topic};
use millstream_runtime::DeadLetter;
use millstream_types::{Record, TopicName, TopicPartition};
use serde::Serialize;

use super::{SUFFIX, letters};
use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions,
    reader::Reader,
    record::{self, RecordView},
    store::DataDir,
};

/// Characters of a value in the table; JSON has it whole.
const VALUE_CHARACTERS: usize = 60;
/// Letters in the table, unless more are asked for.
const TABLE_ROWS: usize = 100;

/// List the dead letter topics, or the letters of one
///
/// A record that a node could not read, evaluate or write becomes a dead letter: the record as it came, with the
/// reason and its origin as headers. Dead letter topics are those whose names end with `.dlq`; others can be named.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream dlq show
  millstream dlq show flights.delays.dlq --max-records 20
  millstream dlq show flights.delays.dlq -o json | jq -r .reason | sort | uniq -c")]
pub(crate) struct Args {
    /// The dead letter topic whose letters to show
    topic: Option<TopicName>,
    #[command(flatten)]
    target: DataDir,
    /// Only letters that were not replayed
    #[arg(long, requires = "topic")]
    waiting: bool,
    /// End after so many letters
    #[arg(long, value_name = "COUNT", requires = "topic")]
    max_records: Option<usize>,
}

#[derive(Serialize)]
struct TopicRow {
    topic: TopicName,
    letters: u64,
    /// Those that were not replayed.
    waiting: u64,
}

#[derive(Serialize)]
struct Letter<'a> {
    /// The reason, the node and where the record came from.
    node: Option<String>,
    stage: Option<String>,
    reason: Option<String>,
    from: Option<From>,
    origin: BTreeMap<String, String>,
    letter: RecordView<'a>,
    #[serde(skip)]
    value: String,
}

/// Where the record was read before it became a letter.
#[derive(Serialize)]
struct From {
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        match &self.topic {
            None => list(&store.shared(), context).await?,
            Some(name) => {
                let topic = partitions::topic(store.log(), name).await?;
                self.show(&store.shared(), &topic, context).await?;
            }
        }
        store.close().await;
        Ok(Exit::Ok)
    }

    async fn show(&self, log: &Arc<dyn Log>, topic: &Topic, context: &mut Context) -> anyhow::Result<()> {
        let reader = Reader::start(log, letters(log.as_ref(), topic, self.waiting).await?);
        if context.output.is_json() {
            self.stream(reader, context).await
        } else {
            self.table(reader, context).await
        }
    }

    async fn stream(&self, mut reader: Reader, context: &mut Context) -> anyhow::Result<()> {
        let mut left = self.max_records.unwrap_or(usize::MAX);
        while left > 0
            && let Some((partition, records)) = reader.next().await?
        {
            for record in records.iter().take(left) {
                context.output.json_line(&Letter::new(&partition, record))?;
            }
            left = left.saturating_sub(records.len());
        }
        Ok(())
    }

    /// A table needs all its rows before the first is printed, so their number has a bound.
    async fn table(&self, mut reader: Reader, context: &mut Context) -> anyhow::Result<()> {
        let most = self.max_records.unwrap_or(TABLE_ROWS);
        let mut shown = Vec::new();
        while shown.len() < most
            && let Some((partition, records)) = reader.next().await?
        {
            let left = most - shown.len();
            shown.extend(
                records
                    .into_iter()
                    .take(left)
                    .map(|record| (partition.clone(), record)),
            );
        }
        let letters: Vec<_> = shown
            .iter()
            .map(|(partition, record)| Letter::new(partition, record))
            .collect();
        context.output.table(&letters)?;
        if self.max_records.is_none() && letters.len() == TABLE_ROWS {
            let hint = "these are the first; --max-records shows more, -o json all";
            context.talk.say(hint);
        }
        Ok(())
    }
}

async fn list(log: &Arc<dyn Log>, context: &mut Context) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for topic in log.topics().await? {
        if topic.name.as_str().ends_with(SUFFIX) {
            rows.push(TopicRow {
                letters: count(log, &topic, false).await?,
                waiting: count(log, &topic, true).await?,
                topic: topic.name,
            });
        }
    }
    if rows.is_empty() {
        context.talk.say("there are no dead letter topics");
    }
    if context.output.is_json() || !rows.is_empty() {
        context.output.list(&rows)?;
    }
    Ok(())
}

/// Counts by reading: offsets would count transaction markers too.
async fn count(log: &Arc<dyn Log>, topic: &Topic, waiting_only: bool) -> Result<u64, LogError> {
    let mut reader = Reader::start(log, letters(log.as_ref(), topic, waiting_only).await?);
    let mut count = 0;
    while let Some((_, records)) = reader.next().await? {
        count += records.len() as u64;
    }
    Ok(count)
}

impl<'a> Letter<'a> {
    fn new(partition: &'a TopicPartition, record: &'a Record) -> Self {
        let letter = DeadLetter::of(record);
        Self {
            node: letter.node,
            stage: letter.stage,
            reason: letter.reason,
            from: letter.topic.map(|topic| From {
                topic,
                partition: letter.partition,
                offset: letter.offset,
            }),
            origin: letter.origin.into_iter().collect(),
            letter: RecordView::new(partition, record),
            value: record::text(record.value.as_ref()),
        }
    }

    /// Where it came from, for people: `flights-0@17` or `file a.csv, line 17`.
    fn place(&self) -> String {
        let number = |number: Option<i64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let from = self.from.as_ref().map(|from| {
            let partition = number(from.partition.map(i64::from));
            format!("{}-{partition}@{}", from.topic, number(from.offset))
        });
        let facts = self.origin.iter().map(|(fact, value)| format!("{fact} {value}"));
        from.into_iter().chain(facts).collect::<Vec<_>>().join(", ")
    }
}

impl Row for TopicRow {
    const TITLES: &'static [&'static str] = &["TOPIC", "#LETTERS", "#WAITING"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.to_string(),
            grouped(self.letters),
            grouped(self.waiting),
        ]
    }
}

impl Row for Letter<'_> {
    const TITLES: &'static [&'static str] = &["LETTER", "NODE", "FROM", "REASON", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.letter.place(),
            or_dash(&self.node),
            self.place(),
            or_dash(&self.reason),
            shortened(&self.value),
        ]
    }
}

fn shortened(text: &str) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = characters.by_ref().take(VALUE_CHARACTERS).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_and_stays_on_one_line() {
        assert_eq!(shortened("a\nb"), "a b");
        let long = "é".repeat(VALUE_CHARACTERS + 1);
        assert_eq!(shortened(&long).chars().count(), VALUE_CHARACTERS + 1);
        assert!(shortened(&long).ends_with('…'));
    }
}
