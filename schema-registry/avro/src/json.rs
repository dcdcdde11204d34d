//! JSON as Jackson reads and writes it, for Java's parser decides what a schema is and Java's printer its identity.
//!
//! Beyond the standard: comments between tokens, the last of two equal keys wins at the place of the first, integers of
//! any length, floats that overflow become the text `Infinity`. Bounds: [`MAX_DEPTH`] levels (Jackson's own), keys and
//! numbers of the length Jackson takes. Nothing here recurses on the way in; the writer recurses over what the reader
//! let through.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Map, Number, Value};

/// Levels of arrays and objects, on the way in and on the way out.
pub(crate) const MAX_DEPTH: usize = 1000;
const MAX_KEY_CHARS: usize = 50_000;
const MAX_NUMBER_CHARS: usize = 1_000;

/// Integers beyond 64 bits as they are written, by JSON pointer: `Value` rounds them.
pub(crate) type LongIntegers = BTreeMap<String, Box<str>>;

/// A text as values, and the digits of what they cannot hold.
pub(crate) struct Document {
    pub(crate) root: Value,
    pub(crate) long_integers: LongIntegers,
}

/// Why a text is not JSON.
pub(crate) struct JsonError {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// A container that is not closed yet.
enum Open {
    Array(Vec<Value>),
    Object {
        entries: Map<String, Value>,
        key: String,
    },
}

/// Reads the one value that the text must be. `None`: there is none.
pub(crate) fn read(text: &str) -> Result<Option<Document>, JsonError> {
    Reader {
        text,
        at: 0,
        open: Vec::new(),
        long_integers: LongIntegers::new(),
    }
    .document()
}

struct Reader<'t> {
    text: &'t str,
    /// The byte that comes next.
    at: usize,
    open: Vec<Open>,
    long_integers: LongIntegers,
}

