//! Configurations of groups, of clients' metrics and of the log.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use millstream_broker_server::{LoggerError, Loggers, ROOT_LOGGER, ServerConfig};
use millstream_protocol::{
    ErrorCode,
    messages::{
        AlterConfigsRequest, ConsumerGroupHeartbeatRequest, GroupId, ListConfigResourcesRequest, StrBytes,
        alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
};
use tracing::level_filters::LevelFilter;

use crate::{
    Server,
    admin::{alter, config, configs_of},
    client::{Client, topic_name},
    on_a_free_port,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

async fn heartbeat_interval(client: &mut Client, epoch: i32) -> i32 {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text("m"))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()));
    let answer = client.ask(&request, 1).await;
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    answer.heartbeat_interval_ms
}

async fn resources(client: &mut Client, types: &[i8], version: i16) -> Vec<(i8, String)> {
    let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
    let answer = client.ask(&request, version).await;
    assert_eq!(answer.error_code, 0);
    let found = answer.config_resources.into_iter();
    found
        .map(|r| (r.resource_type, r.resource_name.to_string()))
        .collect()
}

#[tokio::test]
async fn a_group_has_a_configuration_of_its_own_that_outlives_a_restart() {
    const KEY: &str = "consumer.heartbeat.interval.ms";
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.create_topic("t", 1).await;
    let found = config(&mut client, GROUP, "g", KEY).await;
    assert_eq!((found.value, found.config_source), (Some(text("5000")), 5));
    assert_eq!(heartbeat_interval(&mut client, 0).await, 5_000);
    assert_eq!(alter(&mut client, GROUP, "g", &[(KEY, SET, "9000")], 1).await, 0);
    let found = config(&mut client, GROUP, "g", KEY).await;
    assert_eq!((found.value, found.config_source), (Some(text("9000")), 8));
    let synonyms: Vec<_> = found
        .synonyms
        .iter()
        .map(|s| (s.name.as_str(), s.source))
        .collect();
    assert_eq!(synonyms, [(KEY, 8), ("group.consumer.heartbeat.interval.ms", 5)]);
    assert_eq!(heartbeat_interval(&mut client, 0).await, 9_000);

    server.restart().await;
    let mut client = server.client().await;
    assert_eq!(heartbeat_interval(&mut client, 0).await, 9_000);
    assert_eq!(
        resources(&mut client, &[GROUP], 1).await,
        [(GROUP, "g".to_owned())]
    );
    assert_eq!(alter(&mut client, GROUP, "g", &[(KEY, DELETE, "")], 1).await, 0);
    assert_eq!(heartbeat_interval(&mut client, 0).await, 5_000);
    assert_eq!(resources(&mut client, &[GROUP], 1).await, []);

    let invalid = ErrorCode::InvalidConfig.code();
    for (key, value) in [
        (KEY, "15001"),
        (KEY, "often"),
        ("consumer.session.timeout.ms", "60001"),
        ("share.auto.offset.reset", "latest"),
    ] {
        let refused = alter(&mut client, GROUP, "g", &[(key, SET, value)], 1).await;
        assert_eq!(refused, invalid, "{key}={value}");
    }
    let unnamed = alter(&mut client, GROUP, "", &[(KEY, SET, "9000")], 1).await;
    assert_eq!(unnamed, ErrorCode::InvalidRequest.code());
    // The whole at once, by the older request.
    let replaced = AlterableConfig::default()
        .with_name(text("consumer.session.timeout.ms"))
        .with_value(Some(text("50000")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(GROUP)
        .with_resource_name(text("g"))
        .with_configs(vec![replaced]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.ask(&request, 2).await.responses[0].error_code, 0);
    let found = config(&mut client, GROUP, "g", "consumer.session.timeout.ms").await;
    assert_eq!(found.value, Some(text("50000")));
}

#[tokio::test]
async fn subscriptions_of_clients_metrics_are_kept_though_nobody_pushes() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let set = [
        ("interval.ms", SET, "60000"),
        ("match", APPEND, "client_id=app.*"),
    ];
    assert_eq!(alter(&mut client, CLIENT_METRICS, "all", &set, 1).await, 0);
    let found = config(&mut client, CLIENT_METRICS, "all", "interval.ms").await;
    assert_eq!((found.value, found.config_source), (Some(text("60000")), 7));
    let found = config(&mut client, CLIENT_METRICS, "other", "interval.ms").await;
    assert_eq!((found.value, found.config_source), (Some(text("300000")), 5));
    assert_eq!(
        resources(&mut client, &[], 0).await,
        [(CLIENT_METRICS, "all".to_owned())]
    );
    let wrong = [("interval.ms", SET, "1")];
    let refused = alter(&mut client, CLIENT_METRICS, "all", &wrong, 1).await;
    assert_eq!(refused, ErrorCode::InvalidConfig.code());
    client.create_topic("t", 1).await;
    let all = resources(&mut client, &[], 1).await;
    for expected in [
        (TOPIC, "t"),
        (BROKER, "1"),
        (BROKER_LOGGER, "1"),
        (CLIENT_METRICS, "all"),
    ] {
        assert!(all.contains(&(expected.0, expected.1.to_owned())), "{all:?}");
    }
}

/// A log that only remembers its levels.
#[derive(Debug, Default)]
struct Levels(Mutex<BTreeMap<String, LevelFilter>>);

impl Loggers for Levels {
    fn levels(&self) -> Vec<(String, LevelFilter)> {
        let mut levels = BTreeMap::from([(ROOT_LOGGER.to_owned(), LevelFilter::INFO)]);
        levels.extend(self.0.lock().unwrap().clone());
        levels.into_iter().collect()
    }

    fn set(&self, changes: &[(String, Option<LevelFilter>)]) -> Result<(), LoggerError> {
        for (name, level) in changes {
            if name.contains('.') {
                return Err(LoggerError::Unknown { name: name.clone() });
            }
            match level {
                Some(level) => self.0.lock().unwrap().insert(name.clone(), *level),
                None => self.0.lock().unwrap().remove(name),
            };
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_log_is_turned_where_the_process_lets_it() {
    let served = ServerConfig {
        loggers: Some(Arc::new(Levels::default())),
        ..ServerConfig::from(on_a_free_port())
    };
    let server = Server::start_as(served, &[]).await;
    let mut client = server.client().await;
    let root = config(&mut client, BROKER_LOGGER, "1", ROOT_LOGGER).await;
    assert_eq!((root.value, root.config_source), (Some(text("INFO")), 6));
    let set = [
        ("millstream_broker_server", SET, "trace"),
        (ROOT_LOGGER, SET, "FATAL"),
    ];
    assert_eq!(alter(&mut client, BROKER_LOGGER, "1", &set, 1).await, 0);
    let found = config(&mut client, BROKER_LOGGER, "1", "millstream_broker_server").await;
    assert_eq!(found.value, Some(text("TRACE")));
    let root = config(&mut client, BROKER_LOGGER, "1", ROOT_LOGGER).await;
    assert_eq!(root.value, Some(text("FATAL")));
    for (name, changes, code) in [
        ("1", ("kafka.server", SET, "INFO"), ErrorCode::InvalidConfig),
        ("1", ("millstream", SET, "LOUD"), ErrorCode::InvalidConfig),
        ("1", (ROOT_LOGGER, DELETE, ""), ErrorCode::InvalidRequest),
        ("1", ("millstream", APPEND, "INFO"), ErrorCode::InvalidRequest),
        ("2", ("millstream", SET, "INFO"), ErrorCode::InvalidRequest),
    ] {
        let refused = alter(&mut client, BROKER_LOGGER, name, &[changes], 1).await;
        assert_eq!(refused, code.code(), "{changes:?}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_turned_is_said_to_be() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let refused = alter(&mut client, BROKER_LOGGER, "1", &[(ROOT_LOGGER, SET, "INFO")], 1).await;
    assert_eq!(refused, ErrorCode::InvalidRequest.code());
    let answer = client.ask(&configs_of(BROKER_LOGGER, "1"), 4).await;
    assert_eq!(answer.results[0].error_code, ErrorCode::InvalidRequest.code());
}
