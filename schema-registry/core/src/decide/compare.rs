//! Whether a schema may follow those before it.

use std::collections::BTreeSet;

use millstream_schema_registry_avro::{Kind, Schema, SchemaError, Strictness, compat::Policy};

use super::{
    VersionId,
    config::STRICT_POLICIES,
    draft::{Canonical, Draft, Reading},
};
use crate::{
    messages,
    model::{Body, Config, Level, SchemaRequest},
    refusal::Refusal,
    schemas::{Resolved, Schemas},
    state::{DEFAULT_LEVEL, State, Version},
    subject::QualifiedSubject,
};

/// How many versions are parsed and compared at once: few at first, for the newest are the ones that speak against a
/// schema.
const FIRST_AT_ONCE: usize = 4;
const MOST_AT_ONCE: usize = 256;
/// And how much text they may have.
const BYTES_AT_ONCE: usize = 2 << 20;

/// A new schema, those it is compared with, and how: a comparison that needs the state no more.
#[derive(Clone, Debug)]
pub struct Comparison {
    new: Canonical,
    /// The oldest first.
    previous: Vec<Previous>,
    config: Config,
}

#[derive(Clone, Debug)]
struct Previous {
    version: i32,
    resolved: Result<Resolved, Refusal>,
}

impl Previous {
    fn avro(&self) -> Option<&Resolved> {
        self.resolved
            .as_ref()
            .ok()
            .filter(|resolved| resolved.body.is_avro())
    }

    fn text_bytes(&self) -> usize {
        self.avro().map_or(0, Resolved::text_bytes)
    }
}

/// How many of these versions are parsed and compared at once: so many, or fewer if they are long.
fn at_once(versions: &[&Previous], count: usize) -> usize {
    let mut bytes = 0;
    let fits = |previous: &&&Previous| {
        bytes += previous.text_bytes();
        bytes <= BYTES_AT_ONCE
    };
    versions.iter().take(count).take_while(fits).count().max(1)
}

/// What a schema is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    Version(VersionId),
    /// All versions that are not deleted.
    History,
}

impl State {
    /// Prepares the comparison of a schema with versions of a subject.
    pub fn comparison(
        &self,
        subject: &QualifiedSubject,
        against: Against,
        request: &SchemaRequest,
        normalize: bool,
    ) -> Result<Comparison, Refusal> {
        let previous: Vec<_> = match against {
            Against::History => self.versions(subject).iter().filter(|v| !v.deleted).collect(),
            Against::Version(VersionId::Latest) => self.latest(subject).into_iter().collect(),
            Against::Version(VersionId::Number(number)) => {
                let version = self.version(subject, number, false);
                vec![version.ok_or(Refusal::VersionNotFound { version: number })?]
            }
        };
        let config = self.config_in_scope(Some(subject));
        let reading = Reading {
            strictness: strictness(&config, true),
            normalize: normalize || config.normalize == Some(true),
        };
        let new = Draft::of(request).canonical(self, subject, reading)?;
        Ok(self.compare(subject, new, previous, config))
    }

    pub(super) fn compare<'a>(
        &self,
        subject: &QualifiedSubject,
        new: Canonical,
        previous: impl IntoIterator<Item = &'a Version>,
        config: Config,
    ) -> Comparison {
        let previous = previous.into_iter().map(|version| Previous {
            version: version.number,
            resolved: self.resolve(subject, version.body.clone()),
        });
        Comparison {
            previous: previous.collect(),
            new,
            config,
        }
    }
}

/// How the text of a new schema is read.
pub(super) fn strictness(config: &Config, is_new: bool) -> Strictness {
    if is_new && config.validate_new_schemas != Some(false) {
        Strictness::New
    } else {
        Strictness::Stored
    }
}

impl Comparison {
    /// What speaks against the new schema, in Confluent's words; nothing: it may follow.
    pub fn run(&self, schemas: &Schemas) -> Vec<String> {
        let mut messages = self.reserved_fields();
        messages.extend(self.incompatibilities(schemas));
        if !messages.is_empty() {
            messages.push(messages::checked(self.checks_fields(), self.level()));
        }
        messages
    }

    fn level(&self) -> Level {
        self.config.compatibility_level.unwrap_or(DEFAULT_LEVEL)
    }

