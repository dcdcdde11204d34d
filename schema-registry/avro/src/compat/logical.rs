//! The strict policy: what a logical type says about bytes must not change.

use crate::model::{Kind, Logical, Node};

/// What a reader makes of a writer's logical type: the property that differs, and how.
pub(super) fn mismatch(reader: &Node, writer: &Node) -> Option<(Option<&'static str>, String)> {
    let message = || {
        format!(
            "reader: {}, writer: {}",
            describe(reader.logical),
            describe(writer.logical)
        )
    };
    match (reader.logical, writer.logical) {
        (a, b) if a == b => None,
        (
            Some(Logical::Decimal { precision, scale }),
            Some(Logical::Decimal {
                precision: p,
                scale: s,
            }),
        ) => {
            if scale != s {
                Some((Some("scale"), message()))
            } else if precision < p {
                Some((Some("precision"), message()))
            } else {
                None
            }
        }
        // The text of a UUID is the same text without the name.
        (None, Some(Logical::Uuid)) | (Some(Logical::Uuid), None)
            if matches!((&reader.kind, &writer.kind), (Kind::String, Kind::String)) =>
        {
            None
        }
        _ => Some((None, message())),
    }
}

pub(super) fn describe(logical: Option<Logical>) -> String {
    match logical {
        None => "no logical type".into(),
        Some(Logical::Decimal { precision, scale }) => format!("decimal({precision}, {scale})"),
        Some(logical) => logical.name().into(),
    }
}
