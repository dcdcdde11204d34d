//! What is said about values and keys that do not fit.

use std::fmt::Write;

use millstream_sdk::{ConfigPath, PathSegment};
use serde_json::Value;

use super::{
    Checker, Place, Shape,
    keywords::{alternatives, kinds, words},
};
use crate::{
    diagnostics::Mark,
    later,
    suggest::{did_you_mean, nearest},
    tree::{Data, Key, Node},
};

const MAX_LISTED: usize = 16;

impl Checker<'_> {
    pub(super) fn wrong_kind(&self, place: &Place<'_>, schemas: &[&Value]) -> Mark {
        let mut wanted: Vec<String> = Vec::new();
        for schema in schemas {
            let name = self.kind_name(schema);
            if !wanted.contains(&name) && name != "nothing" {
                wanted.push(name);
            }
        }
        let wanted = wanted.join(" or ");
        let mark = self.mark(place, format!("expected {wanted}, found {}", found(place.node)));
        match self.kind_help(place.node, schemas) {
            Some(help) => mark.help(help),
            None => mark,
        }
    }

    fn kind_help(&self, node: &Node, schemas: &[&Value]) -> Option<String> {
        let wants = |kind: &str| {
            schemas
                .iter()
                .any(|s| kinds(self.resolve(s)).is_some_and(|k| k.contains(&kind)))
        };
        match &node.data {
            Data::Number(_) | Data::Bool(_) if wants("string") => {
                Some("quote it, or add its unit (30s, 64MB)".into())
            }
            Data::Text(text) if wants("boolean") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write true".into()),
                "no" | "off" | "n" => Some("write false".into()),
                _ => None,
            },
            Data::Text(text) if wants("integer") || wants("number") => {
                text.parse::<f64>().is_ok().then(|| "remove the quotes".into())
            }
            Data::Null => Some("give a value, or remove the key".into()),
            _ => None,
        }
    }

    /// What a schema asks for, in words: a text schema may say it in its title.
    fn kind_name(&self, schema: &Value) -> String {
        let schema = self.resolve(schema);
        if let Some(words) = words(schema) {
            return match words.as_slice() {
                [word] => format!("'{}'", bare(word)),
                words => format!("one of {}", list(words)),
            };
        }
        let title = schema.get("title").and_then(Value::as_str);
        let kinds = kinds(schema).unwrap_or_default();
        if let (Some(title), true) = (title, kinds.contains(&"string")) {
            return title.into();
        }
        if let (Some(branches), true) = (alternatives(schema), kinds.is_empty()) {
            let mut names: Vec<String> = branches.iter().map(|branch| self.kind_name(branch)).collect();
            names.retain(|name| name != "nothing");
            names.dedup();
            return names.join(" or ");
        }
        let names = kinds
            .iter()
            .filter(|kind| **kind != "null")
            .map(|kind| match *kind {
                "string" => "a text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                "object" => "a mapping",
                other => other,
            });
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            "nothing".into()
        } else {
            names.join(" or ")
        }
    }

    pub(super) fn unknown_word(&self, place: &Place<'_>, words: &[&Value]) -> Mark {
        let found = match &place.node.data {
            Data::Text(text) => format!("'{text}'"),
            Data::Number(number) => number.to_string(),
            _ => found(place.node),
        };
        let known: Vec<String> = words.iter().map(|word| bare(word)).collect();
        let given = bare(&place.node.to_json());
        if later::is_kind(&place.path, &given) {
            let mark = self.mark(place, format!("{found} is not available in this version"));
            return mark.help(format!("available: {}", known.join(", ")));
        }
        let key = place.path.0.last().map(|segment| match segment {
            PathSegment::Key(key) => format!(" for '{key}'"),
            PathSegment::Index(_) => String::new(),
        });
        let message = format!("unknown value {found}{}", key.unwrap_or_default());
        let text = words.iter().filter_map(|word| word.as_str());
        let help = did_you_mean(&given, text);
        self.mark(place, message)
            .help(help.unwrap_or_else(|| format!("one of: {}", known.join(", "))))
    }

    pub(super) fn about(&self, schema: &Value) -> Option<String> {
        let about = schema
            .get("description")
            .or_else(|| self.resolve(schema).get("description"))?
            .as_str()?;
        let sentence = about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        Some(sentence)
    }
}

pub(super) fn unknown_key(key: &Key, path: &ConfigPath, shape: &Shape<'_>) -> Mark {
    let known = || shape.names();
    if later::is_key(path) && nearest(&key.text, known()).is_none_or(|(_, distance)| distance > 0) {
        let message = format!("'{}' is not available in this version", key.text);
        return Mark::new(key.span.clone(), message)
            .at(path)
            .help("remove it; the reference lists what is built");
    }
    let mark = Mark::new(key.span.clone(), format!("unknown key '{}'", key.text)).at(path);
    mark.help(did_you_mean(&key.text, known()).unwrap_or_else(|| {
        let mut help = String::from("known keys: ");
        for (n, name) in known().enumerate() {
            match n {
                0 => help.push_str(name),
                MAX_LISTED => {
                    help.push_str(", …");
                    break;
                }
                _ => _ = write!(help, ", {name}"),
            }
        }
        help
    }))
}

pub(super) fn found(node: &Node) -> String {
    match &node.data {
        Data::Unknown | Data::Null => "nothing".into(),
        Data::Bool(value) => format!("the boolean {value}"),
        Data::Number(number) => format!("the number {number}"),
        Data::Text(text) if text.chars().count() <= 40 && !text.contains('\n') => {
            format!("the text '{text}'")
        }
        Data::Text(_) => "a text".into(),
        Data::List(_) => "a list".into(),
        Data::Map(_) => "a mapping".into(),
    }
}

pub(super) fn bare(word: &Value) -> String {
    match word {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn list(words: &[&Value]) -> String {
    words.iter().map(|word| bare(word)).collect::<Vec<_>>().join(", ")
}