    fn checks_fields(&self) -> bool {
        self.config.validate_fields == Some(true)
    }

    /// The newest first; the first that speaks against it is enough to know.
    fn incompatibilities(&self, schemas: &Schemas) -> Vec<String> {
        let level = self.level();
        if level == Level::None {
            return Vec::new();
        }
        let group = |body: &Body| {
            let property = self.config.compatibility_group.as_ref()?;
            body.metadata.as_ref()?.properties.get(property).cloned()
        };
        let wanted = group(&self.new.body);
        let of_group = self
            .previous
            .iter()
            .rev()
            .filter(|previous| match &previous.resolved {
                Ok(resolved) => group(&resolved.body) == wanted,
                Err(_) => true,
            });
        let looked_at = if level.is_transitive() { usize::MAX } else { 1 };
        let versions: Vec<_> = of_group.take(looked_at).collect();
        let mut rest = versions.as_slice();
        let mut count = FIRST_AT_ONCE;
        while !rest.is_empty() {
            let (versions, others) = rest.split_at(at_once(rest, count));
            let messages = self.against_all(versions, schemas);
            if !messages.is_empty() {
                return messages;
            }
            (rest, count) = (others, (count * 2).min(MOST_AT_ONCE));
        }
        Vec::new()
    }

    fn against_all(&self, versions: &[&Previous], schemas: &Schemas) -> Vec<String> {
        let wanted: Vec<_> = versions.iter().filter_map(|previous| previous.avro()).collect();
        let mut parsed = schemas.all_stored(&wanted).into_iter();
        let messages = versions.iter().map(|previous| {
            let old = previous
                .avro()
                .map(|_| parsed.next().expect("each that is wanted is parsed"));
            self.against(previous, old)
        });
        messages
            .into_iter()
            .find(|messages| !messages.is_empty())
            .unwrap_or_default()
    }

    /// `old` is the version parsed, if it is an Avro schema.
    fn against(&self, previous: &Previous, old: Option<Result<Schema, SchemaError>>) -> Vec<String> {
        let unreadable = |error: &dyn std::fmt::Display| {
            vec![format!(
                "Unexpected exception during compatibility check: {error}"
            )]
        };
        let old = match (&previous.resolved, old) {
            (Err(error), _) => return unreadable(error),
            (Ok(_), None) => return vec!["Incompatible because of different schema type".to_owned()],
            (Ok(_), Some(Err(error))) => return unreadable(&error),
            (Ok(_), Some(Ok(schema))) => schema,
        };
        let old = messages::Old {
            schema: &old,
            version: previous.version,
        };
        messages::of_pair(&self.new.schema, &old, self.level(), self.policy())
    }

    /// Whether logical types count.
    fn policy(&self) -> Policy {
        let name = self.config.compatibility_policy.as_deref().unwrap_or_default();
        if STRICT_POLICIES
            .iter()
            .any(|strict| name.eq_ignore_ascii_case(strict))
        {
            Policy::LogicalStrict
        } else {
            Policy::Java
        }
    }

    /// Names that the metadata keeps free stay free, and no field has them.
    fn reserved_fields(&self) -> Vec<String> {
        if !self.checks_fields() {
            return Vec::new();
        }
        let reserved = reserved(&self.new.body);
        let last = self
            .previous
            .last()
            .and_then(|previous| previous.resolved.as_ref().ok());
        let before = last
            .map(|resolved| self::reserved(&resolved.body))
            .unwrap_or_default();
        let removed = before.difference(&reserved).map(|field| {
            format!(
                "The new schema has reserved field {field} removed from its metadata which is present in the old schema's metadata."
            )
        });
        let taken = reserved
            .iter()
            .filter(|field| has_field(&self.new.schema, field))
            .map(|field| format!("The new schema has field that conflicts with the reserved field {field}."));
        removed.chain(taken).collect()
    }
}

fn reserved(body: &Body) -> BTreeSet<&str> {
    body.metadata
        .as_ref()
        .map(|metadata| metadata.reserved_fields())
        .unwrap_or_default()
}

fn has_field(schema: &Schema, name: &str) -> bool {
    match schema.kind(schema.root()) {
        Kind::Record(record) => record.fields.iter().any(|field| field.name == name),
        _ => false,
    }
}
