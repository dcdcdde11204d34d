//! What a JSON Schema says, as far as `schemars` says it.

use serde_json::{Map, Value};

use crate::tree::{Data, Node};

pub(super) fn alternatives(schema: &Value) -> Option<&[Value]> {
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    branches.as_array().map(Vec::as_slice)
}

/// The values that a schema lists: `const`, `enum`, or branches of nothing but these.
pub(super) fn words(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(word) = schema.get("const") {
        return Some(vec![word]);
    }
    if let Some(Value::Array(words)) = schema.get("enum") {
        return Some(words.iter().collect());
    }
    let branches = schema.get("oneOf")?.as_array()?;
    let words: Option<Vec<Vec<&Value>>> = branches.iter().map(words).collect();
    words.map(|words| words.into_iter().flatten().collect())
}

pub(super) fn kinds(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// The property that tells objects apart: in every branch a constant.
pub(super) fn tag_of<'a>(branches: &[&'a Value]) -> Option<&'a str> {
    let properties = branches.first()?.get("properties")?.as_object()?;
    let constant = |branch: &Value, name: &str| branch["properties"][name].get("const").is_some();
    let names: &Map<String, Value> = properties;
    names
        .keys()
        .map(String::as_str)
        .find(|name| branches.iter().all(|branch| constant(branch, name)))
}

pub(super) fn is_kind(node: &Node, kind: &str) -> bool {
    match &node.data {
        Data::Unknown => true,
        Data::Null => kind == "null",
        Data::Bool(_) => kind == "boolean",
        Data::Number(number) => kind == "number" || kind == "integer" && !number.is_f64(),
        Data::Text(_) => kind == "string",
        Data::List(_) => kind == "array",
        Data::Map(_) => kind == "object",
    }
}

pub(super) fn out_of_range(node: &Node, schema: &Value) -> Option<String> {
    let Data::Number(number) = &node.data else {
        return None;
    };
    let value = number.as_f64()?;
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), _) if value < least => Some(format!("{number} is too small: at least {least}")),
        (_, Some(most)) if value > most => Some(format!("{number} is too large: at most {most}")),
        _ => None,
    }
}
