//! A log that another registry has written, and topics that cannot be one.

use std::{collections::BTreeMap, sync::Arc};

use millstream_client::{Fetch, Isolation, Log, MemoryLog, NewTopic};
use millstream_schema_registry_core::{QualifiedSubject, model::SchemaRequest};
use millstream_schema_registry_server::{
    AvroSchemas, Creation, OpenError, Registry, RegistryError, RegistrySettings,
};
use millstream_types::{Offset, Record, SchemaId, Timestamp, TopicName, TopicPartition};
use serde_json::json;

use crate::support::{DEADLINE, Served, memory, settings, until};

fn topic() -> TopicName {
    TopicName::new("_schemas").unwrap()
}

async fn create(log: &MemoryLog, partitions: i32, policy: &str) {
    let topic = NewTopic {
        name: topic(),
        partitions,
        config: BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]),
    };
    log.create_topic(topic).await.unwrap();
}

async fn append(log: &MemoryLog, key: &str, value: Option<&str>) {
    let record = Record {
        timestamp: Timestamp(5),
        key: Some(key.to_owned().into()),
        value: value.map(|value| value.to_owned().into()),
        ..Record::default()
    };
    log.append(&TopicPartition::new(topic(), 0), vec![record])
        .await
        .unwrap();
}

/// What a Confluent registry leaves: no origins, a NOOP of each leader, a compaction somewhere in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_confluents_registry_is_taken_over() {
    let log = memory();
    create(&log, 1, "compact").await;
    for (key, value) in [
        (r#"{"keytype":"NOOP","magic":0}"#, None),
        (
            r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            Some(r#"{"compatibilityLevel":"FULL"}"#),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"Kafka-key","version":1,"magic":1}"#,
            Some(r#"{"subject":"Kafka-key","version":1,"id":1,"schema":"\"string\"","deleted":false}"#),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"Car","version":1,"magic":1}"#,
            Some(
                r#"{"subject":"Car","version":1,"id":2,"schema":"{\"type\":\"record\",\"name\":\"Car\",\"namespace\":\"com.piripocs\",\"fields\":[{\"name\":\"model\",\"type\":\"string\"}]}","deleted":false}"#,
            ),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"Proto","version":1,"magic":1}"#,
            Some(
                r#"{"subject":"Proto","version":1,"id":3,"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";","deleted":false}"#,
            ),
        ),
        (
            r#"{"keytype":"CONFIG","subject":"Car","magic":0}"#,
            Some(r#"{"subject":"Car","compatibilityLevel":"NONE"}"#),
        ),
        (
            r#"{"keytype":"DELETE_SUBJECT","subject":"Kafka-key","magic":0}"#,
            Some(r#"{"subject":"Kafka-key","version":1}"#),
        ),
        ("not json", Some("at all")),
        (r#"{"keytype":"NOOP","magic":0}"#, None),
    ] {
        append(&log, key, value).await;
    }
    let registry = Served::on(log.clone()).await;
    assert_eq!(registry.get("/subjects").await, json!(["Car", "Proto"]));
    let message = "the schema is of type PROTOBUF, not AVRO".to_owned();
    assert_eq!(
        AvroSchemas::of(registry.registry.clone())
            .by_id(SchemaId(3))
            .await,
        Err(RegistryError::Refused { message })
    );
    assert_eq!(
        registry.get("/subjects?deletedOnly=true").await,
        json!(["Kafka-key"])
    );
    assert_eq!(
        registry.get("/config").await,
        json!({"compatibilityLevel": "FULL"})
    );
    assert_eq!(registry.get("/config/Car").await["compatibilityLevel"], "NONE");
    let proto = registry.get("/schemas/ids/3").await;
    assert_eq!(
        (&proto["schemaType"], &proto["schema"]),
        (&json!("PROTOBUF"), &json!("syntax = \"proto3\";"))
    );
    let int = Some(json!({"schema": "\"int\""}));
    let refused = registry
        .refused("POST", "/subjects/Proto/versions", int, 40901)
        .await;
    assert!(
        refused.contains("Incompatible because of different schema type"),
        "{refused}"
    );
    assert_eq!(registry.register("Car", "\"int\"").await, 4);
    // Whatever it writes while both run is seen too.
    append(
        &log,
        r#"{"keytype":"SCHEMA","subject":"Car","version":3,"magic":1}"#,
        Some(r#"{"subject":"Car","version":3,"id":9,"schema":"\"bytes\"","deleted":false}"#),
    )
    .await;
    until(json!([1, 2, 3]), async || {
        registry.get("/subjects/Car/versions").await
    })
    .await;
    assert_eq!(registry.register("Car", "\"float\"").await, 10);
    registry.stop().await;
}

/// The records of this registry, byte for byte what Confluent's writes for the same requests.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_can_be_taken_over_by_confluents_registry() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    registry
        .ok("PUT", "/config/s", Some(json!({"compatibility": "NONE"})))
        .await;
    registry.register("s", "\"string\"").await;
    registry.ok("DELETE", "/subjects/s/versions/1", None).await;
    registry.ok("DELETE", "/subjects/s", None).await;
    registry
        .ok("PUT", "/mode/s", Some(json!({"mode": "READONLY"})))
        .await;
    registry.ok("DELETE", "/mode/s", None).await;
    registry.register(":.c:t", "\"int\"").await;
    let fetch = Fetch {
        partition: TopicPartition::new(topic(), 0),
        offset: Offset::ZERO,
        max_bytes: 1 << 20,
        max_wait: DEADLINE,
        isolation: Isolation::ReadCommitted,
    };
    let records = registry.log.fetch(fetch).await.unwrap().records;
    let text = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(|b| String::from_utf8(b.to_vec()).unwrap());
    let written: Vec<_> = records
        .iter()
        .map(|r| (text(&r.key).unwrap(), text(&r.value)))
        .collect();
    let expected = [
        (
            r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
            Some(r#"{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":false}"#),
        ),
        (
            r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","compatibilityLevel":"NONE"}"#),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}"#,
            Some(r#"{"subject":"s","version":2,"id":2,"schema":"\"string\"","deleted":false}"#),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
            Some(r#"{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":true}"#),
        ),
        (
            r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","version":2}"#),
        ),
        (
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","mode":"READONLY"}"#),
        ),
        (r#"{"keytype":"MODE","subject":"s","magic":0}"#, None),
        (
            r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#,
            Some(r#"{"tenant":"default","context":".c"}"#),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":":.c:t","version":1,"magic":1}"#,
            Some(r#"{"subject":":.c:t","version":1,"id":1,"schema":"\"int\"","deleted":false}"#),
        ),
    ];
    let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))).into();
    assert_eq!(written, expected);
    registry.stop().await;
}

#[tokio::test]
async fn a_topic_that_would_lose_schemas_is_refused() {
    let log = memory();
    create(&log, 1, "delete").await;
    let opened = Registry::open(Arc::new(log), settings()).await;
    let error = opened.err().unwrap();
    assert!(matches!(error, OpenError::NotCompacted { .. }), "{error}");
    assert!(error.to_string().contains("cleanup.policy 'delete'"), "{error}");
}

#[tokio::test]
async fn a_topic_with_more_than_one_partition_is_refused() {
    let log = memory();
    create(&log, 2, "compact").await;
    let error = Registry::open(Arc::new(log), settings()).await.err().unwrap();
    assert!(
        matches!(error, OpenError::Partitions { partitions: 2, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_can_wait_until_it_is_needed() {
    let log = memory();
    let settings = RegistrySettings {
        creation: Creation::WhenNeeded,
        ..settings()
    };
    let registry = Registry::open(Arc::new(log.clone()), settings).await.unwrap();
    assert_eq!(log.topic(&topic()).await.unwrap(), None);
    let update = serde_json::from_value(json!({"compatibility": "NONE"})).unwrap();
    registry
        .write(move |state| state.update_config(None, &update))
        .await
        .unwrap();
    let made = log.topic(&topic()).await.unwrap().unwrap();
    assert_eq!(
        (made.partitions, made.config["cleanup.policy"].as_str()),
        (1, "compact")
    );
    registry.close().await;
}

/// One that waits for its topic decides on what another registry has written meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_another_registry_makes_is_read_before_anything_is_decided() {
    let log = memory();
    let waiting = RegistrySettings {
        creation: Creation::WhenNeeded,
        ..settings()
    };
    let waiting = Registry::open(Arc::new(log.clone()), waiting).await.unwrap();
    let other = Served::on(log).await;
    other.register("s", "\"int\"").await;
    let request = |schema: &str| SchemaRequest {
        schema: Some(schema.to_owned()),
        ..SchemaRequest::default()
    };
    let subject = QualifiedSubject::new("s");
    let registered = waiting
        .register(&subject, request("\"long\""), false)
        .await
        .unwrap();
    assert_eq!((registered.id, registered.version), (2, 2));
    waiting.close().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_is_an_empty_registry() {
    let registry = Served::start().await;
    registry.register("s", "\"int\"").await;
    registry.log.delete_topic(&topic()).await.unwrap();
    create(&registry.log, 1, "compact").await;
    until(json!([]), async || registry.get("/subjects").await).await;
    assert_eq!(registry.register("t", "\"long\"").await, 1);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_and_has_grown_meanwhile_is_noticed() {
    let old = Served::start().await;
    old.register("s", "\"int\"").await;
    let generation = old.registry.generation();
    old.log.delete_topic(&topic()).await.unwrap();
    let new = Served::on(old.log.clone()).await;
    new.ok("PUT", "/config", Some(json!({"compatibility": "NONE"})))
        .await;
    for schema in ["\"string\"", "\"bytes\"", "\"long\""] {
        new.register("t", schema).await;
    }
    until(json!(["t"]), async || old.get("/subjects").await).await;
    assert_eq!(old.get("/schemas/ids/1").await["schema"], "\"string\"");
    assert!(old.registry.generation() > generation);
    assert_eq!(new.registry.generation(), 1);
    assert_eq!(old.register("t", "\"float\"").await, 4);
    new.stop().await;
    old.stop().await;
}
