//! Records held against the schemas of a registry when they are appended.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use millstream_broker_server::SchemaSource;
use millstream_protocol::{
    ErrorCode,
    batch::{BatchBuilder, Compression, split},
    messages::{
        IncrementalAlterConfigsRequest, StrBytes,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
        produce_response::PartitionProduceResponse,
    },
};
use millstream_schema_registry_avro::{
    Schema, Strictness,
    wire::{self, SchemaRef},
};
use millstream_types::{Header, Producer, ProducerEpoch, ProducerId, Record, SchemaId, Timestamp};

use crate::{
    Server,
    client::Client,
    records::{fetch, produce},
};

const ORDER: SchemaId = SchemaId(1);
const ORDER_TEXT: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"buyer","type":"string"}]}"#;
const NUMBER: SchemaId = SchemaId(2);
const NUMBER_TEXT: &str = r#""long""#;
/// What the registry has, and cannot read.
const BROKEN: SchemaId = SchemaId(3);
const ORDER_GUID: [u8; 16] = [7; 16];

/// Order 5 of "bo".
const ORDER_DATA: &[u8] = &[10, 4, b'b', b'o'];
const NO_UTF8: &[u8] = &[10, 4, 0xff, 0xff];

const TOPIC_NAME: &str = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
const RECORD_NAME: &str = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
const TOPIC_RECORD_NAME: &str = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy";

#[derive(Debug)]
struct Schemas {
    texts: HashMap<SchemaId, &'static str>,
    registered: Mutex<HashSet<(String, SchemaId)>>,
    is_behind: AtomicBool,
    generation: AtomicU64,
}

impl Schemas {
    fn new(registered: &[(&str, SchemaId)]) -> Arc<Self> {
        let registered = registered
            .iter()
            .map(|(subject, id)| ((*subject).to_owned(), *id));
        Arc::new(Self {
            texts: HashMap::from([(ORDER, ORDER_TEXT), (NUMBER, NUMBER_TEXT), (BROKEN, "{")]),
            registered: Mutex::new(registered.collect()),
            is_behind: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        })
    }

    fn register(&self, subject: &str, id: SchemaId) {
        self.registered.lock().unwrap().insert((subject.to_owned(), id));
    }

    fn delete(&self, subject: &str, id: SchemaId) {
        assert!(self.registered.lock().unwrap().remove(&(subject.to_owned(), id)));
    }
}

