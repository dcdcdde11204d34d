//! The text that a scrape gets (OpenMetrics).

use std::{fmt, fmt::Error, sync::Arc};

use millstream_broker_coordinator::GroupListing;
use millstream_types::TopicPartition;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::{name, process::Process, storage};
use crate::Broker;

/// The type of groups whose assignments the broker makes.
const CONSUMER: &str = "consumer";

/// Everything at this moment. Reads the log for the lag of groups: not for a thread that must not wait.
pub fn scrape(broker: &Arc<Broker>) -> String {
    scrape_all(Some(broker), &[])
}

/// What something beside a broker shows, too.
pub(crate) type Part = Arc<dyn Fn(&mut Registry) + Send + Sync>;

/// The same, without a broker or with more.
pub(crate) fn scrape_all(broker: Option<&Arc<Broker>>, parts: &[Part]) -> String {
    let mut registry = Registry::default();
    if let Some(broker) = broker {
        broker.metrics().register(&mut registry);
        registry.register_collector(Box::new(State(broker.clone())));
    }
    registry.register_collector(Box::new(ThisProcess));
    parts.iter().for_each(|part| part(&mut registry));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string does not fail");
    out
}

/// What is read from the broker's state.
struct State(Arc<Broker>);

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl Collector for State {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.node(&mut page)?;
        storage::encode(&self.0.storage().stats(), &mut page)?;
        self.topics(&mut page)?;
        self.groups(&mut page)
    }
}

#[derive(Debug)]
struct ThisProcess;

impl Collector for ThisProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        process(&mut Page(encoder))
    }
}

impl State {
    fn node(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let (storage, recovery) = (self.0.storage(), self.0.recovery());
        page.info(
            name::BROKER,
            "The version of the broker",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        page.gauge(
            name::STORAGE_WRITABLE,
            "1 while writes are accepted; 0 after a failed write or fsync, and while the broker stops",
            i64::from(storage.refusal().is_none()),
        )?;
        let topics = storage.topics();
        let partitions: i64 = topics.iter().map(|topic| i64::from(topic.partitions)).sum();
        page.gauge(name::STORAGE_TOPICS, "Topics", topics.len() as i64)?;
        page.gauge(name::STORAGE_PARTITIONS, "Partitions", partitions)?;
        page.gauge(
            name::RECOVERY_DURATION,
            "How long the last start took to recover the data directory",
            recovery.took.as_secs_f64(),
        )?;
        page.gauge(
            name::RECOVERY_BYTES,
            "Bytes of the write-ahead log that the last start replayed",
            recovery.replayed_bytes as i64,
        )
    }

    fn topics(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let storage = self.0.storage();
        let traffic = self
            .0
            .metrics()
            .traffic
            .read_out(|name| storage.topic(name).is_some());
        page.counters(
            name::TOPIC_IN,
            "Bytes of batches that were appended",
            traffic
                .iter()
                .map(|(topic, appended, _)| ([("topic", topic.clone())], *appended)),
        )?;
        page.counters(
            name::TOPIC_OUT,
            "Bytes of batches that were answered to fetch requests",
            traffic
                .iter()
                .map(|(topic, _, fetched)| ([("topic", topic.clone())], *fetched)),
        )?;
        let mut sizes = Vec::new();
        let mut ends = Vec::new();
        for topic in storage.topics() {
            let mut bytes = 0;
            for index in 0..topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), index);
                bytes += storage.size_bytes(&partition).unwrap_or(0);
                ends.extend(
                    storage
                        .offsets(&partition)
                        .map(|ends| (of_partition(&partition), ends)),
                );
            }
            sizes.push(([("topic", topic.name.to_string())], bytes as i64));
        }
        page.gauges(name::TOPIC_SIZE, "Bytes of a topic on disk", sizes)?;
        page.gauges(
            name::PARTITION_OFFSET,
            "The high watermark: the offset that the next record will get",
            ends.iter()
                .map(|(labels, ends)| (labels.clone(), ends.high_watermark.0)),
        )?;
        page.gauges(
            name::PARTITION_OLDEST,
            "The log start: the oldest offset that can be read",
            ends.iter()
                .map(|(labels, ends)| (labels.clone(), ends.log_start.0)),
        )
    }

    fn groups(&self, page: &mut Page<'_>) -> Result<(), Error> {
        page.gauges(name::GROUP_MEMBERS, "Members of a group", self.members())?;
        let lags = self.0.metrics().lags.read(&self.0);
        let labels = |group: &'static str| {
            lags.iter().map(move |lag| {
                let [topic, partition] = of_partition(&lag.partition);
                ([(group, lag.group.to_string()), topic, partition], lag)
            })
        };
        page.gauges(
            name::GROUP_OFFSET,
            "The committed offset of a group: the next record that it will read",
            labels("consumergroup").map(|(labels, lag)| (labels, lag.committed.0)),
        )?;
        page.gauges(
            name::GROUP_LAG,
            "Offsets from the next record that a group will read to the end; 0 when it has read all",
            labels("consumergroup").map(|(labels, lag)| (labels, lag.records)),
        )?;
        page.gauges(
            name::GROUP_LAG_SECONDS,
            "The age of the next record that a group will read; 0 when it has read all",
            labels("group").map(|(labels, lag)| (labels, lag.seconds)),
        )
    }
}

impl State {
    fn members(&self) -> Vec<([(&'static str, String); 1], i64)> {
        let count = |listed: &GroupListing| match listed.group_type {
            CONSUMER => Some(self.0.describe_consumer_group(&listed.group).ok()?.members.len()),
            _ => Some(self.0.describe_group(&listed.group).ok()?.members.len()),
        };
        let groups = self.0.list_groups();
        // One that was deleted a moment ago is none any more.
        let counted = groups.iter().filter_map(|listed| Some((listed, count(listed)?)));
        counted
            .map(|(listed, members)| ([("consumergroup", listed.group.to_string())], members as i64))
            .collect()
    }
}

fn of_partition(partition: &TopicPartition) -> [(&'static str, String); 2] {
    [
        ("topic", partition.topic.to_string()),
        ("partition", partition.partition.to_string()),
    ]
}

fn process(page: &mut Page<'_>) -> Result<(), Error> {
    let Some(process) = Process::read() else {
        return Ok(());
    };
    page.counter(name::PROCESS_CPU, "User and system time", process.cpu_seconds)?;
    page.gauge(
        name::PROCESS_MEMORY,
        "Resident memory",
        process.resident_bytes as i64,
    )?;
    page.gauge(
        name::PROCESS_FILES,
        "Open file descriptors",
        process.open_files as i64,
    )
}

/// The text that grows.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Info)?
            .encode_info(&labels)
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> Result<(), Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> Result<(), Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// `total`: their sum and their number.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        total: (f64, u64),
        buckets: &[(f64, u64)],
    ) -> Result<(), Error> {
        self.0
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(total.0, total.1, buckets, None)
    }

    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }
}
