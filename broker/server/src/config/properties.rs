//! Java's `.properties`, as far as people write it for Kafka: `key=value`, `key: value` or `key value`, comments behind
//! `#` and `!`, lines that go on after a backslash, and the escapes `\t \n \r \\ \= \: \# \uXXXX`.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProperties {
    #[error("line {line}: '{key}' is set twice")]
    Twice { line: usize, key: String },
    #[error("line {line}: a backslash and u are followed by four hexadecimal digits")]
    Escape { line: usize },
}

/// Reads a file such as Kafka's `server.properties`. A key that is set twice is a mistake here: Java takes the last one.
pub fn read_properties(text: &str) -> Result<BTreeMap<String, String>, InvalidProperties> {
    let mut found = BTreeMap::new();
    for (line, logical) in logical_lines(text) {
        let mut chars = logical.chars().peekable();
        let key = unescape(&mut chars, |c| c == '=' || c == ':' || c.is_whitespace(), line)?;
        skip_separator(&mut chars);
        let value = unescape(&mut chars, |_| false, line)?;
        if found.insert(key.clone(), value.trim_end().to_owned()).is_some() {
            return Err(InvalidProperties::Twice { line, key });
        }
    }
    Ok(found)
}

/// Lines with what follows their backslashes, without comments and empty ones; numbered from 1.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (start, mut logical) = open.take().unwrap_or((number, String::new()));
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            logical.push_str(&line[..line.len() - 1]);
            open = Some((start, logical));
        } else {
            logical.push_str(line);
            lines.push((start, logical));
        }
    }
    lines.extend(open);
    lines
}

fn skip_separator(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
    if chars.next_if(|c| *c == '=' || *c == ':').is_some() {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
    }
}

/// Up to a character that ends it, which is not taken.
fn unescape(
    chars: &mut Peekable<Chars<'_>>,
    ends: impl Fn(char) -> bool,
    line: usize,
) -> Result<String, InvalidProperties> {
    let bad = InvalidProperties::Escape { line };
    // As Java has it: an escape is a unit of UTF-16, and two of them may be one character.
    let mut units = Vec::new();
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        if c != '\\' {
            push(&mut units, c);
            continue;
        }
        match chars.next() {
            Some('t') => push(&mut units, '\t'),
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let is_whole = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| is_whole);
                units.push(unit.ok_or_else(|| bad.clone())?);
            }
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    String::from_utf16(&units).map_err(|_| bad)
}

fn push(units: &mut Vec<u16>, c: char) {
    units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_java_reads() {
        let text = "# comment\n! another\n\nnum.partitions=3\n log.dirs = /a,\\\n    /b\nlisteners: PLAINTEXT://:9092\n\
                    empty=\nkey\\ with\\=both value \\u0041\\t!\n";
        let read = read_properties(text).unwrap();
        let expected = [
            ("empty", ""),
            ("key with=both", "value A\t!"),
            ("listeners", "PLAINTEXT://:9092"),
            ("log.dirs", "/a,/b"),
            ("num.partitions", "3"),
        ];
        assert_eq!(
            read.iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let twice = read_properties("a=1\n# b\na=2").unwrap_err();
        assert_eq!(twice.to_string(), "line 3: 'a' is set twice");
        assert_eq!(
            read_properties("a=\\u12").unwrap_err(),
            InvalidProperties::Escape { line: 1 }
        );
        for bad in ["b=1\na=\\u+123", "b=1\na=\\ud83d", "b=1\na=\\udc00\\ud83d"] {
            assert_eq!(
                read_properties(bad).unwrap_err(),
                InvalidProperties::Escape { line: 2 },
                "{bad}"
            );
        }
    }

    #[test]
    fn two_escapes_may_be_one_character() {
        let read = read_properties("\\ud83d\\ude00=\u{1f600}\\u0021").unwrap();
        assert_eq!(read["\u{1f600}"], "\u{1f600}!");
    }
}
