//! A log, a plan under construction, and what can be seen after a run.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use millstream_client::{Fetch, Isolation, Log, MemoryLog, OffsetAt};
use millstream_pipeline::{
    BadRecords, ErrorPolicy, LogChoice, Plan, PlannedTopic, ProcessorNode, SinkNode, SourceNode,
};
use millstream_runtime::{NodeStatus, Report, RunError, RunOptions, Status, run};
use millstream_sdk::{Config, ConfigPath, Output, ProcessorPlan, SinkPlan, SourceFactory};
use millstream_types::{Record, SystemClock, TopicName, TopicPartition};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) options: RunOptions,
}

pub(crate) struct Going {
    pub(crate) stop: CancellationToken,
    pub(crate) status: Arc<Status>,
    pub(crate) handle: JoinHandle<Result<Report, RunError>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::new(MemoryLog::new(Arc::new(SystemClock))),
            options: RunOptions {
                until_end: true,
                commit_interval: Duration::from_millis(5),
                fetch_max_bytes: 1000,
                ..RunOptions::default()
            },
        }
    }

    pub(crate) fn start(&self, plan: Plan) -> Going {
        let stop = CancellationToken::new();
        let status = Arc::new(Status::default());
        let run = run(
            plan,
            Arc::clone(&self.log),
            Arc::new(SystemClock),
            self.options.clone(),
            stop.clone(),
            Arc::clone(&status),
        );
        Going {
            stop,
            status,
            handle: tokio::spawn(run),
        }
    }

    /// Runs to the end.
    pub(crate) async fn run(&self, plan: Plan) -> Result<Report, RunError> {
        self.start(plan).ended().await
    }

    /// All committed records of a topic, partition by partition.
    pub(crate) async fn records(&self, name: &str) -> Vec<Record> {
        let mut records = Vec::new();
        let topic = self.log.topic(&topic(name)).await.unwrap().expect("topic exists");
        for partition in 0..topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), partition);
            let end = self
                .log
                .offset(&partition, OffsetAt::LatestCommitted)
                .await
                .unwrap();
            let mut offset = self.log.offset(&partition, OffsetAt::Earliest).await.unwrap();
            while offset < end {
                let fetch = Fetch {
                    partition: partition.clone(),
                    offset,
                    max_bytes: 100_000,
                    max_wait: Duration::ZERO,
                    isolation: Isolation::ReadCommitted,
                };
                let fetched = self.log.fetch(fetch).await.unwrap();
                records.extend(fetched.records);
                offset = fetched.next_offset;
            }
        }
        records
    }

    /// The numbers in a topic, sorted.
    pub(crate) async fn numbers(&self, name: &str) -> Vec<u64> {
        let records = self.records(name).await;
        let mut numbers: Vec<_> = records.iter().map(crate::connectors::number).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Going {
    pub(crate) async fn ended(self) -> Result<Report, RunError> {
        let ended = tokio::time::timeout(DEADLINE, self.handle).await;
        let ended = ended.unwrap_or_else(|_| panic!("the run hangs: {:#?}", self.status.snapshot()));
        let ended = ended.expect("a run does not panic");
        for node in self.status.snapshot() {
            assert!(node.is_balanced(), "{node:?}");
        }
        ended
    }

    /// Waits until the node looks like that.
    pub(crate) async fn until(&self, node: &str, looks: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        let seen = async {
            loop {
                let nodes = self.status.snapshot();
                if let Some(found) = nodes.iter().find(|n| n.node == node).filter(|n| looks(n)) {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, seen)
            .await
            .unwrap_or_else(|_| panic!("never seen: {:#?}", self.status.snapshot()))
    }
}

pub(crate) fn node(report: &Report, name: &str) -> NodeStatus {
    let found = report.nodes.iter().find(|n| n.node == name);
    found.expect("the node is in the report").clone()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn policy(bad_records: BadRecords) -> ErrorPolicy {
    ErrorPolicy {
        max_retries: None,
        backoff: (Duration::from_millis(1), Duration::from_millis(20)),
        bad_records,
    }
}

pub(crate) fn dlq() -> ErrorPolicy {
    policy(BadRecords::DeadLetter(topic("dead")))
}

pub(crate) fn plan(topics: &[(&str, i32)]) -> Plan {
    let planned = |(name, partitions): &(&str, i32)| PlannedTopic {
        name: topic(name),
        partitions: *partitions,
        config: BTreeMap::new(),
    };
    Plan {
        name: "test".into(),
        log: LogChoice::Embedded {
            dir: "unused".into(),
            listen: None,
        },
        topics: topics.iter().chain(&[("dead", 1)]).map(planned).collect(),
        avro: Vec::new(),
        sources: Vec::new(),
        processors: Vec::new(),
        sinks: Vec::new(),
    }
}

/// Adds nodes, each with dead letters unless another policy is set afterwards.
pub(crate) trait Build {
    fn source(self, name: &str, factory: impl SourceFactory + 'static, into: &str) -> Self;
    fn processor(self, name: &str, from: &str, plan: impl ProcessorPlan + 'static, into: &str) -> Self;
    fn sink(self, name: &str, from: &str, plan: impl SinkPlan + 'static) -> Self;
}

impl Build for Plan {
    fn source(mut self, name: &str, factory: impl SourceFactory + 'static, into: &str) -> Self {
        self.sources.push(SourceNode {
            conversions: vec![None],
            name: name.into(),
            factory: Arc::new(factory),
            config: Config::new(serde_json::Value::Null, ConfigPath::default(), Path::new(".")),
            topics: vec![topic(into)],
            output: Output::default(),
            max_tasks: 4,
            on_error: dlq(),
        });
        self
    }

    fn processor(mut self, name: &str, from: &str, plan: impl ProcessorPlan + 'static, into: &str) -> Self {
        self.processors.push(ProcessorNode {
            name: name.into(),
            from: topic(from),
            plan: Arc::new(plan),
            into: topic(into),
            on_error: dlq(),
        });
        self
    }

    fn sink(mut self, name: &str, from: &str, plan: impl SinkPlan + 'static) -> Self {
        self.sinks.push(SinkNode {
            name: name.into(),
            inputs: vec![(topic(from), Arc::new(plan))],
            on_error: dlq(),
        });
        self
    }
}
