//! rdkafka (librdkafka from Rust). Arguments and output as in ../python/harness.py.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Debug,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

const DEADLINE: Duration = Duration::from_secs(30);
type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Config<'a> = &'a [(&'a str, &'a str)];

struct Compat {
    bootstrap: String,
    run: String,
    admin: AdminClient<DefaultClientContext>,
}

/// A record by its number, and its offset.
type Report = Result<(usize, i64), KafkaError>;

/// Where the delivery reports go. In no order: whoever flushes takes reports too, beside the thread that is there for it.
struct Reports(std::sync::mpsc::SyncSender<Report>);

impl rdkafka::ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, number: usize) {
        let report = match report {
            Ok(record) => Ok((number, record.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.send(report).ok();
    }
}

type Sender = ThreadedProducer<Reports>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("BOOTSTRAP")?;
    let chosen: Vec<String> = arguments.collect();
    let millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000;
    let compat = Compat {
        run: format!("{millis}-{}", std::process::id()),
        admin: ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .create()?,
        bootstrap,
    };
    type Scenario = fn(&Compat) -> Outcome;
    let scenarios: &[(&str, Scenario)] = &[
        ("codecs", Compat::codecs),
        ("records", Compat::records),
        ("idempotence", Compat::idempotence),
        ("large-records", Compat::large_records),
        ("offsets-for-times", Compat::offsets_for_times),
        ("delete-records", Compat::delete_records),
        ("many-partitions", Compat::many_partitions),
        ("topics", Compat::topics),
        ("create-partitions", Compat::create_partitions),
        ("configs", Compat::configs),
        ("group-range", |compat| {
            compat.rebalance("range", &[("partition.assignment.strategy", "range")])
        }),
        ("group-cooperative", |compat| {
            compat.rebalance("coop", &[("partition.assignment.strategy", "cooperative-sticky")])
        }),
        ("group-consumer-protocol", |compat| {
            compat.rebalance("consumer", &[("group.protocol", "consumer")])
        }),
        ("group-migration", Compat::migration),
        ("static-member", Compat::static_member),
        ("commits", Compat::commits),
        ("transactions", Compat::transactions),
        ("fencing", Compat::fencing),
        ("exactly-once", Compat::exactly_once),
        ("groups-admin", Compat::groups_admin),
        ("cluster", Compat::cluster),
    ];
    for (name, scenario) in scenarios {
        if !chosen.is_empty() && !chosen.iter().any(|one| one == name) {
            continue;
        }
        let started = Instant::now();
        match scenario(&compat) {
            Ok(()) => println!("ok {name} {:.1}", started.elapsed().as_secs_f32()),
            Err(error) => {
                let reason: Vec<_> = error.to_string().split_whitespace().map(str::to_owned).collect();
                println!("fail {name} {:.300}", reason.join(" "));
            }
        }
    }
    Ok(())
}

impl Compat {
    fn codecs(&self) -> Outcome {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = self.topic(&format!("codec-{codec}"), 1, &[])?;
            let sent: Vec<String> = (0..500).map(|n| format!("{codec} {n} ").repeat(20)).collect();
            self.produce(
                &topic,
                0,
                &sent,
                &[("compression.type", codec), ("linger.ms", "20")],
            )?;
            eq(codec, values(&self.read(&topic, 0, &[])?), sent)?;
        }
        Ok(())
    }

    fn records(&self) -> Outcome {
        let topic = self.topic("records", 1, &[])?;
        let (producer, reports) = self.producer(&[])?;
        let header = |key, value: Option<&'static str>| Header { key, value };
        let headers = OwnedHeaders::new()
            .insert(header("a", Some("1")))
            .insert(header("a", Some("2")))
            .insert(header("null", None));
        let record = record_of(&topic, 0).key("k").payload("v").headers(headers);
        producer
            .send(record.timestamp(1_234_567_890_123))
            .map_err(|(e, _)| e)?;
        producer
            .send(record_of(&topic, 0).key("tombstone"))
            .map_err(|(e, _)| e)?;
        producer.flush(DEADLINE)?;
        reports.recv()??;
        let found = self.read(&topic, 0, &[])?;
        let headers = found[0].headers().ok_or("no headers")?;
        let pairs: Vec<_> = headers
            .iter()
            .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
            .collect();
        let expected = [("a", Some("1")), ("a", Some("2")), ("null", None)]
            .map(|(key, value)| (key.to_owned(), value.map(|v| v.as_bytes().to_vec())));
        eq("headers", pairs, expected.to_vec())?;
        eq(
            "timestamp",
            found[0].timestamp(),
            Timestamp::CreateTime(1_234_567_890_123),
        )?;
        eq("tombstone", found[1].payload(), None)
    }