impl SchemaSource for Schemas {
    fn is_current(&self) -> Result<(), String> {
        if self.is_behind.load(Ordering::Relaxed) {
            return Err("it is behind".into());
        }
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// From the second generation on each id is of text.
    fn schema(&self, id: SchemaId) -> Result<Option<Schema>, String> {
        let text = match self.generation() {
            0 => self.texts.get(&id).copied(),
            _ => Some("\"string\""),
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let parsed = Schema::parse(text, &[], Strictness::Stored);
        parsed.map(Some).map_err(|error| error.to_string())
    }

    fn id_of(&self, guid: [u8; 16]) -> Option<SchemaId> {
        (guid == ORDER_GUID).then_some(ORDER)
    }

    fn is_registered(&self, subject: &str, id: SchemaId) -> bool {
        self.registered
            .lock()
            .unwrap()
            .contains(&(subject.to_owned(), id))
    }
}

async fn server(registered: &[(&str, SchemaId)]) -> (Server, Client, Arc<Schemas>) {
    let server = Server::start().await;
    let schemas = Schemas::new(registered);
    server.broker.check_schemas_with(schemas.clone());
    let client = server.client().await;
    (server, client, schemas)
}

fn framed(id: SchemaId, data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    wire::frame(id, &mut payload);
    payload.extend_from_slice(data);
    payload
}

fn batch(values: &[Option<&[u8]>], codec: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(codec);
    for value in values {
        batch.push_parts(Timestamp(1_000), Some(b"k"), *value, &[]);
    }
    batch.build().unwrap()
}

async fn append(client: &mut Client, topic: &str, batch: Bytes) -> PartitionProduceResponse {
    let answer = client.ask(&produce(topic, 0, batch), 9).await;
    answer.responses[0].partition_responses[0].clone()
}

/// Index and reason of every record that was refused.
fn refused(answer: &PartitionProduceResponse) -> Vec<(i32, String)> {
    let expected = if answer.record_errors.is_empty() {
        ErrorCode::None
    } else {
        ErrorCode::InvalidRecord
    };
    assert_eq!(
        ErrorCode::from_code(answer.error_code),
        Some(expected),
        "{answer:?}"
    );
    let errors = answer.record_errors.iter();
    errors
        .map(|error| {
            let reason = error.batch_index_error_message.as_ref().unwrap();
            (error.batch_index, reason.to_string())
        })
        .collect()
}

fn told(errors: &[(i32, &str)]) -> Vec<(i32, String)> {
    let errors = errors
        .iter()
        .map(|(index, reason)| (*index, (*reason).to_owned()));
    errors.collect()
}

async fn read(client: &mut Client, topic: &str) -> Vec<Record> {
    let answer = client.ask(&fetch(topic, 0, 0, 0), 12).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let batches = split(partition.records.clone().unwrap_or_default());
    batches
        .flat_map(|batch| batch.unwrap().records().unwrap())
        .collect()
}

#[tokio::test]
async fn a_value_must_name_a_schema_of_its_subject() {
    let (_server, mut client, _) =
        server(&[("t-value", ORDER), ("other-value", NUMBER), ("t-value", BROKEN)]).await;
    client
        .create_topic_with("t", 1, &[("confluent.value.schema.validation", "true")])
        .await;
    let good = framed(ORDER, ORDER_DATA);
    let not_looked_at = framed(ORDER, b"anything");
    let elsewhere = framed(NUMBER, &[10]);
    let unknown = framed(SchemaId(99), ORDER_DATA);
    let broken = framed(BROKEN, ORDER_DATA);
    for codec in Compression::ALL {
        let values: [Option<&[u8]>; 10] = [
            Some(&good),
            Some(b"{\"id\": 5}"),
            None,
            Some(&elsewhere),
            Some(&unknown),
            Some(b""),
            Some(&[0, 0, 0, 1]),
            Some(&not_looked_at),
            Some(&broken),
            Some(&unknown),
        ];
        let answer = append(&mut client, "t", batch(&values, codec)).await;
        let expected = told(&[
            (1, "its value: unknown magic byte 123"),
            (3, "its value: schema 2 is not registered under subject 't-value'"),
            (4, "its value: there is no schema 99"),
            (
                5,
                "its value: the payload has 0 bytes, too short for a magic byte and a schema id",
            ),
            (
                6,
                "its value: the payload has 4 bytes, too short for a magic byte and a schema id",
            ),
            (9, "its value: there is no schema 99"),
        ]);
        assert_eq!(refused(&answer), expected, "{codec}");
    }
    assert!(read(&mut client, "t").await.is_empty());
    let whole = [Some(&good[..]), None, Some(&not_looked_at)];
    let answer = append(&mut client, "t", batch(&whole, Compression::Zstd)).await;
    assert_eq!((refused(&answer), answer.base_offset), (vec![], 0));
}

#[tokio::test]
async fn a_body_must_be_what_its_schema_says() {
    let (_server, mut client, _) =
        server(&[("t-value", ORDER), ("t-value", BROKEN), ("t-key", NUMBER)]).await;
    let configs = [
        ("millstream.value.schema.validation", "body"),
        ("millstream.key.schema.validation", "body"),
    ];
    client.create_topic_with("t", 1, &configs).await;
    let key = framed(NUMBER, &[10]);
    let datums: [&[u8]; 6] = [
        ORDER_DATA,
        &ORDER_DATA[..3],
        NO_UTF8,
        &[ORDER_DATA, &[0]].concat(),
        &[10, 3],
        &[],
    ];
    let mut builder = BatchBuilder::new(Compression::Snappy);
    for data in datums {
        builder.push_parts(Timestamp(1_000), Some(&key), Some(&framed(ORDER, data)), &[]);
    }
    let no_number = framed(NUMBER, &[0x80]);
    let good = framed(ORDER, ORDER_DATA);
    builder.push_parts(Timestamp(1_000), Some(&no_number), Some(&good), &[]);
    builder.push_parts(Timestamp(1_000), None, Some(&good), &[]);
    builder.push_parts(Timestamp(1_000), None, Some(&framed(BROKEN, ORDER_DATA)), &[]);
    let answer = append(&mut client, "t", builder.build().unwrap()).await;
    let errors = refused(&answer);
    let indexes: Vec<_> = errors.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 8]);
    for (index, reason) in &errors[..5] {
        let start = "its value: it is not what schema 1 says: ";
        assert!(reason.starts_with(start), "{index}: {reason}");
    }
    assert!(
        errors[1].1.contains("buyer"),
        "the field is named: {}",
        errors[1].1
    );
    assert!(
        errors[5].1.starts_with("its key: it is not what schema 2 says: "),
        "{errors:?}"
    );
    assert!(
        errors[6].1.starts_with("its value: schema 3 cannot be read: "),
        "{errors:?}"
    );

