use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read},
};

use anyhow::{Context as _, Error, bail};
use bytes::Bytes;
use millstream_client::{Log, Topic};
use millstream_formats::avro::JsonEncoder;
use millstream_schema_registry_avro::wire;
use millstream_types::{Header, Record, Timestamp, TopicName, TopicPartition};
use serde::Serialize;

use super::create::key_value;
use crate::{
    Context,
    exit::Exit,
    output::grouped,
    partitions,
    schemas::avro::AvroValues,
    store::{Store, Target},
};

/// A longer line is refused instead of read into memory.
const MAX_LINE_BYTES: u64 = 16 << 20;
const BATCH_BYTES: usize = 512 << 10;
const BATCH_RECORDS: usize = 1000;

/// Append the lines of stdin to a topic
///
/// Each line becomes a record. Records with a key go to the partition that Kafka's own producers choose for that key,
/// those without go round all partitions, batch by batch.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  echo hello | millstream topic produce greetings
  printf '7:{\"id\":7}\\n' | millstream topic produce orders --key-separator :
  millstream topic produce lines --header source=import < access.log
  echo '{\"id\": 7, \"name\": null}' | millstream topic produce orders --avro")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
    /// What ends the key at the beginning of each line
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// Only to this partition
    #[arg(long)]
    partition: Option<i32>,
    /// A header of every record; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    header: Vec<(String, String)>,
    #[command(flatten)]
    avro: AvroValues,
}

/// Lines of JSON as data of the topic's newest schema.
struct Values {
    encoder: JsonEncoder,
    prefix: Vec<u8>,
}

#[derive(Serialize)]
struct Appended {
    topic: String,
    records: u64,
}

/// Lines that wait for the end of their batch.
#[derive(Default)]
struct Pending {
    by_partition: BTreeMap<i32, Vec<Record>>,
    records: usize,
    bytes: usize,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let topic = partitions::topic(store.log(), &self.topic).await?;
        partitions::chosen(&topic, self.partition)?;
        let values = self.values(&store, context).await?;
        let mut appended = 0;
        let outcome = self
            .append_lines(context, store.log(), &topic, values.as_ref(), &mut appended)
            .await;
        store.close().await;
        outcome.with_context(|| format!("stopped after {} records were appended", grouped(appended)))?;
        let records = grouped(appended);
        context
            .talk
            .say(format_args!("appended {records} records to {}", self.topic));
        if context.output.is_json() {
            context.output.json(&Appended {
                topic: self.topic.to_string(),
                records: appended,
            })?;
        }
        Ok(Exit::Ok)
    }

    /// How lines become values, if not as they are.
    async fn values(&self, store: &Store, context: &Context) -> anyhow::Result<Option<Values>> {
        let Some(registry) = self.avro.open(store, context).await? else {
            return Ok(None);
        };
        let latest = registry.latest(&self.topic).await;
        registry.close().await;
        let (id, schema) = latest?;
        let mut prefix = Vec::new();
        wire::frame(id, &mut prefix);
        let encoder = JsonEncoder::of_text(&schema).with_context(|| format!("schema {id}"))?;
        Ok(Some(Values { encoder, prefix }))
    }

    async fn append_lines(
        &self,
        context: &Context,
        log: &dyn Log,
        topic: &Topic,
        values: Option<&Values>,
        appended: &mut u64,
    ) -> anyhow::Result<()> {
        let mut stdin = BufReader::with_capacity(64 << 10, io::stdin());
        let mut pending = Pending::default();
        let mut keyless_to = 0;
        for line_number in 1.. {
            let Some(line) = read_line(&mut stdin).with_context(|| format!("line {line_number} of stdin"))?
            else {
                break;
            };
            let record = self
                .record(line, values, context.clock.now())
                .with_context(|| format!("line {line_number} of stdin"))?;
            let partition = match (self.partition, &record.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => millstream_runtime::partition_of_key(key, topic.partitions),
                (None, None) => keyless_to,
            };
            pending.add(partition, record);
            // When no further line is here already, the next read may wait for a person.
            if pending.is_full() || !stdin.buffer().contains(&b'\n') {
                *appended += pending.append(log, &topic.name).await?;
                keyless_to = (keyless_to + 1) % topic.partitions;
            }
        }
        *appended += pending.append(log, &topic.name).await?;
        Ok(())
    }

    fn record(&self, line: Bytes, values: Option<&Values>, timestamp: Timestamp) -> anyhow::Result<Record> {
        let (key, value) = match &self.key_separator {
            None => (None, line),
            Some(separator) => {
                let Some(at) = find(&line, separator.as_bytes()) else {
                    bail!("there is no key: '{separator}' does not occur");
                };
                (Some(line.slice(..at)), line.slice(at + separator.len()..))
            }
        };
        let value = match values {
            None => value,
            Some(values) => values
                .encoder
                .encode(&value, &values.prefix)
                .map_err(Error::msg)?,
        };
        let headers = self.header.iter().cloned();
        Ok(Record {
            timestamp,
            key,
            value: Some(value),
            headers: headers.map(|(name, value)| Header::new(name, value)).collect(),
            ..Record::default()
        })
    }
}

impl Pending {
    fn add(&mut self, partition: i32, record: Record) {
        self.records += 1;
        self.bytes += record.payload_bytes();
        self.by_partition.entry(partition).or_default().push(record);
    }

    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    /// Appends all that waits and answers how many records that were.
    async fn append(&mut self, log: &dyn Log, topic: &TopicName) -> anyhow::Result<u64> {
        let batch = std::mem::take(self);
        for (partition, records) in batch.by_partition {
            log.append(&TopicPartition::new(topic.clone(), partition), records)
                .await?;
        }
        Ok(batch.records as u64)
    }
}

/// A line without its end; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> anyhow::Result<Option<Bytes>> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() as u64 > MAX_LINE_BYTES {
        bail!("longer than {MAX_LINE_BYTES} bytes");
    }
    Ok(Some(line.into()))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lines_at_their_end_whatever_it_is() {
        let mut input = &b"one\r\n\ntwo"[..];
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", "two"]);
    }

    #[test]
    fn refuses_a_line_without_bound() {
        let mut input = io::repeat(b'x').take(MAX_LINE_BYTES * 2);
        assert!(read_line(&mut BufReader::new(&mut input)).is_err());
    }
}
