//! One JSON object per value: to cells and back.
//!
//! `serde_json` walks the object and checks its grammar; a wanted value is kept as its source text and parsed by the
//! column, so numbers of every width are exact. Unknown fields are skipped, missing ones are NULL, of repeated ones the
//! last counts.

use std::{collections::HashMap, fmt};

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::cell::{Cell, Cells};

pub(crate) struct Splitter {
    /// The wanted columns in the order of the schema, in which producers mostly write them: name and column.
    names: Vec<(String, usize)>,
    /// Place in `names`, where there are too many to look through.
    by_name: Option<HashMap<String, usize>>,
}

impl Splitter {
    pub(crate) fn new(names: Vec<(String, usize)>) -> Self {
        const FEW: usize = 8;
        let places = || {
            names
                .iter()
                .enumerate()
                .map(|(place, (name, _))| (name.clone(), place))
        };
        let by_name = (names.len() > FEW).then(|| places().collect());
        Self { names, by_name }
    }

    /// Sets the cells of the row begun last.
    pub(crate) fn split<'a>(&self, value: &'a [u8], cells: &mut Cells<'a>) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_slice(value);
        let object = Object {
            splitter: self,
            cells,
        };
        json.deserialize_map(object)
            .and_then(|()| json.end())
            .map_err(|error| format!("not a JSON object: {error}"))
    }

    /// `expected`: where the name is, if the fields come in the order of the schema.
    fn place(&self, name: &str, expected: usize) -> Option<usize> {
        let is_expected = self.names.get(expected).is_some_and(|(known, _)| known == name);
        match &self.by_name {
            _ if is_expected => Some(expected),
            Some(by_name) => by_name.get(name).copied(),
            None => self.names.iter().position(|(known, _)| known == name),
        }
    }
}

struct Object<'s, 'c, 'a> {
    splitter: &'s Splitter,
    cells: &'c mut Cells<'a>,
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let mut expected = 0;
        while let Some(place) = map.next_key_seed(Name {
            splitter: self.splitter,
            expected,
        })? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (name, column) = &self.splitter.names[place];
            let value: &RawValue = map.next_value()?;
            let cell = cell(value.get())
                .map_err(|reason| M::Error::custom(format_args!("field '{name}': {reason}")))?;
            self.cells.set(*column, cell);
            expected = place + 1;
        }
        Ok(())
    }
}

/// Reads a field's name to its place among the wanted ones, without allocation.
struct Name<'s> {
    splitter: &'s Splitter,
    expected: usize,
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.splitter.place(name, self.expected))
    }
}

fn cell(raw: &str) -> Result<Cell<'_>, String> {
    match raw.as_bytes() {
        b"null" => Ok(Cell::Null),
        [b'{', ..] => Err("an object, expected a single value".into()),
        [b'[', ..] => Err("an array, expected a single value".into()),
        [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => Ok(Cell::Text(&raw[1..raw.len() - 1])),
        [b'"', ..] => serde_json::from_str::<Box<str>>(raw)
            .map(Cell::Unescaped)
            .map_err(|error| error.to_string()),
        _ => Ok(Cell::Literal(raw)),
    }
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\')
    {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            escaped @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', escaped]),
            control => {
                let digits = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