    fn idempotence(&self) -> Outcome {
        let topic = self.topic("idempotence", 1, &[])?;
        let sent = numbers(0, 2000);
        let config = [
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
            ("batch.num.messages", "10"),
        ];
        eq(
            "offsets",
            self.produce(&topic, 0, &sent, &config)?,
            (0..2000).collect(),
        )?;
        eq("records", values(&self.read(&topic, 0, &[])?), sent)
    }

    fn large_records(&self) -> Outcome {
        let topic = self.topic("large", 1, &[("max.message.bytes", "100000")])?;
        let large = [("message.max.bytes", "10000000")];
        let refused = self.produce(&topic, 0, &["x".repeat(200_000)], &large);
        fails(refused, RDKafkaErrorCode::MessageSizeTooLarge)?;
        self.produce(&topic, 0, &["y".repeat(90_000)], &[])?;
        let wide = self.topic("wide", 1, &[("max.message.bytes", "10000000")])?;
        self.produce(&wide, 0, &["z".repeat(5_000_000)], &large)?;
        eq(
            "length",
            self.read(&wide, 0, &[])?[0].payload().map(<[u8]>::len),
            Some(5_000_000),
        )
    }

    fn offsets_for_times(&self) -> Outcome {
        let topic = self.topic("times", 1, &[])?;
        let (producer, _reports) = self.producer(&[("compression.type", "gzip"), ("linger.ms", "100")])?;
        for n in 0..10 {
            let record = record_of(&topic, 0).payload("x").timestamp(1_000_000 + n * 1000);
            producer.send(record).map_err(|(e, _)| e)?;
        }
        producer.flush(DEADLINE)?;
        let consumer = self.consumer("times", &[])?;
        for (at, offset) in [(0, 0), (1_000_001, 1), (1_005_000, 5), (1_008_999, 9)] {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&topic, 0, Offset::Offset(at))?;
            let found = consumer.offsets_for_times(asked, DEADLINE)?;
            eq("offset", found.elements()[0].offset(), Offset::Offset(offset))?;
        }
        eq(
            "watermarks",
            consumer.fetch_watermarks(&topic, 0, DEADLINE)?,
            (0, 10),
        )
    }

    fn delete_records(&self) -> Outcome {
        let topic = self.topic("delete-records", 1, &[])?;
        self.produce(&topic, 0, &numbers(0, 10), &[])?;
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&topic, 0, Offset::Offset(4))?;
        block_on(self.admin.delete_records(&before, &AdminOptions::new()))?;
        eq("records", values(&self.read(&topic, 0, &[])?), numbers(4, 10))
    }

    fn many_partitions(&self) -> Outcome {
        let topic = self.topic("many", 200, &[])?;
        let (producer, _reports) = self.producer(&[("linger.ms", "10")])?;
        for n in 0..200 {
            let record = record_of(&topic, 0).partition(n).payload("x");
            producer.send(record).map_err(|(e, _)| e)?;
        }
        producer.flush(DEADLINE)?;
        let consumer = self.consumer("many", &[])?;
        consumer.subscribe(&[&topic])?;
        let partitions: BTreeSet<i32> = take(&consumer, 200)?.iter().map(Message::partition).collect();
        eq("partitions", partitions.len(), 200)
    }

    fn topics(&self) -> Outcome {
        let topic = self.topic("topics", 3, &[])?;
        let create = |name: &str, replicas, config: Config<'_>| self.create(name, 1, replicas, config);
        fails(create(&topic, 1, &[]), RDKafkaErrorCode::TopicAlreadyExists)?;
        fails(create("bad/name", 1, &[]), RDKafkaErrorCode::InvalidTopic)?;
        fails(
            create(&self.unique("r"), 3, &[]),
            RDKafkaErrorCode::InvalidReplicationFactor,
        )?;
        fails(
            create(&self.unique("c"), 1, &[("no.such", "1")]),
            RDKafkaErrorCode::InvalidConfig,
        )?;
        self.delete(&topic)?;
        until("the topic is gone", || Ok(self.partitions(&topic)?.is_none()))?;
        fails(self.delete(&topic), RDKafkaErrorCode::UnknownTopicOrPartition)
    }

    fn create_partitions(&self) -> Outcome {
        let topic = self.topic("grow", 2, &[])?;
        let grow = |count| -> Outcome {
            let wanted = [NewPartitions::new(&topic, count)];
            let results = block_on(self.admin.create_partitions(&wanted, &AdminOptions::new()))?;
            each(results.into_iter().map(|r| r.map_err(|(_, code)| code)))
        };
        grow(5)?;
        until("5 partitions", || Ok(self.partitions(&topic)? == Some(5)))?;
        eq("offsets", self.produce(&topic, 4, &numbers(0, 1), &[])?, vec![0])?;
        fails(grow(3), RDKafkaErrorCode::InvalidPartitions)
    }

    fn configs(&self) -> Outcome {
        let topic = self.topic("configs", 1, &[("retention.ms", "1000000")])?;
        let value = |key: &str| -> Outcome<Option<String>> {
            let asked = [ResourceSpecifier::Topic(&topic)];
            let found = block_on(self.admin.describe_configs(&asked, &AdminOptions::new()))?;
            let found = found
                .into_iter()
                .next()
                .ok_or("no answer")?
                .map_err(KafkaError::AdminOp)?;
            Ok(found.get(key).and_then(|entry| entry.value.clone()))
        };
        eq("retention", value("retention.ms")?.as_deref(), Some("1000000"))?;
        eq("policy", value("cleanup.policy")?.as_deref(), Some("delete"))?;
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.ms", "60000");
        let results = block_on(self.admin.alter_configs(&[change], &AdminOptions::new()))?;
        each(results.into_iter().map(|r| r.map(drop).map_err(|(_, code)| code)))?;
        until("the change shows", || {
            Ok(value("segment.ms")?.as_deref() == Some("60000"))
        })?;
        eq("retention", value("retention.ms")?.as_deref(), Some("604800000"))
    }

    /// A second member joins and takes its share, then leaves and gives it back; nothing is lost on the way.
    fn rebalance(&self, kind: &str, config: Config<'_>) -> Outcome {
        let topic = self.topic(&format!("group-{kind}"), 4, &[])?;
        for n in 0..4 {
            self.produce(&topic, n, &numbers(n, n + 1), &[])?;
        }
        let first = self.consumer(&format!("group-{kind}"), config)?;
        first.subscribe(&[&topic])?;
        eq("before", sorted(values(&take(&first, 4)?)), numbers(0, 4))?;
        first.commit_consumer_state(CommitMode::Sync)?;
        let second = self.consumer(&format!("group-{kind}"), config)?;
        second.subscribe(&[&topic])?;
        until("two partitions each", || {
            poll(&first)?;
            poll(&second)?;
            Ok(first.assignment()?.count() == 2 && second.assignment()?.count() == 2)
        })?;
        drop(second);
        until("all partitions again", || {
            poll(&first)?;
            Ok(first.assignment()?.count() == 4)
        })?;
        for n in 0..4 {
            self.produce(&topic, n, &numbers(n + 4, n + 5), &[])?;
        }
        eq(
            "after the rebalance",
            sorted(values(&take(&first, 4)?)),
            numbers(4, 8),
        )
    }

    /// Each member is replaced by one of the other protocol, without a pause, and back; nothing is lost on the way.
    fn migration(&self) -> Outcome {
        let topic = self.topic("migration", 4, &[])?;
        let mut former: Option<BaseConsumer> = None;
        for (round, protocol) in (0..).zip(["classic", "consumer", "classic"]) {
            let next = self.consumer("migration", &[("group.protocol", protocol)])?;
            next.subscribe(&[&topic])?;
            if let Some(former) = former.take() {
                until("two partitions each", || {
                    poll(&former)?;
                    poll(&next)?;
                    Ok(former.assignment()?.count() == 2 && next.assignment()?.count() == 2)
                })?;
            }
            until("all partitions", || {
                poll(&next)?;
                Ok(next.assignment()?.count() == 4)
            })?;
            let sent = numbers(round * 4, round * 4 + 4);
            for (n, value) in (0..).zip(&sent) {
                self.produce(&topic, n, std::slice::from_ref(value), &[])?;
            }
            eq(protocol, sorted(values(&take(&next, 4)?)), sorted(sent))?;
            next.commit_consumer_state(CommitMode::Sync)?;
            former = Some(next);
        }
        Ok(())
    }

    fn static_member(&self) -> Outcome {
        let topic = self.topic("static", 2, &[])?;
        for _ in 0..2 {
            let consumer = self.consumer("static", &[("group.instance.id", "one")])?;
            consumer.subscribe(&[&topic])?;
            until("an assignment", || {
                poll(&consumer)?;
                Ok(consumer.assignment()?.count() == 2)
            })?;
        }
        let watcher = self.consumer("watcher", &[])?;
        let groups = watcher.fetch_group_list(Some(&self.unique("static")), DEADLINE)?;
        eq(
            "a static member stays when it closes",
            groups.groups()[0].members().len(),
            1,
        )
    }

    fn commits(&self) -> Outcome {
        let topic = self.topic("commits", 1, &[])?;
        self.produce(&topic, 0, &numbers(0, 10), &[])?;
        let consumer = self.consumer("commits", &[])?;
        consumer.subscribe(&[&topic])?;
        take(&consumer, 4)?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(4))?;
        consumer.commit(&offsets, CommitMode::Sync)?;
        drop(consumer);
        let consumer = self.consumer("commits", &[])?;
        let committed = consumer.committed_offsets(offsets, DEADLINE)?;
        eq("committed", committed.elements()[0].offset(), Offset::Offset(4))?;
        consumer.subscribe(&[&topic])?;
        eq("after resuming", values(&take(&consumer, 6)?), numbers(4, 10))
    }

    fn transactions(&self) -> Outcome {
        let topic = self.topic("tx", 2, &[])?;
        let id = self.unique("tx");
        let (producer, _reports) = self.producer(&[("transactional.id", &id)])?;
        producer.init_transactions(DEADLINE)?;
        for outcome in ["commit", "abort", "commit"] {
            producer.begin_transaction()?;
            for n in 0..2 {
                let record = record_of(&topic, 0).partition(n).payload(outcome);
                producer.send(record).map_err(|(e, _)| e)?;
            }
            producer.flush(DEADLINE)?;
            match outcome {
                "commit" => producer.commit_transaction(DEADLINE)?,
                _ => producer.abort_transaction(DEADLINE)?,
            }
        }
        for n in 0..2 {
            let committed = self.read(&topic, n, &[("isolation.level", "read_committed")])?;
            eq(
                "committed",
                values(&committed),
                vec!["commit".to_owned(), "commit".to_owned()],
            )?;
            let all = self.read(&topic, n, &[("isolation.level", "read_uncommitted")])?;
            eq("uncommitted", all.len(), 3)?;
        }
        Ok(())
    }

    fn fencing(&self) -> Outcome {
        let topic = self.topic("fencing", 1, &[])?;
        let id = self.unique("fenced");
        let (old, _old) = self.producer(&[("transactional.id", &id)])?;
        let (new, _new) = self.producer(&[("transactional.id", &id)])?;
        old.init_transactions(DEADLINE)?;
        old.begin_transaction()?;
        old.send(record_of(&topic, 0).payload("old"))
            .map_err(|(e, _)| e)?;
        old.flush(DEADLINE)?;
        new.init_transactions(DEADLINE)?;
        match old.commit_transaction(DEADLINE) {
            Err(KafkaError::Transaction(error)) if error.is_fatal() => {}
            other => return Err(format!("the old one: {other:?}").into()),
        }
        new.begin_transaction()?;
        new.send(record_of(&topic, 0).payload("new"))
            .map_err(|(e, _)| e)?;
        new.commit_transaction(DEADLINE)?;
        let found = self.read(&topic, 0, &[("isolation.level", "read_committed")])?;
        eq("records", values(&found), vec!["new".to_owned()])
    }

    fn exactly_once(&self) -> Outcome {
        let (source, target) = (self.topic("eo-in", 1, &[])?, self.topic("eo-out", 1, &[])?);
        self.produce(&source, 0, &numbers(0, 100), &[])?;
        let id = self.unique("eo");
        let (producer, _reports) = self.producer(&[("transactional.id", &id)])?;
        producer.init_transactions(DEADLINE)?;
        for attempt in 0..4 {
            let consumer = self.consumer("eo", &[("isolation.level", "read_committed")])?;
            consumer.subscribe(&[&source])?;
            let batch = take(&consumer, 25)?;
            producer.begin_transaction()?;
            for record in &batch[..25] {
                let copy = format!("copy {}", text(record));
                producer
                    .send(record_of(&target, 0).payload(&copy))
                    .map_err(|(e, _)| e)?;
            }
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&source, 0, Offset::Offset(batch[24].offset() + 1))?;
            let member = consumer.group_metadata().ok_or("no group")?;
            producer.send_offsets_to_transaction(&offsets, &member, DEADLINE)?;
            match attempt {
                1 => producer.abort_transaction(DEADLINE)?,
                _ => producer.commit_transaction(DEADLINE)?,
            }
        }
        let copied = self.read(&target, 0, &[("isolation.level", "read_committed")])?;
        let expected: Vec<String> = (0..75).map(|n| format!("copy {n}")).collect();
        eq("each input once, in order", values(&copied), expected)
    }

    fn groups_admin(&self) -> Outcome {
        let topic = self.topic("ga", 2, &[])?;
        let group = self.unique("ga");
        let consumer = self.consumer("ga", &[("client.id", "who")])?;
        consumer.subscribe(&[&topic])?;
        until("an assignment", || {
            poll(&consumer)?;
            Ok(consumer.assignment()?.count() == 2)
        })?;
        let listed = consumer.fetch_group_list(None, DEADLINE)?;
        let found = listed
            .groups()
            .iter()
            .find(|g| g.name() == group)
            .ok_or("not listed")?;
        let members: Vec<_> = found.members().iter().map(|m| m.client_id().to_owned()).collect();
        eq(
            "described",
            (found.state(), found.protocol(), members),
            ("Stable", "range", vec!["who".to_owned()]),
        )?;
        let delete = || -> Outcome {
            let results = block_on(self.admin.delete_groups(&[&group], &AdminOptions::new()))?;
            each(results.into_iter().map(|r| r.map_err(|(_, code)| code)))
        };
        fails(delete(), RDKafkaErrorCode::NonEmptyGroup)?;
        drop(consumer);
        delete()?;
        fails(delete(), RDKafkaErrorCode::GroupIdNotFound)
    }

    fn cluster(&self) -> Outcome {
        let metadata = self.admin.inner().fetch_metadata(None, DEADLINE)?;
        let brokers: Vec<_> = metadata
            .brokers()
            .iter()
            .map(|b| format!("{}:{}", b.host(), b.port()))
            .collect();
        eq("brokers", brokers, vec![self.bootstrap.clone()])?;
        self.admin
            .inner()
            .fetch_cluster_id(DEADLINE)
            .map(drop)
            .ok_or_else(|| "no cluster id".into())
    }

    fn unique(&self, name: &str) -> String {
        format!("rs-{name}-{}", self.run)
    }

    fn topic(&self, name: &str, partitions: i32, config: Config<'_>) -> Outcome<String> {
        let name = self.unique(name);
        self.create(&name, partitions, 1, config)?;
        until("the topic is known", || Ok(self.partitions(&name)?.is_some()))?;
        Ok(name)
    }

    fn create(&self, name: &str, partitions: i32, replicas: i32, config: Config<'_>) -> Outcome {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        let topic = config
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value));
        let results = block_on(self.admin.create_topics(&[topic], &AdminOptions::new()))?;
        each(results.into_iter().map(|r| r.map_err(|(_, code)| code)))
    }

    fn delete(&self, name: &str) -> Outcome {
        let results = block_on(self.admin.delete_topics(&[name], &AdminOptions::new()))?;
        each(results.into_iter().map(|r| r.map_err(|(_, code)| code)))
    }

    /// How many partitions the topic has, if it is there.
    fn partitions(&self, name: &str) -> Outcome<Option<usize>> {
        let all = self.admin.inner().fetch_metadata(None, DEADLINE)?;
        Ok(all
            .topics()
            .iter()
            .find(|t| t.name() == name)
            .map(|t| t.partitions().len()))
    }

    fn client(&self, config: Config<'_>) -> ClientConfig {
        let mut all = ClientConfig::new();
        all.set("bootstrap.servers", &self.bootstrap);
        for (key, value) in config {
            all.set(*key, *value);
        }
        all
    }

    fn producer(&self, config: Config<'_>) -> Outcome<(Sender, std::sync::mpsc::Receiver<Report>)> {
        let (reports, receiver) = std::sync::mpsc::sync_channel(10_000);
        Ok((
            self.client(config).create_with_context(Reports(reports))?,
            receiver,
        ))
    }

    /// The offsets of all values, in their order.
    fn produce(
        &self,
        topic: &str,
        partition: i32,
        values: &[String],
        config: Config<'_>,
    ) -> Outcome<Vec<i64>> {
        let (producer, reports) = self.producer(config)?;
        for (number, value) in values.iter().enumerate() {
            let record = record_of(topic, number).partition(partition).payload(value);
            producer.send(record).map_err(|(e, _)| e)?;
        }
        producer.flush(DEADLINE)?;
        let offsets: Result<BTreeMap<usize, i64>, KafkaError> = reports.try_iter().collect();
        Ok(offsets?.into_values().collect())
    }

    fn consumer(&self, group: &str, config: Config<'_>) -> Outcome<BaseConsumer> {
        let mut all = self.client(&[("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")]);
        all.set("group.id", self.unique(group))
            .set("enable.partition.eof", "true");
        for (key, value) in config {
            all.set(*key, *value);
        }
        Ok(all.create()?)
    }

    /// All records up to the end as this isolation level sees it.
    fn read(&self, topic: &str, partition: i32, config: Config<'_>) -> Outcome<Vec<OwnedMessage>> {
        let consumer = self.consumer("read", config)?;
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning)?;
        consumer.assign(&from)?;
        let mut records = Vec::new();
        until("the end of the partition", || {
            match consumer.poll(Duration::from_millis(100)) {
                None => Ok(false),
                Some(Err(KafkaError::PartitionEOF(_))) => Ok(true),
                Some(record) => {
                    records.push(record?.detach());
                    Ok(false)
                }
            }
        })?;
        Ok(records)
    }
}

