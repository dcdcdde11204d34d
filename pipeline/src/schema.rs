//! The JSON Schema of the whole file format, the keys of all connectors of a catalog included. One schema serves
//! editors and the check of a file (`validate.rs`), so they cannot disagree.

use millstream_sdk::{Catalog, Spec};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::spec::{Document, ProcessorCommon, Shorthand, SinkCommon, SourceCommon};

/// The keys of a node that the planner reads; all others belong to the connector.
pub(crate) struct CommonKeys {
    pub(crate) source: Vec<String>,
    pub(crate) sink: Vec<String>,
}

/// The JSON Schema (draft 2020-12) of a pipeline file with the connectors and processors of `catalog`.
pub fn json_schema(catalog: &Catalog) -> Value {
    let mut root = root_of::<Document>();
    let mut defs = take_object(&mut root, "$defs");
    let mut nodes = |section: &str, common: &str, specs: Vec<Spec>| {
        let common = defs.remove(common).unwrap_or_default();
        let kinds = specs
            .into_iter()
            .map(|spec| typed_node(&common, spec, section, &mut defs));
        json!({ "oneOf": kinds.collect::<Vec<_>>() })
    };
    let sources = nodes(
        "sources",
        "SourceCommon",
        catalog.sources.values().map(|f| f.spec()).collect(),
    );
    let sinks = nodes(
        "sinks",
        "SinkCommon",
        catalog.sinks.values().map(|f| f.spec()).collect(),
    );
    let processors = processor_node(catalog, &mut defs);
    for (section, node) in [("sources", sources), ("sinks", sinks), ("processors", processors)] {
        root["properties"][section]["additionalProperties"] = node;
    }
    root["$defs"] = Value::Object(defs);
    root
}

pub(crate) fn common_keys() -> CommonKeys {
    CommonKeys {
        source: keys_of(&root_of::<SourceCommon>()),
        sink: keys_of(&root_of::<SinkCommon>()),
    }
}

/// Common keys and the connector's own in one closed object, told apart by `type`.
fn typed_node(common: &Value, spec: Spec, section: &str, defs: &mut Map<String, Value>) -> Value {
    let own = adopt(spec.config.to_value(), &format!("{section}.{}", spec.kind), defs);
    let mut node = common.clone();
    node["title"] = spec.kind.into();
    node["description"] = spec.about.into();
    let kind_about = node["properties"]["type"]["description"].take();
    let mut properties = Map::new();
    properties.insert(
        "type".into(),
        json!({ "const": spec.kind, "description": kind_about }),
    );
    properties.extend(
        take_object(&mut node, "properties")
            .into_iter()
            .filter(|(key, _)| key != "type"),
    );
    merge_node(&mut node, properties, own);
    node
}

/// All kinds of processors in one closed object: which one it is, its keys say.
fn processor_node(catalog: &Catalog, defs: &mut Map<String, Value>) -> Value {
    let mut node = defs
        .remove("ProcessorCommon")
        .unwrap_or_else(root_of::<ProcessorCommon>);
    let mut properties = take_object(&mut node, "properties");
    let mut kinds = Vec::new();
    for factory in catalog.processors.values() {
        let spec = factory.spec();
        let mut own = adopt(spec.config.to_value(), &format!("processors.{}", spec.kind), defs);
        if own.get("description").is_none() {
            own["description"] = spec.about.into();
        }
        properties.insert(spec.kind.into(), own);
        kinds.push(json!({ "required": [spec.kind] }));
    }
    if catalog.processors.contains_key("sql") {
        let mut shorthand = root_of::<Shorthand>();
        for (key, schema) in take_object(&mut shorthand, "properties") {
            kinds.push(json!({ "required": [key] }));
            properties.insert(key, schema);
        }
    }
    node["properties"] = Value::Object(properties);
    node["anyOf"] = kinds.into();
    node
}

fn merge_node(node: &mut Value, mut properties: Map<String, Value>, mut own: Value) {
    for (key, schema) in take_object(&mut own, "properties") {
        properties.entry(key).or_insert(schema);
    }
    node["properties"] = Value::Object(properties);
    if let (Some(required), Some(Value::Array(own))) =
        (node["required"].as_array_mut(), own.get_mut("required"))
    {
        required.append(own);
    }
    // What a connector says in branches (a flattened enum) stays in branches beside the common keys.
    let mut open = false;
    for word in ["oneOf", "anyOf", "allOf"] {
        if let Some(branches) = own.get_mut(word) {
            node[word] = branches.take();
            open = true;
        }
    }
    if let Some(object) = node.as_object_mut() {
        object.remove("additionalProperties");
        object.insert(
            if open {
                "unevaluatedProperties"
            } else {
                "additionalProperties"
            }
            .into(),
            false.into(),
        );
    }
}

/// Takes a schema into the file's: its definitions move to `defs` under `prefix`, references follow them.
fn adopt(mut schema: Value, prefix: &str, defs: &mut Map<String, Value>) -> Value {
    let own = take_object(&mut schema, "$defs");
    for (name, mut definition) in own {
        point_to(&mut definition, prefix);
        defs.insert(format!("{prefix}.{name}"), definition);
    }
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
    }
    point_to(&mut schema, prefix);
    schema
}

fn point_to(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replacen("#/$defs/", &format!("#/$defs/{prefix}."), 1);
                    }
                    value => point_to(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to(item, prefix)),
        _ => {}
    }
}

fn root_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn keys_of(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .map(|p| p.keys().cloned().collect())
        .unwrap_or_default()
}

fn take_object(schema: &mut Value, key: &str) -> Map<String, Value> {
    match schema.get_mut(key).map(Value::take) {
        Some(Value::Object(object)) => {
            if let Some(schema) = schema.as_object_mut() {
                schema.remove(key);
            }
            object
        }
        _ => Map::new(),
    }
}
