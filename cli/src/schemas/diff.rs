//! What has changed between two schemas, by path.

use std::collections::BTreeSet;

use millstream_schema_registry_avro::{Kind, NodeId, Record, Schema};
use serde::Serialize;

use crate::output::Row;

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    change: &'static str,
    /// Names of fields, as `order.lines[].amount`.
    path: String,
    old: Option<String>,
    new: Option<String>,
}

impl Row for Change {
    const TITLES: &'static [&'static str] = &["CHANGE", "PATH", "OLD", "NEW"];

    fn cells(&self) -> Vec<String> {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.change.to_owned(),
            if self.path.is_empty() {
                ".".to_owned()
            } else {
                self.path.clone()
            },
            shown(&self.old),
            shown(&self.new),
        ]
    }
}

/// Every difference from the old schema to the new one.
pub(crate) fn changes(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut walk = Walk {
        old,
        new,
        seen: BTreeSet::new(),
        changes: Vec::new(),
    };
    walk.nodes("", old.root(), new.root());
    walk.changes
}

struct Walk<'a> {
    old: &'a Schema,
    new: &'a Schema,
    /// Pairs of named types that were compared, for types contain themselves.
    seen: BTreeSet<(NodeId, NodeId)>,
    changes: Vec<Change>,
}

impl Walk<'_> {
    fn note(&mut self, change: &'static str, path: &str, old: Option<String>, new: Option<String>) {
        if old != new {
            self.changes.push(Change {
                change,
                path: path.to_owned(),
                old,
                new,
            });
        }
    }

    fn nodes(&mut self, path: &str, old: NodeId, new: NodeId) {
        let (before, after) = (self.old.node(old), self.new.node(new));
        match (&before.kind, &after.kind) {
            (Kind::Record(before), Kind::Record(after)) => {
                if self.seen.insert((old, new)) {
                    self.records(path, before, after);
                }
            }
            (Kind::Array(before), Kind::Array(after)) => self.nodes(&format!("{path}[]"), *before, *after),
            (Kind::Map(before), Kind::Map(after)) => self.nodes(&format!("{path}{{}}"), *before, *after),
            (Kind::Union(before), Kind::Union(after)) => self.unions(path, before, after),
            (Kind::Enum(before), Kind::Enum(after)) => {
                self.note("name", path, Some(before.name.full()), Some(after.name.full()));
                self.note(
                    "symbols",
                    path,
                    Some(before.symbols.join(",")),
                    Some(after.symbols.join(",")),
                );
                self.note("default", path, before.default.clone(), after.default.clone());
            }
            _ => {
                let described = (describe(self.old, old), describe(self.new, new));
                self.note("type", path, Some(described.0), Some(described.1));
            }
        }
        let logical = |logical: Option<_>| logical.map(|l| format!("{l:?}"));
        self.note(
            "logical type",
            path,
            logical(before.logical),
            logical(after.logical),
        );
        let properties = |node: &millstream_schema_registry_avro::Node| {
            let pairs = node
                .properties
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let mut pairs: Vec<_> = pairs.collect();
            pairs.sort();
            (!pairs.is_empty()).then(|| pairs.join(" "))
        };
        self.note("properties", path, properties(before), properties(after));
    }

    fn records(&mut self, path: &str, old: &Record, new: &Record) {
        self.note("name", path, Some(old.name.full()), Some(new.name.full()));
        self.note("doc", path, old.doc.clone(), new.doc.clone());
        let inner = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        for field in &old.fields {
            if !new.fields.iter().any(|other| other.name == field.name) {
                let described = describe(self.old, field.schema);
                self.note("field removed", &inner(&field.name), Some(described), None);
            }
        }
        for field in &new.fields {
            let path = inner(&field.name);
            let Some(before) = old.fields.iter().find(|other| other.name == field.name) else {
                let described = describe(self.new, field.schema);
                let described = match &field.default {
                    Some(default) => format!("{described} = {default}"),
                    None => described,
                };
                self.note("field added", &path, None, Some(described));
                continue;
            };
            self.nodes(&path, before.schema, field.schema);
            let text = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
            self.note("default", &path, text(&before.default), text(&field.default));
            self.note("doc", &path, before.doc.clone(), field.doc.clone());
            let aliases = |aliases: &[String]| (!aliases.is_empty()).then(|| aliases.join(","));
            self.note(
                "aliases",
                &path,
                aliases(&before.aliases),
                aliases(&field.aliases),
            );
        }
    }

    /// Branches that are alike are compared, others came or went.
    fn unions(&mut self, path: &str, old: &[NodeId], new: &[NodeId]) {
        let names = |schema: &Schema, branches: &[NodeId]| -> Vec<String> {
            branches.iter().map(|branch| describe(schema, *branch)).collect()
        };
        let (before, after) = (names(self.old, old), names(self.new, new));
        self.note("union", path, Some(before.join(" | ")), Some(after.join(" | ")));
        for (branch, name) in old.iter().zip(&before) {
            if let Some(at) = after.iter().position(|other| other == name) {
                self.nodes(path, *branch, new[at]);
            }
        }
    }
}

/// A type in a few words: named types by their names.
fn describe(schema: &Schema, id: NodeId) -> String {
    let kind = schema.kind(id);
    match kind {
        Kind::Array(items) => format!("array<{}>", describe(schema, *items)),
        Kind::Map(values) => format!("map<{}>", describe(schema, *values)),
        Kind::Union(branches) => {
            let names: Vec<_> = branches.iter().map(|branch| describe(schema, *branch)).collect();
            names.join(" | ")
        }
        Kind::Fixed(fixed) => format!("fixed {}({})", fixed.name.full(), fixed.size),
        Kind::Enum(kind) => format!("enum {}", kind.name.full()),
        Kind::Record(record) => format!("record {}", record.name.full()),
        Kind::Null
        | Kind::Boolean
        | Kind::Int
        | Kind::Long
        | Kind::Float
        | Kind::Double
        | Kind::Bytes
        | Kind::String => kind.type_name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use millstream_schema_registry_avro::Strictness;

    use super::*;

    fn check(old: &str, new: &str, expected: &[&str]) {
        let parse = |text| Schema::parse(text, &[], Strictness::New).unwrap();
        let changes = changes(&parse(old), &parse(new));
        let shown: Vec<_> = changes.iter().map(|change| change.cells().join(" ")).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn fields_come_go_and_change() {
        check(
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"},{"name":"c","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"x","type":"int"}]}}}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"c","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"x","type":["null","int"]}]}}},{"name":"d","type":"string","default":""}]}"#,
            &[
                "field removed b string -",
                "type a int long",
                "type c[].x int null | int",
                "field added d - string = \"\"",
            ],
        );
    }

    #[test]
    fn recursive_types_end() {
        let list = r#"{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}"#;
        check(list, list, &[]);
        check(
            list,
            r#"{"type":"record","name":"N","doc":"d","fields":[{"name":"next","type":["null","N"]}]}"#,
            &["doc . - d"],
        );
    }

    #[test]
    fn enums_and_unions_say_what_they_have() {
        check(
            r#"["null",{"type":"enum","name":"E","symbols":["A"]}]"#,
            r#"["null",{"type":"enum","name":"E","symbols":["A","B"]},"string"]"#,
            &["union . null | enum E null | enum E | string", "symbols . A A,B"],
        );
    }
}
