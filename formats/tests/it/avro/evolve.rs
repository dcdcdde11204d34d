//! Readers' schemas that are compatible with a writer's: one change after the other, each allowed by the rules.

use millstream_schema_registry_avro::testing::Random;
use serde_json::{Map, Value, json};

/// A later version of a schema that reads all data of it.
pub(super) fn compatible(writer: &str, random: &mut Random) -> String {
    let mut schema: Value = serde_json::from_str(writer).unwrap();
    for n in 0..1 + random.below(6) {
        let count = types(&mut schema, &mut |_, _| {});
        let chosen = random.below(count as u64) as usize;
        let mut at = 0;
        types(&mut schema, &mut |one, is_branch| {
            if at == chosen {
                change(one, is_branch, random, n);
            }
            at += 1;
        });
    }
    let text = schema.to_string();
    if random.one_in(2) {
        renamed(&text, random)
    } else {
        text
    }
}

/// Visits every type, the outer ones first, and answers how many there are. The flag: whether it is a union's branch.
fn types(schema: &mut Value, visit: &mut dyn FnMut(&mut Value, bool)) -> usize {
    fn inner(schema: &mut Value, is_branch: bool, visit: &mut dyn FnMut(&mut Value, bool)) -> usize {
        visit(schema, is_branch);
        let below = match schema {
            Value::Array(branches) => branches.iter_mut().map(|branch| inner(branch, true, visit)).sum(),
            Value::Object(object) => match object["type"].as_str() {
                Some("array") => inner(&mut object["items"], false, visit),
                Some("map") => inner(&mut object["values"], false, visit),
                Some("record") => {
                    let fields = object["fields"].as_array_mut().unwrap().iter_mut();
                    fields.map(|field| inner(&mut field["type"], false, visit)).sum()
                }
                _ => 0,
            },
            _ => 0,
        };
        1 + below
    }
    inner(schema, false, visit)
}

fn change(schema: &mut Value, is_branch: bool, random: &mut Random, n: u64) {
    match schema {
        Value::String(name) if !is_branch => {
            if let Some(wider) = wider(name, random) {
                *schema = json!(wider);
            } else if name != "null" && random.one_in(3) {
                *schema = json!(["null", name]);
            }
        }
        Value::Array(branches) => shuffle(branches, random),
        Value::Object(object) => match object["type"].as_str() {
            Some("record") => change_record(object, random, n),
            Some("enum") => change_enum(object, random),
            _ => {}
        },
        _ => {}
    }
}

fn wider(name: &str, random: &mut Random) -> Option<&'static str> {
    let wider: &[&'static str] = match name {
        "int" => &["long", "float", "double"],
        "long" => &["float", "double"],
        "float" => &["double"],
        "string" => &["bytes"],
        _ => return None,
    };
    Some(*random.pick::<&'static str>(wider))
}

fn shuffle<T>(all: &mut [T], random: &mut Random) {
    for at in 1..all.len() {
        all.swap(at, random.below(at as u64 + 1) as usize);
    }
}

fn change_record(record: &mut Map<String, Value>, random: &mut Random, n: u64) {
    let fields = record["fields"].as_array_mut().unwrap();
    match random.below(4) {
        0 => shuffle(fields, random),
        1 => {
            let at = random.below(fields.len() as u64 + 1) as usize;
            let new = [
                json!({ "type": "long", "default": 7 }),
                json!({ "type": ["null", "string"], "default": null }),
                json!({ "type": "bytes", "default": "\u{ff}a" }),
                json!({ "type": { "type": "array", "items": "int" }, "default": [1, 2] }),
                json!({ "type": { "type": "map", "values": "string" }, "default": { "k": "v" } }),
            ];
            let mut new = random.pick(&new).clone();
            new["name"] = json!(format!("new{n}_{}", random.below(1_000_000)));
            fields.insert(at, new);
        }
        2 if fields.len() > 1 => {
            // A definition that goes away with its field may be used elsewhere.
            let last = fields.len() - 1;
            if fields[last]["type"].is_string() {
                fields.pop();
            }
        }
        3 if !fields.is_empty() => {
            let at = random.below(fields.len() as u64) as usize;
            let old = fields[at]["name"].clone();
            if fields[at].get("aliases").is_none() && fields[at].get("default").is_none() {
                fields[at]["aliases"] = json!([old]);
                fields[at]["name"] = json!(format!("renamed{n}_{}", random.below(1_000_000)));
            }
        }
        _ => {}
    }
}

fn change_enum(symbols: &mut Map<String, Value>, random: &mut Random) {
    let list = symbols["symbols"].as_array_mut().unwrap();
    if random.one_in(2) {
        list.insert(0, json!(format!("N{}", random.below(1_000_000))));
    } else if list.len() > 1 {
        list.pop();
        let default = list[0].clone();
        symbols.insert("default".into(), default);
    }
}

/// The same schema with another name for one of its types, which has the old one as an alias.
fn renamed(text: &str, random: &mut Random) -> String {
    let mut names = Vec::new();
    let mut schema: Value = serde_json::from_str(text).unwrap();
    types(&mut schema, &mut |one, _| names.extend(one.get("name").cloned()));
    let Value::String(old) = random.pick(&names).clone() else {
        unreachable!("names are texts");
    };
    let new = format!("{old}b");
    let text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    types(&mut schema, &mut |one, _| {
        if one.get("name").is_some_and(|name| *name == new) {
            one["aliases"] = json!([old]);
        }
    });
    schema.to_string()
}
