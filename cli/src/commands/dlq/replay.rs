use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use millstream_client::{Consumed, Log, TransactionalProducer};
use millstream_runtime::{DeadLetter, partition_of_key};
use millstream_types::{Offset, Record, TopicName, TopicPartition, TransactionalId};
use serde::Serialize;

use super::{letters, replay_group};
use crate::{
    Context,
    exit::Exit,
    output::{Row, grouped},
    partitions,
    reader::Reader,
    store::DataDir,
};

/// Append the original records of dead letters to the topics that they came from
///
/// Every letter is replayed once: how far it went is committed in the same transaction as the records, under a
/// consumer group of its own. Replay after the reason is gone, else the records come back as new letters.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream dlq replay flights.delays.dlq
  millstream dlq replay flights.flights.dlq --into flights.repaired
  millstream dlq replay flights.delays.dlq --from-beginning --max-records 1")]
pub(crate) struct Args {
    /// The dead letter topic
    topic: TopicName,
    #[command(flatten)]
    target: DataDir,
    /// Where letters go that did not come from a topic: those of sources
    #[arg(long, value_name = "TOPIC")]
    into: Option<TopicName>,
    /// Also letters that were replayed before
    #[arg(long)]
    from_beginning: bool,
    /// End after so many letters
    #[arg(long, value_name = "COUNT")]
    max_records: Option<usize>,
}

#[derive(Serialize)]
struct Replayed {
    topic: TopicName,
    records: u64,
    into: Vec<Destination>,
}

#[derive(Serialize)]
struct Destination {
    topic: TopicName,
    records: u64,
}

/// What one transaction appends.
type Appends = BTreeMap<TopicPartition, Vec<Record>>;

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let mut counts = BTreeMap::new();
        let outcome = self.replay(&store, &mut counts).await;
        store.close().await;
        let records: u64 = counts.values().sum();
        outcome.with_context(|| format!("stopped after {} letters were replayed", grouped(records)))?;
        let into = counts.into_iter();
        let into: Vec<_> = into
            .map(|(topic, records)| Destination { topic, records })
            .collect();
        context.talk.say(format_args!(
            "replayed {} letters of {}",
            grouped(records),
            self.topic
        ));
        if context.output.is_json() {
            context.output.json(&Replayed {
                topic: self.topic,
                records,
                into,
            })?;
        } else if !into.is_empty() {
            context.output.table(&into)?;
        }
        Ok(Exit::Ok)
    }

    async fn replay(
        &self,
        store: &crate::store::Store,
        counts: &mut BTreeMap<TopicName, u64>,
    ) -> anyhow::Result<()> {
        let log = store.log();
        let topic = partitions::topic(log, &self.topic).await?;
        let id = TransactionalId::new(replay_group(&self.topic).as_str());
        let mut producer = log.transactional(&id).await?;
        let spans = letters(log, &topic, !self.from_beginning).await?;
        let mut reader = Reader::start(&store.shared(), spans);
        let mut left = self.max_records.unwrap_or(usize::MAX);
        while left > 0
            && let Some((partition, mut records)) = reader.next().await?
        {
            records.truncate(left);
            left -= records.len();
            let Some(last) = records.last() else { continue };
            let next = last.offset.next();
            let mut appends = Appends::new();
            for letter in records {
                let to = self.destination(log, &partition, &letter).await?;
                appends.entry(to).or_default().push(DeadLetter::restore(letter));
            }
            let sizes: Vec<_> = appends
                .iter()
                .map(|(to, records)| (to.topic.clone(), records.len()))
                .collect();
            self.commit(producer.as_mut(), appends, (partition, next)).await?;
            for (topic, records) in sizes {
                *counts.entry(topic).or_default() += records as u64;
            }
        }
        Ok(())
    }

    async fn commit(
        &self,
        producer: &mut dyn TransactionalProducer,
        appends: Appends,
        progress: (TopicPartition, Offset),
    ) -> anyhow::Result<()> {
        for (partition, records) in appends {
            producer.append(&partition, &records).await?;
        }
        let group = replay_group(&self.topic);
        let offsets = vec![progress];
        Ok(producer.commit(Some(Consumed { group, offsets })).await?)
    }

    /// The partition that the record was read from, if it still exists; else one of its topic by the key.
    async fn destination(
        &self,
        log: &dyn Log,
        letters: &TopicPartition,
        letter: &Record,
    ) -> anyhow::Result<TopicPartition> {
        let origin = DeadLetter::of(letter);
        let (topic, former) = match (&origin.topic, &self.into) {
            (Some(topic), _) => (TopicName::new(topic)?, origin.partition),
            (None, Some(into)) => (into.clone(), None),
            (None, None) => bail!(
                "letter {letters}@{} of source '{}' did not come from a topic: choose one with --into TOPIC",
                letter.offset,
                origin.node.as_deref().unwrap_or("?"),
            ),
        };
        let topic = partitions::topic(log, &topic).await?;
        let by_key = letter
            .key
            .as_ref()
            .map_or(0, |key| partition_of_key(key, topic.partitions));
        let partition = former
            .filter(|former| (0..topic.partitions).contains(former))
            .unwrap_or(by_key);
        Ok(TopicPartition::new(topic.name, partition))
    }
}

impl Row for Destination {
    const TITLES: &'static [&'static str] = &["INTO", "#RECORDS"];

    fn cells(&self) -> Vec<String> {
        vec![self.topic.to_string(), grouped(self.records)]
    }
}
