//! A schema registry: records in its topic that somebody else wrote, requests of its REST interface, and new starts.
//!
//! Commands stand one after the other, each before a byte 0x1e; 0x1f stands between the parts of a command. Neither may
//! stand in JSON.
//!
//! ```text
//! R key [0x1f value]      a record; without a value a tombstone
//! G path                  GET; D is DELETE
//! P path 0x1f body        POST; U is PUT
//! O                       the registry is opened anew
//! ```
//!
//! At the end another registry reads the same topic: it must answer what the first one answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;
use futures::StreamExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use millstream_client::{Fetch, Isolation, Log, MemoryLog, NewTopic};
use millstream_schema_registry_server::{DEFAULT_TOPIC, Registry, RegistrySettings, router};
use millstream_types::{ManualClock, Offset, Record, Timestamp, TopicName, TopicPartition};

use crate::world::in_virtual_time;

const BETWEEN_COMMANDS: u8 = 0x1e;
const BETWEEN_PARTS: u8 = 0x1f;
/// More find nothing else, and histories grow with them.
const MOST_COMMANDS: usize = 64;
/// What two registries on one topic must agree on.
const EVERYTHING: &[&str] = &[
    "/schemas?deleted=true",
    "/subjects?deleted=true",
    "/subjects?subjectPrefix=:*:",
    "/contexts",
    "/config",
    "/mode",
    "/config/s?defaultToGlobal=true",
    "/mode/s?defaultToGlobal=true",
];

pub fn run(data: &[u8]) {
    in_virtual_time(perform(data));
}

async fn perform(data: &[u8]) -> Node {
    let mut node = Node::start().await;
    for command in data.split(|byte| *byte == BETWEEN_COMMANDS).take(MOST_COMMANDS) {
        let Some((kind, rest)) = command.split_first() else {
            continue;
        };
        let (first, second) = match rest.iter().position(|byte| *byte == BETWEEN_PARTS) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let body = second.unwrap_or_default();
        match kind {
            b'R' => node.append(first, second).await,
            b'G' => drop(node.ask(Method::GET, first, &[]).await),
            b'D' => drop(node.ask(Method::DELETE, first, &[]).await),
            b'P' => drop(node.ask(Method::POST, first, body).await),
            b'U' => drop(node.ask(Method::PUT, first, body).await),
            b'O' => node.open_anew().await,
            _ => {}
        }
    }
    node.is_what_the_topic_says().await;
    node
}

/// A registry, the log it is on, and its interface without a socket.
struct Node {
    log: MemoryLog,
    topic: TopicPartition,
    registry: Registry,
    service: TowerToHyperService<Router>,
}

impl Node {
    async fn start() -> Self {
        let log = MemoryLog::new(clock());
        let topic = TopicName::new(DEFAULT_TOPIC).expect("the name is valid");
        let created = log.create_topic(NewTopic {
            name: topic.clone(),
            partitions: 1,
            config: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        });
        created.await.expect("the log is empty");
        let registry = open(&log).await;
        Self {
            log,
            topic: TopicPartition::new(topic, 0),
            service: TowerToHyperService::new(router(registry.clone())),
            registry,
        }
    }

    async fn append(&self, key: &[u8], value: Option<&[u8]>) {
        let record = Record {
            timestamp: Timestamp(5),
            key: (!key.is_empty()).then(|| Bytes::copy_from_slice(key)),
            value: value.map(Bytes::copy_from_slice),
            ..Record::default()
        };
        // a record without a key is refused, as by every compacted topic
        drop(self.log.append(&self.topic, vec![record]).await);
    }

    async fn open_anew(&mut self) {
        self.registry.close().await;
        self.registry = open(&self.log).await;
        self.service = TowerToHyperService::new(router(self.registry.clone()));
    }

