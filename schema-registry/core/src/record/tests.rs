//! Records as they lie in the topics of real registries: captured from Confluent's documentation, tests and users'
//! dumps, and from Karapace.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::model::{Body, Config, Guid, Level, Metadata, Mode, Reference};

/// Reads a record, compares, and writes the same bytes again.
fn check(key: &str, value: Option<&str>, expected_key: &Key, expected: Option<&Value<'_>>) {
    let decoded = Key::decode(key.as_bytes()).unwrap_or_else(|error| panic!("{key}: {error}"));
    assert_eq!(decoded, *expected_key, "{key}");
    assert_eq!(String::from_utf8(decoded.encode()).unwrap(), key);
    let read = value.map(|value| {
        let read =
            Value::decode(&decoded, value.as_bytes()).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(String::from_utf8(read.encode()).unwrap(), value);
        read
    });
    assert_eq!(read.as_ref(), expected, "{key}");
}

fn schema<'a>(subject: &'a str, version: i32, id: i32, text: &str, deleted: bool) -> Value<'a> {
    Value::Schema(SchemaValue {
        subject: subject.into(),
        version,
        id,
        body: Cow::Owned(Body::new(None, Vec::new(), None, None, text)),
        deleted,
        created: None,
    })
}

#[test]
fn a_schema_is_read_and_written_as_confluent_does() {
    check(
        r#"{"keytype":"SCHEMA","subject":"Kafka-key","version":1,"magic":1}"#,
        Some(r#"{"subject":"Kafka-key","version":1,"id":1,"schema":"\"string\"","deleted":false}"#),
        &Key::schema("Kafka-key", 1),
        Some(&schema("Kafka-key", 1, 1, "\"string\"", false)),
    );
    check(
        r#"{"keytype":"SCHEMA","subject":"test","version":2,"magic":1}"#,
        Some(
            r#"{"subject":"test","version":2,"id":7,"schema":"{\"type\":\"record\",\"name\":\"myrecord\",\"fields\":[{\"name\":\"f1067572235\",\"type\":\"string\"}]}","deleted":true}"#,
        ),
        &Key::schema("test", 2),
        Some(&schema(
            "test",
            2,
            7,
            r#"{"type":"record","name":"myrecord","fields":[{"name":"f1067572235","type":"string"}]}"#,
            true,
        )),
    );
}

#[test]
fn references_metadata_rules_and_the_type_have_their_place() {
    let value = r#"{"subject":"test","version":1,"id":9,"schemaType":"PROTOBUF","references":[{"name":"other.proto","subject":"other","version":1}],"metadata":{"tags":{"**.ssn":["PII"]},"properties":{"owner":"me"},"sensitive":["owner"]},"ruleSet":{"domainRules":[{"name":"r","kind":"TRANSFORM","mode":"WRITEREAD","type":"ENCRYPT","disabled":false}]},"schema":"syntax = \"proto3\";","deleted":false}"#;
    let key = Key::schema("test", 1);
    let Value::Schema(schema) = Value::decode(&key, value.as_bytes()).unwrap() else {
        panic!("a schema");
    };
    assert_eq!(schema.body.type_name(), "PROTOBUF");
    assert_eq!(
        *schema.body.references,
        [Reference {
            name: "other.proto".into(),
            subject: "other".into(),
            version: 1
        }]
    );
    let metadata = schema.body.metadata.as_deref().unwrap();
    assert_eq!(metadata.properties["owner"], "me");
    assert_eq!(schema.body.rule_set.as_ref().unwrap().domain_rules.len(), 1);
    assert_eq!(String::from_utf8(Value::Schema(schema).encode()).unwrap(), value);
}

#[test]
fn what_older_registries_wrote_is_read() {
    // Before soft deletes: magic 0 and no flag.
    let key = Key::decode(br#"{"keytype":"SCHEMA","subject":"test","version":1,"magic":0}"#).unwrap();
    assert_eq!(key, Key::schema("test", 1));
    let value = br#"{"subject":"test","version":1,"id":1,"schema":"\"int\""}"#;
    assert_eq!(
        Value::decode(&key, value).unwrap(),
        schema("test", 1, 1, "\"int\"", false)
    );
    // The type of Avro spelled out, empty references, members that nobody here knows.
    let value = br#"{"subject":"test","version":1,"id":1,"schemaType":"AVRO","references":null,"schema":"\"int\"","deleted":false,"offset":3,"ts":4}"#;
    assert_eq!(
        Value::decode(&key, value).unwrap(),
        schema("test", 1, 1, "\"int\"", false)
    );
    // Global settings with a subject of null, as Karapace still writes them.
    let key = Key::decode(br#"{"keytype":"CONFIG","subject":null,"magic":0}"#).unwrap();
    assert_eq!(key, Key::Config { subject: None });
    let config = Value::decode(&key, br#"{"compatibilityLevel":"BACKWARD"}"#).unwrap();
    assert_eq!(
        config,
        Value::Config {
            subject: None,
            config: Cow::Owned(Config::of_level(Level::Backward))
        }
    );
}

#[test]
fn settings_are_read_and_written_as_confluent_does() {
    check(
        r#"{"keytype":"CONFIG","subject":"Car","magic":0}"#,
        Some(
            r#"{"subject":"Car","alias":"Auto","normalize":true,"compatibilityLevel":"FULL","compatibilityGroup":"major","defaultMetadata":{"properties":{"a":"b"}}}"#,
        ),
        &Key::Config {
            subject: Some("Car".into()),
        },
        Some(&Value::Config {
            subject: Some("Car".into()),
            config: Cow::Owned(Config {
                alias: Some("Auto".into()),
                normalize: Some(true),
                compatibility_group: Some("major".into()),
                default_metadata: Some(Metadata {
                    properties: [("a".to_owned(), "b".to_owned())].into(),
                    ..Metadata::default()
                }),
                ..Config::of_level(Level::Full)
            }),
        }),
    );
    check(
        r#"{"keytype":"CONFIG","magic":0}"#,
        Some(r#"{"compatibilityLevel":"NONE"}"#),
        &Key::Config { subject: None },
        Some(&Value::Config {
            subject: None,
            config: Cow::Owned(Config::of_level(Level::None)),
        }),
    );
    check(
        r#"{"keytype":"MODE","subject":":.staging:","magic":0}"#,
        Some(r#"{"subject":":.staging:","mode":"IMPORT"}"#),
        &Key::Mode {
            subject: Some(":.staging:".into()),
        },
        Some(&Value::Mode {
            subject: Some(":.staging:".into()),
            mode: Mode::Import,
        }),
    );
}

#[test]
fn deletions_contexts_and_noops_are_read_and_written_as_confluent_does() {
    check(
        r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
        Some(r#"{"subject":"s","version":3}"#),
        &Key::DeleteSubject { subject: "s".into() },
        Some(&Value::DeleteSubject {
            subject: "s".into(),
            version: 3,
        }),
    );
    check(
        r#"{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}"#,
        Some(r#"{"subject":"s"}"#),
        &Key::ClearSubject {
            subject: Some("s".into()),
        },
        Some(&Value::ClearSubject {
            subject: Some("s".into()),
        }),
    );
    check(
        r#"{"keytype":"CONTEXT","tenant":"default","context":".staging","magic":0}"#,
        Some(r#"{"tenant":"default","context":".staging"}"#),
        &Key::Context {
            tenant: "default".into(),
            context: ".staging".into(),
        },
        Some(&Value::Context {
            tenant: "default".into(),
            context: ".staging".into(),
        }),
    );
    check(r#"{"keytype":"NOOP","magic":0}"#, None, &Key::Noop, None);
    check(
        r#"{"keytype":"NOOP","context":".","magic":0}"#,
        Some(r#"{"maxId":12}"#),
        &Key::Ids { context: ".".into() },
        Some(&Value::Ids {
            context: ".".into(),
            max_id: 12,
        }),
    );
}

#[test]
fn an_md5_that_was_written_down_is_the_identity() {
    let key = Key::schema("s", 1);
    let value = r#"{"subject":"s","version":1,"id":1,"md5":"AAECAwQFBgcICQoLDA0ODw==","schema":"\"int\"","deleted":false}"#;
    let read = Value::decode(&key, value.as_bytes()).unwrap();
    let Value::Schema(schema) = &read else {
        panic!("a schema")
    };
    assert_eq!(
        schema.body.guid,
        Guid::from_bytes(std::array::from_fn(|n| n as u8))
    );
    assert_eq!(String::from_utf8(read.encode()).unwrap(), value);
}

#[test]
fn nonsense_is_an_error_and_the_unknown_is_left_alone() {
    for key in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keytype":"SCHEMA","subject":"s","magic":1}"#,
        r#"{"keytype":7}"#,
        "\u{0}",
    ] {
        assert!(Key::decode(key.as_bytes()).is_err(), "{key}");
    }
    assert_eq!(
        Key::decode(br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":2}"#),
        Err(InvalidRecord::Magic(2))
    );
    let other = Key::decode(br#"{"keytype":"ASSOCIATION","tenant":"default","magic":0}"#).unwrap();
    assert_eq!(Value::decode(&other, b"anything").unwrap(), Value::Other);
    let key = Key::schema("s", 1);
    for value in [
        "",
        "null",
        "{}",
        r#"{"subject":"s","version":1,"id":-2,"schema":"x"}"#,
        r#"{"subject":"s","version":"1","id":1,"schema":"x"}"#,
    ] {
        assert!(Value::decode(&key, value.as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn an_origin_is_two_numbers() {
    let origin = Origin {
        write: 0x0123_4567_89ab_cdef,
        after: 1,
    };
    assert_eq!(origin.to_string(), "0123456789abcdef-0000000000000001");
    assert_eq!(Origin::parse(origin.to_string().as_bytes()), Some(origin));
    for wrong in [
        "",
        "1-2",
        "0123456789abcdef",
        "0123456789abcdeg-0000000000000001",
        "+123456789abcdef-0000000000000001",
    ] {
        assert_eq!(Origin::parse(wrong.as_bytes()), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn every_schema_record_comes_back(
        subject in ".{0,20}",
        text in ".{1,60}",
        version in 1..i32::MAX,
        id in 0..i32::MAX,
        deleted: bool,
        reference in proptest::option::of((".{0,9}", ".{0,9}", -1..9)),
    ) {
        let references = reference.into_iter().map(|(name, subject, version)| Reference { name, subject, version });
        let body = Body::new(None, references.collect(), None, None, &text);
        let key = Key::schema(&subject, version);
        let value = Value::Schema(SchemaValue {
            subject: subject.into(),
            version,
            id,
            body: Cow::Owned(body),
            deleted,
            created: None,
        });
        prop_assert_eq!(Key::decode(&key.encode()).unwrap(), key.clone());
        prop_assert_eq!(Value::decode(&key, &value.encode()).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(key: Vec<u8>, value: Vec<u8>) {
        if let Ok(key) = Key::decode(&key) {
            let _ = Value::decode(&key, &value);
        }
        let _ = Value::decode(&Key::schema("s", 1), &value);
        let _ = Origin::parse(&value);
    }
}
