use serde_json::json;

use crate::model::{Kind, Logical, Name, Order, Schema, SchemaError, Strictness};

fn parse(text: &str) -> Result<Schema, SchemaError> {
    Schema::parse(text, &[], Strictness::New)
}

fn record(schema: &Schema) -> &crate::Record {
    match schema.kind(schema.root()) {
        Kind::Record(record) => record,
        other => panic!("no record: {other:?}"),
    }
}

#[test]
fn everything_the_text_says_is_kept() {
    let schema = parse(
        r#"{"zeta": 1, "type": "record", "name": "R", "namespace": "a.b", "doc": "of R", "aliases": ["Q", "x.Q", "Q"],
            "fields": [
              {"name": "f", "type": "int", "default": 5, "order": "Descending", "doc": "of f", "aliases": ["g"], "p": [1.0]},
              {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "B", "q": null}},
              {"name": "x", "type": {"type": "fixed", "name": "c.F", "size": 12, "logicalType": "duration"}},
              {"name": "self", "type": ["null", "R"], "default": null}
            ], "alpha": {"b": 1, "a": 2}}"#,
    )
    .expect("valid");
    let record = record(&schema);
    assert_eq!(record.name.full(), "a.b.R");
    assert_eq!(record.doc.as_deref(), Some("of R"));
    assert_eq!(record.aliases, [Name::new("a.b.Q", None), Name::new("x.Q", None)]);
    let properties = &schema.node(schema.root()).properties;
    assert_eq!(
        properties.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["zeta", "alpha"]
    );
    let [f, e, x, own] = record.fields.as_slice() else {
        panic!("four fields");
    };
    assert_eq!(
        (f.default.as_ref(), f.order, f.aliases.as_slice()),
        (Some(&json!(5)), Order::Descending, ["g".to_owned()].as_slice())
    );
    assert_eq!(f.properties.get("p"), Some(&json!([1.0])));
    assert!(
        matches!(schema.kind(e.schema), Kind::Enum(e) if e.default.as_deref() == Some("B") && e.name.full() == "a.b.E")
    );
    assert!(
        schema
            .node(e.schema)
            .properties
            .get("q")
            .is_some_and(serde_json::Value::is_null)
    );
    assert_eq!(schema.node(x.schema).logical, Some(Logical::Duration));
    assert!(matches!(schema.kind(own.schema), Kind::Union(branches) if branches[1] == schema.root()));
    assert_eq!((record.field("x"), record.field("y")), (Some(2), None));
    assert_eq!(schema.nodes().len(), schema.len());
}

/// A text, where its error is and what it says.
fn refused(text: &str, pointer: &str, message: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!(error.pointer, pointer, "{text}: {error}");
    assert!(error.message.contains(message), "{text}: {error}");
}

