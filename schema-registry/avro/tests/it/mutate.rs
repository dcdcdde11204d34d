//! Schemas that evolve: some changes that readers bear, some that they do not.

use rand::{
    Rng,
    rngs::SmallRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Map, Value, json};

/// Changes a schema in one place.
pub(crate) fn mutate(schema: &mut Value, rng: &mut SmallRng) {
    // Types with a name have more that can change.
    let weight = |kind: &Value| if kind.get("name").is_some() { 4 } else { 1 };
    let mut count = 0_usize;
    visit(schema, &mut |kind| count += weight(kind));
    let place = rng.random_range(0..count.max(1));
    let mut passed = 0;
    let mut rename = None;
    visit(schema, &mut |kind| {
        let before = passed;
        passed += weight(kind);
        if (before..passed).contains(&place) {
            rename = change(kind, rng);
        }
    });
    if let Some((old, new)) = rename {
        // The other places that name the type.
        visit(schema, &mut |kind| {
            if kind.as_str() == Some(&old) {
                *kind = new.clone().into();
            }
        });
    }
}

/// Calls for everything in the schema that is a type.
fn visit(kind: &mut Value, f: &mut impl FnMut(&mut Value)) {
    f(kind);
    match kind {
        Value::Array(branches) => branches.iter_mut().for_each(|branch| visit(branch, f)),
        Value::Object(object) => {
            for key in ["items", "values"] {
                if let Some(element) = object.get_mut(key) {
                    visit(element, f);
                }
            }
            if let Some(Value::Array(fields)) = object.get_mut("fields") {
                for field in fields {
                    if let Some(kind) = field.get_mut("type") {
                        visit(kind, f);
                    }
                }
            }
        }
        _ => {}
    }
}

/// Changes a type; what it was called before and now, if that has changed.
fn change(kind: &mut Value, rng: &mut SmallRng) -> Option<(String, String)> {
    if rng.random_range(0..8) == 0 {
        let old = kind.take();
        *kind = match rng.random_range(0..5) {
            0 if old.is_array() => old[0].clone(),
            _ if old.is_array() => old,
            1 => json!({"type": "array", "items": old}),
            2 if old != "null" => json!(["null", old]),
            3 if old != "null" => json!([old, "null"]),
            _ => json!([old]),
        };
        return None;
    }
    match kind {
        Value::String(word) => {
            let words = match word.as_str() {
                "int" => ["long", "float", "double", "string"],
                "long" => ["int", "float", "double", "bytes"],
                "float" => ["int", "long", "double", "boolean"],
                "double" => ["float", "int", "long", "null"],
                "string" => ["bytes", "bytes", "int", "null"],
                "bytes" => ["string", "string", "long", "boolean"],
                _ => ["int", "long", "string", "null"],
            };
            *kind = (*words.choose(rng).expect("there are words")).into();
            None
        }
        Value::Array(branches) => {
            change_union(branches, rng);
            None
        }
        Value::Object(object) => match object.get("type").and_then(Value::as_str) {
            Some("record" | "error") => change_record(object, rng),
            Some("enum") => change_enum(object, rng),
            Some("fixed") => match rng.random_range(0..2) {
                0 => rename(object, rng),
                _ => {
                    object.insert("size".into(), rng.random_range(1..20).into());
                    None
                }
            },
            Some("bytes" | "int" | "long" | "string") if rng.random_bool(0.5) => {
                object.insert("scale".into(), rng.random_range(0..3).into());
                None
            }
            _ => None,
        },
        _ => None,
    }
}

fn change_union(branches: &mut Vec<Value>, rng: &mut SmallRng) {
    match rng.random_range(0..4) {
        0 if branches.len() > 1 => drop(branches.remove(rng.random_range(0..branches.len()))),
        1 => branches.shuffle(rng),
        _ => {
            let words = ["null", "int", "long", "double", "string", "bytes", "boolean"];
            let word = Value::from(*words.choose(rng).expect("there are words"));
            if !branches.contains(&word) {
                branches.push(word);
            }
        }
    }
}

fn change_record(object: &mut Map<String, Value>, rng: &mut SmallRng) -> Option<(String, String)> {
    if rng.random_range(0..5) == 0 {
        return rename(object, rng);
    }
    let Some(Value::Array(fields)) = object.get_mut("fields") else {
        return None;
    };
    if fields.is_empty() || rng.random_range(0..4) == 0 {
        let name = format!("n{}", rng.random_range(0..3));
        if fields.iter().all(|field| field["name"] != name) {
            let field = match rng.random_range(0..3) {
                0 => json!({"name": name, "type": "int"}),
                1 => json!({"name": name, "type": ["null", "string"], "default": null}),
                _ => {
                    json!({"name": name, "type": {"type": "enum", "name": format!("N{name}"), "symbols": ["X"], "default": "X"}})
                }
            };
            fields.insert(rng.random_range(0..=fields.len()), field);
        }
        return None;
    }
    let place = rng.random_range(0..fields.len());
    let field = fields[place].as_object_mut()?;
    match rng.random_range(0..6) {
        0 => drop(fields.remove(place)),
        1 => fields.shuffle(rng),
        2 => drop(field.remove("default")),
        3 => {
            let old = field["name"].clone();
            field.insert("name".into(), format!("g{place}").into());
            field.insert("aliases".into(), json!([old]));
        }
        4 => drop(field.insert("aliases".into(), json!([format!("g{place}"), "f0"]))),
        _ => drop(field.insert("name".into(), format!("g{place}").into())),
    }
    None
}

fn change_enum(object: &mut Map<String, Value>, rng: &mut SmallRng) -> Option<(String, String)> {
    if rng.random_range(0..4) == 0 {
        return rename(object, rng);
    }
    let Some(Value::Array(symbols)) = object.get_mut("symbols") else {
        return None;
    };
    match rng.random_range(0..4) {
        0 if symbols.len() > 1 => drop(symbols.pop()),
        1 => symbols.shuffle(rng),
        2 => drop(object.remove("default")),
        _ => symbols.push(format!("T{}", rng.random_range(0..99)).into()),
    }
    if object
        .get("default")
        .is_some_and(|default| !object["symbols"].as_array().is_some_and(|s| s.contains(default)))
    {
        object.remove("default");
    }
    None
}

/// Another name or namespace, sometimes with the old one as an alias.
fn rename(object: &mut Map<String, Value>, rng: &mut SmallRng) -> Option<(String, String)> {
    let old = object.get("name")?.as_str()?.to_owned();
    let new = match rng.random_range(0..3) {
        0 => format!("other.space.{}", old.rsplit('.').next()?),
        1 => format!("{old}Renamed"),
        _ => {
            object.insert("namespace".into(), "moved".into());
            return None;
        }
    };
    object.insert("name".into(), new.clone().into());
    if rng.random_bool(0.6) {
        object.insert("aliases".into(), json!([old.clone()]));
    }
    Some((old, new))
}
