//! The schema model: an arena of nodes in which a named reference is the [`NodeId`] of the definition.
//!
//! Invariants: every `NodeId` in a node points into the same arena; a recursive type is a cycle, so whoever walks the
//! arena counts visits or keeps a list of work (a chain of references may be longer than any stack); a schema never
//! changes after it was parsed.
//! Deliberately absent: reading and writing of text, and any rule.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value};

use crate::shape::Shapes;

/// The place of a node in the arena of its [`Schema`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The place as an index, `0..Schema::len()`: for tables beside the arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A parsed schema: its nodes and its text. Cloning is a reference count.
#[derive(Clone)]
pub struct Schema {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    pub(crate) text: Box<str>,
    /// Whether a referenced text has brought the node.
    pub(crate) external: Vec<bool>,
    /// Names of the referenced schemas themselves, which the text does not spell out.
    pub(crate) reference_names: Vec<Name>,
    /// Of the nodes, once somebody compares the schema.
    pub(crate) shapes: OnceLock<Shapes>,
}

impl Schema {
    /// Where the schema begins.
    pub fn root(&self) -> NodeId {
        self.inner.root
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.inner.nodes[id.index()]
    }

    /// What the node is: short for `node(id).kind`.
    pub fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }

    /// Every node with its place, those of referenced schemas too.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        self.inner
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId(index as u32), node))
    }

    /// How many nodes the arena has: every [`NodeId::index`] is below.
    pub fn len(&self) -> usize {
        self.inner.nodes.len()
    }

    /// Never: a schema has at least its root.
    pub fn is_empty(&self) -> bool {
        self.inner.nodes.is_empty()
    }

    /// Whether a referenced text has brought this node.
    pub fn is_external(&self, id: NodeId) -> bool {
        self.inner.external[id.index()]
    }

    pub(crate) fn shapes(&self) -> &Shapes {
        self.inner.shapes.get_or_init(|| Shapes::of(&self.inner.nodes))
    }

    /// The text by which schemas are told apart: what Java's `Schema.toString()` prints. Referenced schemas are named, not
    /// spelled out (but for types within them, which Confluent spells out too).
    pub fn text(&self) -> &str {
        &self.inner.text
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// How strictly a text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strictness {
    /// For a schema that somebody registers: names and default values must be valid.
    New,
    /// For what is stored already: names and default values are taken as they are.
    Stored,
}

/// One type within a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    /// Every property that Avro itself does not define for this kind, in the order of the text.
    pub properties: Properties,
    /// The logical type, if it is a known one and valid here; an invalid one is ignored, as the specification asks, and
    /// stays visible in `properties`.
    pub logical: Option<Logical>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// The type of the items.
    Array(NodeId),
    /// The type of the values.
    Map(NodeId),
    Union(Vec<NodeId>),
    Fixed(Fixed),
    Enum(Enum),
    Record(Record),
}

/// A type of `size` bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    pub name: Name,
    pub aliases: Vec<Name>,
    pub doc: Option<String>,
    pub size: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    pub name: Name,
    pub aliases: Vec<Name>,
    pub doc: Option<String>,
    pub symbols: Vec<String>,
    /// The symbol that stands for one the reader does not know.
    pub default: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub name: Name,
    pub aliases: Vec<Name>,
    pub doc: Option<String>,
    pub fields: Vec<Field>,
    /// Whether the text says `error` instead of `record`.
    pub error: bool,
    /// Indices of the fields, sorted by name.
    pub(crate) by_name: Box<[u32]>,
}

impl Record {
    pub(crate) fn new(
        name: Name,
        aliases: Vec<Name>,
        doc: Option<String>,
        fields: Vec<Field>,
        error: bool,
    ) -> Self {
        let mut by_name: Box<[u32]> = (0..fields.len() as u32).collect();
        by_name.sort_unstable_by_key(|&index| fields[index as usize].name.as_str());
        Self {
            name,
            aliases,
            doc,
            fields,
            error,
            by_name,
        }
    }

    /// The index of the field with this name.
    pub fn field(&self, name: &str) -> Option<usize> {
        let name_of = |&index: &u32| self.fields[index as usize].name.as_str();
        let place = self.by_name.binary_search_by_key(&name, name_of).ok()?;
        Some(self.by_name[place] as usize)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub schema: NodeId,
    /// The default as the text has it, JSON: bytes are strings of U+0000 to U+00FF. The default of a `float` or `double`
    /// is a number, or one of the strings `NaN`, `Infinity` and `-Infinity`.
    pub default: Option<Value>,
    /// The default as Java prints it, where `Value` cannot hold it (integers beyond 64 bits).
    pub(crate) default_text: Option<Box<str>>,
    pub order: Order,
    pub aliases: Vec<String>,
    pub doc: Option<String>,
    pub properties: Properties,
}

/// How a field takes part in sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
    Ignore,
}

impl Order {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Ignore => "ignore",
        }
    }
}

/// The name of a record, an enum or a fixed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub namespace: Option<Box<str>>,
    pub name: Box<str>,
}

impl Name {
    /// A name as it is written within `enclosing`: one with a dot is full, one without lives in the namespace around it.
    pub fn new(name: &str, enclosing: Option<&str>) -> Self {
        let (namespace, name) = match name.rsplit_once('.') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (enclosing, name),
        };
        Self {
            namespace: namespace.filter(|n| !n.is_empty()).map(Into::into),
            name: name.into(),
        }
    }

    /// The namespace, a dot and the name; the name alone where there is no namespace.
    pub fn full(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.name),
            None => self.name.to_string(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}.")?;
        }
        f.write_str(&self.name)
    }
}

/// A logical type that is valid on its node, by the rules of Java's `LogicalTypes.fromSchemaIgnoreInvalid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logical {
    Decimal { precision: u32, scale: u32 },
    BigDecimal,
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Duration,
}

/// Properties in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    pub(crate) values: Map<String, Value>,
    /// What Java prints for a value that `Value` cannot hold (integers beyond 64 bits), by name.
    pub(crate) texts: BTreeMap<Box<str>, Box<str>>,
}

impl Properties {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

impl Kind {
    /// The word the text has for it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Fixed(_) => "fixed",
            Self::Enum(_) => "enum",
            Self::Record(record) if record.error => "error",
            Self::Record(_) => "record",
        }
    }

    /// The name of a record, an enum or a fixed.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Fixed(Fixed { name, .. })
            | Self::Enum(Enum { name, .. })
            | Self::Record(Record { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// The other names of a record, an enum or a fixed.
    pub fn aliases(&self) -> &[Name] {
        match self {
            Self::Fixed(Fixed { aliases, .. })
            | Self::Enum(Enum { aliases, .. })
            | Self::Record(Record { aliases, .. }) => aliases,
            _ => &[],
        }
    }
}

/// Why a text is not a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    /// Where in the text, as a JSON pointer (RFC 6901); in a referenced text, behind `references/N`.
    pub pointer: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_is_full_and_one_without_lives_in_the_namespace_around_it() {
        let check = |name: &str, enclosing: Option<&str>, full: &str| {
            assert_eq!(Name::new(name, enclosing).full(), full, "{name} in {enclosing:?}");
        };
        check("A", None, "A");
        check("A", Some("x.y"), "x.y.A");
        check("z.A", Some("x.y"), "z.A");
        check(".A", Some("x.y"), "A");
        check("A", Some(""), "A");
    }
}