#[test]
fn an_error_says_where_and_what() {
    refused("", "", "Cannot parse <null> schema");
    refused("5", "", "Schema not yet supported: 5");
    refused("{}", "", "No type: {}");
    refused(
        r#"{"type":{"type":"int"}}"#,
        "",
        r#"No type: {"type":{"type":"int"}}"#,
    );
    refused(r#""x.Y""#, "", "Undefined schema: x.Y");
    refused(
        r#"[{"type":"array","items":"Y"}]"#,
        "/0/items",
        "Undefined schema: Y",
    );
    refused(r#"{"type":"array"}"#, "", "Array has no items type");
    refused(
        r#"{"type":"map","values":7}"#,
        "/values",
        "Schema not yet supported: 7",
    );
    refused(r#"["int","int"]"#, "", "Duplicate in union:int");
    refused(r#"["int",["null"]]"#, "", "Nested union");
    refused(r#"{"type":"record","name":"R"}"#, "", "Record has no fields");
    refused(r#"{"type":"record","fields":[]}"#, "", "No name in schema");
    refused(
        r#"{"type":"record","name":"1R","fields":[]}"#,
        "/name",
        "Illegal initial character: 1R",
    );
    refused(
        r#"{"type":"record","name":"R","namespace":"a.1b","fields":[]}"#,
        "/name",
        "Namespace part \"1b\" is invalid",
    );
    refused(
        r#"{"type":"record","name":"int","fields":[]}"#,
        "/name",
        "Schemas may not be named after primitives: int",
    );
    refused(r#"{"type":"enum","name":"E"}"#, "", "Enum has no symbols");
    refused(
        r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
        "/symbols/1",
        "Duplicate enum symbol: A",
    );
    refused(
        r#"{"type":"enum","name":"E","symbols":["A",1]}"#,
        "/symbols/1",
        "Null name",
    );
    refused(
        r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
        "/default",
        "is not in the enum symbol set: [A]",
    );
    refused(
        r#"{"type":"fixed","name":"F","size":"1"}"#,
        "/size",
        "Invalid or no size",
    );
    refused(
        r#"{"type":"fixed","name":"F","size":-1}"#,
        "/size",
        "Length is negative: -1",
    );
    refused(
        r#"{"type":"fixed","name":"F","size":2147483647}"#,
        "/size",
        "Cannot read arrays longer",
    );
    refused(
        r#"[{"type":"fixed","name":"F","size":1},{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"F","size":2}}]}]"#,
        "/1/fields/0/type",
        "Can't redefine: F",
    );
    refused(
        r#"{"type":"array","items":"int","p":9223372036854775808}"#,
        "",
        "Can't set a property to null: p",
    );
}

#[test]
fn an_error_in_a_field_says_which() {
    let fields = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    refused(&fields("5"), "/fields/0", "No field name: 5");
    refused(&fields(r#"{"name":"a"}"#), "/fields/0", "No field type");
    refused(
        &fields(r#"{"name":"a-b","type":"int"}"#),
        "/fields/0/name",
        "Illegal character in: a-b",
    );
    refused(
        &fields(r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#),
        "/fields/1/name",
        "Duplicate field a in record R",
    );
    refused(
        &fields(r#"{"name":"a","type":"int","order":"sideways"}"#),
        "/fields/0/order",
        "none of ascending",
    );
    refused(
        &fields(r#"{"name":"a","type":"int","aliases":"b"}"#),
        "/fields/0/aliases",
        "aliases not an array",
    );
    refused(
        &fields(r#"{"name":"a","type":"int","aliases":[1]}"#),
        "/fields/0/aliases/0",
        "alias not a string: 1",
    );
    refused(
        &fields(r#"{"name":"a","type":"int","default":"1"}"#),
        "/fields/0/default",
        "Invalid default for field a: \"1\" not a int",
    );
    refused(
        &fields(r#"{"name":"a","type":"double","default":"one"}"#),
        "/fields/0/default",
        "For input string",
    );
}

#[test]
fn a_default_fits_its_type_in_any_branch_of_a_union() {
    let check = |kind: &str, default: &str, valid: bool| {
        let text = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind},"default":{default}}}]}}"#
        );
        assert_eq!(parse(&text).is_ok(), valid, "{default} of {kind}");
        assert!(
            Schema::parse(&text, &[], Strictness::Stored).is_ok(),
            "what is stored is taken as it is"
        );
    };
    check("\"null\"", "null", true);
    check("\"null\"", "0", false);
    check("\"int\"", "2147483647", true);
    check("\"int\"", "2147483648", false);
    check("\"int\"", "1.0", false);
    check("\"long\"", "9223372036854775807", true);
    check("\"long\"", "9223372036854775808", false);
    check("\"float\"", "123456789012345678901234567890", true);
    check("\"double\"", "\"NaN\"", true);
    check("\"bytes\"", "\"\\u00ff\"", true);
    check("\"bytes\"", "[1]", false);
    check("[\"null\",\"int\"]", "5", true);
    check("[\"null\",\"int\"]", "\"5\"", false);
    check("{\"type\":\"array\",\"items\":\"int\"}", "[1,2]", true);
    check("{\"type\":\"array\",\"items\":\"int\"}", "[1,\"2\"]", false);
    check(
        "{\"type\":\"map\",\"values\":[\"null\",\"int\"]}",
        "{\"a\":null,\"b\":1}",
        true,
    );
    check("{\"type\":\"map\",\"values\":\"int\"}", "{\"a\":null}", false);
    check(
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
        "\"B\"",
        true,
    );
    let inner = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":1}]}"#;
    check(inner, "{\"x\":1}", true);
    check(inner, "{\"x\":1,\"y\":null}", false);
    check(inner, "{\"y\":1}", false);
    check(inner, "{\"x\":1,\"z\":1}", true);
}

#[test]
fn a_record_cannot_be_the_default_within_itself() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["R","null"],"default":{}}]}"#;
    let error = parse(text).expect_err("Java has not finished R either");
    assert_eq!(error.pointer, "/fields/0/default");
    assert!(error.message.contains("within itself"), "{error}");
}

#[test]
fn a_name_may_be_used_before_its_definition_and_defined_again_alike() {
    let forward = r#"{"type":"record","name":"x.R","fields":[{"name":"a","type":"F"},{"name":"b","type":{"type":"fixed","name":"F","size":1}}]}"#;
    let schema = parse(forward).expect("Java 1.12 resolves it");
    assert_eq!(record(&schema).fields[0].schema, record(&schema).fields[1].schema);
    let again = r#"[{"type":"fixed","name":"x.F","size":1,"doc":"one"},{"type":"map","values":{"type":"fixed","name":"x.F","size":1,"doc":"two"}}]"#;
    let schema = parse(again).expect("documentation does not count");
    assert_eq!(
        schema.text(),
        r#"[{"type":"fixed","name":"F","namespace":"x","doc":"one","size":1},{"type":"map","values":"x.F"}]"#
    );
}

#[test]
fn what_is_stored_may_name_a_record_from_within_another_namespace() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"x.Q","fields":[{"name":"r","type":["null","R"]}]}}]}"#;
    assert_eq!(
        parse(text).expect_err("not since 1.12.1").message,
        "Undefined schema: x.R"
    );
    Schema::parse(text, &[], Strictness::Stored).expect("before it was");
}

