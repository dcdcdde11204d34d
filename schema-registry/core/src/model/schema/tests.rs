//! GUIDs as Confluent makes them. The values are those that its own regression test expects
//! (`schema-md5-golden-data.json`).

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::{Rule, RuleKind, RuleMode};

const PERSON: &str = r#"{"type":"record","name":"Person","namespace":"io.confluent.kafka.example","fields":[{"name":"name","type":"string"},{"name":"age","type":"int"},{"name":"ssn","type":"string"},{"name":"user","type":"io.confluent.kafka.example.User"},{"name":"address","type":"io.confluent.kafka.example.Address"}]}"#;

fn references() -> Vec<Reference> {
    let reference = |name: &str, version| Reference {
        name: format!("io.confluent.kafka.example.{name}"),
        subject: name.to_owned(),
        version,
    };
    vec![reference("User", 1), reference("Address", 2)]
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn metadata() -> Metadata {
    let properties = [
        ("owner", "data-team"),
        ("description", "Person schema for user management"),
        ("version", "1.0.0"),
    ];
    Metadata {
        tags: BTreeMap::from([
            ("environment".to_owned(), texts(&["production", "staging"])),
            ("team".to_owned(), texts(&["data-engineering"])),
        ]),
        properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        sensitive: texts(&["ssn", "credit-card"]),
    }
}

fn rule(
    name: &str,
    doc: &str,
    kind: RuleKind,
    mode: RuleMode,
    kind_of_rule: &str,
    field: &str,
    expr: &str,
) -> Rule {
    Rule {
        name: Some(name.to_owned()),
        doc: Some(doc.to_owned()),
        kind,
        mode,
        kind_of_rule: Some(kind_of_rule.to_owned()),
        tags: texts(&["PERSON"]),
        params: BTreeMap::from([("field".to_owned(), field.to_owned())]),
        expr: Some(expr.to_owned()),
        on_success: Some("none".to_owned()),
        on_failure: Some("error".to_owned()),
        disabled: false,
    }
}

fn rules() -> RuleSet {
    use RuleKind::{Condition, Transform};
    RuleSet {
        migration_rules: vec![
            rule(
                "upgrade-rule-1",
                "Upgrade rule for field changes",
                Transform,
                RuleMode::Upgrade,
                "FIELD_UPDATE",
                "name",
                "field.name = field.name.toUpperCase()",
            ),
            rule(
                "downgrade-rule-1",
                "Downgrade rule for compatibility",
                Transform,
                RuleMode::Downgrade,
                "FIELD_DELETE",
                "ssn",
                "delete field.ssn",
            ),
        ],
        domain_rules: vec![
            rule(
                "validation-rule-1",
                "Validate age field",
                Condition,
                RuleMode::Write,
                "FIELD_VALIDATION",
                "age",
                "field.age >= 0 && field.age <= 150",
            ),
            rule(
                "masking-rule-1",
                "Mask sensitive data on read",
                Transform,
                RuleMode::Read,
                "DATA_MASKING",
                "ssn",
                "field.ssn = '***-**-****'",
            ),
        ],
        ..RuleSet::default()
    }
}

#[test]
fn guids_are_those_of_confluent() {
    let expected = [
        "d629bb05-ad85-3d20-fbcb-895de3c459f7",
        "c0708b8f-65f6-b698-bffe-45c1dfa8987c",
        "2034166c-90a8-1166-0ff2-f5f62c80dbe0",
        "d9877161-cfdf-d8c5-4eb4-ab37ed50e9d5",
        "5c08d70e-5347-41b2-6369-199425d044eb",
        "96825311-eb10-b7f5-48be-2a023b4c018e",
        "3619d8e0-2ee8-de51-0d9e-2520d39174d5",
        "589556fb-ad98-e8e0-94fa-e6da3455433a",
    ];
    for (n, expected) in expected.into_iter().enumerate() {
        let body = Body::new(
            Some(AVRO),
            if n & 4 == 0 { Vec::new() } else { references() },
            (n & 2 != 0).then(metadata),
            (n & 1 != 0).then(rules),
            PERSON,
        );
        assert_eq!(body.guid.to_string(), expected, "combination {n:03b}");
        assert_eq!(Guid::parse(expected), Some(body.guid));
        assert!(body.is_avro());
    }
}

#[test]
fn a_guid_is_read_with_and_without_hyphens_and_nothing_else() {
    let guid = Guid::parse("d629bb05-ad85-3d20-fbcb-895de3c459f7");
    assert!(guid.is_some());
    assert_eq!(Guid::parse("d629bb05ad853d20fbcb895de3c459f7"), guid);
    assert_eq!(Guid::parse("nonsense"), None);
}
