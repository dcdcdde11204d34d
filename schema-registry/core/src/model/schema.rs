use std::fmt;

use md5::{Digest, Md5};
use uuid::Uuid;

use super::{Metadata, Reference, RuleSet};

/// The type of a schema that names none.
pub const AVRO: &str = "AVRO";

/// What names a schema everywhere: a UUID made of the MD5 of all that it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

/// A schema without its place: what has one id in a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// `None` is Avro.
    pub schema_type: Option<Box<str>>,
    pub references: Box<[Reference]>,
    pub metadata: Option<Box<Metadata>>,
    pub rule_set: Option<Box<RuleSet>>,
    pub text: Box<str>,
    /// Identity. Where a registry has encrypted sensitive metadata, the record says what it was of the plain ones.
    pub guid: Guid,
    /// Whether the record said it.
    pub guid_is_given: bool,
}

impl Body {
    pub fn new(
        schema_type: Option<&str>,
        references: Vec<Reference>,
        metadata: Option<Metadata>,
        rule_set: Option<RuleSet>,
        text: &str,
    ) -> Self {
        let guid = Guid::of(text, &references, metadata.as_ref(), rule_set.as_ref());
        Self {
            schema_type: schema_type.filter(|t| *t != AVRO).map(Into::into),
            references: references.into(),
            metadata: metadata.map(Box::new),
            rule_set: rule_set.map(Box::new),
            text: text.into(),
            guid,
            guid_is_given: false,
        }
    }

    /// With an identity that was written down.
    #[must_use]
    pub fn known_as(mut self, guid: Guid) -> Self {
        self.guid = guid;
        self.guid_is_given = true;
        self
    }

    pub fn is_avro(&self) -> bool {
        self.schema_type.is_none()
    }

    pub fn type_name(&self) -> &str {
        self.schema_type.as_deref().unwrap_or(AVRO)
    }
}

impl Guid {
    pub fn of(
        text: &str,
        references: &[Reference],
        metadata: Option<&Metadata>,
        rule_set: Option<&RuleSet>,
    ) -> Self {
        let mut hash = Md5::new();
        hash.update(text.as_bytes());
        references.iter().for_each(|r| r.update_hash(&mut hash));
        if let Some(metadata) = metadata {
            hash.update([1]);
            metadata.update_hash(&mut hash);
        }
        if let Some(rule_set) = rule_set {
            hash.update([1]);
            rule_set.update_hash(&mut hash);
        }
        Self(hash.finalize().into())
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A UUID, or the 32 digits without its hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(|uuid| Self(uuid.into_bytes()))
    }

    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
