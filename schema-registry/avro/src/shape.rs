//! What a type is, as far as comparisons go, in 128 bits: two types of one shape need no look within.
//!
//! A shape stands for the kind, the name without its namespace, symbols, size and logical type, the names of the fields
//! in order, and the shapes of what is within. What is not in it (documents, defaults, aliases, properties) does not
//! matter between a type and its like, for every field is found. Only a type has a shape that reads its like whatever was
//! compared before, under every policy, and of which no comparison within leaves a trace:
//!
//! - it leads to no circle, so that no verdict within depends on one that is not there yet;
//! - no alias of a field is the name of a field beside it, on which Java throws;
//! - no union within has two records, for a record that is compared with the wrong branch may throw, too, and its verdict
//!   is kept.
//!
//! The hash is keyed by the process: nobody can look for two types that have one shape.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    num::NonZero,
    sync::LazyLock,
};

use crate::model::{Field, Kind, Node, NodeId, Record};

/// Equal ones are of one shape; `None`: the type has to be compared.
pub(crate) type Shape = Option<NonZero<u128>>;

/// The shapes of an arena, close together: whoever compares with a thousand schemas waits for memory most of the time.
pub(crate) struct Shapes {
    nodes: Box<[Shape]>,
    /// Where the fields of a record begin in what follows, by node.
    starts: Box<[u32]>,
    fields: Box<[FieldShape]>,
    /// Hashes of the names of a record's fields in order, and which fields they are.
    by_name: Box<[(u64, u32)]>,
}

struct FieldShape {
    /// Of the name alone.
    name: u64,
    /// Of the name and the type.
    shape: Shape,
}

impl FieldShape {
    fn of(field: &Field, shapes: &[Shape]) -> Self {
        let whole = |shape| {
            let mut hash = Twin::new();
            (&field.name, shape).hash(&mut hash);
            hash.both()
        };
        let mut name = Twin::new();
        field.name.hash(&mut name);
        Self {
            name: name.finish(),
            shape: shapes[field.schema.index()].and_then(whole),
        }
    }
}

