//! A tree of values in which every key and value knows its place in the text.
//!
//! Deliberately absent: how it is read from YAML (`yaml.rs`) and what may stand in it (`validate.rs`).

use std::ops::Range;

use millstream_sdk::{ConfigPath, PathSegment};
use serde_json::{Map, Number, Value};

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) data: Data,
    /// How positions inside a text value map to the file.
    pub(crate) layout: Layout,
    /// What this subtree costs when an alias repeats it.
    pub(crate) weight: Weight,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// A scalar whose reference could not be replaced: said once, then taken for whatever is wanted.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// The value's first character stands at this byte, and the value has one line.
    Line(usize),
    /// A literal block: the first line begins at this byte, each line is indented by so many bytes.
    Block { first_line: usize, indent: usize },
    /// Positions inside the value have no simple counterpart.
    Opaque,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    pub(crate) nodes: usize,
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

impl Node {
    pub(crate) fn new(span: Span, data: Data, layout: Layout) -> Self {
        let mut node = Self {
            span,
            data,
            layout,
            weight: Weight::default(),
        };
        let mut weight = Weight {
            nodes: 1,
            bytes: node.own_bytes(),
            depth: 1,
        };
        for child in node.children() {
            weight.nodes += child.weight.nodes;
            weight.bytes += child.weight.bytes;
            weight.depth = weight.depth.max(1 + child.weight.depth);
        }
        node.weight = weight;
        node
    }

    pub(crate) fn own_bytes(&self) -> usize {
        match &self.data {
            Data::Text(text) => text.len(),
            Data::Map(entries) => entries.iter().map(|(key, _)| key.text.len()).sum(),
            _ => 0,
        }
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.data {
            Data::List(items) => Box::new(items.iter()),
            Data::Map(entries) => Box::new(entries.iter().map(|(_, value)| value)),
            _ => Box::new(std::iter::empty()),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, value)| value)
    }

    /// The entries of a mapping; of anything else, none.
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether a reference in it could not be replaced.
    pub(crate) fn has_unknown(&self) -> bool {
        matches!(self.data, Data::Unknown) || self.children().any(Self::has_unknown)
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null | Data::Unknown => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), value.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// The place of the value at `path`, or of the last thing on the way that exists. A mapping, list or block is
    /// shown by its key: underlining all of it would help nobody.
    pub(crate) fn locate(&self, path: &ConfigPath, within: Option<(usize, usize)>, text: &str) -> Span {
        let (mut node, mut key) = (self, None);
        for segment in &path.0 {
            let next = match (segment, &node.data) {
                (PathSegment::Key(name), Data::Map(entries)) => entries
                    .iter()
                    .find(|(key, _)| key.text == *name)
                    .map(|(key, value)| (value, Some(&key.span))),
                (PathSegment::Index(index), Data::List(items)) => items.get(*index).map(|item| (item, None)),
                _ => None,
            };
            let Some((value, value_key)) = next else { break };
            (node, key) = (value, value_key);
        }
        within
            .and_then(|(line, column)| node.inside(line, column, text))
            .unwrap_or_else(|| node.shown(key, text))
    }

    fn shown(&self, key: Option<&Span>, text: &str) -> Span {
        let flat = matches!(self.data, Data::Bool(_) | Data::Number(_) | Data::Text(_))
            && !text[self.span.clone()].contains('\n');
        match key {
            Some(key) if !flat => key.clone(),
            _ => first_line(&self.span, text),
        }
    }

    /// The word at a line and column (from 1, in characters) of this text value.
    fn inside(&self, line: usize, column: usize, text: &str) -> Option<Span> {
        let (line_start, skip) = match self.layout {
            Layout::Line(start) if line == 1 => (start, 0),
            Layout::Block { first_line, indent } => {
                let mut start = first_line;
                for _ in 1..line {
                    start += text[start..].find('\n')? + 1;
                }
                (start, indent)
            }
            _ => return None,
        };
        let rest = text[line_start..].lines().next().unwrap_or_default();
        let rest_start = line_start + skip.min(rest.len());
        let rest = text.get(rest_start..line_start + rest.len())?;
        let at = rest
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(at, _)| at);
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let tail = &rest[at..];
        let length = tail.find(|c| !word(c)).unwrap_or(tail.len());
        let length = length.max(tail.chars().next().map_or(0, char::len_utf8));
        Some(rest_start + at..rest_start + at + length)
    }
}

/// A span cut at the end of its first line.
pub(crate) fn first_line(span: &Span, text: &str) -> Span {
    let line = text[span.clone()].lines().next().unwrap_or_default();
    span.start..span.start + line.trim_end().len()
}