impl Reader<'_> {
    fn document(mut self) -> Result<Option<Document>, JsonError> {
        self.blank()?;
        if self.peek().is_none() {
            return Ok(None);
        }
        let root = loop {
            if let Some(value) = self.value()?
                && let Some(root) = self.place(value)?
            {
                break root;
            }
        };
        match self.text[self.at..].trim_matches(|c| c <= ' ') {
            "" => Ok(Some(Document {
                root,
                long_integers: self.long_integers,
            })),
            rest => Err(self.error(format!("dangling content after end of schema: {}", brief(rest)))),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes the next byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// The next value, or none if it is a container that was opened.
    fn value(&mut self) -> Result<Option<Value>, JsonError> {
        self.blank()?;
        match self.peek() {
            Some(bracket @ (b'{' | b'[')) => {
                if self.open.len() == MAX_DEPTH {
                    return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
                }
                self.at += 1;
                self.opened(bracket)
            }
            Some(b'"') => self.string().map(|text| Some(Value::String(text))),
            Some(b'-' | b'0'..=b'9') => self.number().map(Some),
            Some(_) => self.word().map(Some),
            None => Err(self.unexpected("a value")),
        }
    }

    /// After `{` or `[`: an empty container is a value at once.
    fn opened(&mut self, bracket: u8) -> Result<Option<Value>, JsonError> {
        self.blank()?;
        if bracket == b'[' {
            if self.take(b']') {
                return Ok(Some(Value::Array(Vec::new())));
            }
            self.open.push(Open::Array(Vec::new()));
        } else {
            if self.take(b'}') {
                return Ok(Some(Value::Object(Map::new())));
            }
            let key = self.key()?;
            let entries = Map::new();
            self.open.push(Open::Object { entries, key });
        }
        Ok(None)
    }

    /// Puts a value into the innermost container, and that into the one around it if it ends here, and so on. The root
    /// comes back.
    fn place(&mut self, mut value: Value) -> Result<Option<Value>, JsonError> {
        loop {
            let close = match self.open.last_mut() {
                None => return Ok(Some(value)),
                Some(Open::Array(items)) => {
                    items.push(value);
                    b']'
                }
                Some(Open::Object { entries, key }) => {
                    entries.insert(std::mem::take(key), value);
                    b'}'
                }
            };
            self.blank()?;
            if self.take(b',') {
                if close == b'}' {
                    self.blank()?;
                    let next = self.key()?;
                    let mut again = false;
                    if let Some(Open::Object { entries, key }) = self.open.last_mut() {
                        again = entries.contains_key(&next);
                        *key = next;
                    }
                    if again {
                        self.forget();
                    }
                }
                return Ok(None);
            }
            if !self.take(close) {
                return Err(self.unexpected("a comma or the end of the array or object"));
            }
            value = match self.open.pop() {
                Some(Open::Array(items)) => Value::Array(items),
                Some(Open::Object { entries, .. }) => Value::Object(entries),
                None => unreachable!("the container that the value went into is open"),
            };
        }
    }

    /// What was read at this place before is void: the key has come a second time.
    fn forget(&mut self) {
        if !self.long_integers.is_empty() {
            let pointer = self.pointer();
            self.long_integers.retain(|at, _| !is_within(at, &pointer));
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<String, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a field name in double quotes"));
        }
        let key = self.string()?;
        if key.chars().count() > MAX_KEY_CHARS {
            return Err(self.error(format!("a field name is longer than {MAX_KEY_CHARS} characters")));
        }
        self.blank()?;
        if !self.take(b':') {
            return Err(self.unexpected("a colon after the field name"));
        }
        Ok(key)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ');
            let plain = plain.unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            if self.take(b'"') {
                return Ok(out);
            }
            if !self.take(b'\\') {
                return Err(self.unexpected("the end of the string (control characters must be escaped)"));
            }
            let c = self.escape()?;
            out.push(c);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let c = match self.peek() {
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("one of \"\\/bfnrtu after a backslash")),
        };
        self.at += 1;
        Ok(c)
    }

    /// What follows `\u`. Java takes half a surrogate pair for a character; it is none, and refused.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let code = self.hex()?;
        let code = match code {
            0xd800..0xdc00 if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                match self.hex()? {
                    low @ 0xdc00..0xe000 => 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00),
                    _ => code,
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair stands alone".into()))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else {
                return Err(self.unexpected("four hex digits"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        } else if self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.unexpected("a number without leading zeros"));
        }
        let mut float = false;
        if self.take(b'.') {
            float = true;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            float = true;
            let _ = self.take(b'-') || self.take(b'+');
            self.digits()?;
        }
        let literal = &self.text[start..self.at];
        if literal.len() > MAX_NUMBER_CHARS {
            return Err(self.error(format!("a number is longer than {MAX_NUMBER_CHARS} characters")));
        }
        if float {
            return Ok(float_value(literal));
        }
        if let Ok(value) = literal.parse::<i64>() {
            return Ok(value.into());
        }
        if let Ok(value) = literal.parse::<u64>() {
            return Ok(value.into());
        }
        let pointer = self.pointer();
        self.long_integers.insert(pointer, literal.into());
        Ok(float_value(literal))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let value = match &rest[..end] {
            "null" => Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            _ => return Err(self.unexpected("a value")),
        };
        self.at += end;
        Ok(value)
    }

    /// Skips blanks and comments.
    fn blank(&mut self) -> Result<(), JsonError> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        let length = match rest.as_bytes().get(1) {
            Some(b'/') => Some(rest.find(['\n', '\r']).unwrap_or(rest.len())),
            Some(b'*') => rest[2..].find("*/").map(|end| end + 4),
            _ => None,
        };
        self.at += length.ok_or_else(|| self.unexpected("a whole comment"))?;
        Ok(())
    }

    /// Where the value is that is being read.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for open in &self.open {
            match open {
                Open::Array(items) => push_token(&mut pointer, &items.len().to_string()),
                Open::Object { key, .. } => push_token(&mut pointer, key),
            }
        }
        pointer
    }

    fn unexpected(&self, expected: &str) -> JsonError {
        let read = &self.text[..self.at];
        let line = read.matches('\n').count() + 1;
        let column = read.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("unexpected character {c:?}"),
            None => "unexpected end of the text".into(),
        };
        self.error(format!(
            "{found} at line {line}, column {column}: expected {expected}"
        ))
    }

    fn error(&self, message: String) -> JsonError {
        JsonError {
            pointer: self.pointer(),
            message,
        }
    }
}

