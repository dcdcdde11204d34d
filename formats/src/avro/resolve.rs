//! Which part of the writer's schema is read as which part of the reader's: Java's rules (`org.apache.avro.Resolver`), and
//! where it would refuse what the compatibility rules promise, the promise holds.
//!
//! Pure questions about two nodes; whoever compiles a plan asks them.

use std::collections::HashMap;

use millstream_schema_registry_avro::{Enum, Field, Kind, Name, NodeId, Record, Schema};

/// Records within unions within records: deeper ones are taken to be alike.
const MAX_DEPTH: usize = 32;

/// Two schemas, and what the reader calls the writer's types.
#[derive(Debug)]
pub(super) struct Resolver {
    writer: Schema,
    reader: Schema,
    /// The reader's names, by alias.
    aliases: HashMap<String, Name>,
}

impl Resolver {
    pub(super) fn new(writer: &Schema, reader: &Schema) -> Self {
        let mut aliases = HashMap::new();
        for (_, node) in reader.nodes() {
            if let Some(name) = node.kind.name() {
                let names = node.kind.aliases().iter();
                aliases.extend(names.map(|alias| (alias.full(), name.clone())));
            }
        }
        Self {
            writer: writer.clone(),
            reader: reader.clone(),
            aliases,
        }
    }

    /// What the reader calls a type of the writer.
    fn name<'a>(&'a self, written: &'a Name) -> &'a Name {
        match self.aliases.is_empty() {
            true => written,
            false => self.aliases.get(&written.full()).unwrap_or(written),
        }
    }

    fn is_same_name(&self, written: &Name, read: &Name) -> bool {
        self.name(written).name == read.name || written.name == read.name
    }

    /// The field of a writer's record that a reader's field is read from: of the same name, else of an alias.
    pub(super) fn field(written: &Record, read: &Field) -> Option<usize> {
        let named = |name: &str| written.fields.iter().position(|field| field.name == name);
        named(&read.name).or_else(|| read.aliases.iter().find_map(|alias| named(alias)))
    }

    /// For each symbol of a writer's enum the reader's one; `None` where the reader has neither it nor a default.
    pub(super) fn symbols<'a>(written: &'a Enum, read: &'a Enum) -> impl Iterator<Item = Option<&'a str>> {
        let known = |symbol: &String| read.symbols.iter().find(|known| *known == symbol);
        let default = read.default.as_ref().and_then(known);
        let symbols = written.symbols.iter();
        symbols.map(move |symbol| Some(known(symbol).or(default)?.as_str()))
    }

    /// Whether two nodes, neither a union, can be read as each other at all; what is inside of them is not asked.
    pub(super) fn matches(&self, written: NodeId, read: NodeId) -> bool {
        match (self.writer.kind(written), self.reader.kind(read)) {
            (Kind::Fixed(w), Kind::Fixed(r)) => w.size == r.size && self.is_same_name(&w.name, &r.name),
            (Kind::Enum(w), Kind::Enum(r)) => self.is_same_name(&w.name, &r.name),
            // As in Java, a record's name counts only where there is a choice.
            (Kind::Record(_), Kind::Record(_)) => true,
            (w, r) => is_same_type(w, r) || is_promotion(w, r),
        }
    }

    /// The branch of a reader's union that a writer's type, which is no union, is read as.
    pub(super) fn branch(&self, written: NodeId, branches: &[NodeId]) -> Option<usize> {
        self.branch_within(written, branches, 0)
    }

    fn branch_within(&self, written: NodeId, branches: &[NodeId], depth: usize) -> Option<usize> {
        let kind = self.writer.kind(written);
        self.same_branch(written, branches, depth)
            .or_else(|| {
                let promoted = |read: &NodeId| is_promotion(kind, self.reader.kind(*read));
                branches.iter().position(promoted)
            })
            .or_else(|| {
                // Java stops here. But to the compatibility rules unqualified names are enough.
                let is_alike = |read: &NodeId| {
                    let named = self.reader.kind(*read).name().zip(kind.name());
                    named.is_some_and(|(r, w)| self.is_same_name(w, r)) && self.matches(written, *read)
                };
                branches.iter().position(is_alike)
            })
    }