/// A record with a number to be told of its delivery by.
fn record_of(topic: &str, number: usize) -> BaseRecord<'_, str, str, usize> {
    BaseRecord::with_opaque_to(topic, number)
}

fn poll(consumer: &BaseConsumer) -> Outcome<Option<BorrowedMessage<'_>>> {
    match consumer.poll(Duration::from_millis(50)) {
        None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Some(record) => Ok(Some(record?)),
    }
}

fn take(consumer: &BaseConsumer, count: usize) -> Outcome<Vec<OwnedMessage>> {
    let mut records = Vec::new();
    until("all records", || {
        records.extend(poll(consumer)?.map(|record| record.detach()));
        Ok(records.len() >= count)
    })?;
    Ok(records)
}

fn until(what: &str, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome {
    let started = Instant::now();
    while !condition()? {
        if started.elapsed() > DEADLINE {
            return Err(format!("not within {DEADLINE:?}: {what}").into());
        }
    }
    Ok(())
}

fn text(record: &OwnedMessage) -> String {
    String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()
}

fn values(records: &[OwnedMessage]) -> Vec<String> {
    records.iter().map(text).collect()
}

fn numbers(from: i32, to: i32) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

fn each<T>(results: impl IntoIterator<Item = Result<T, RDKafkaErrorCode>>) -> Outcome {
    for result in results {
        result.map_err(KafkaError::AdminOp)?;
    }
    Ok(())
}

fn eq<T: PartialEq + Debug>(what: &str, actual: T, expected: T) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what} is {actual:?}, expected {expected:?}").into())
}

fn fails<T: Debug>(result: Outcome<T>, expected: RDKafkaErrorCode) -> Outcome {
    let error = match result {
        Ok(value) => return Err(format!("no error but {value:?}, expected {expected:?}").into()),
        Err(error) => error,
    };
    let code = match error.downcast_ref::<KafkaError>() {
        Some(KafkaError::AdminOp(code)) => Some(*code),
        other => other.and_then(KafkaError::rdkafka_error_code),
    };
    match code {
        Some(code) if code == expected => Ok(()),
        _ => Err(format!("{error}, expected {expected:?}").into()),
    }
}
