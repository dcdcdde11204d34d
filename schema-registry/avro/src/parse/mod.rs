//! A text becomes a schema by the rules of Java's `Schema.Parser` (1.12.1).
//!
//! A text is read in four steps: JSON ([`crate::json`]), types ([`types`](self) below and in `fields`), names
//! (`resolve`: a name may be used before it is defined), and the arena that readers see (`compact`). Referenced texts
//! go through the first three before the text itself and share its names.
//!
//! Bounds: [`MAX_TEXT_BYTES`] per text before anything is read, the depth of JSON (`json::MAX_DEPTH`) before anything
//! recurses; chains of references have no bound, so they are walked with a list of work.

mod compact;
mod defaults;
mod fields;
mod resolve;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value};

use crate::{
    json::{self, LongIntegers},
    logical,
    model::{
        Enum, Fixed, Inner, Kind, Name, Node, NodeId, Properties, Record, Schema, SchemaError, Strictness,
    },
    names, text,
};

/// How long a text may be: far beyond any schema that was seen, and what one request may cost.
pub const MAX_TEXT_BYTES: usize = 8 << 20;

/// Properties that Avro defines on types; they are never among [`Node::properties`].
const RESERVED: [&str; 10] = [
    "doc",
    "fields",
    "items",
    "name",
    "namespace",
    "size",
    "symbols",
    "values",
    "type",
    "aliases",
];

