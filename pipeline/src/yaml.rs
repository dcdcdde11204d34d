//! YAML text to a tree whose every key and value knows its place in the text.
//!
//! Invariants: the tree is bounded before it is built (text, nodes, depth, bytes that aliases repeat); keys of a
//! mapping are unique; scalars follow the YAML 1.2 core schema (`no` is text, not false). References such as
//! `${env.X}` are replaced in scalar values only, so a value from outside can never become structure.
//!
//! The only module that knows the YAML crate. Deliberately absent: tags, merge keys (`<<`), several documents.

use std::{borrow::Cow, collections::HashMap};

use serde_json::Number;
use serde_saphyr::granit_parser::{
    self as granit, Event, Parser, ScalarStyle, ScanError, Span as ParserSpan,
};

use crate::{
    diagnostics::Mark,
    tree::{Data, Key, Layout, Node, Span, Weight, first_line},
};

/// A pipeline file is written by people.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// What aliases repeat counts each time.
const MAX_NODES: usize = 50_000;
const MAX_SCALAR_BYTES: usize = 8 << 20;
const MAX_DEPTH: usize = 48;

/// Replaces references in a scalar: `Ok(None)` if there are none.
pub(crate) type Expand<'a> = dyn Fn(&str) -> Result<Option<String>, Fault> + 'a;

/// Something wrong with a scalar.
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// The tree, or as much of it as could be read, and what is wrong.
pub(crate) fn parse(text: &str, expand: &Expand<'_>) -> (Option<Node>, Vec<Mark>) {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "the file has {} bytes, at most {MAX_TEXT_BYTES} are read",
            text.len()
        );
        return (None, vec![Mark::new(0..0, message)]);
    }
    let options = granit::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let mut builder = Builder {
        text,
        expand,
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        total: Weight::default(),
        marks: Vec::new(),
    };
    let root = match builder.document() {
        Ok(root) => root,
        Err(mark) => {
            builder.marks.push(mark);
            None
        }
    };
    (root, builder.marks)
}

