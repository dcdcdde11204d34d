//! The comparison itself: Java's recursion as a machine with a stack of its own.
//!
//! The recursion in Java is as deep as the product of two chains of names, so here a [`Frame`] is a pair of types that
//! waits for the verdicts on the pairs within. Verdicts on pairs of which one has a name are kept, with the places of
//! their findings as they were when the pair was met first, for Java keeps them so; a pair that is met again while it
//! is being compared counts as compatible. Pairs without a name are met once per pair of named types around them.
//!
//! A finding is a few numbers until the end ([`Raw`]); its text is made for those that are reported.
//!
//! Most versions get along, and most of two versions is the same. So a comparison first asks for the verdict alone, notes
//! no places, and does not look into types of one [`shape`](crate::shape); what is wrong is then found by one that does.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Finding, FindingKind, Policy, logical};
use crate::{
    model::{Enum, Field, Kind, Name, NodeId, Record, Schema},
    shape::Shapes,
    text,
};

/// How many findings one comparison reports. A shared type within shared types multiplies them without end.
pub const MAX_FINDINGS: usize = 10_000;
/// And how many bytes of text they may have.
const MAX_REPORT_BYTES: usize = 8 << 20;
/// Pairs of types and fields that are compared before the comparison is given up: about a second.
const MAX_STEPS: usize = 20_000_000;

/// Everything that keeps `reader` from reading what `writer` may have written, by Java's rules. Empty: compatible.
pub fn check(reader: &Schema, writer: &Schema) -> Vec<Finding> {
    check_with(reader, writer, Policy::Java)
}

/// [`check`] by a policy.
pub fn check_with(reader: &Schema, writer: &Schema, policy: Policy) -> Vec<Finding> {
    let quick = Checker::new(reader, writer, policy, Some([reader.shapes(), writer.shapes()])).findings();
    match quick.first() {
        None => {
            debug_assert!(
                matches!(
                    check_whole(reader, writer, policy).first().map(|f| f.kind),
                    None | Some(FindingKind::TooComplex)
                ),
                "what is skipped is compatible: {reader:?} reads {writer:?}"
            );
            quick
        }
        Some(finding) if finding.kind == FindingKind::TooComplex => quick,
        Some(_) => check_whole(reader, writer, policy),
    }
}

/// The comparison with everything looked at, as Java does it.
fn check_whole(reader: &Schema, writer: &Schema, policy: Policy) -> Vec<Finding> {
    Checker::new(reader, writer, policy, None).findings()
}

/// An index into [`Checker::places`].
type PlaceId = u32;
const ROOT: PlaceId = 0;

/// A step of a JSON pointer and what is before it.
struct Place {
    parent: PlaceId,
    token: Token,
}