impl Schema {
    /// Reads a schema. `references` are the texts of the schemas it refers to, dependencies first.
    pub fn parse(text: &str, references: &[&str], strictness: Strictness) -> Result<Self, SchemaError> {
        let mut builder = Builder::new(strictness);
        let mut reference_names = Vec::new();
        for (index, reference) in references.iter().enumerate() {
            builder.prefix = format!("/references/{index}");
            let root = builder.text(reference)?;
            reference_names.extend(builder.node(root).kind.name().cloned());
        }
        builder.prefix.clear();
        let first_own = builder.drafts.len();
        let root = builder.text(text)?;
        let (nodes, root, external) = compact::compact(builder.drafts, root, first_own);
        let mut inner = Inner {
            nodes,
            root,
            text: Box::default(),
            external,
            reference_names,
            shapes: OnceLock::new(),
        };
        inner.text = text::to_text(&inner, &inner.reference_names)?.into();
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// A type while its text is read.
enum Draft {
    Type(Node),
    /// A name that was not defined when it was used.
    Pending(Pending),
}

struct Pending {
    full: String,
    pointer: String,
    target: Option<NodeId>,
}

/// A step on the way into the text.
#[derive(Clone, Copy)]
enum Step {
    Key(&'static str),
    Index(usize),
}

struct Builder {
    strictness: Strictness,
    drafts: Vec<Draft>,
    /// Named types by full name; the first definition of a name counts.
    known: HashMap<String, NodeId>,
    /// The first definition, by each equal one that came later.
    repeated: HashMap<NodeId, NodeId>,
    path: Vec<Step>,
    /// What a pointer begins with.
    prefix: String,
    long_integers: LongIntegers,
    /// Where records are, for errors that are found after their text was read.
    records: HashMap<NodeId, String>,
    /// Named types in the order of their definitions' ends, of all texts that were read.
    defined: Vec<NodeId>,
    /// Whether any text has used a name before its definition, or within it.
    forward: bool,
    /// What the text that is being read has defined or used: kept until its names are resolved.
    open: Open,
}

struct Open {
    /// The first type of the text.
    first: NodeId,
    pending: Vec<NodeId>,
    /// Named types in the order of their definitions' ends.
    defined: Vec<NodeId>,
    /// Unions with a pending branch.
    unions: Vec<(NodeId, String)>,
}

impl Open {
    fn new(first: NodeId) -> Self {
        Self {
            first,
            pending: Vec::new(),
            defined: Vec::new(),
            unions: Vec::new(),
        }
    }
}

impl Builder {
    fn new(strictness: Strictness) -> Self {
        Self {
            strictness,
            drafts: Vec::new(),
            known: HashMap::new(),
            repeated: HashMap::new(),
            path: Vec::new(),
            prefix: String::new(),
            long_integers: LongIntegers::new(),
            records: HashMap::new(),
            defined: Vec::new(),
            forward: false,
            open: Open::new(NodeId(0)),
        }
    }

    /// Reads a text to its end, names resolved.
    fn text(&mut self, text: &str) -> Result<NodeId, SchemaError> {
        if text.len() > MAX_TEXT_BYTES {
            let message = format!(
                "a schema of {} bytes, at most {MAX_TEXT_BYTES} are read",
                text.len()
            );
            return Err(self.error(message));
        }
        let document = json::read(text).map_err(|error| SchemaError {
            pointer: format!("{}{}", self.prefix, error.pointer),
            message: error.message,
        })?;
        let Some(document) = document else {
            return Err(self.error("Cannot parse <null> schema".into()));
        };
        self.long_integers = document.long_integers;
        self.open = Open::new(self.next_id());
        let root = self.schema(&document.root, None)?;
        self.resolve(root)?;
        // As in Java, a root that repeats a known type is the known one.
        let known = self.target(root);
        Ok(match self.node(known).kind.name() {
            Some(name) => self.known[&name.full()],
            None => known,
        })
    }

    fn schema(&mut self, value: &Value, namespace: Option<&str>) -> Result<NodeId, SchemaError> {
        match value {
            Value::String(name) => Ok(self.find(name, namespace)),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(object) => self.object(object, namespace),
            other => Err(self.error(format!("Schema not yet supported: {}", json::snippet(other)))),
        }
    }

    /// The type of this name, as it is known by now.
    fn find(&mut self, name: &str, namespace: Option<&str>) -> NodeId {
        if let Some(kind) = primitive(name) {
            return self.push(Node {
                kind,
                properties: Properties::default(),
                logical: None,
            });
        }
        let full = match namespace {
            Some(namespace) if !name.contains('.') => format!("{namespace}.{name}"),
            _ => name.to_owned(),
        };
        if let Some(&known) = self.known.get(&full).or_else(|| self.known.get(name)) {
            return known;
        }
        let pending = Pending {
            full,
            pointer: self.pointer(),
            target: None,
        };
        let id = self.next_id();
        self.drafts.push(Draft::Pending(pending));
        self.open.pending.push(id);
        id
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
    ) -> Result<NodeId, SchemaError> {
        match self.required_text(object, "type", "No type")? {
            "record" => self.record(object, namespace, false),
            "error" => self.record(object, namespace, true),
            "enum" => self.enumeration(object, namespace),
            "fixed" => self.fixed(object, namespace),
            "array" => self.collection(object, namespace, "items", "Array has no items type", Kind::Array),
            "map" => self.collection(object, namespace, "values", "Map has no values type", Kind::Map),
            name => match primitive(name) {
                Some(kind) => {
                    let properties = self.properties(object, &RESERVED, &[]);
                    Ok(self.push_kind(kind, properties))
                }
                None => Ok(self.find(name, namespace)),
            },
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
        error: bool,
    ) -> Result<NodeId, SchemaError> {
        let name = self.name(object, namespace)?;
        let Some(Value::Array(values)) = object.get("fields") else {
            return Err(self.error(format!("Record has no fields: {}", snippet(object))));
        };
        let fields = self.fields(values, &name)?;
        let properties = self.properties(object, &RESERVED, &[]);
        self.copyable(&properties)?;
        let aliases = self.type_aliases(object, &name)?;
        let doc = optional_text(object, "doc");
        let record = Record::new(name, aliases, doc, fields, error);
        let id = self.push_kind(Kind::Record(record), properties);
        let pointer = self.pointer();
        self.records.insert(id, pointer);
        self.define(id)
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
    ) -> Result<NodeId, SchemaError> {
        let name = self.name(object, namespace)?;
        let Some(Value::Array(values)) = object.get("symbols") else {
            return Err(self.error(format!("Enum has no symbols: {}", snippet(object))));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(values.len());
        let mut seen = HashSet::new();
        for (index, value) in values.iter().enumerate() {
            let at = [Step::Key("symbols"), Step::Index(index)];
            let Some(symbol) = value.as_str() else {
                return Err(self.error_at(&at, "Null name".into()));
            };
            names::validate(symbol).map_err(|error| self.error_at(&at, error))?;
            if !seen.insert(symbol) {
                return Err(self.error_at(&at, format!("Duplicate enum symbol: {symbol}")));
            }
            symbols.push(symbol.to_owned());
        }
        // What is no text is no default: Java drops it.
        let default = optional_text(object, "default");
        if let Some(default) = default.as_deref().filter(|d| !seen.contains(d)) {
            let message = format!(
                "The Enum Default: {default} is not in the enum symbol set: {}",
                json::brief(&format!("[{}]", symbols.join(", ")))
            );
            return Err(self.error_at(&[Step::Key("default")], message));
        }
        let aliases = self.type_aliases(object, &name)?;
        let properties = self.properties(object, &RESERVED, &["default"]);
        let kind = Kind::Enum(Enum {
            name,
            aliases,
            doc: optional_text(object, "doc"),
            symbols,
            default,
        });
        let id = self.push_kind(kind, properties);
        self.define(id)
    }

    fn fixed(&mut self, object: &Map<String, Value>, namespace: Option<&str>) -> Result<NodeId, SchemaError> {
        /// The longest array of Java.
        const MAX_SIZE: i64 = i32::MAX as i64 - 8;
        let name = self.name(object, namespace)?;
        let at = [Step::Key("size")];
        let size = match object.get("size").and_then(Value::as_i64) {
            Some(size) if i32::try_from(size).is_ok() => size,
            _ => return Err(self.error_at(&at, format!("Invalid or no size: {}", snippet(object)))),
        };
        if size < 0 {
            return Err(self.error_at(&at, format!("Malformed data. Length is negative: {size}")));
        }
        if size > MAX_SIZE {
            return Err(self.error_at(
                &at,
                format!("Cannot read arrays longer than {MAX_SIZE} bytes in Java library"),
            ));
        }
        let aliases = self.type_aliases(object, &name)?;
        let properties = self.properties(object, &RESERVED, &[]);
        let kind = Kind::Fixed(Fixed {
            name,
            aliases,
            doc: optional_text(object, "doc"),
            size: usize::try_from(size).expect("a size that is not negative fits"),
        });
        let id = self.push_kind(kind, properties);
        self.define(id)
    }

    fn collection(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&str>,
        key: &'static str,
        missing: &str,
        kind: fn(NodeId) -> Kind,
    ) -> Result<NodeId, SchemaError> {
        let Some(value) = object.get(key) else {
            return Err(self.error(format!("{missing}: {}", snippet(object))));
        };
        self.path.push(Step::Key(key));
        let element = self.schema(value, namespace)?;
        self.path.pop();
        let properties = self.properties(object, &RESERVED, &[]);
        self.copyable(&properties)?;
        Ok(self.push_kind(kind(element), properties))
    }

    fn union(&mut self, values: &[Value], namespace: Option<&str>) -> Result<NodeId, SchemaError> {
        let mut branches = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            self.path.push(Step::Index(index));
            branches.push(self.schema(value, namespace)?);
            self.path.pop();
        }
        let pending = branches
            .iter()
            .any(|&branch| matches!(self.draft(branch), Draft::Pending(_)));
        let id = self.push_kind(Kind::Union(branches), Properties::default());
        let pointer = self.pointer();
        match pending {
            true => self.open.unions.push((id, pointer)),
            false => self.check_union(id, pointer)?,
        }
        Ok(id)
    }

    /// Every branch of a union is of another type, and none is a union.
    fn check_union(&self, union: NodeId, pointer: String) -> Result<(), SchemaError> {
        let Kind::Union(branches) = &self.node(union).kind else {
            return Ok(());
        };
        let mut seen = HashSet::with_capacity(branches.len());
        for &branch in branches {
            let kind = &self.node(self.target(branch)).kind;
            let message = match kind {
                Kind::Union(_) => "Nested union".to_owned(),
                kind => {
                    let full = kind
                        .name()
                        .map_or_else(|| kind.type_name().to_owned(), Name::full);
                    if seen.insert(full.clone()) {
                        continue;
                    }
                    format!("Duplicate in union:{full}")
                }
            };
            return Err(SchemaError { pointer, message });
        }
        Ok(())
    }

    fn name(&self, object: &Map<String, Value>, namespace: Option<&str>) -> Result<Name, SchemaError> {
        let namespace = object.get("namespace").and_then(Value::as_str).or(namespace);
        let name = Name::new(
            self.required_text(object, "name", "No name in schema")?,
            namespace,
        );
        let at = [Step::Key("name")];
        names::validate(&name.name).map_err(|error| self.error_at(&at, error))?;
        if name.namespace.is_none() && names::is_primitive(&name.name) {
            let message = format!("Schemas may not be named after primitives: {}", name.name);
            return Err(self.error_at(&at, message));
        }
        if self.strictness == Strictness::New {
            names::validate_full(&name.full()).map_err(|error| self.error_at(&at, error))?;
        }
        Ok(name)
    }

    fn type_aliases(&self, object: &Map<String, Value>, name: &Name) -> Result<Vec<Name>, SchemaError> {
        let mut aliases = Vec::new();
        let mut seen = HashSet::new();
        for alias in self.aliases(object)? {
            let alias = Name::new(&alias, name.namespace.as_deref());
            if self.strictness == Strictness::New {
                names::validate(&alias.name)
                    .map_err(|error| self.error_at(&[Step::Key("aliases")], error))?;
            }
            if seen.insert(alias.clone()) {
                aliases.push(alias);
            }
        }
        Ok(aliases)
    }

    /// Aliases as they are written, each once.
    fn aliases(&self, object: &Map<String, Value>) -> Result<Vec<String>, SchemaError> {
        let values = match object.get("aliases") {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(_) => {
                let message = format!("aliases not an array: {}", snippet(object));
                return Err(self.error_at(&[Step::Key("aliases")], message));
            }
        };
        let mut aliases: Vec<String> = Vec::with_capacity(values.len());
        let mut seen = HashSet::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let Some(alias) = value.as_str() else {
                let message = format!("alias not a string: {}", json::snippet(value));
                return Err(self.error_at(&[Step::Key("aliases"), Step::Index(index)], message));
            };
            if seen.insert(alias) {
                aliases.push(alias.to_owned());
            }
        }
        Ok(aliases)
    }

    /// Every property but the reserved ones.
    fn properties(&self, object: &Map<String, Value>, reserved: &[&str], also: &[&str]) -> Properties {
        let mut properties = Properties::default();
        for (key, value) in object {
            if reserved.contains(&key.as_str()) || also.contains(&key.as_str()) {
                continue;
            }
            if let Some(text) = self.exact_text(key, value) {
                properties.texts.insert(key.as_str().into(), text);
            }
            properties.values.insert(key.clone(), value.clone());
        }
        properties
    }

    /// What Java prints for a value, where it differs from what the value itself says.
    fn exact_text(&self, key: &str, value: &Value) -> Option<Box<str>> {
        if self.long_integers.is_empty() {
            return None;
        }
        let mut pointer = String::new();
        push_steps(&mut pointer, &self.path);
        json::push_token(&mut pointer, key);
        json::exact_text(value, pointer, &self.long_integers)
    }

    /// Java copies records, arrays and maps when names are resolved, and cannot copy integers beyond 64 bits.
    fn copyable(&self, properties: &Properties) -> Result<(), SchemaError> {
        let long = |(name, value)| long_integer(value).then_some(name);
        let rounded = properties.texts.keys().next().map(AsRef::as_ref);
        match rounded.or_else(|| properties.iter().find_map(long)) {
            Some(name) => Err(self.error(format!("Can't set a property to null: {name}"))),
            None => Ok(()),
        }
    }

    fn required_text<'v>(
        &self,
        object: &'v Map<String, Value>,
        key: &str,
        error: &str,
    ) -> Result<&'v str, SchemaError> {
        match object.get(key).and_then(Value::as_str) {
            Some(text) => Ok(text),
            None => Err(self.error(format!("{error}: {}", snippet(object)))),
        }
    }

    fn next_id(&self) -> NodeId {
        NodeId(u32::try_from(self.drafts.len()).expect("texts are too short for so many types"))
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = self.next_id();
        self.drafts.push(Draft::Type(node));
        id
    }

    fn push_kind(&mut self, kind: Kind, properties: Properties) -> NodeId {
        let logical = match properties.is_empty() {
            true => None,
            false => logical::of(&kind, &properties),
        };
        self.push(Node {
            kind,
            properties,
            logical,
        })
    }

    fn draft(&self, id: NodeId) -> &Draft {
        &self.drafts[id.index()]
    }

    /// A type that is defined.
    fn node(&self, id: NodeId) -> &Node {
        match self.draft(id) {
            Draft::Type(node) => node,
            Draft::Pending(_) => unreachable!("names are resolved before their types are looked at"),
        }
    }

    /// Where a name leads.
    fn target(&self, id: NodeId) -> NodeId {
        match self.draft(id) {
            Draft::Type(_) => id,
            Draft::Pending(pending) => pending.target.expect("the names of the text are resolved"),
        }
    }

    /// Where the type is that is being read.
    fn pointer(&self) -> String {
        let mut pointer = self.prefix.clone();
        push_steps(&mut pointer, &self.path);
        pointer
    }

    fn error(&self, message: String) -> SchemaError {
        self.error_at(&[], message)
    }

    fn error_at(&self, steps: &[Step], message: String) -> SchemaError {
        let mut pointer = self.pointer();
        push_steps(&mut pointer, steps);
        SchemaError { pointer, message }
    }
}

fn push_steps(pointer: &mut String, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Key(key) => write!(pointer, "/{key}"),
            Step::Index(index) => write!(pointer, "/{index}"),
        }
        .expect("a String takes everything");
    }
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn optional_text(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(ToOwned::to_owned)
}

/// Whether there is an integer beyond Java's `long` in it.
fn long_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_u64() && !number.is_i64(),
        Value::Array(items) => items.iter().any(long_integer),
        Value::Object(entries) => entries.values().any(long_integer),
        _ => false,
    }
}

fn snippet(object: &Map<String, Value>) -> String {
    // Rare enough that the copy does not matter: it is the text of an error.
    json::snippet(&Value::Object(object.clone()))
}

#[cfg(test)]
mod tests;