struct Builder<'a> {
    text: &'a str,
    expand: &'a Expand<'a>,
    events: Parser<'a, granit::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    total: Weight,
    marks: Vec<Mark>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Node>, Mark> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document begins here";
                    return Err(Mark::new(span, message).help("a file holds one pipeline: remove the '---'"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 1)?),
            }
        }
        if root.is_none() {
            let mark = Mark::new(0..0, "the file is empty");
            return Err(mark.help("a pipeline begins with 'version: 1' and 'pipeline: <name>'"));
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Mark> {
        let Some(event) = self.events.next_event() else {
            return Ok((Event::StreamEnd, 0..0));
        };
        let (event, span) = event.map_err(|error| self.syntax_error(&error))?;
        Ok((event, byte_span(&span, self.text)))
    }

    fn syntax_error(&self, error: &ScanError) -> Mark {
        let at = error
            .marker()
            .byte_offset()
            .unwrap_or(self.text.len())
            .min(self.text.len());
        let mark = Mark::new(at..at, format!("not valid YAML: {}", error.info()));
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        match self.text[line_start..].lines().next() {
            Some(line) if line.contains("${") => {
                mark.help("inside of { } and [ ] a reference is quoted: \"${env.X}\"")
            }
            _ => mark,
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Mark> {
        let (node, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span, depth),
            Event::Scalar(value, style, anchor, tag) => (self.scalar(&value, style, span), anchor, tag),
            Event::SequenceStart(_, anchor, tag) => (self.list(span, depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(span, depth)?, anchor, tag),
            _ => return Err(Mark::new(span, "a value is missing here")),
        };
        if tag.is_some() {
            let mark = Mark::new(first_line(&node.span, self.text), "tags are not allowed");
            self.marks
                .push(mark.help("remove the '!...'; quote a value that must stay text"));
        }
        let own = Weight {
            nodes: 1,
            bytes: node.own_bytes(),
            depth: 0,
        };
        self.spend(own, &node.span)?;
        if anchor > 0 {
            self.spend(node.weight, &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// What an alias stands for, shown where the alias stands.
    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Mark> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Mark::new(span, "the alias stands inside of what it repeats"));
        };
        let weight = target.weight;
        if depth + weight.depth > MAX_DEPTH {
            return Err(Mark::new(
                span,
                format!("nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.spend(weight, &span)?;
        let mut node = self.anchors[&anchor].clone();
        node.layout = Layout::Opaque;
        node.span = span;
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, Mark> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                let span = start.start..span.start.max(start.end);
                return Ok(Node::new(span, Data::List(items), Layout::Opaque));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, Mark> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                let span = start.start..span.start.max(start.end);
                return Ok(Node::new(span, Data::Map(entries), Layout::Opaque));
            }
            let key = self.key(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if let Some(first) = seen.get(&key.text) {
                let line = 1 + self.text[..first.start].matches('\n').count();
                let message = format!("the key '{}' is given twice", key.text);
                self.marks
                    .push(Mark::new(key.span, message).help(format!("the first stands in line {line}")));
                continue;
            }
            seen.insert(key.text.clone(), key.span.clone());
            entries.push((key, value));
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<Key, Mark> {
        let Event::Scalar(text, ..) = event else {
            return Err(Mark::new(span, "a key must be a plain word"));
        };
        if text == "<<" {
            let mark = Mark::new(span.clone(), "merge keys are not part of YAML 1.2");
            self.marks
                .push(mark.help("write the keys out, or repeat a whole value by an alias"));
        } else if text.contains("${") {
            let mark = Mark::new(span.clone(), "references are replaced in values, not in keys");
            self.marks.push(mark.help("write the key out"));
        }
        Ok(Key {
            text: text.into_owned(),
            span,
        })
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, span: Span) -> Node {
        let expanded = match (self.expand)(value) {
            Ok(expanded) => expanded,
            Err(fault) => {
                let mark = Mark::new(first_line(&span, self.text), fault.message);
                self.marks.push(mark.help(fault.help));
                return Node::new(span, Data::Unknown, Layout::Opaque);
            }
        };
        let layout = match expanded {
            Some(_) => Layout::Opaque,
            None => self.layout(style, &span),
        };
        let value = expanded.map_or(Cow::Borrowed(value), Cow::Owned);
        let data = match style {
            ScalarStyle::Plain => plain(&value),
            _ => Data::Text(value.into_owned()),
        };
        Node::new(span, data, layout)
    }

    fn layout(&self, style: ScalarStyle, span: &Span) -> Layout {
        let source = &self.text[span.clone()];
        match style {
            ScalarStyle::Plain if !source.contains('\n') => Layout::Line(span.start),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
                if !source.contains(['\n', '\\']) && !source[1.min(source.len())..].contains("''") =>
            {
                Layout::Line(span.start + 1)
            }
            ScalarStyle::Literal => self.block_layout(span),
            _ => Layout::Opaque,
        }
    }

    /// The content of a literal block begins in the line after its `|`, which may carry an indentation indicator.
    fn block_layout(&self, span: &Span) -> Layout {
        let source = &self.text[span.start..];
        let first_line = if source.starts_with('|') {
            match source.find('\n') {
                Some(newline) => span.start + newline + 1,
                None => return Layout::Opaque,
            }
        } else {
            self.text[..span.start]
                .rfind('\n')
                .map_or(0, |newline| newline + 1)
        };
        if source.starts_with('|')
            && source[1..].starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
        {
            let header = source.lines().next().unwrap_or_default();
            if header.contains(|c: char| c.is_ascii_digit()) {
                return Layout::Opaque;
            }
        }
        let line = self.text[first_line..]
            .lines()
            .find(|line| !line.trim().is_empty());
        let indent = line.map_or(0, |line| line.len() - line.trim_start_matches(' ').len());
        Layout::Block { first_line, indent }
    }

    /// Refuses before anything is copied.
    fn spend(&mut self, weight: Weight, at: &Span) -> Result<(), Mark> {
        self.total.nodes += weight.nodes;
        self.total.bytes += weight.bytes;
        if self.total.nodes > MAX_NODES || self.total.bytes > MAX_SCALAR_BYTES {
            let message = "the file holds too much, counted with what its aliases repeat";
            let help = format!("at most {MAX_NODES} values and {MAX_SCALAR_BYTES} bytes of text");
            return Err(Mark::new(first_line(at, self.text), message).help(help));
        }
        Ok(())
    }
}

/// The YAML 1.2 core schema.
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        text => number(text).map_or_else(|| Data::Text(text.into()), Data::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(Number::from);
        }
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let signed = text.parse::<i64>().map(Number::from);
        return signed.or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    }
    let float_like = |c: char| c.is_ascii_digit() || ".eE+-".contains(c);
    if !unsigned.chars().all(float_like) || !unsigned.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

fn byte_span(span: &ParserSpan, text: &str) -> Span {
    let end = text.len();
    let range = span.byte_range().unwrap_or(end..end);
    let start = range.start.min(end);
    start..range.end.clamp(start, end)
}
