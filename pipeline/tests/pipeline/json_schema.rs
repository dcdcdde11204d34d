//! The JSON Schema for editors.

use millstream_pipeline::json_schema;
use serde_json::Value;

use crate::fakes::catalog;

#[test]
fn holds_the_keys_of_all_connectors() {
    let schema = json_schema(&catalog());
    let sources = schema["properties"]["sources"]["additionalProperties"]["oneOf"]
        .as_array()
        .unwrap();
    let shelf = sources
        .iter()
        .find(|s| s["properties"]["type"]["const"] == "shelf")
        .unwrap();
    for key in ["into", "on_error", "path", "format"] {
        assert!(shelf["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(shelf["additionalProperties"], false);
    let required: Vec<_> = shelf["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(required, ["type", "into", "path"]);
    let processor = &schema["properties"]["processors"]["additionalProperties"]["properties"];
    for key in ["from", "into", "sql", "filter", "select"] {
        assert!(processor.get(key).is_some(), "{key}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let schema = json_schema(&catalog());
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        let name = reference.strip_prefix("#/$defs/").unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{reference}");
    }
}

#[test]
fn is_the_same_each_time() {
    assert_eq!(
        json_schema(&catalog()).to_string(),
        json_schema(&catalog()).to_string()
    );
}