    /// `None`: the path is none.
    async fn ask(&self, method: Method, path: &[u8], body: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/vnd.schemaregistry.v1+json")
            .body(Body::from(body.to_vec()))
            .ok()?;
        let answer = self.service.call(request).await.expect("it cannot fail");
        let (parts, body) = answer.into_parts();
        let mut chunks = body.into_data_stream();
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            whole.extend_from_slice(&chunk.expect("the answer is whole"));
        }
        // 500: the registry itself is to blame; a log that takes no record is none of that
        assert_ne!(
            parts.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{}: {}",
            String::from_utf8_lossy(path),
            String::from_utf8_lossy(&whole)
        );
        Some((parts.status, whole))
    }

    async fn is_what_the_topic_says(&mut self) {
        self.registry
            .refresh()
            .await
            .expect("a log in memory does not fail");
        let before = self.everything().await;
        self.open_anew().await;
        let after = self.everything().await;
        for ((before, after), path) in before.iter().zip(&after).zip(EVERYTHING) {
            assert_eq!(
                before, after,
                "{path}: another registry on the same topic answers otherwise"
            );
        }
    }

    async fn everything(&self) -> Vec<(StatusCode, String)> {
        let mut answers = Vec::new();
        for path in EVERYTHING {
            let answer = self.ask(Method::GET, path.as_bytes(), &[]).await;
            let (status, text) = answer.expect("the path is one");
            answers.push((status, String::from_utf8_lossy(&text).into_owned()));
        }
        answers
    }

    /// As commands.
    async fn records(&self) -> Vec<u8> {
        let fetch = Fetch {
            partition: self.topic.clone(),
            offset: Offset(0),
            max_bytes: usize::MAX,
            max_wait: Duration::ZERO,
            isolation: Isolation::ReadCommitted,
        };
        let records = self.log.fetch(fetch).await.expect("the topic is there").records;
        let mut commands = Vec::new();
        for record in records {
            commands.push(BETWEEN_COMMANDS);
            commands.push(b'R');
            commands.extend_from_slice(record.key.as_deref().unwrap_or_default());
            if let Some(value) = record.value {
                commands.push(BETWEEN_PARTS);
                commands.extend_from_slice(&value);
            }
        }
        commands
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(1_000)))
}

async fn open(log: &MemoryLog) -> Registry {
    let opened = Registry::open(Arc::new(log.clone()), RegistrySettings::new(clock()));
    opened.await.expect("the topic is one that can be used")
}

/// Conversations, and the topics that they leave.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = CONVERSATIONS.iter().map(|lines| conversation(lines)).collect();
    seeds.push(conversation(FOREIGN));
    let topics: Vec<Vec<u8>> = seeds
        .iter()
        .map(|seed| in_virtual_time(async { perform(seed).await.records().await }))
        .collect();
    seeds.extend(topics);
    seeds
}

/// Lines with a blank between their parts, which JSON without blanks has nowhere else.
fn conversation(lines: &[&str]) -> Vec<u8> {
    let commands = lines.iter().flat_map(|line| {
        let (first, second) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = vec![BETWEEN_COMMANDS];
        command.extend_from_slice(first.as_bytes());
        if !second.is_empty() {
            command.push(BETWEEN_PARTS);
            command.extend_from_slice(second.as_bytes());
        }
        command
    });
    commands.collect()
}