impl Shapes {
    pub(crate) fn of(nodes: &[Node]) -> Self {
        let shapes = shapes(nodes);
        let (mut fields, mut by_name) = (Vec::<FieldShape>::new(), Vec::new());
        let mut starts = Vec::with_capacity(nodes.len());
        for node in nodes {
            let start = fields.len();
            starts.push(start as u32);
            if let Kind::Record(record) = &node.kind {
                fields.extend(record.fields.iter().map(|field| FieldShape::of(field, &shapes)));
                by_name.extend(
                    (0..)
                        .zip(&fields[start..])
                        .map(|(index, field)| (field.name, index)),
                );
                by_name[start..].sort_unstable();
            }
        }
        Self {
            nodes: shapes,
            starts: starts.into(),
            fields: fields.into(),
            by_name: by_name.into(),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Shape {
        self.nodes[id.index()]
    }

    /// Whether a field of a record is one of another record: by its name, and of a type that needs no look.
    pub(crate) fn is_field(
        &self,
        field: (NodeId, usize),
        other: &Self,
        record: NodeId,
        index: usize,
    ) -> bool {
        let (own, other) = (self.field(field), other.field((record, index)));
        own.shape.is_some() && own.shape == other.shape
    }

    /// The field of another record that has the name of a field; `record` is that record.
    pub(crate) fn find(
        &self,
        field: (NodeId, usize),
        name: &str,
        other: &Self,
        (id, record): (NodeId, &Record),
    ) -> Option<usize> {
        let hash = self.field(field).name;
        let start = other.starts[id.index()] as usize;
        let names = &other.by_name[start..start + record.fields.len()];
        let first = names.partition_point(|(other, _)| *other < hash);
        let like = names[first..].iter().take_while(|(other, _)| *other == hash);
        let mut like = like.map(|&(_, index)| index as usize);
        like.find(|&index| record.fields[index].name == name)
    }

    fn field(&self, (record, index): (NodeId, usize)) -> &FieldShape {
        &self.fields[self.starts[record.index()] as usize + index]
    }
}

fn shapes(nodes: &[Node]) -> Box<[Shape]> {
    let mut shapes = vec![None; nodes.len()];
    let mut seen = vec![false; nodes.len()];
    let mut work = Vec::new();
    for start in (0..nodes.len() as u32).map(NodeId) {
        work.push((start, false));
        while let Some((id, is_left)) = work.pop() {
            if is_left {
                // A type around this one has no shape yet, so that whatever leads back to it gets none.
                shapes[id.index()] = shape(nodes, id, &shapes);
            } else if !std::mem::replace(&mut seen[id.index()], true) {
                work.push((id, true));
                work.extend(within(&nodes[id.index()].kind).map(|inner| (inner, false)));
            }
        }
    }
    shapes.into()
}

fn within(kind: &Kind) -> impl Iterator<Item = NodeId> {
    let (one, branches, fields) = match kind {
        Kind::Array(element) | Kind::Map(element) => (Some(*element), &[][..], &[][..]),
        Kind::Union(branches) => (None, branches.as_slice(), &[][..]),
        Kind::Record(record) => (None, &[][..], record.fields.as_slice()),
        _ => (None, &[][..], &[][..]),
    };
    let fields = fields.iter().map(|field| field.schema);
    one.into_iter().chain(branches.iter().copied()).chain(fields)
}

fn shape(nodes: &[Node], id: NodeId, shapes: &[Shape]) -> Shape {
    let node = &nodes[id.index()];
    let is_plain = match &node.kind {
        Kind::Record(record) => has_no_ambiguous_field(record),
        // A union has one array and one map at most: records alone are compared within with another branch.
        Kind::Union(branches) => {
            let records = branches.iter().filter(|&&branch| is_record(nodes, branch));
            records.count() <= 1
        }
        _ => true,
    };
    if !is_plain {
        return None;
    }
    let mut hash = Twin::new();
    std::mem::discriminant(&node.kind).hash(&mut hash);
    node.logical.hash(&mut hash);
    match &node.kind {
        Kind::Fixed(fixed) => (&fixed.name.name, fixed.size).hash(&mut hash),
        Kind::Enum(kind) => (&kind.name.name, &kind.symbols).hash(&mut hash),
        Kind::Record(record) => {
            record.name.name.hash(&mut hash);
            hash.write_usize(record.fields.len());
            record.fields.iter().for_each(|field| field.name.hash(&mut hash));
        }
        Kind::Union(branches) => hash.write_usize(branches.len()),
        _ => {}
    }
    for inner in within(&node.kind) {
        shapes[inner.index()]?.hash(&mut hash);
    }
    hash.both()
}

fn is_record(nodes: &[Node], id: NodeId) -> bool {
    matches!(nodes[id.index()].kind, Kind::Record(_))
}

fn has_no_ambiguous_field(record: &Record) -> bool {
    let mut aliases = record.fields.iter().flat_map(|field| &field.aliases);
    aliases.all(|alias| record.field(alias).is_none())
}

/// Two hashes at once, of keys that no other process has.
struct Twin(DefaultHasher, DefaultHasher);

impl Twin {
    fn new() -> Self {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        Self(KEYS[0].build_hasher(), KEYS[1].build_hasher())
    }

    fn both(&self) -> Shape {
        NonZero::new(u128::from(self.0.finish()) << 64 | u128::from(self.1.finish()))
    }
}

impl Hasher for Twin {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Schema, Strictness,
        compat::{FindingKind, check},
    };

    fn schema(text: &str) -> Schema {
        Schema::parse(text, &[], Strictness::New).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
    }

    fn has_shape(text: &str) -> bool {
        let schema = schema(text);
        schema.shapes().node(schema.root()).is_some()
    }

    fn one_shape(a: &str, b: &str) -> bool {
        let (a, b) = (schema(a), schema(b));
        let [a, b] = [&a, &b].map(|schema| schema.shapes().node(schema.root()).expect("it is plain"));
        a == b
    }

    #[test]
    fn what_does_not_matter_between_a_type_and_its_like_is_not_in_its_shape() {
        let a = record(r#"{"name":"a","type":["null",{"type":"enum","name":"E","symbols":["A"]}]}"#);
        let b = r#"{"type":"error","name":"x.R","doc":"d","aliases":["S"],"fields":[{"name":"a","default":null,"doc":"d",
            "aliases":["b"],"type":["null",{"type":"enum","name":"E","symbols":["A"],"default":"A","p":1}]}]}"#;
        assert!(one_shape(&a, b));
    }

    #[test]
    fn what_matters_is_in_the_shape() {
        let fixed = |name: &str, size: usize| format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#);
        let enums = |symbols: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
        let different = [
            r#""int""#.to_owned(),
            r#""long""#.to_owned(),
            r#"{"type":"int","logicalType":"date"}"#.to_owned(),
            r#"{"type":"array","items":"int"}"#.to_owned(),
            r#"{"type":"map","values":"int"}"#.to_owned(),
            r#"["int"]"#.to_owned(),
            r#"["int","long"]"#.to_owned(),
            r#"["long","int"]"#.to_owned(),
            fixed("A", 1),
            fixed("A", 2),
            fixed("B", 1),
            enums(r#""A","B""#),
            enums(r#""AB""#),
            enums(r#""B","A""#),
            record(""),
            record(r#"{"name":"a","type":"int"}"#),
            record(r#"{"name":"a","type":"long"}"#),
            record(r#"{"name":"b","type":"int"}"#),
            record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#),
        ];
        for (n, a) in different.iter().enumerate() {
            for (m, b) in different.iter().enumerate() {
                assert_eq!(one_shape(a, b), n == m, "{a} and {b}");
            }
        }
    }

    #[test]
    fn types_of_which_java_may_throw_or_keep_a_verdict_have_no_shape() {
        let inner = |name: &str| format!(r#"{{"type":"record","name":"{name}","fields":[]}}"#);
        assert!(has_shape(&format!(r#"["null",{}]"#, inner("A"))));
        assert!(!has_shape(&format!("[{},{}]", inner("A"), inner("B"))));
        assert!(!has_shape(&record(r#"{"name":"next","type":["null","R"]}"#)));
        assert!(!has_shape(
            r#"{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"]}]}}"#
        ));
        assert!(has_shape(&record(r#"{"name":"a","aliases":["b"],"type":"int"}"#)));
        let ambiguous = record(r#"{"name":"a","aliases":["b"],"type":"int"},{"name":"b","type":"int"}"#);
        assert!(!has_shape(&ambiguous));
    }

    #[test]
    fn a_schema_that_cannot_read_itself_is_still_told_so() {
        let text = r#"{"type":"record","name":"Outer","fields":[{"name":"within","type":
            {"type":"record","name":"R","fields":[{"name":"a","aliases":["b"],"type":"int"},{"name":"b","type":"int"}]}}]}"#;
        let (a, b) = (schema(text), schema(text));
        let findings = check(&a, &b);
        let found: Vec<_> = findings.iter().map(|f| (f.kind, f.location.as_str())).collect();
        assert_eq!(found, [(FindingKind::AmbiguousField, "/fields/0/type/fields/0")]);
    }
}