#[test]
fn references_bring_their_names_and_are_not_spelled_out() {
    let part = r#"{"type":"record","name":"p.Part","fields":[{"name":"size","type":{"type":"enum","name":"Size","symbols":["S"]}}]}"#;
    let list = r#"{"type":"record","name":"p.List","fields":[{"name":"parts","type":{"type":"array","items":"Part"}}]}"#;
    let text = r#"{"type":"record","name":"Order","fields":[{"name":"list","type":"p.List"},{"name":"part","type":"p.Part"},{"name":"size","type":"p.Size"}]}"#;
    let schema = Schema::parse(text, &[part, list], Strictness::New).expect("valid");
    let inner = r#"{"type":"enum","name":"Size","namespace":"p","symbols":["S"]}"#;
    assert_eq!(
        schema.text(),
        text.replace("\"p.Size\"", inner),
        "types within a referenced schema are spelled out"
    );
    let resolved = schema.resolved_text().expect("not deep");
    assert!(
        resolved.contains(r#"{"name":"parts","type":{"type":"array","items":{"type":"record","name":"Part""#),
        "{resolved}"
    );
    let list = schema
        .nodes()
        .find(|(_, node)| node.kind.name().is_some_and(|name| &*name.name == "List"));
    assert!(list.is_some_and(|(id, _)| schema.is_external(id)) && !schema.is_external(schema.root()));

    let error = Schema::parse(text, &[part], Strictness::New).expect_err("a reference is missing");
    assert_eq!(
        (error.pointer.as_str(), error.message.as_str()),
        ("/fields/0/type", "Undefined schema: p.List")
    );
    let error = Schema::parse(
        text,
        &[part, "{\"type\":\"array\",\"items\":\"?\"}"],
        Strictness::New,
    )
    .expect_err("broken");
    assert_eq!(error.pointer, "/references/1/items");
}

#[test]
fn a_logical_type_counts_where_it_is_valid_and_stays_in_the_properties_where_not() {
    let check = |text: &str, logical: Option<Logical>| {
        let schema = parse(text).expect("valid");
        let node = schema.node(schema.root());
        assert_eq!(node.logical, logical, "{text}");
        assert!(node.properties.get("logicalType").is_some());
    };
    check(r#"{"type":"int","logicalType":"date"}"#, Some(Logical::Date));
    check(r#"{"type":"long","logicalType":"date"}"#, None);
    check(r#"{"type":"string","logicalType":"uuid"}"#, Some(Logical::Uuid));
    check(
        r#"{"type":"string","logicalType":"uuid","avro.java.string":"String"}"#,
        None,
    );
    check(
        r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#,
        Some(Logical::Uuid),
    );
    check(
        r#"{"type":"fixed","name":"U","size":15,"logicalType":"uuid"}"#,
        None,
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":4}"#,
        Some(Logical::Decimal {
            precision: 4,
            scale: 0,
        }),
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":5}"#,
        None,
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":null}"#,
        None,
    );
    check(
        r#"{"type":"bytes","logicalType":"decimal","precision":"4"}"#,
        None,
    );
    check(r#"{"type":"bytes","logicalType":"decimal"}"#, None);
    check(
        r#"{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":9}"#,
        Some(Logical::Decimal {
            precision: 9,
            scale: 0,
        }),
    );
    check(
        r#"{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":10}"#,
        None,
    );
    check(
        r#"{"type":"fixed","name":"D","size":0,"logicalType":"decimal","precision":1}"#,
        None,
    );
    check(r#"{"type":"long","logicalType":7}"#, None);
}
