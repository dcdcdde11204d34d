//! What holds of every text and every schema.

use millstream_schema_registry_avro::{
    Schema, Strictness,
    compat::{self, FindingKind},
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::generate::{Generator, spell};

/// JSON out of the words of schemas: close enough to one to get past the first check.
fn schema_like() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "name",
        "namespace",
        "fields",
        "items",
        "values",
        "symbols",
        "size",
        "default",
        "order",
        "aliases",
        "doc",
        "record",
        "enum",
        "array",
        "map",
        "fixed",
        "error",
        "int",
        "null",
        "string",
        "logicalType",
        "decimal",
        "precision",
        "A",
        "a.B",
        ".C",
        "",
        "ä",
        "x-y",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let text = |value: Value| value.as_str().map(str::to_owned);
        let kind = prop::sample::select(vec!["record", "enum", "array", "map", "fixed", "long"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner.clone()), 0..6)
                .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            (kind, inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(move |(kind, one, some)| {
                let fields: Vec<_> = some.iter().enumerate().map(|(i, v)| json!({"name": format!("f{i}"), "type": v, "default": one})).collect();
                let name = text(one.clone()).unwrap_or_else(|| "N".into());
                json!({"type": kind, "name": name, "fields": fields, "symbols": some, "items": one, "values": one, "size": 3, "p": one})
            }),
        ]
    })
}

/// What holds of a schema that was read.
fn check_schema(schema: &Schema, references: &[&str], strictness: Strictness) {
    let again = match Schema::parse(schema.text(), references, strictness) {
        // As Java, for a recursive type within a referenced schema is spelled out; what is stored is read all the same.
        Err(error)
            if !references.is_empty()
                && strictness == Strictness::New
                && error.message.starts_with("Can't redefine") =>
        {
            return check_schema(schema, references, Strictness::Stored);
        }
        again => again.unwrap_or_else(|error| panic!("{error} at {}: {}", error.pointer, schema.text())),
    };
    assert_eq!(again.text(), schema.text(), "a text is its own text");
    assert_eq!(
        again.parsing_canonical_form(),
        schema.parsing_canonical_form(),
        "{}",
        schema.text()
    );
    let findings = compat::check(schema, schema);
    assert!(
        findings
            .iter()
            .all(|finding| finding.kind == FindingKind::AmbiguousField),
        "{schema:?} does not read itself: {findings:?}"
    );
    let normalized = schema.normalized().expect("as deep as before");
    assert_eq!(
        normalized.normalized().expect("as deep").text(),
        normalized.text()
    );
    for (id, node) in schema.nodes() {
        assert!(id.index() < schema.len());
        assert!(!node.kind.type_name().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_at_all_makes_the_reader_panic(text in ".{0,200}") {
        let _ = Schema::parse(&text, &[], Strictness::New);
        let _ = Schema::parse(&text, &[&text], Strictness::Stored);
    }

    #[test]
    fn no_json_makes_the_reader_panic_and_what_is_a_schema_keeps_its_text(value in schema_like()) {
        let text = value.to_string();
        for strictness in [Strictness::New, Strictness::Stored] {
            if let Ok(schema) = Schema::parse(&text, &[], strictness) {
                check_schema(&schema, &[], strictness);
            }
        }
    }

    #[test]
    fn the_text_of_a_schema_is_its_own_text(seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut generator = Generator::new(&mut rng, 30);
        let reference = generator.schema();
        let schema = generator.schema();
        let (reference, text) = (spell(&reference, &mut rng), spell(&schema, &mut rng));
        // Java writes a name without namespace as it is, also where another namespace surrounds it: read again it may be
        // that of another type, as of the seed 3245491319013033866.
        let is_ambiguous = Schema::parse(&reference, &[], Strictness::New).is_ok_and(|reference| {
            reference.nodes().any(|(_, node)| node.kind.name().is_some_and(|name| name.namespace.is_none()))
        });
        if let Ok(schema) = Schema::parse(&text, &[&reference], Strictness::New)
            && !is_ambiguous
        {
            check_schema(&schema, &[&reference], Strictness::New);
        }
    }
}
