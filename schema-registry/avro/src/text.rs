//! What Java prints: `Schema.toString()`, by which a registry tells schemas apart, and Parsing Canonical Form.
//!
//! A chain of names can be longer than any stack, so both printers keep a list of what remains to be written.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use crate::{
    json::{self, MAX_DEPTH},
    model::{
        Enum, Field, Fixed, Inner, Kind, Name, Node, NodeId, Order, Properties, Record, Schema, SchemaError,
    },
    names,
};

impl Schema {
    /// The text with every referenced schema spelled out: Confluent's `format=resolved`.
    pub fn resolved_text(&self) -> Result<String, SchemaError> {
        to_text(&self.inner, &[])
    }

    /// The form whose fingerprint identifies what a reader of data needs to know: names in full, nothing that does not
    /// change how data is read.
    pub fn parsing_canonical_form(&self) -> String {
        canonical_form(self)
    }

    /// The same schema of other nodes, with the text that they have.
    pub(crate) fn with_nodes(&self, nodes: Vec<Node>) -> Result<Self, SchemaError> {
        let mut inner = Inner {
            nodes,
            root: self.inner.root,
            text: Box::default(),
            external: self.inner.external.clone(),
            reference_names: self.inner.reference_names.clone(),
            shapes: OnceLock::new(),
        };
        inner.text = to_text(&inner, &inner.reference_names)?.into();
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// Prints a schema; the `known` names stand for themselves.
pub(crate) fn to_text(inner: &Inner, known: &[Name]) -> Result<String, SchemaError> {
    Printer::new(inner, known).print(inner.root)
}

/// Prints a type within a schema, as if it were one of its own.
pub(crate) fn type_text(inner: &Inner, id: NodeId) -> Result<String, SchemaError> {
    Printer::new(inner, &[]).print(id)
}

/// What remains to be written, the last first.
enum Rest<'s> {
    Type {
        id: NodeId,
        namespace: Option<&'s str>,
        depth: usize,
    },
    Text(&'static str),
    /// From the name of a field to its type.
    FieldStart(&'s Field, bool),
    FieldEnd(&'s Field),
    /// From the end of the fields on.
    RecordEnd(&'s Record, &'s Properties),
    /// The properties of a collection and its bracket.
    CollectionEnd(&'s Properties),
}

struct Printer<'s> {
    inner: &'s Inner,
    out: String,
    /// Named types that were written already, or are known from elsewhere.
    known: HashSet<&'s Name>,
    rest: Vec<Rest<'s>>,
}

impl<'s> Printer<'s> {
    fn new(inner: &'s Inner, known: &'s [Name]) -> Self {
        Self {
            inner,
            out: String::new(),
            known: known.iter().collect(),
            rest: Vec::new(),
        }
    }

    fn print(mut self, id: NodeId) -> Result<String, SchemaError> {
        self.rest.push(Rest::Type {
            id,
            namespace: None,
            depth: 1,
        });
        while let Some(rest) = self.rest.pop() {
            match rest {
                // Java's generator has the same bound: a chain of names may be deeper than the text that was read.
                Rest::Type { id, depth, .. } if depth > MAX_DEPTH && self.is_container(id) => {
                    return Err(SchemaError {
                        pointer: String::new(),
                        message: format!(
                            "nested deeper than {MAX_DEPTH} levels when its names are written out"
                        ),
                    });
                }
                Rest::Type { id, namespace, depth } => self.type_text(id, namespace, depth),
                Rest::Text(text) => self.out.push_str(text),
                Rest::FieldStart(field, first) => {
                    self.out
                        .push_str(if first { "{\"name\":" } else { ",{\"name\":" });
                    json::write_string(&mut self.out, &field.name);
                    self.out.push_str(",\"type\":");
                }
                Rest::FieldEnd(field) => self.field_end(field),
                Rest::RecordEnd(record, properties) => {
                    self.out.push(']');
                    self.properties(properties);
                    self.aliases(&record.aliases, &record.name);
                    self.out.push('}');
                }
                Rest::CollectionEnd(properties) => {
                    self.properties(properties);
                    self.out.push('}');
                }
            }
        }
        Ok(self.out)
    }

    fn is_container(&self, id: NodeId) -> bool {
        let node = &self.inner.nodes[id.index()];
        match node.kind.name() {
            Some(name) => !self.known.contains(name),
            None => {
                !node.properties.is_empty()
                    || matches!(node.kind, Kind::Union(_) | Kind::Array(_) | Kind::Map(_))
            }
        }
    }

    fn type_text(&mut self, id: NodeId, namespace: Option<&'s str>, depth: usize) {
        let inner = self.inner;
        let node = &inner.nodes[id.index()];
        if let Some(name) = node.kind.name()
            && !self.known.insert(name)
        {
            json::write_string(&mut self.out, &qualified(name, namespace));
            return;
        }
        match &node.kind {
            Kind::Record(record) => self.record(record, &node.properties, namespace, depth),
            Kind::Enum(kind) => self.enumeration(kind, &node.properties, namespace),
            Kind::Fixed(fixed) => self.fixed(fixed, &node.properties, namespace),
            Kind::Union(branches) => {
                self.out.push('[');
                self.rest.push(Rest::Text("]"));
                for (index, &id) in branches.iter().enumerate().rev() {
                    self.rest.push(Rest::Type {
                        id,
                        namespace,
                        depth: depth + 1,
                    });
                    if index > 0 {
                        self.rest.push(Rest::Text(","));
                    }
                }
            }
            Kind::Array(element) | Kind::Map(element) => {
                let start = match &node.kind {
                    Kind::Array(_) => "{\"type\":\"array\",\"items\":",
                    _ => "{\"type\":\"map\",\"values\":",
                };
                self.out.push_str(start);
                self.rest.push(Rest::CollectionEnd(&node.properties));
                self.rest.push(Rest::Type {
                    id: *element,
                    namespace,
                    depth: depth + 1,
                });
            }
            primitive if node.properties.is_empty() => {
                json::write_string(&mut self.out, primitive.type_name())
            }
            primitive => {
                self.out.push_str("{\"type\":");
                json::write_string(&mut self.out, primitive.type_name());
                self.properties(&node.properties);
                self.out.push('}');
            }
        }
    }

    fn record(
        &mut self,
        record: &'s Record,
        properties: &'s Properties,
        namespace: Option<&str>,
        depth: usize,
    ) {
        let start = match record.error {
            true => "{\"type\":\"error\"",
            false => "{\"type\":\"record\"",
        };
        self.head(start, &record.name, namespace, record.doc.as_deref());
        self.out.push_str(",\"fields\":[");
        self.rest.push(Rest::RecordEnd(record, properties));
        for (index, field) in record.fields.iter().enumerate().rev() {
            self.rest.push(Rest::FieldEnd(field));
            self.rest.push(Rest::Type {
                id: field.schema,
                namespace: record.name.namespace.as_deref(),
                depth: depth + 3,
            });
            self.rest.push(Rest::FieldStart(field, index == 0));
        }
    }

    fn field_end(&mut self, field: &Field) {
        if let Some(doc) = &field.doc {
            self.text_property("doc", doc);
        }
        if let Some(default) = &field.default {
            self.out.push_str(",\"default\":");
            match &field.default_text {
                Some(text) => self.out.push_str(text),
                None => json::write(&mut self.out, default),
            }
        }
        if field.order != Order::Ascending {
            self.text_property("order", field.order.as_str());
        }
        if !field.aliases.is_empty() {
            self.out.push_str(",\"aliases\":");
            list(&mut self.out, field.aliases.iter().map(String::as_str));
        }
        self.properties(&field.properties);
        self.out.push('}');
    }

    fn enumeration(&mut self, kind: &Enum, properties: &Properties, namespace: Option<&str>) {
        self.head("{\"type\":\"enum\"", &kind.name, namespace, kind.doc.as_deref());
        self.out.push_str(",\"symbols\":");
        list(&mut self.out, kind.symbols.iter().map(String::as_str));
        if let Some(default) = &kind.default {
            self.text_property("default", default);
        }
        self.properties(properties);
        self.aliases(&kind.aliases, &kind.name);
        self.out.push('}');
    }

    fn fixed(&mut self, fixed: &Fixed, properties: &Properties, namespace: Option<&str>) {
        self.head(
            "{\"type\":\"fixed\"",
            &fixed.name,
            namespace,
            fixed.doc.as_deref(),
        );
        self.out.push_str(&format!(",\"size\":{}", fixed.size));
        self.properties(properties);
        self.aliases(&fixed.aliases, &fixed.name);
        self.out.push('}');
    }

    /// The start of a named type, up to its documentation.
    fn head(&mut self, start: &str, name: &Name, namespace: Option<&str>, doc: Option<&str>) {
        self.out.push_str(start);
        self.text_property("name", &name.name);
        match name.namespace.as_deref() {
            Some(own) if Some(own) != namespace => self.text_property("namespace", own),
            None if namespace.is_some() => self.text_property("namespace", ""),
            _ => {}
        }
        if let Some(doc) = doc {
            self.text_property("doc", doc);
        }
    }

    fn text_property(&mut self, name: &str, text: &str) {
        self.out.push(',');
        json::write_string(&mut self.out, name);
        self.out.push(':');
        json::write_string(&mut self.out, text);
    }

    fn properties(&mut self, properties: &Properties) {
        for (name, value) in properties.iter() {
            self.out.push(',');
            json::write_string(&mut self.out, name);
            self.out.push(':');
            match properties.texts.get(name) {
                Some(text) => self.out.push_str(text),
                None => json::write(&mut self.out, value),
            }
        }
    }

    fn aliases(&mut self, aliases: &[Name], of: &Name) {
        if !aliases.is_empty() {
            self.out.push_str(",\"aliases\":");
            let namespace = of.namespace.as_deref();
            let names: Vec<_> = aliases.iter().map(|alias| qualified(alias, namespace)).collect();
            list(&mut self.out, names.iter().map(String::as_str));
        }
    }
}

fn list<'t>(out: &mut String, texts: impl Iterator<Item = &'t str>) {
    out.push('[');
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(out, text);
    }
    out.push(']');
}

/// A name as it is written within a namespace.
fn qualified(name: &Name, namespace: Option<&str>) -> String {
    let same = name.namespace.is_some() && name.namespace.as_deref() == namespace;
    match same && !names::is_type_word(&name.name) {
        true => name.name.to_string(),
        false => name.full(),
    }
}

/// Java's `SchemaNormalization.toParsingForm`.
fn canonical_form(schema: &Schema) -> String {
    enum Rest {
        Type(NodeId),
        Text(&'static str),
        Field { record: NodeId, index: usize },
    }
    let mut out = String::new();
    let mut written = HashSet::new();
    let mut rest = vec![Rest::Type(schema.root())];
    while let Some(next) = rest.pop() {
        let id = match next {
            Rest::Type(id) => id,
            Rest::Text(text) => {
                out.push_str(text);
                continue;
            }
            Rest::Field { record, index } => {
                if let Kind::Record(record) = schema.kind(record) {
                    let comma = if index > 0 { "," } else { "" };
                    out.push_str(&format!(
                        "{comma}{{\"name\":\"{}\",\"type\":",
                        record.fields[index].name
                    ));
                }
                continue;
            }
        };
        let kind = schema.kind(id);
        if let Some(name) = kind.name() {
            if !written.insert(name) {
                out.push_str(&format!("\"{name}\""));
                continue;
            }
            let word = match kind {
                Kind::Record(_) => "record",
                other => other.type_name(),
            };
            out.push_str(&format!("{{\"name\":\"{name}\",\"type\":\"{word}\""));
        }
        match kind {
            Kind::Enum(kind) => {
                let symbols: Vec<_> = kind
                    .symbols
                    .iter()
                    .map(|symbol| format!("\"{symbol}\""))
                    .collect();
                out.push_str(&format!(",\"symbols\":[{}]}}", symbols.join(",")));
            }
            Kind::Fixed(fixed) => out.push_str(&format!(",\"size\":{}}}", fixed.size)),
            Kind::Record(record) => {
                out.push_str(",\"fields\":[");
                rest.push(Rest::Text("]}"));
                for (index, field) in record.fields.iter().enumerate().rev() {
                    rest.extend([
                        Rest::Text("}"),
                        Rest::Type(field.schema),
                        Rest::Field { record: id, index },
                    ]);
                }
            }
            Kind::Union(branches) => {
                out.push('[');
                rest.push(Rest::Text("]"));
                for (index, &branch) in branches.iter().enumerate().rev() {
                    rest.push(Rest::Type(branch));
                    rest.push(Rest::Text(if index > 0 { "," } else { "" }));
                }
            }
            Kind::Array(element) => {
                out.push_str("{\"type\":\"array\",\"items\":");
                rest.extend([Rest::Text("}"), Rest::Type(*element)]);
            }
            Kind::Map(element) => {
                out.push_str("{\"type\":\"map\",\"values\":");
                rest.extend([Rest::Text("}"), Rest::Type(*element)]);
            }
            primitive => out.push_str(&format!("\"{}\"", primitive.type_name())),
        }
    }
    out
}

#[cfg(test)]
mod tests;
