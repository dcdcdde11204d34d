//! Names of subjects and the contexts they lie in, as Confluent writes them: `orders-value`, `:.staging:orders-value`.

use std::{fmt, sync::Arc};

/// The context of a subject that names none.
pub const DEFAULT_CONTEXT: &str = ".";
/// Stands for all contexts where a prefix of subjects is asked for.
pub const CONTEXT_WILDCARD: &str = ":*:";

const CONTEXT_DELIMITER: char = ':';
/// What a qualified subject begins with.
const CONTEXT_PREFIX: &str = ":.";
/// Confluent keeps permissions under this name.
const GLOBAL: &str = "__GLOBAL";

/// A subject in its one spelling: the default context is never written. Cloning is a reference count.
///
/// The name may be empty: `:.staging:` is how the settings of a whole context are addressed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedSubject(Arc<str>);

impl QualifiedSubject {
    /// Any text names a subject; see [`is_valid`](Self::is_valid) for what may be registered.
    pub fn new(text: &str) -> Self {
        let (context, name) = split(text);
        Self::within(context, name)
    }

    /// The subject of that name in a context, which is written `.staging`.
    pub fn within(context: &str, name: &str) -> Self {
        if context == DEFAULT_CONTEXT {
            Self(name.into())
        } else {
            Self(format!(":{context}:{name}").into())
        }
    }

    /// All of a context.
    pub fn of_context(context: &str) -> Self {
        Self::within(context, "")
    }

    /// As a reference in a schema of this subject means it: without a context of its own, it lies in ours.
    pub fn sibling(&self, text: &str) -> Self {
        let (context, name) = split(text);
        if context == DEFAULT_CONTEXT {
            Self::within(self.context(), name)
        } else {
            Self::within(context, name)
        }
    }

    /// `.` or `.staging`.
    pub fn context(&self) -> &str {
        split(&self.0).0
    }

    /// Without the context.
    pub fn name(&self) -> &str {
        split(&self.0).1
    }

    pub fn is_in_default_context(&self) -> bool {
        self.context() == DEFAULT_CONTEXT
    }

    /// Whether this names a whole context.
    pub fn is_context(&self) -> bool {
        self.name().is_empty() && !self.is_in_default_context()
    }

    /// Whether a schema may be registered under that name.
    pub fn is_valid(&self) -> bool {
        !self.0.chars().any(char::is_control) && self.name() != GLOBAL
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QualifiedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QualifiedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl std::borrow::Borrow<str> for QualifiedSubject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The context in its one spelling, of a path that says `staging`, `.staging` or `:.staging:`; nothing if it cannot be one.
pub fn normal_context(text: &str) -> Option<String> {
    let text = text.strip_prefix(CONTEXT_DELIMITER).unwrap_or(text);
    let text = text.strip_suffix(CONTEXT_DELIMITER).unwrap_or(text);
    if text.contains(CONTEXT_DELIMITER) {
        return None;
    }
    Some(if text.starts_with('.') {
        text.to_owned()
    } else {
        format!(".{text}")
    })
}

/// Whether a path already says which context is meant.
pub fn names_a_context(text: &str) -> bool {
    text.starts_with(CONTEXT_PREFIX) || text.starts_with(CONTEXT_WILDCARD)
}

fn split(text: &str) -> (&str, &str) {
    if let Some(name) = text.strip_prefix(CONTEXT_WILDCARD) {
        return ("*", name);
    }
    if !text.starts_with(CONTEXT_PREFIX) {
        return (DEFAULT_CONTEXT, text);
    }
    let qualified = &text[CONTEXT_DELIMITER.len_utf8()..];
    qualified.split_once(CONTEXT_DELIMITER).unwrap_or((qualified, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, written: &str, context: &str, name: &str) {
        let subject = QualifiedSubject::new(text);
        assert_eq!(subject.as_str(), written, "{text}");
        assert_eq!(subject.context(), context, "{text}");
        assert_eq!(subject.name(), name, "{text}");
    }

    #[test]
    fn a_subject_has_one_spelling() {
        check("orders-value", "orders-value", ".", "orders-value");
        check(":.staging:orders", ":.staging:orders", ".staging", "orders");
        check(":.:orders", "orders", ".", "orders");
        check(":.staging", ":.staging:", ".staging", "");
        check(":.staging:a:b", ":.staging:a:b", ".staging", "a:b");
        check(":odd", ":odd", ".", ":odd");
        check("", "", ".", "");
    }

    #[test]
    fn a_reference_without_a_context_lies_beside_the_schema() {
        let parent = QualifiedSubject::new(":.staging:orders");
        assert_eq!(parent.sibling("address").as_str(), ":.staging:address");
        assert_eq!(parent.sibling(":.prod:address").as_str(), ":.prod:address");
        assert_eq!(
            QualifiedSubject::new("orders").sibling("address").as_str(),
            "address"
        );
    }

    #[test]
    fn control_characters_and_the_reserved_name_are_not_valid() {
        assert!(QualifiedSubject::new("orders/ü value").is_valid());
        assert!(QualifiedSubject::new("").is_valid());
        assert!(!QualifiedSubject::new("a\nb").is_valid());
        assert!(!QualifiedSubject::new(":.staging:__GLOBAL").is_valid());
    }

    #[test]
    fn contexts_have_one_spelling() {
        for text in ["staging", ".staging", ":.staging:"] {
            assert_eq!(normal_context(text).as_deref(), Some(".staging"), "{text}");
        }
        assert_eq!(normal_context("a:b"), None);
        assert_eq!(normal_context(":.:").as_deref(), Some("."));
    }
}
