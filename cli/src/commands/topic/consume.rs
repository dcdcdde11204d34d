use std::str::FromStr;

use millstream_client::{Log, LogError, OffsetAt};
use millstream_formats::avro::JsonDecoder;
use millstream_types::{Offset, Record, TopicName, TopicPartition};

use crate::{
    Context,
    exit::Exit,
    output::grouped,
    partitions,
    reader::{Batch, Reader, Span},
    record::{self, Columns, RecordView},
    schemas::avro::AvroValues,
    store::Target,
};

/// Print the records of a topic
///
/// Prints the committed records that are there, partition after partition, and ends. With --follow it goes on with
/// what is written from now on, until Ctrl-C.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream topic consume delays --max-records 10
  millstream topic consume delays --partition 0 --offset=-5 --keys --timestamps
  millstream topic consume delays -o json | jq -r '.value | fromjson | .carrier' | sort | uniq -c
  millstream topic consume delays --follow --bootstrap 127.0.0.1:9092
  millstream topic consume orders --avro --registry http://127.0.0.1:8081")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    #[command(flatten)]
    target: Target,
    /// Begin with the oldest record; the default without --follow
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Where to begin in each partition: an offset, -N for the last N, `earliest` or `latest`.
    /// An offset that is not there means the nearest one
    #[arg(long, allow_negative_numbers = true)]
    offset: Option<Start>,
    /// Only this partition
    #[arg(long)]
    partition: Option<i32>,
    /// End after so many records
    #[arg(long, value_name = "COUNT")]
    max_records: Option<u64>,
    /// Wait for new records and print them as they come; without --from-beginning or --offset only those
    #[arg(long, short)]
    follow: bool,
    /// Print the key in front of each value
    #[arg(long)]
    keys: bool,
    /// Print the timestamp in front of each record
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    avro: AvroValues,
}

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Earliest,
    Latest,
    At(i64),
    /// So many offsets before the end.
    Last(i64),
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let store = self.target.open(context).await?;
        let topic = partitions::topic(store.log(), &self.topic).await?;
        let mut spans = Vec::new();
        for partition in partitions::chosen(&topic, self.partition)? {
            spans.push(self.span(store.log(), partition).await?);
        }
        let reader = Reader::start(&store.shared(), spans);
        let registry = self.avro.open(&store, context).await?;
        let json = registry
            .as_ref()
            .map(|registry| JsonDecoder::new(registry.schemas()));
        self.print(reader, json.as_ref(), context).await?;
        drop(json);
        if let Some(registry) = registry {
            registry.close().await;
        }
        store.close().await;
        Ok(Exit::Ok)
    }

    async fn span(&self, log: &dyn Log, partition: TopicPartition) -> Result<Span, LogError> {
        let bounds = partitions::bounds_of(log, &partition).await?;
        let (first, end) = (bounds.log_start, bounds.last_stable_offset);
        let from = match self.start() {
            Start::Earliest => first,
            Start::Latest => log.offset(&partition, OffsetAt::LatestCommitted).await?,
            Start::At(offset) => Offset(offset).clamp(first, end),
            Start::Last(count) => Offset(end.0.saturating_sub(count)).clamp(first, end),
        };
        let to = (!self.follow).then_some(end);
        Ok(Span { partition, from, to })
    }

    fn start(&self) -> Start {
        match self.offset {
            Some(start) => start,
            None if self.follow && !self.from_beginning => Start::Latest,
            None => Start::Earliest,
        }
    }

    async fn print(
        &self,
        mut reader: Reader,
        json: Option<&JsonDecoder>,
        context: &mut Context,
    ) -> anyhow::Result<()> {
        let mut unread = 0;
        let mut left = self.max_records.unwrap_or(u64::MAX);
        while left > 0 {
            let batch = tokio::select! {
                batch = reader.next() => batch?,
                stop = tokio::signal::ctrl_c() => return Ok(stop?),
            };
            let Some((partition, mut records)) = batch else {
                break;
            };
            records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= records.len() as u64;
            if let Some(json) = json {
                unread += show_as_json(json, &partition, &mut records, context)?;
            }
            self.print_batch(&(partition, records), context)?;
            if reader.is_idle() {
                context.output.flush()?;
            }
        }
        if unread > 0 {
            let unread = grouped(unread);
            context.talk.say(format_args!(
                "{unread} values are no Avro of a registered schema: printed as they are"
            ));
        }
        Ok(())
    }

    fn print_batch(&self, (partition, records): &Batch, context: &mut Context) -> std::io::Result<()> {
        let columns = Columns {
            timestamps: self.timestamps,
            keys: self.keys,
        };
        let output = &mut context.output;
        for record in records {
            if output.is_json() {
                output.json_line(&RecordView::new(partition, record))?;
            } else {
                record::print_line(output, columns, record)?;
            }
        }
        Ok(())
    }
}

/// Puts JSON in the place of Avro data; answers how many values are none.
fn show_as_json(
    json: &JsonDecoder,
    partition: &TopicPartition,
    records: &mut [Record],
    context: &Context,
) -> anyhow::Result<u64> {
    let mut unread = 0;
    for record in records {
        match json.decode(record)? {
            None => {}
            Some(Ok(text)) => record.value = Some(text.into()),
            Some(Err(reason)) => {
                unread += 1;
                if unread == 1 {
                    let offset = record.offset;
                    context.talk.say(format_args!("{partition}@{offset}: {reason}"));
                }
            }
        }
    }
    Ok(unread)
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            number => match number.parse::<i64>() {
                Ok(offset) if number.starts_with('-') => Ok(Self::Last(offset.saturating_neg())),
                Ok(offset) => Ok(Self::At(offset)),
                Err(_) => Err("expected an offset, -N, `earliest` or `latest`".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_to_begin() {
        for (text, start) in [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("12", Start::At(12)),
            ("-12", Start::Last(12)),
        ] {
            assert_eq!(text.parse(), Ok(start));
        }
        assert!("soon".parse::<Start>().is_err());
    }
}