    let mut builder = BatchBuilder::new(Compression::Gzip);
    builder.push_parts(Timestamp(1_000), Some(&key), Some(&good), &[]);
    builder.push_parts(Timestamp(1_000), Some(&key), None, &[]);
    assert_eq!(
        refused(&append(&mut client, "t", builder.build().unwrap()).await),
        []
    );
}

#[tokio::test]
async fn subjects_are_named_by_topic_by_record_or_by_both() {
    let (_server, mut client, _) = server(&[
        ("topic-value", NUMBER),
        ("topic-value", ORDER),
        ("shop.Order", ORDER),
        ("both-shop.Order", ORDER),
    ])
    .await;
    for (topic, strategy) in [
        ("topic", TOPIC_NAME),
        ("record", RECORD_NAME),
        ("both", TOPIC_RECORD_NAME),
    ] {
        let configs = [
            ("confluent.value.schema.validation", "true"),
            ("confluent.value.subject.name.strategy", strategy),
        ];
        client.create_topic_with(topic, 1, &configs).await;
    }
    client
        .create_topic_with(
            "lonely",
            1,
            &[
                ("confluent.value.schema.validation", "true"),
                ("confluent.value.subject.name.strategy", TOPIC_RECORD_NAME),
            ],
        )
        .await;
    let nameless = "its value: schema 2 is of no named type, so it names no subject";
    for (topic, id, reason) in [
        ("topic", ORDER, None),
        ("topic", NUMBER, None),
        ("record", ORDER, None),
        ("record", NUMBER, Some(nameless)),
        ("both", ORDER, None),
        ("both", NUMBER, Some(nameless)),
        (
            "lonely",
            ORDER,
            Some("its value: schema 1 is not registered under subject 'lonely-shop.Order'"),
        ),
    ] {
        let payload = framed(id, &[]);
        let answer = append(&mut client, topic, batch(&[Some(&payload)], Compression::None)).await;
        let expected: Vec<_> = reason.map(|reason| (0, reason.to_owned())).into_iter().collect();
        assert_eq!(refused(&answer), expected, "{topic} {id}");
    }
}

