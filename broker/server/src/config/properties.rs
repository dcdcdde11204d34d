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
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !ends(*c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 4);
                let c = code.and_then(char::from_u32);
                text.push(c.ok_or(InvalidProperties::Escape { line })?);
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    Ok(text)
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
    }
}