const CONVERSATIONS: &[&[&str]] = &[
    &[
        r#"P/subjects/s/versions {"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"}"#,
        r#"P/subjects/s/versions {"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},{\"name\":\"b\",\"type\":\"string\",\"default\":\"\"}]}"}"#,
        r#"P/subjects/s/versions {"schema":"\"int\""}"#,
        r#"P/subjects/s?normalize=true {"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"int\"}}]}"}"#,
        r#"P/compatibility/subjects/s/versions?verbose=true {"schema":"\"string\""}"#,
        r#"P/compatibility/subjects/s/versions/latest {"schema":"\"string\""}"#,
        "G/schemas/ids/1?subject=s",
        "G/subjects/s/versions/-1",
        "D/subjects/s/versions/1",
        "D/subjects/s/versions/1?permanent=true",
        "O",
        "D/subjects/s",
        "G/subjects/s/versions?deleted=true",
        "D/subjects/s?permanent=true",
    ],
    &[
        r#"U/config {"compatibility":"FULL_TRANSITIVE"}"#,
        r#"U/config/s {"compatibility":"NONE","alias":"t","normalize":true,"defaultMetadata":{"properties":{"k":"v"}},"overrideRuleSet":{"domainRules":[{"name":"n","kind":"CONDITION","mode":"WRITE","type":"CEL"}]}}"#,
        r#"P/subjects/t/versions {"schema":"\"int\"","metadata":{"properties":{"owner":"x"},"tags":{"**":["PII"]}},"ruleSet":{"domainRules":[{"name":"a","kind":"TRANSFORM","mode":"WRITEREAD","type":"ENCRYPT","tags":["PII"]}]}}"#,
        r#"P/subjects/s/versions {"schema":"\"int\""}"#,
        "G/subjects/s/metadata?key=owner&value=x",
        "D/config/s",
        r#"U/mode/s {"mode":"IMPORT"}"#,
        r#"P/subjects/s/versions {"schema":"\"long\"","id":77,"version":9}"#,
        r#"U/mode {"mode":"READONLY"}"#,
        r#"P/subjects/u/versions {"schema":"\"long\""}"#,
        "D/mode?recursive=true",
        "G/mode/s?defaultToGlobal=true",
    ],
    &[
        r#"P/subjects/%3A.c%3As/versions {"schema":"{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"n\",\"fields\":[]}"}"#,
        r#"P/subjects/%3A.c%3At/versions {"schema":"{\"type\":\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"a\",\"type\":\"n.A\"}]}","references":[{"name":"n.A","subject":"s","version":1}]}"#,
        "G/subjects/%3A.c%3As/versions/1/referencedby",
        "D/subjects/%3A.c%3As/versions/1",
        r#"P/subjects/%3A.c%3As/versions/latest/tags {"newVersion":2,"tagsToAdd":[{"schemaEntity":{"entityPath":"n.A","entityType":"sr_record"},"tags":["X"]}]}"#,
        "G/contexts/.c/subjects",
        "G/schemas/ids/1?subject=%3A.c%3A&format=resolved&findTags=*",
        "D/contexts/.c",
        "G/contexts",
    ],
];

/// Records as Confluent's registry writes them, and some that it would not.
const FOREIGN: &[&str] = &[
    r#"R{"keytype":"NOOP","magic":0}"#,
    r#"R{"keytype":"SCHEMA","subject":"s","version":1,"magic":1} {"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":false}"#,
    r#"R{"keytype":"SCHEMA","subject":"s","version":3,"magic":1} {"subject":"s","version":3,"id":2147483647,"schema":"\"long\"","deleted":true}"#,
    r#"R{"keytype":"SCHEMA","subject":"j","version":1,"magic":1} {"subject":"j","version":1,"id":1,"schemaType":"JSON","schema":"{}","deleted":false}"#,
    r#"R{"keytype":"SCHEMA","subject":":.c:x","version":1,"magic":1} {"subject":":.c:x","version":1,"id":1,"schema":"\"bytes\"","references":[{"name":"N","subject":"s","version":1}],"deleted":false}"#,
    r#"R{"keytype":"CONFIG","subject":null,"magic":0} {"compatibilityLevel":"FORWARD"}"#,
    r#"R{"keytype":"MODE","subject":"s","magic":0} {"mode":"READONLY_OVERRIDE"}"#,
    r#"R{"keytype":"DELETE_SUBJECT","subject":"j","magic":0} {"subject":"j","version":1}"#,
    r#"R{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0} {"subject":"s"}"#,
    r#"R{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0} {"tenant":"default","context":".c"}"#,
    r#"R{"keytype":"FUTURE","magic":7} {"a":1}"#,
    r#"R{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
    "P/subjects/s/versions {\"schema\":\"\\\"double\\\"\"}",
    "O",
];
