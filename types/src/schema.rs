use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The number of a schema in a registry; a record on the wire begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(pub i32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name under which versions of a schema are registered, with its context if it has one (`:.context:name`).
///
/// Any text without control characters: what else a name must be is the registry's decision. Cloning is a reference
/// count.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

/// A text with a control character is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subject {0:?} holds a control character")]
pub struct InvalidSubject(String);

impl Subject {
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidSubject> {
        let name = name.as_ref();
        match name.chars().any(char::is_control) {
            true => Err(InvalidSubject(name.into())),
            false => Ok(Self(name.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(name: String) -> Result<Self, InvalidSubject> {
        Self::new(name)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0.as_ref().to_owned()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_any_text_without_control_characters() {
        for name in ["orders-value", ":.eu:orders", "Bestellungen Ü", ""] {
            assert_eq!(Subject::new(name).expect("valid").as_str(), name);
        }
        for name in ["a\nb", "\u{0}", "a\u{85}"] {
            assert_eq!(Subject::new(name), Err(InvalidSubject(name.into())));
        }
    }
}
