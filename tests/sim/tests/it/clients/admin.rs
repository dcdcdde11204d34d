//! Somebody who makes, grows, configures and deletes topics, and looks whether what he was told is so.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use millstream_protocol::{
    ErrorCode,
    messages::{
        CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
        IncrementalAlterConfigsRequest, MetadataRequest, StrBytes,
        create_partitions_request::CreatePartitionsTopic,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        describe_configs_request::DescribeConfigsResource,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        metadata_request::MetadataRequestTopic,
    },
};

use super::{RETRY_MS, Refused, checked, topic_name};
use crate::network::Wire;

const PAUSE_MS: u64 = 400;
const MOST_TOPICS: usize = 5;
const TIMEOUT_MS: i32 = 10_000;
const RETENTION: &str = "retention.ms";
/// Of a resource that has a configuration.
const TOPIC: i8 = 2;
const SET: i8 = 0;

/// A topic that is there: its partitions, and for how long it keeps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Topic {
    partitions: i32,
    retention_ms: i64,
}

/// What a topic may be, by its name; `None`: absent. More than one where nobody was told what became of a request: then
/// nothing more is asked of that topic, because the request may yet arrive.
pub(crate) type Topics = Rc<RefCell<BTreeMap<String, BTreeSet<Option<Topic>>>>>;

pub(crate) async fn administer(wire: Wire, topics: Topics) {
    for number in 0.. {
        if wire.finishing() {
            return;
        }
        alter(&wire, &topics, number).await;
        let seen = pick(&wire, topics.borrow().keys());
        if let Some(name) = seen {
            inspect(&wire, &topics, &name).await;
        }
        wire.pause(PAUSE_MS).await;
    }
}

/// Holds everything that was ever there against what there is.
pub(crate) async fn audit(wire: &Wire, topics: &Topics) {
    let names: Vec<String> = topics.borrow().keys().cloned().collect();
    for name in names {
        inspect(wire, topics, &name).await;
    }
}

async fn inspect(wire: &Wire, topics: &Topics, name: &str) {
    let found = loop {
        match look(wire, name).await {
            Ok(found) => break found,
            Err(refused) => refused.must_be_passing(&wire.name),
        }
        wire.pause(RETRY_MS).await;
    };
    let expected = &topics.borrow()[name];
    assert!(
        expected.contains(&found),
        "{name} is {found:?}, expected one of {expected:?}"
    );
}

async fn alter(wire: &Wire, topics: &Topics, number: u64) {
    let known: Vec<(String, Topic)> = topics.borrow().iter().filter_map(certain).collect();
    let retention_ms = 3_600_000 + i64::try_from(wire.below(1_000)).unwrap();
    let chosen = pick(wire, known.iter());
    let (name, before, after, done) = match (chosen, wire.below(4)) {
        (Some((name, topic)), 0) => {
            let after = Topic {
                partitions: topic.partitions + 1,
                ..topic
            };
            let done = grow(wire, &name, after.partitions).await;
            (name, Some(topic), Some(after), done)
        }
        (Some((name, topic)), 1) => {
            let done = configure(wire, &name, retention_ms).await;
            (
                name,
                Some(topic),
                Some(Topic {
                    retention_ms,
                    ..topic
                }),
                done,
            )
        }
        (Some((name, topic)), kind) if kind == 2 || known.len() == MOST_TOPICS => {
            let done = delete(wire, &name).await;
            (name, Some(topic), None, done)
        }
        _ => {
            let name = format!("made-{number}");
            let topic = Topic {
                partitions: 1,
                retention_ms,
            };
            // it is looked at only when this has ended
            let done = create(wire, &name, topic).await;
            (name, None, Some(topic), done)
        }
    };
    let possible = match done {
        Ok(()) => BTreeSet::from([after]),
        Err(refused) => {
            refused.must_be_passing(&wire.name);
            BTreeSet::from([before, after])
        }
    };
    topics.borrow_mut().insert(name, possible);
}

/// A topic that is there for sure.
fn certain((name, possible): (&String, &BTreeSet<Option<Topic>>)) -> Option<(String, Topic)> {
    match possible.iter().collect::<Vec<_>>()[..] {
        [Some(topic)] => Some((name.clone(), *topic)),
        _ => None,
    }
}

fn pick<'a, T: Clone + 'a>(wire: &Wire, all: impl ExactSizeIterator<Item = &'a T>) -> Option<T> {
    let count = u64::try_from(all.len()).unwrap();
    let mut all = all;
    let at = if count == 0 { 0 } else { wire.below(count) };
    all.nth(usize::try_from(at).unwrap()).cloned()
}

async fn create(wire: &Wire, name: &str, topic: Topic) -> Result<(), Refused> {
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(RETENTION))
        .with_value(Some(StrBytes::from_string(topic.retention_ms.to_string())));
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(TIMEOUT_MS);
    checked(wire.ask(&request, 7).await?.topics[0].error_code)
}

async fn grow(wire: &Wire, name: &str, partitions: i32) -> Result<(), Refused> {
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name(name))
        .with_count(partitions)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(TIMEOUT_MS);
    checked(wire.ask(&request, 3).await?.results[0].error_code)
}

async fn configure(wire: &Wire, name: &str, retention_ms: i64) -> Result<(), Refused> {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(RETENTION))
        .with_config_operation(SET)
        .with_value(Some(StrBytes::from_string(retention_ms.to_string())));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(name.into()))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    checked(wire.ask(&request, 1).await?.responses[0].error_code)
}

async fn delete(wire: &Wire, name: &str) -> Result<(), Refused> {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name(name)])
        .with_timeout_ms(TIMEOUT_MS);
    checked(wire.ask(&request, 5).await?.responses[0].error_code)
}

async fn look(wire: &Wire, name: &str) -> Result<Option<Topic>, Refused> {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    let answer = wire.ask(&request, 12).await?;
    let topic = &answer.topics[0];
    if topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
        return Ok(None);
    }
    checked(topic.error_code)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(StrBytes::from_string(name.into()))
        .with_configuration_keys(Some(vec![StrBytes::from_static_str(RETENTION)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let answer = wire.ask(&request, 4).await?;
    let described = &answer.results[0];
    if described.error_code == ErrorCode::UnknownTopicOrPartition.code() {
        // deleted in between, by a request that was late
        return Ok(None);
    }
    checked(described.error_code)?;
    let value = described.configs[0]
        .value
        .as_ref()
        .expect("a topic keeps for some time");
    let retention_ms = value.parse().expect("a number");
    Ok(Some(Topic {
        partitions,
        retention_ms,
    }))
}