#[derive(Clone, Copy)]
enum Token {
    Root,
    Word(&'static str),
    Index(u32),
}

/// A finding before it has a text.
struct Raw {
    kind: FindingKind,
    place: PlaceId,
    reader: NodeId,
    writer: NodeId,
    /// The field of the reader that it is about, if it is about one.
    field: u32,
}

/// The verdict on a pair.
#[derive(Clone, Copy)]
enum Outcome {
    Compatible,
    /// An index into [`Checker::outcomes`].
    Incompatible(u32),
}

enum Item {
    /// An index into [`Checker::raw`].
    Finding(u32),
    /// The findings of a pair within.
    Outcome(u32),
}

#[derive(Clone, Copy)]
enum Known {
    InProgress,
    Done(Outcome),
}

/// A pair that is being compared.
struct Frame {
    reader: NodeId,
    writer: NodeId,
    place: PlaceId,
    mode: Mode,
    /// The next pair within.
    next: u32,
    /// Which field of the writer's record comes after the one that was met last: most likely the next one.
    next_written: u32,
    items: Vec<Item>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The items of two arrays or the values of two maps.
    Element(&'static str),
    /// The fields of two records; the place is that of `fields`.
    Fields(PlaceId),
    /// A reader against every branch of a writer's union.
    WriterUnion,
    /// A reader's union against every branch of a writer's union; findings within a branch are not told.
    BothUnions,
    /// Any branch of a reader's union will do.
    ReaderUnion,
}

/// A pair to be compared next.
struct Pair {
    reader: NodeId,
    writer: NodeId,
    place: PlaceId,
}

struct Checker<'s> {
    reader: &'s Schema,
    writer: &'s Schema,
    policy: Policy,
    /// Of the reader and of the writer, where the verdict is all that is asked for.
    shapes: Option<[&'s Shapes; 2]>,
    known: HashMap<(NodeId, NodeId), Known>,
    places: Vec<Place>,
    raw: Vec<Raw>,
    outcomes: Vec<Vec<Item>>,
    frames: Vec<Frame>,
    steps: usize,
}

impl<'s> Checker<'s> {
    fn new(reader: &'s Schema, writer: &'s Schema, policy: Policy, shapes: Option<[&'s Shapes; 2]>) -> Self {
        Self {
            reader,
            writer,
            policy,
            shapes,
            known: HashMap::new(),
            places: vec![Place {
                parent: ROOT,
                token: Token::Root,
            }],
            raw: Vec::new(),
            outcomes: Vec::new(),
            frames: Vec::new(),
            steps: 0,
        }
    }

    fn findings(mut self) -> Vec<Finding> {
        match self.run() {
            Ok(Outcome::Compatible) => Vec::new(),
            Ok(Outcome::Incompatible(outcome)) => self.report(outcome),
            Err(raw) => vec![self.finding(&raw)],
        }
    }

    /// Whether the two need no look within.
    fn is_same(&self, reader: NodeId, writer: NodeId) -> bool {
        self.shapes.is_some_and(|[reads, writes]| {
            reads.node(reader).is_some() && reads.node(reader) == writes.node(writer)
        })
    }

    /// An error is a finding that puts an end to the comparison.
    fn run(&mut self) -> Result<Outcome, Raw> {
        let root = Pair {
            reader: self.reader.root(),
            writer: self.writer.root(),
            place: ROOT,
        };
        let mut verdict = self.enter(root)?;
        loop {
            if let Some(outcome) = verdict.take() {
                match self.frames.last_mut() {
                    None => return Ok(outcome),
                    Some(_) => self.accept(outcome),
                }
            }
            verdict = match self.advance()? {
                Some(pair) => self.enter(pair)?,
                None => Some(self.leave()),
            };
        }
    }

    /// The verdict on a pair, if it has one at once; if not, the pair has a frame from now on.
    fn enter(&mut self, pair: Pair) -> Result<Option<Outcome>, Raw> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Raw {
                kind: FindingKind::TooComplex,
                place: pair.place,
                reader: pair.reader,
                writer: pair.writer,
                field: 0,
            });
        }
        if self.is_same(pair.reader, pair.writer) {
            return Ok(Some(Outcome::Compatible));
        }
        let (reader, writer) = (self.reader.kind(pair.reader), self.writer.kind(pair.writer));
        let shared = reader.name().is_some() || writer.name().is_some();
        if shared {
            match self.known.get(&(pair.reader, pair.writer)) {
                Some(Known::InProgress) => return Ok(Some(Outcome::Compatible)),
                Some(Known::Done(outcome)) => return Ok(Some(*outcome)),
                None => {}
            }
        }
        let mut items = Vec::new();
        let mode = match (reader, writer) {
            (Kind::Array(_), Kind::Array(_)) => Some(Mode::Element("items")),
            (Kind::Map(_), Kind::Map(_)) => Some(Mode::Element("values")),
            (Kind::Record(_), Kind::Record(_)) => {
                self.check_names(&pair, &mut items);
                Some(Mode::Fields(self.place(pair.place, Token::Word("fields"))))
            }
            (Kind::Union(_), Kind::Union(_)) => Some(Mode::BothUnions),
            (_, Kind::Union(_)) => Some(Mode::WriterUnion),
            (Kind::Union(_), _) => Some(Mode::ReaderUnion),
            _ => {
                self.check_leaf(&pair, &mut items);
                None
            }
        };
        let Some(mode) = mode else {
            let outcome = self.outcome(items);
            if shared {
                self.known
                    .insert((pair.reader, pair.writer), Known::Done(outcome));
            }
            return Ok(Some(outcome));
        };
        if shared {
            self.known.insert((pair.reader, pair.writer), Known::InProgress);
        }
        self.frames.push(Frame {
            reader: pair.reader,
            writer: pair.writer,
            place: pair.place,
            mode,
            next: 0,
            next_written: 0,
            items,
        });
        Ok(None)
    }