/// A float, or the text that Java prints for one that JSON cannot hold.
pub(crate) fn float_value(literal: &str) -> Value {
    // A literal of JSON always is one of Rust.
    float(literal.parse().unwrap_or(f64::NAN))
}

pub(crate) fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value < 0.0 => "-Infinity".into(),
        None => "Infinity".into(),
    }
}

/// Appends a token to a JSON pointer.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Whether a pointer is `outer` or leads into it.
fn is_within(pointer: &str, outer: &str) -> bool {
    pointer
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Writes a value as Jackson does, without blanks.
pub(crate) fn write(out: &mut String, value: &Value) {
    let long_integers = &LongIntegers::new();
    Writer { out, long_integers }.value(value, &mut None);
}

/// What [`write()`] would write if `Value` had kept every digit, where that differs; the value stands at `pointer`.
pub(crate) fn exact_text(value: &Value, pointer: String, long_integers: &LongIntegers) -> Option<Box<str>> {
    let inside = format!("{pointer}/");
    let first_inside = long_integers.range(inside.clone()..).next();
    if !long_integers.contains_key(&pointer) && !first_inside.is_some_and(|(at, _)| at.starts_with(&inside)) {
        return None;
    }
    let mut out = String::new();
    let writer = &mut out;
    Writer {
        out: writer,
        long_integers,
    }
    .value(value, &mut Some(pointer));
    Some(out.into())
}

struct Writer<'a> {
    out: &'a mut String,
    long_integers: &'a LongIntegers,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, pointer: &mut Option<String>) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => self.number(number, pointer.as_deref()),
            Value::String(text) => write_string(self.out, text),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.within(item, pointer, |p| push_token(p, &index.to_string()));
                }
                self.out.push(']');
            }
            Value::Object(entries) => {
                self.out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    write_string(self.out, key);
                    self.out.push(':');
                    self.within(value, pointer, |p| push_token(p, key));
                }
                self.out.push('}');
            }
        }
    }

    fn within(&mut self, value: &Value, pointer: &mut Option<String>, enter: impl FnOnce(&mut String)) {
        let length = pointer.as_ref().map_or(0, String::len);
        if let Some(pointer) = pointer {
            enter(pointer);
        }
        self.value(value, pointer);
        if let Some(pointer) = pointer {
            pointer.truncate(length);
        }
    }

    fn number(&mut self, number: &Number, pointer: Option<&str>) {
        let digits = pointer.and_then(|pointer| self.long_integers.get(pointer));
        match (digits, number.as_f64()) {
            (Some(digits), _) => self.out.push_str(digits),
            (None, Some(float)) if number.is_f64() => write_float(self.out, float),
            _ => write!(self.out, "{number}").expect("a String takes everything"),
        }
    }
}

/// Writes a string with its quotes: escaped is what JSON demands and nothing else.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match escape {
            "" => write!(out, "\\u{byte:04X}").expect("a String takes everything"),
            escape => out.push_str(escape),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Java's `Double.toString` of a finite number.
fn write_float(out: &mut String, value: f64) {
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is an integer");
    if value.is_sign_negative() {
        out.push('-');
    }
    if value != 0.0 && !(-3..7).contains(&exponent) {
        let fraction = if mantissa.contains('.') { "" } else { ".0" };
        write!(out, "{mantissa}{fraction}E{exponent}").expect("a String takes everything");
        return;
    }
    write!(out, "{:?}", value.abs()).expect("a String takes everything");
}

/// The start of a text, for messages.
pub(crate) fn brief(text: &str) -> String {
    const CHARS: usize = 200;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

/// A value as text, for messages.
pub(crate) fn snippet(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    brief(&text)
}

#[cfg(test)]
mod tests;
