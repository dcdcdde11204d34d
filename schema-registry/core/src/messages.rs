//! Incompatibilities in Confluent's words, which people and their scripts know.

use millstream_schema_registry_avro::{
    Schema,
    compat::{Direction, Finding, FindingKind, Level, Policy, check_with},
};

/// A schema that is longer is cut.
const SHOWN_SCHEMA_BYTES: usize = 10 * 1024;

/// What speaks against a new schema after an old one. First what the old one cannot read, then what the new one
/// cannot; the old one itself is told behind the last of the two, as Confluent does.
pub(crate) fn of_pair(new: &Schema, old: &Old<'_>, level: Level, policy: Policy) -> Vec<String> {
    let mut messages = Vec::new();
    let mut directions = level.directions().iter().rev().peekable();
    while let Some(direction) = directions.next() {
        let ((reader, its_name), (writer, other_name)) = match direction {
            Direction::Backward => ((new, "new"), (old.schema, "old")),
            Direction::Forward => ((old.schema, "old"), (new, "new")),
        };
        let findings = check_with(reader, writer, policy);
        messages.extend(
            findings
                .iter()
                .map(|finding| of_finding(finding, its_name, other_name)),
        );
        if !findings.is_empty() && directions.peek().is_none() {
            messages.extend(of_old(old));
        }
    }
    messages
}

/// A schema that is registered.
pub(crate) struct Old<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) version: i32,
}

fn of_finding(finding: &Finding, reader: &str, writer: &str) -> String {
    let Finding {
        kind,
        location: path,
        message,
    } = finding;
    let description = match kind {
        FindingKind::FixedSizeMismatch => format!(
            "The size of FIXED type field at path '{path}' in the {reader} schema does not match with the {writer} schema"
        ),
        FindingKind::TypeMismatch => {
            format!(
                "The type (path '{path}') of a field in the {reader} schema does not match with the {writer} schema"
            )
        }
        FindingKind::NameMismatch => format!("The name of the schema has changed (path '{path}')"),
        FindingKind::MissingEnumSymbols => format!(
            "The {reader} schema is missing enum symbols '{message}' at path '{path}' in the {writer} schema"
        ),
        FindingKind::MissingUnionBranch => format!(
            "The {reader} schema is missing a type inside a union field at path '{path}' in the {writer} schema"
        ),
        FindingKind::ReaderFieldMissingDefaultValue => format!(
            "The field '{message}' at path '{path}' in the {reader} schema has no default value and is missing in the {writer} schema"
        ),
        // These three are ours.
        FindingKind::AmbiguousField => format!(
            "The field at path '{path}' in the {reader} schema is more than one field of the {writer} schema"
        ),
        FindingKind::LogicalTypeMismatch => format!(
            "The logical type (path '{path}') of a field in the {reader} schema does not match with the {writer} schema"
        ),
        FindingKind::TooComplex => "The comparison of the schemas was given up".to_owned(),
    };
    let kind = kind.as_str();
    format!("{{errorType:'{kind}', description:'{description}', additionalInfo:'{message}'}}")
}

fn of_old(old: &Old<'_>) -> [String; 2] {
    let text = old.schema.text();
    let schema = if text.len() <= SHOWN_SCHEMA_BYTES {
        format!("{{oldSchema: '{text}'}}")
    } else {
        let end = text.floor_char_boundary(SHOWN_SCHEMA_BYTES);
        format!("{{oldSchema: <truncated> '{}...'}}", &text[..end])
    };
    [format!("{{oldSchemaVersion: {}}}", old.version), schema]
}

/// How it was looked at.
pub(crate) fn checked(validate_fields: bool, level: Level) -> String {
    format!("{{validateFields: '{validate_fields}', compatibility: '{level}'}}")
}