    /// The next pair within the innermost frame.
    fn advance(&mut self) -> Result<Option<Pair>, Raw> {
        let frame = self
            .frames
            .last_mut()
            .expect("the root has a frame until its verdict");
        let (index, place) = (frame.next, frame.place);
        let pair = |reader, writer, place| {
            Ok(Some(Pair {
                reader,
                writer,
                place,
            }))
        };
        let (reader, writer) = (frame.reader, frame.writer);
        match frame.mode {
            Mode::Fields(fields) => self.advance_fields(fields),
            Mode::Element(word) => {
                frame.next += 1;
                match (self.reader.kind(reader), self.writer.kind(writer)) {
                    (Kind::Array(r), Kind::Array(w)) | (Kind::Map(r), Kind::Map(w)) if index == 0 => {
                        let place = self.place(place, Token::Word(word));
                        pair(*r, *w, place)
                    }
                    _ => Ok(None),
                }
            }
            Mode::WriterUnion | Mode::BothUnions => {
                frame.next += 1;
                let mode = frame.mode;
                let Some(&branch) = branches(self.writer, writer).get(index as usize) else {
                    return Ok(None);
                };
                let place = match mode {
                    Mode::WriterUnion => self.place(place, Token::Index(index)),
                    _ => ROOT,
                };
                pair(reader, branch, place)
            }
            Mode::ReaderUnion => {
                frame.next += 1;
                match branches(self.reader, reader).get(index as usize) {
                    Some(&branch) => pair(branch, writer, ROOT),
                    None => {
                        self.add(FindingKind::MissingUnionBranch, place, 0);
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Goes over the fields up to one whose types need a look of their own.
    fn advance_fields(&mut self, fields: PlaceId) -> Result<Option<Pair>, Raw> {
        let frame = self
            .frames
            .last_mut()
            .expect("the frame of the record is the innermost");
        let (reader, writer) = (self.reader, self.writer);
        let (Kind::Record(reads), Kind::Record(writes)) =
            (reader.kind(frame.reader), writer.kind(frame.writer))
        else {
            return Ok(None);
        };
        let (reader_record, writer_record) = (frame.reader, frame.writer);
        let (mut next, mut next_written) = (frame.next as usize, frame.next_written as usize);
        let mut missing = Vec::new();
        let mut found = None;
        while let Some(field) = reads.fields.get(next) {
            let index = next as u32;
            next += 1;
            self.steps += 1;
            let likely = (next_written < writes.fields.len()).then_some(next_written);
            if let (Some([own, other]), Some(likely), true) = (self.shapes, likely, field.aliases.is_empty())
                && own.is_field((reader_record, next - 1), other, writer_record, likely)
            {
                next_written += 1;
                continue;
            }
            let by_name = match self.shapes {
                Some([own, other]) => own.find(
                    (reader_record, next - 1),
                    &field.name,
                    other,
                    (writer_record, writes),
                ),
                None => match likely {
                    Some(likely) if writes.fields[likely].name == field.name => Some(likely),
                    _ => writes.field(&field.name),
                },
            };
            let Ok(written) = with_aliases(by_name, field, writes) else {
                let place = self.place(fields, Token::Index(index));
                return Err(Raw {
                    kind: FindingKind::AmbiguousField,
                    place,
                    reader: reader_record,
                    writer: writer_record,
                    field: index,
                });
            };
            let written = match written {
                Some(written) => {
                    next_written = written + 1;
                    writes.fields[written].schema
                }
                None if field.default.is_some() => continue,
                // Java compares the enum with the record.
                None if matches!(
                    reader.kind(field.schema),
                    Kind::Enum(Enum { default: Some(_), .. })
                ) =>
                {
                    writer_record
                }
                None => {
                    missing.push(index);
                    continue;
                }
            };
            let same = self.is_same(field.schema, written)
                || self.policy == Policy::Java
                    && same_primitive(reader.kind(field.schema), writer.kind(written));
            if same {
                continue;
            }
            found = Some((field.schema, written, index));
            break;
        }
        let frame = self
            .frames
            .last_mut()
            .expect("the frame of the record is the innermost");
        (frame.next, frame.next_written) = (next as u32, next_written as u32);
        for index in missing {
            let place = self.place(fields, Token::Index(index));
            self.add(FindingKind::ReaderFieldMissingDefaultValue, place, index);
        }
        Ok(found.map(|(reader, writer, index)| {
            let field = self.place(fields, Token::Index(index));
            let place = self.place(field, Token::Word("type"));
            Pair {
                reader,
                writer,
                place,
            }
        }))
    }

    /// What the innermost frame makes of the verdict on a pair within it.
    fn accept(&mut self, outcome: Outcome) {
        let frame = self.frames.last_mut().expect("the caller has seen a frame");
        match (frame.mode, outcome) {
            // One branch is enough: none is left to look at.
            (Mode::ReaderUnion, Outcome::Compatible) => frame.mode = Mode::Element(""),
            (Mode::ReaderUnion, Outcome::Incompatible(_)) | (_, Outcome::Compatible) => {}
            (Mode::BothUnions, Outcome::Incompatible(_)) => {
                let (place, branch) = (frame.place, frame.next - 1);
                let place = self.place(place, Token::Index(branch));
                self.add(FindingKind::MissingUnionBranch, place, branch);
            }
            (Mode::Element(_) | Mode::Fields(_) | Mode::WriterUnion, Outcome::Incompatible(outcome)) => {
                frame.items.push(Item::Outcome(outcome));
            }
        }
    }

    /// The verdict on the innermost frame, whose pairs are all compared.
    fn leave(&mut self) -> Outcome {
        let frame = self.frames.pop().expect("the caller has advanced a frame");
        let outcome = self.outcome(frame.items);
        if let Some(known) = self.known.get_mut(&(frame.reader, frame.writer)) {
            *known = Known::Done(outcome);
        }
        outcome
    }

    fn outcome(&mut self, items: Vec<Item>) -> Outcome {
        if items.is_empty() {
            return Outcome::Compatible;
        }
        self.outcomes.push(items);
        Outcome::Incompatible(self.outcomes.len() as u32 - 1)
    }

    /// Types that hold no others.
    fn check_leaf(&mut self, pair: &Pair, items: &mut Vec<Item>) {
        let (reader, writer) = (self.reader.node(pair.reader), self.writer.node(pair.writer));
        let readable = match (&reader.kind, &writer.kind) {
            (Kind::Fixed(reads), Kind::Fixed(writes)) => {
                self.check_names(pair, items);
                if reads.size != writes.size {
                    self.push(pair, items, FindingKind::FixedSizeMismatch, "size");
                }
                true
            }
            (Kind::Enum(reads), Kind::Enum(writes)) => {
                self.check_names(pair, items);
                if reads.default.is_none() && has_missing_symbols(reads, writes) {
                    self.push(pair, items, FindingKind::MissingEnumSymbols, "symbols");
                }
                true
            }
            (reads, writes) => same_primitive(reads, writes) || promotes(reads, writes),
        };
        if !readable {
            let raw = self.raw_at(pair.place, FindingKind::TypeMismatch, pair);
            items.push(raw);
        } else if self.policy == Policy::LogicalStrict
            && let Some((property, _)) = logical::mismatch(reader, writer)
        {
            self.push(
                pair,
                items,
                FindingKind::LogicalTypeMismatch,
                property.unwrap_or("logicalType"),
            );
        }
    }

    /// One name without its namespace is enough, or an alias of the reader in full.
    fn check_names(&mut self, pair: &Pair, items: &mut Vec<Item>) {
        let (reader, writer) = (self.reader.kind(pair.reader), self.writer.kind(pair.writer));
        let (Some(own), Some(other)) = (reader.name(), writer.name()) else {
            return;
        };
        if own.name == other.name {
            return;
        }
        // An alias without a namespace, of a type that has one, never counts: Java writes it with a dot in front.
        let counts = |alias: &&Name| alias.namespace.is_some() || own.namespace.is_none();
        let aliases = reader.aliases();
        self.steps += aliases.len();
        if !aliases.iter().filter(counts).any(|alias| alias == other) {
            self.push(pair, items, FindingKind::NameMismatch, "name");
        }
    }

    fn push(&mut self, pair: &Pair, items: &mut Vec<Item>, kind: FindingKind, word: &'static str) {
        let place = self.place(pair.place, Token::Word(word));
        let raw = self.raw_at(place, kind, pair);
        items.push(raw);
    }

    fn raw_at(&mut self, place: PlaceId, kind: FindingKind, pair: &Pair) -> Item {
        self.raw.push(Raw {
            kind,
            place,
            reader: pair.reader,
            writer: pair.writer,
            field: 0,
        });
        Item::Finding(self.raw.len() as u32 - 1)
    }

    /// A finding of the innermost frame.
    fn add(&mut self, kind: FindingKind, place: PlaceId, field: u32) {
        let frame = self
            .frames
            .last_mut()
            .expect("findings of frames are made while there is one");
        self.raw.push(Raw {
            kind,
            place,
            reader: frame.reader,
            writer: frame.writer,
            field,
        });
        frame.items.push(Item::Finding(self.raw.len() as u32 - 1));
    }

    fn place(&mut self, parent: PlaceId, token: Token) -> PlaceId {
        if self.shapes.is_some() {
            return ROOT;
        }
        self.places.push(Place { parent, token });
        self.places.len() as u32 - 1
    }

    /// The findings of an outcome in order, as far as they are reported.
    fn report(&self, outcome: u32) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut bytes = 0;
        let mut work = vec![self.outcomes[outcome as usize].iter()];
        while let Some(items) = work.last_mut() {
            match items.next() {
                None => {
                    work.pop();
                }
                Some(Item::Outcome(outcome)) => work.push(self.outcomes[*outcome as usize].iter()),
                Some(Item::Finding(raw)) => {
                    let finding = self.finding(&self.raw[*raw as usize]);
                    bytes += finding.location.len() + finding.message.len();
                    findings.push(finding);
                    if findings.len() == MAX_FINDINGS || bytes > MAX_REPORT_BYTES {
                        break;
                    }
                }
            }
        }
        findings
    }

    fn finding(&self, raw: &Raw) -> Finding {
        Finding {
            kind: raw.kind,
            location: self.location(raw.place),
            message: self.message(raw),
        }
    }

    fn location(&self, mut place: PlaceId) -> String {
        let mut tokens = Vec::new();
        while place != ROOT {
            let Place { parent, token } = &self.places[place as usize];
            tokens.push(*token);
            place = *parent;
        }
        let mut pointer = String::new();
        for token in tokens.iter().rev() {
            match token {
                Token::Root => {}
                Token::Word(word) => pointer.extend(["/", word]),
                Token::Index(index) => pointer.push_str(&format!("/{index}")),
            }
        }
        match pointer.is_empty() {
            true => "/".into(),
            false => pointer,
        }
    }

    fn message(&self, raw: &Raw) -> String {
        let (reader, writer) = (self.reader.kind(raw.reader), self.writer.kind(raw.writer));
        match raw.kind {
            FindingKind::NameMismatch => {
                let name = writer.name().map(ToString::to_string);
                format!("expected: {}", name.unwrap_or_default())
            }
            FindingKind::FixedSizeMismatch => match (reader, writer) {
                (Kind::Fixed(reads), Kind::Fixed(writes)) => {
                    format!("expected: {}, found: {}", writes.size, reads.size)
                }
                _ => String::new(),
            },
            FindingKind::MissingEnumSymbols => match (reader, writer) {
                (Kind::Enum(reads), Kind::Enum(writes)) => missing_symbols(reads, writes),
                _ => String::new(),
            },
            FindingKind::ReaderFieldMissingDefaultValue => match reader {
                Kind::Record(record) => record.fields[raw.field as usize].name.clone(),
                _ => String::new(),
            },
            FindingKind::TypeMismatch => format!(
                "reader type: {} not compatible with writer type: {}",
                type_word(reader),
                type_word(writer)
            ),
            FindingKind::MissingUnionBranch => self.missing_branch(raw),
            FindingKind::AmbiguousField => self.ambiguous_field(raw),
            FindingKind::LogicalTypeMismatch => {
                let (reader, writer) = (self.reader.node(raw.reader), self.writer.node(raw.writer));
                logical::mismatch(reader, writer).map_or_else(String::new, |(_, message)| message)
            }
            FindingKind::TooComplex => {
                format!("the comparison was given up after {MAX_STEPS} types and fields")
            }
        }
    }

    fn missing_branch(&self, raw: &Raw) -> String {
        let branch = match self.writer.kind(raw.writer) {
            Kind::Union(branches) => self.writer.node(branches[raw.field as usize]),
            _ => self.writer.node(raw.writer),
        };
        let message = format!("reader union lacking writer type: {}", type_word(&branch.kind));
        match (self.policy, branch.logical) {
            (Policy::LogicalStrict, logical @ Some(_)) => {
                format!("{message} ({})", logical::describe(logical))
            }
            _ => message,
        }
    }

    fn ambiguous_field(&self, raw: &Raw) -> String {
        let Kind::Record(record) = self.reader.kind(raw.reader) else {
            return String::new();
        };
        let field = &record.fields[raw.field as usize];
        // The text of a type within a schema that has one cannot be nested deeper than that.
        let writer = text::type_text(&self.writer.inner, raw.writer).unwrap_or_default();
        format!(
            "Reader record field {} type:{} pos:{} matches multiple fields in writer record schema {writer}",
            field.name,
            type_word(self.reader.kind(field.schema)),
            raw.field
        )
    }
}

/// The writer's field that a reader's field is, by its name or an alias. An error: there are several.
fn with_aliases(by_name: Option<usize>, field: &Field, writes: &Record) -> Result<Option<usize>, ()> {
    let mut found = by_name;
    for alias in &field.aliases {
        match (writes.field(alias), found) {
            (None, _) => {}
            (Some(_), Some(_)) => return Err(()),
            (other, None) => found = other,
        }
    }
    Ok(found)
}

fn branches(schema: &Schema, union: NodeId) -> &[NodeId] {
    match schema.kind(union) {
        Kind::Union(branches) => branches,
        _ => &[],
    }
}

fn same_primitive(reader: &Kind, writer: &Kind) -> bool {
    matches!(
        (reader, writer),
        (Kind::Null, Kind::Null)
            | (Kind::Boolean, Kind::Boolean)
            | (Kind::Int, Kind::Int)
            | (Kind::Long, Kind::Long)
            | (Kind::Float, Kind::Float)
            | (Kind::Double, Kind::Double)
            | (Kind::Bytes, Kind::Bytes)
            | (Kind::String, Kind::String)
    )
}

fn promotes(reader: &Kind, writer: &Kind) -> bool {
    matches!(
        (reader, writer),
        (Kind::Long | Kind::Float | Kind::Double, Kind::Int)
            | (Kind::Float | Kind::Double, Kind::Long)
            | (Kind::Double, Kind::Float)
            | (Kind::Bytes, Kind::String)
            | (Kind::String, Kind::Bytes)
    )
}

fn has_missing_symbols(reads: &Enum, writes: &Enum) -> bool {
    if writes.symbols.len() <= reads.symbols.len() && reads.symbols.starts_with(&writes.symbols) {
        return false;
    }
    let known: HashSet<&str> = reads.symbols.iter().map(String::as_str).collect();
    writes
        .symbols
        .iter()
        .any(|symbol| !known.contains(symbol.as_str()))
}

/// The missing symbols as Java prints a sorted set.
fn missing_symbols(reads: &Enum, writes: &Enum) -> String {
    let mut missing: BTreeSet<&str> = writes.symbols.iter().map(String::as_str).collect();
    for symbol in &reads.symbols {
        missing.remove(symbol.as_str());
    }
    format!("[{}]", missing.into_iter().collect::<Vec<_>>().join(", "))
}

/// Java's name of a type.
fn type_word(kind: &Kind) -> String {
    match kind {
        Kind::Record(_) => "RECORD".into(),
        kind => kind.type_name().to_uppercase(),
    }
}