    /// A branch of the same type: for named types of the same full name; for records else one of the same structure, the
    /// first, or the last one of the same unqualified name.
    fn same_branch(&self, written: NodeId, branches: &[NodeId], depth: usize) -> Option<usize> {
        let kind = self.writer.kind(written);
        let mut structure = None;
        for (index, read) in branches.iter().enumerate() {
            let candidate = self.reader.kind(*read);
            let (Some(w), Some(r)) = (kind.name(), candidate.name()) else {
                if is_same_type(kind, candidate) {
                    return Some(index);
                }
                continue;
            };
            if !is_same_type(kind, candidate) {
                continue;
            }
            let w = self.name(w);
            if w == r {
                return Some(index);
            }
            if let (Kind::Record(written), Kind::Record(read)) = (kind, candidate) {
                let is_alike =
                    (structure.is_none() || w.name == r.name) && self.is_alike(written, read, depth);
                structure = if is_alike { Some(index) } else { structure };
            }
        }
        structure
    }

    /// Whether every field of a reader's record can be had, as far as its own type says.
    fn is_alike(&self, written: &Record, read: &Record, depth: usize) -> bool {
        read.fields.iter().all(|field| match Self::field(written, field) {
            Some(index) => self.is_readable(written.fields[index].schema, field.schema, depth + 1),
            None => field.default.is_some(),
        })
    }

    fn is_readable(&self, written: NodeId, read: NodeId, depth: usize) -> bool {
        match (self.writer.kind(written), self.reader.kind(read)) {
            _ if depth >= MAX_DEPTH => true,
            // Which branch it is shows with the data.
            (Kind::Union(_), _) => true,
            (_, Kind::Union(branches)) => self.branch_within(written, branches, depth).is_some(),
            (Kind::Record(w), Kind::Record(r)) => {
                let is_there = |field: &Field| field.default.is_some() || Self::field(w, field).is_some();
                r.fields.iter().all(is_there)
            }
            _ => self.matches(written, read),
        }
    }

    /// Whether two unions have the same branches in the same order, so that each is read as its counterpart.
    pub(super) fn is_same_union(&self, written: NodeId, read: NodeId) -> bool {
        self.is_same(written, read, &mut HashMap::new(), 0)
    }

    fn is_same(
        &self,
        written: NodeId,
        read: NodeId,
        seen: &mut HashMap<(NodeId, NodeId), bool>,
        depth: usize,
    ) -> bool {
        let (w, r) = (self.writer.kind(written), self.reader.kind(read));
        if !is_same_type(w, r) || depth > 8 * MAX_DEPTH {
            return false;
        }
        let names = w.name().zip(r.name());
        if names.is_some_and(|(w, r)| self.name(w).name != r.name) {
            return false;
        }
        match (w, r) {
            (Kind::Array(w), Kind::Array(r)) | (Kind::Map(w), Kind::Map(r)) => {
                self.is_same(*w, *r, seen, depth + 1)
            }
            (Kind::Fixed(w), Kind::Fixed(r)) => w.size == r.size,
            (Kind::Enum(w), Kind::Enum(r)) => w.symbols == r.symbols,
            (Kind::Union(w), Kind::Union(r)) => {
                let mut pairs = w.iter().zip(r);
                w.len() == r.len() && pairs.all(|(w, r)| self.is_same(*w, *r, seen, depth + 1))
            }
            (Kind::Record(w), Kind::Record(r)) => {
                if let Some(known) = seen.get(&(written, read)) {
                    return *known;
                }
                // Taken to be so while it is being asked: a record may contain itself.
                seen.insert((written, read), true);
                let mut pairs = w.fields.iter().zip(&r.fields);
                let same = w.fields.len() == r.fields.len()
                    && pairs
                        .all(|(w, r)| w.name == r.name && self.is_same(w.schema, r.schema, seen, depth + 1));
                seen.insert((written, read), same);
                same
            }
            _ => true,
        }
    }
}

fn is_same_type(written: &Kind, read: &Kind) -> bool {
    // `error` is another word for `record`.
    std::mem::discriminant(written) == std::mem::discriminant(read)
}

/// What the specification calls promotion.
fn is_promotion(written: &Kind, read: &Kind) -> bool {
    matches!(
        (written, read),
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Double)
            | (Kind::String, Kind::Bytes)
            | (Kind::Bytes, Kind::String)
    )
}
