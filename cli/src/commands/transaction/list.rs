use std::collections::BTreeSet;

use millstream_types::{HumanDuration, Timestamp, TopicName};
use serde::Serialize;

use crate::{
    Context,
    exit::Exit,
    lag::{age, readable},
    output::{Row, grouped},
    partitions, record,
    remote::{
        Client,
        admin::{self, Ongoing, OpenAt},
    },
    store::{Store, Target},
};

/// List transactional ids and what they are at
///
/// With --hanging instead: transactions that are open in a partition although no transactional id has them open. Readers
/// of committed records wait at them for ever; `millstream transaction abort` ends them.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  millstream transaction list
  millstream transaction list --state Ongoing --running-for 10m
  millstream transaction list --hanging --topic orders")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only in this state, as Kafka names it: Ongoing, Empty, CompleteCommit, CompleteAbort and others
    #[arg(long)]
    state: Vec<String>,
    /// Only with a transaction that is open for so long
    #[arg(long, value_name = "DURATION")]
    running_for: Option<HumanDuration>,
    /// Transactions that nobody will end
    #[arg(long, conflicts_with_all = ["state", "running_for"])]
    hanging: bool,
    /// Look for hanging ones in this topic only
    #[arg(long, requires = "hanging")]
    topic: Option<TopicName>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    transaction: &'a Ongoing,
    running_seconds: Option<f64>,
}

impl Args {
    pub(crate) async fn execute(self, context: &mut Context) -> anyhow::Result<Exit> {
        let mut store = self.target.open(context).await?;
        let client = store.client().await?;
        if self.hanging {
            let hanging = self.hanging(&store, &client).await?;
            context.output.list(&hanging)?;
        } else {
            let running_for = self.running_for.map(|time| time.0);
            let found = admin::list_transactions(&client, &self.state, running_for).await?;
            let now = context.clock.now();
            let rows: Vec<_> = found
                .iter()
                .map(|transaction| Listed::of(transaction, now))
                .collect();
            context.output.list(&rows)?;
        }
        store.close().await;
        Ok(Exit::Ok)
    }

    /// Open in a partition, but no coordinator says so.
    async fn hanging(&self, store: &Store, client: &Client) -> anyhow::Result<Vec<OpenAt>> {
        let topics = match &self.topic {
            Some(topic) => vec![partitions::topic(store.log(), topic).await?],
            None => store.log().topics().await?,
        };
        let mut open = Vec::new();
        for topic in &topics {
            for partition in partitions::chosen(topic, None)? {
                open.extend(admin::open_transactions_of(client, &partition).await?);
            }
        }
        // Looked at afterwards: a transaction that ended meanwhile is open nowhere any more, and does no harm here.
        let known: BTreeSet<(i64, String, i32)> = admin::list_transactions(client, &[], None)
            .await?
            .into_iter()
            .flat_map(|transaction| {
                let producer = transaction.producer_id;
                transaction
                    .partitions
                    .into_iter()
                    .flat_map(move |(topic, indexes)| {
                        indexes
                            .into_iter()
                            .map(move |index| (producer, topic.clone(), index))
                    })
            })
            .collect();
        open.retain(|open| !known.contains(&(open.producer_id, open.topic.clone(), open.partition)));
        Ok(open)
    }
}

impl<'a> Listed<'a> {
    fn of(transaction: &'a Ongoing, now: Timestamp) -> Self {
        let started = transaction.started_at_ms;
        Self {
            transaction,
            running_seconds: started.map(|started| age(now, Timestamp(started))),
        }
    }
}

impl Row for Listed<'_> {
    const TITLES: &'static [&'static str] = &[
        "TRANSACTIONAL ID",
        "STATE",
        "#PRODUCER",
        "#EPOCH",
        "#OPEN FOR",
        "#PARTITIONS",
    ];

    fn cells(&self) -> Vec<String> {
        let partitions: usize = self.transaction.partitions.values().map(Vec::len).sum();
        vec![
            self.transaction.transactional_id.clone(),
            self.transaction.state.clone(),
            self.transaction.producer_id.to_string(),
            self.transaction.producer_epoch.to_string(),
            self.running_seconds.map_or_else(|| "-".to_owned(), readable),
            partitions.to_string(),
        ]
    }
}

impl Row for OpenAt {
    const TITLES: &'static [&'static str] = &[
        "TOPIC",
        "#PARTITION",
        "#START OFFSET",
        "#PRODUCER",
        "#EPOCH",
        "LAST RECORD AT",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            grouped(self.start_offset),
            self.producer_id.to_string(),
            self.producer_epoch.to_string(),
            record::instant(Timestamp(self.last_timestamp_ms)),
        ]
    }
}