#[tokio::test]
async fn a_schema_may_be_named_in_a_header() {
    let (_server, mut client, _) = server(&[("t-value", ORDER)]).await;
    client
        .create_topic_with("t", 1, &[("millstream.value.schema.validation", "body")])
        .await;
    let headers = [
        wire::header(SchemaRef::Id(ORDER)),
        wire::header(SchemaRef::Guid(ORDER_GUID)),
        wire::header(SchemaRef::Guid([8; 16])),
        vec![1, 2],
        wire::header(SchemaRef::Id(NUMBER)),
    ];
    let mut builder = BatchBuilder::new(Compression::Lz4);
    for header in &headers {
        let header = Header::new(wire::VALUE_HEADER, header.clone());
        builder.push_parts(Timestamp(1_000), None, Some(ORDER_DATA), &[header]);
    }
    let answer = append(&mut client, "t", builder.build().unwrap()).await;
    let expected = told(&[
        (2, "its value: no schema has the GUID in its header"),
        (3, "its value: a header of 2 bytes names no schema"),
        (4, "its value: schema 2 is not registered under subject 't-value'"),
    ]);
    assert_eq!(refused(&answer), expected);
}

#[tokio::test]
async fn what_changes_in_the_registry_or_the_topic_counts_from_then_on() {
    let (_server, mut client, schemas) = server(&[("t-value", ORDER)]).await;
    client
        .create_topic_with("t", 1, &[("confluent.value.schema.validation", "true")])
        .await;
    let good = framed(ORDER, ORDER_DATA);
    let good = batch(&[Some(&good)], Compression::None);
    assert_eq!(refused(&append(&mut client, "t", good.clone()).await), []);
    schemas.delete("t-value", ORDER);
    assert_eq!(refused(&append(&mut client, "t", good.clone()).await).len(), 1);

    let set = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("confluent.value.schema.validation"))
        .with_value(Some(StrBytes::from_static_str("false")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_configs(vec![set]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = client.ask(&request, 1).await;
    assert_eq!(answer.responses[0].error_code, 0);
    assert_eq!(refused(&append(&mut client, "t", good).await), []);
}

#[tokio::test]
async fn ids_of_a_registry_that_was_made_anew_are_looked_up_again() {
    let (_server, mut client, schemas) = server(&[("t-value", ORDER)]).await;
    client
        .create_topic_with("t", 1, &[("millstream.value.schema.validation", "body")])
        .await;
    let (order, text) = (framed(ORDER, ORDER_DATA), framed(ORDER, &[4, b'b', b'o']));
    let [order, text] = [order, text].map(|value| batch(&[Some(&value)], Compression::None));
    assert_eq!(refused(&append(&mut client, "t", order.clone()).await), []);
    assert_eq!(refused(&append(&mut client, "t", text.clone()).await).len(), 1);
    schemas.generation.store(1, Ordering::Relaxed);
    assert_eq!(refused(&append(&mut client, "t", text).await), []);
    assert_eq!(refused(&append(&mut client, "t", order).await).len(), 1);
}

#[tokio::test]
async fn without_a_registry_a_topic_that_asks_for_one_takes_nothing() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .create_topic_with("t", 1, &[("confluent.value.schema.validation", "true")])
        .await;
    let good = framed(ORDER, ORDER_DATA);
    let answer = append(&mut client, "t", batch(&[Some(&good)], Compression::None)).await;
    not_judged(&answer, "this broker has no registry");
}

/// Nothing is wrong with the records: the producer tries again.
fn not_judged(answer: &PartitionProduceResponse, reason: &str) {
    assert_eq!(answer.error_code, ErrorCode::NotEnoughReplicas.code());
    assert!(answer.record_errors.is_empty());
    let text = answer.error_message.as_deref().unwrap();
    assert_eq!(text, format!("records of 't' cannot be judged now: {reason}"));
}

#[tokio::test]
async fn a_registry_that_is_behind_refuses_nothing_for_good() {
    let (_server, mut client, schemas) = server(&[]).await;
    client
        .create_topic_with("t", 1, &[("confluent.value.schema.validation", "true")])
        .await;
    schemas.is_behind.store(true, Ordering::Relaxed);
    let good = framed(ORDER, ORDER_DATA);
    let good = batch(&[Some(&good)], Compression::None);
    not_judged(&append(&mut client, "t", good.clone()).await, "it is behind");
    schemas.register("t-value", ORDER);
    assert_eq!(
        refused(&append(&mut client, "t", good).await),
        [],
        "what is known is enough"
    );
    schemas.is_behind.store(false, Ordering::Relaxed);
    let bad = batch(&[Some(b"bad")], Compression::None);
    assert_eq!(refused(&append(&mut client, "t", bad).await).len(), 1);
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record
        .header(name)
        .map(|value| std::str::from_utf8(value).unwrap())
}

#[tokio::test]
async fn bad_records_become_dead_letters_with_their_reason() {
    let (_server, mut client, _) = server(&[("t-value", ORDER)]).await;
    let configs = [
        ("millstream.value.schema.validation", "body"),
        ("millstream.schema.on.invalid", "dlq"),
    ];
    client.create_topic_with("t", 2, &configs).await;
    let good = framed(ORDER, ORDER_DATA);
    let bad = framed(ORDER, NO_UTF8);
    let producer = Producer {
        id: ProducerId(9),
        epoch: ProducerEpoch(0),
    };
    let mut builder = BatchBuilder::new(Compression::Zstd).producer(producer, 0);
    for value in [&good[..], b"no schema", &good, &bad] {
        let headers = [Header::new("trace", "42")];
        builder.push_parts(Timestamp(1_000), Some(b"k"), Some(value), &headers);
    }
    let mixed = builder.build().unwrap();
    for _ in 0..2 {
        let answer = append(&mut client, "t", mixed.clone()).await;
        assert_eq!((refused(&answer), answer.base_offset), (vec![], 0));
    }
    let kept = read(&mut client, "t").await;
    let offsets: Vec<_> = kept.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, [0, 2]);
    assert!(kept.iter().all(|record| record.value.as_deref() == Some(&good)));

    let letters = read(&mut client, "t.dlq").await;
    let values: Vec<_> = letters
        .iter()
        .map(|letter| letter.value.as_deref().unwrap())
        .collect();
    assert_eq!(values, [b"no schema", &bad[..]]);
    for letter in &letters {
        assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(letter.timestamp, Timestamp(1_000));
        assert_eq!(header(letter, "trace"), Some("42"));
        assert_eq!(header(letter, "__connect.errors.topic"), Some("t"));
        assert_eq!(header(letter, "__connect.errors.partition"), Some("0"));
        assert_eq!(header(letter, "__connect.errors.stage"), Some("KAFKA_PRODUCE"));
    }
    let reason = |letter| header(letter, "__connect.errors.exception.message").unwrap();
    assert_eq!(reason(&letters[0]), "its value: unknown magic byte 110");
    assert!(reason(&letters[1]).contains("buyer"), "{}", reason(&letters[1]));
}

#[tokio::test]
async fn a_letter_that_is_too_large_leaves_its_value() {
    let (_server, mut client, _) = server(&[]).await;
    let configs = [
        ("confluent.value.schema.validation", "true"),
        ("millstream.schema.on.invalid", "dlq"),
    ];
    client.create_topic_with("t", 1, &configs).await;
    client
        .create_topic_with("t.dlq", 1, &[("max.message.bytes", "1000")])
        .await;
    let large = vec![b'x'; 5_000];
    let values: [Option<&[u8]>; 3] = [Some(&large), Some(b"small"), Some(&large)];
    let answer = append(&mut client, "t", batch(&values, Compression::None)).await;
    assert_eq!(refused(&answer), []);
    let letters = read(&mut client, "t.dlq").await;
    let found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.value.as_deref(), header(letter, "millstream.value.bytes")))
        .collect();
    let emptied = (None, Some("5000"));
    assert_eq!(found, [emptied, (Some(&b"small"[..]), None), emptied]);
}
