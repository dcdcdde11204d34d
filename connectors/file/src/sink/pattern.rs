//! The `path:` of a sink: text with `{column}`, `{topic}`, `{partition}` and `{event_time:%Y-%m-%d}` in it.
//!
//! What data fill in can never leave its place: every byte but letters, digits, `_`, `-` and inner dots is
//! percent-encoded, so a value is always exactly one part of one folder name.

use std::fmt::Write;

use chrono::{
    DateTime,
    format::{Item, StrftimeItems},
};
use millstream_types::{Timestamp, TopicPartition};

/// What Hive and its heirs read as NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// File systems allow 255 bytes for a name.
const MAX_NAME_BYTES: usize = 255;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
    Topic,
    Partition,
    EventTime(String),
}

impl Pattern {
    /// The folder before the first placeholder, and the rest as a pattern.
    pub(crate) fn parse(path: &str) -> Result<(String, Self), String> {
        let literal = path.find(['{', '}']).unwrap_or(path.len());
        let root = if literal == path.len() {
            literal
        } else {
            path[..literal].rfind('/').map_or(0, |end| end + 1)
        };
        let mut parts = Vec::new();
        let mut rest = &path[root..];
        while let Some(open) = rest.find(['{', '}']) {
            if rest[open..].starts_with('}') {
                return Err("'}' without '{' before it".into());
            }
            let close = open + rest[open..].find('}').ok_or("'{' without '}' after it")?;
            if open > 0 {
                parts.push(Part::Text(rest[..open].into()));
            }
            parts.push(Part::parse(&rest[open + 1..close])?);
            rest = &rest[close + 1..];
        }
        let rest = rest.trim_end_matches('/');
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        if path[root..].split('/').any(|name| name == "..") {
            return Err("'..' cannot stand behind a placeholder".into());
        }
        Ok((path[..root].into(), Self { parts }))
    }

    /// The columns that it names, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        for part in &self.parts {
            if let Part::Column(column) = part
                && !columns.contains(&column.as_str())
            {
                columns.push(column.as_str());
            }
        }
        columns
    }

    /// The folder of a record below the root. `column`: the text of a column, `None` is NULL.
    pub(crate) fn fill<'a>(
        &self,
        partition: &TopicPartition,
        time: Timestamp,
        column: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<String, String> {
        let mut folder = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => folder.push_str(text),
                Part::Column(name) => match column(name) {
                    Some(text) if !text.is_empty() => encode(text, &mut folder),
                    _ => folder.push_str(NULL),
                },
                Part::Topic => encode(partition.topic.as_str().as_bytes(), &mut folder),
                Part::Partition => write!(folder, "{}", partition.partition).expect("text takes any text"),
                Part::EventTime(format) => {
                    let time = DateTime::from_timestamp_millis(time.0)
                        .ok_or_else(|| format!("timestamp {time} is out of range"))?;
                    write!(folder, "{}", time.format(format))
                        .map_err(|_| "the timestamp has no such part")?;
                }
            }
        }
        match folder.split('/').find(|name| name.len() > MAX_NAME_BYTES) {
            None => Ok(folder),
            Some(_) => Err(format!(
                "its folder would have a name of more than {MAX_NAME_BYTES} bytes"
            )),
        }
    }
}

impl Part {
    fn parse(inside: &str) -> Result<Self, String> {
        let part = match inside.split_once(':') {
            Some(("event_time", format)) => {
                if format.is_empty() || StrftimeItems::new(format).any(|item| item == Item::Error) {
                    return Err(format!("'{format}' is not a strftime format"));
                }
                Self::EventTime(format.into())
            }
            None if inside == "event_time" => {
                return Err("event_time needs a format, for example {event_time:%Y-%m-%d}".into());
            }
            None if inside == "topic" => Self::Topic,
            None if inside == "partition" => Self::Partition,
            None if inside.is_empty() => return Err("'{}' names no column".into()),
            _ => Self::Column(inside.into()),
        };
        Ok(part)
    }
}

/// Appends `text` so that it is one harmless piece of a file name.
pub(crate) fn encode(text: &[u8], out: &mut String) {
    let only_dots = text.iter().all(|byte| *byte == b'.');
    for (index, byte) in text.iter().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-')
            || (*byte == b'.' && index > 0 && !only_dots);
        if is_plain {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("text takes any text");
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::TopicName;
    use proptest::prelude::*;

    use super::*;

    fn partition() -> TopicPartition {
        TopicPartition::new(TopicName::new("delays").unwrap(), 3)
    }

    fn fill(path: &str, value: Option<&str>) -> Result<(String, String), String> {
        let (root, pattern) = Pattern::parse(path)?;
        let time = Timestamp(1_359_676_800_000);
        Ok((
            root,
            pattern.fill(&partition(), time, |_| value.map(str::as_bytes))?,
        ))
    }

    #[test]
    fn fills_in_what_a_record_holds() {
        let check = |path: &str, value: Option<&str>, root: &str, folder: &str| {
            assert_eq!(fill(path, value), Ok((root.into(), folder.into())), "{path}");
        };
        check("out/", None, "out/", "");
        check("out", None, "out", "");
        check("out/c={carrier}/", Some("UA"), "out/", "c=UA");
        check(
            "out/c={carrier}/x",
            None,
            "out/",
            "c=__HIVE_DEFAULT_PARTITION__/x",
        );
        check(
            "o/{topic}/{partition}/{event_time:%Y/%m-%d}",
            None,
            "o/",
            "delays/3/2013/02-01",
        );
        check("{c}", Some("../a b"), "", "%2E.%2Fa%20b");
        check("{c}", Some(".."), "", "%2E%2E");
        check("{c}", Some("é"), "", "%C3%A9");
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for path in [
            "{",
            "}",
            "a{}",
            "{event_time}",
            "{event_time:%Q}",
            "{event_time:}",
            "../{c}/../x",
        ] {
            assert!(Pattern::parse(path).is_err(), "{path}");
        }
        assert!(fill("{c}", Some(&"x".repeat(256))).is_err());
    }

    proptest! {
        #[test]
        fn data_never_leaves_its_place(value in any::<String>()) {
            if let Ok((_, folder)) = fill("out/a{c}b/{c}/", Some(&value)) {
                prop_assert_eq!(folder.split('/').count(), 2);
                prop_assert!(folder.split('/').all(|name| !name.is_empty() && name != "." && name != ".."));
            }
        }
    }
}
