//! Confluent's `normalize=true`: texts that differ only in what has no order, or in how it is written, become one.
//!
//! Properties, aliases and the keys of objects are sorted, `error` becomes `record`, empty documentation of types goes
//! away, defaults are written as their type has them (`1` of a `double` as `1.0`). A default that Confluent cannot
//! convert is kept as it is, where Confluent drops it or fails.

use serde_json::{Map, Value};

use crate::{
    json,
    model::{Kind, Logical, Name, NodeId, Properties, Schema, SchemaError},
};

impl Schema {
    /// The schema with the text that stands for all its spellings.
    pub fn normalized(&self) -> Result<Self, SchemaError> {
        let mut nodes = self.inner.nodes.clone();
        for node in &mut nodes {
            node.properties = properties(&node.properties, node.logical);
            match &mut node.kind {
                Kind::Record(record) => {
                    record.error = false;
                    tidy(&mut record.aliases, &mut record.doc, &record.name);
                    for field in &mut record.fields {
                        field.properties = properties(&field.properties, None);
                        field.aliases.sort();
                        if field.default_text.is_none() {
                            field.default = field
                                .default
                                .as_ref()
                                .map(|default| self.default(field.schema, default));
                        }
                    }
                }
                Kind::Enum(kind) => tidy(&mut kind.aliases, &mut kind.doc, &kind.name),
                Kind::Fixed(fixed) => tidy(&mut fixed.aliases, &mut fixed.doc, &fixed.name),
                _ => {}
            }
        }
        self.with_nodes(nodes)
    }

    fn default(&self, schema: NodeId, default: &Value) -> Value {
        self.typed(schema, default).unwrap_or_else(|| sorted(default))
    }

    /// A default as its type has it, if it is of the type: in a union, of the first branch.
    fn typed(&self, schema: NodeId, value: &Value) -> Option<Value> {
        let kind = match self.kind(schema) {
            Kind::Union(branches) => self.kind(*branches.first()?),
            kind => kind,
        };
        match (kind, value) {
            (_, Value::Null | Value::Bool(_)) => Some(value.clone()),
            (Kind::Int | Kind::Long, Value::Number(number)) if number.is_i64() => Some(value.clone()),
            (Kind::Double, Value::Number(number)) => number.as_f64().map(json::float),
            (Kind::Float, Value::Number(number)) => {
                let float = number.as_f64()? as f32;
                // The shortest decimal that is this float, read as Java reads a text.
                float.to_string().parse().ok().map(json::float)
            }
            (Kind::String | Kind::Enum(_), Value::String(_)) => Some(value.clone()),
            (Kind::Bytes | Kind::Fixed(_), Value::String(text)) => {
                let latin: String = text.chars().map(|c| if c > '\u{ff}' { '?' } else { c }).collect();
                Some(latin.into())
            }
            (Kind::Array(element), Value::Array(items)) => {
                let items: Option<Vec<_>> = items.iter().map(|item| self.typed(*element, item)).collect();
                items.map(Value::Array)
            }
            (Kind::Map(element), Value::Object(entries)) => {
                by_key(entries, |_, value| self.typed(*element, value)).map(Value::Object)
            }
            (Kind::Record(record), Value::Object(entries)) => by_key(entries, |key, value| {
                self.typed(record.fields[record.field(key)?].schema, value)
            })
            .map(Value::Object),
            _ => None,
        }
    }
}

fn tidy(aliases: &mut [Name], doc: &mut Option<String>, name: &Name) {
    // As Java lists them: without a namespace where the type has one is a leading dot.
    let listed = |alias: &Name| match alias.namespace.is_none() && name.namespace.is_some() {
        true => format!(".{}", alias.name),
        false => alias.full(),
    };
    aliases.sort_by_cached_key(listed);
    if doc.as_deref() == Some("") {
        *doc = None;
    }
}

/// Sorted, but for those of a valid logical type, which come first.
fn properties(properties: &Properties, logical: Option<Logical>) -> Properties {
    let first: &[&str] = match logical {
        Some(Logical::Decimal { scale: 0, .. }) => &["logicalType", "precision"],
        Some(Logical::Decimal { .. }) => &["logicalType", "precision", "scale"],
        Some(_) => &["logicalType"],
        None => &[],
    };
    let mut names: Vec<&str> = properties.iter().map(|(name, _)| name).collect();
    names.sort_by_key(|name| (first.iter().position(|f| f == name).unwrap_or(first.len()), *name));
    let mut normal = Properties {
        texts: properties.texts.clone(),
        ..Properties::default()
    };
    for name in names {
        if let Some(value) = properties.get(name) {
            normal.values.insert(name.to_owned(), sorted(value));
        }
    }
    normal
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(entries) => {
            Value::Object(by_key(entries, |_, value| Some(sorted(value))).expect("every value can be sorted"))
        }
        value => value.clone(),
    }
}

fn by_key(
    entries: &Map<String, Value>,
    mut convert: impl FnMut(&str, &Value) -> Option<Value>,
) -> Option<Map<String, Value>> {
    let mut keys: Vec<&String> = entries.keys().collect();
    keys.sort();
    keys.into_iter()
        .map(|key| convert(key, &entries[key]).map(|value| (key.clone(), value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::model::{Schema, Strictness};

    fn check(text: &str, normal: &str) {
        let schema = Schema::parse(text, &[], Strictness::Stored).expect("valid");
        let normalized = schema.normalized().expect("normalizable");
        assert_eq!(normalized.text(), normal);
        let again = Schema::parse(normal, &[], Strictness::Stored).expect("valid");
        assert_eq!(
            again.normalized().expect("normalizable").text(),
            normal,
            "not stable"
        );
    }

    #[test]
    fn properties_are_sorted_after_those_of_the_logical_type() {
        check(
            r#"{"type":"bytes","z":{"b":1,"a":2},"scale":2,"precision":9,"a":0,"logicalType":"decimal"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2,"a":0,"z":{"a":2,"b":1}}"#,
        );
        check(
            r#"{"type":"int","z":1,"logicalType":"decimal","a":0}"#,
            r#"{"type":"int","a":0,"logicalType":"decimal","z":1}"#,
        );
    }

    #[test]
    fn defaults_are_written_as_their_type_has_them() {
        check(
            r#"{"type":"error","name":"R","doc":"","aliases":["Z","A"],"fields":[
                {"name":"d","type":"double","default":1},
                {"name":"f","type":["float","null"],"default":0.1},
                {"name":"m","type":{"type":"map","values":"double"},"default":{"b":1,"a":2}},
                {"name":"u","type":["null","int"],"default":5,"doc":""}]}"#,
            concat!(
                r#"{"type":"record","name":"R","fields":["#,
                r#"{"name":"d","type":"double","default":1.0},"#,
                r#"{"name":"f","type":["float","null"],"default":0.1},"#,
                r#"{"name":"m","type":{"type":"map","values":"double"},"default":{"a":2.0,"b":1.0}},"#,
                r#"{"name":"u","type":["null","int"],"doc":"","default":5}],"aliases":["A","Z"]}"#,
            ),
        );
    }
}
