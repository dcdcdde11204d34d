//! What the full grammar has and this version has not: to be told so is better than "unknown key".

use millstream_sdk::{ConfigPath, PathSegment};

/// Keys by the section they stand in; the second word tells how deep.
const KEYS: &[(&[&str], &[&str])] = &[
    (&[], &["registry", "secrets", "tests"]),
    (&["log"], &["kafka"]),
    (&["defaults"], &["format"]),
    (&["streams", "*"], &["kind", "key", "event_time", "schema"]),
    (&["sources", "*", "into"], &["schema", "inline"]),
    (&["processors", "*", "into"], &["schema", "inline"]),
    (
        &["processors", "*"],
        &[
            "aggregate",
            "join",
            "wasm",
            "lambda",
            "emit",
            "grace",
            "late",
            "ttl",
            "every",
        ],
    ),
];

const SOURCE_KINDS: &[&str] = &["postgres", "mysql", "s3", "http", "kafka"];
const SINK_KINDS: &[&str] = &["s3", "redshift", "lambda", "postgres", "mysql", "kafka"];

/// Whether the last key of the path belongs to a later version.
pub(crate) fn is_key(path: &ConfigPath) -> bool {
    let Some((PathSegment::Key(key), section)) = path.0.split_last() else {
        return false;
    };
    let stands_in = |pattern: &[&str]| {
        let fits = |(segment, word): (&PathSegment, &&str)| match segment {
            PathSegment::Key(key) => *word == "*" || key == word,
            PathSegment::Index(_) => false,
        };
        pattern.len() == section.len() && section.iter().zip(pattern).all(fits)
    };
    KEYS.iter()
        .any(|(pattern, keys)| stands_in(pattern) && keys.contains(&key.as_str()))
}

/// Whether the value at the path is a kind of source or sink of a later version.
pub(crate) fn is_kind(path: &ConfigPath, kind: &str) -> bool {
    let [PathSegment::Key(section), _, PathSegment::Key(key)] = path.0.as_slice() else {
        return false;
    };
    match (section.as_str(), key.as_str()) {
        ("sources", "type") => SOURCE_KINDS.contains(&kind),
        ("sinks", "type") => SINK_KINDS.contains(&kind),
        _ => false,
    }
}
