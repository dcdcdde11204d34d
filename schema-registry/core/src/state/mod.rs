//! All that a registry knows: the state that the records of `_schemas` add up to.
//!
//! [`State::apply`] takes the records in the order of the log, the same way at the start and afterwards; nothing else
//! changes a state. Memory is the texts, once per id, and about 300 bytes for each version; no schema is parsed here.

mod apply;
mod chain;
mod ids;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Included, Unbounded},
    sync::Arc,
};

pub use apply::{Applied, LogRecord};
pub use ids::{Entry, Use};
pub(crate) use settings::DEFAULT_LEVEL;

use crate::{
    model::{Body, Config, Guid, Mode},
    subject::{DEFAULT_CONTEXT, QualifiedSubject},
};
use chain::Chain;
use ids::Ids;

/// See the module.
#[derive(Debug, Default)]
pub struct State {
    subjects: BTreeMap<QualifiedSubject, Vec<Version>>,
    ids: HashMap<Box<str>, Ids>,
    /// Contexts that were written down. The default one never is.
    contexts: BTreeSet<String>,
    configs: BTreeMap<Option<QualifiedSubject>, Config>,
    modes: BTreeMap<Option<QualifiedSubject>, Mode>,
    /// The ids of living schemas that refer to a version, each with its context.
    referrers: HashMap<(QualifiedSubject, i32), BTreeSet<(String, i32)>>,
    chain: Chain,
    /// Keys under which the last record in the log is not true.
    untrue: BTreeSet<Vec<u8>>,
    /// Keys of global settings as older registries wrote them, which hide from compaction what is written now.
    legacy_keys: BTreeSet<Vec<u8>>,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub number: i32,
    pub id: i32,
    pub deleted: bool,
    /// Of its record, in milliseconds.
    pub timestamp: i64,
    /// When it was first registered, where its record says so.
    pub created: Option<i64>,
    pub body: Arc<Body>,
}

/// Which versions are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Without,
    With,
    Only,
}

impl Deleted {
    /// Of what clients ask with: the second wins.
    pub fn asked(deleted: bool, deleted_only: bool) -> Self {
        match (deleted, deleted_only) {
            (_, true) => Self::Only,
            (true, false) => Self::With,
            (false, false) => Self::Without,
        }
    }

    /// Whether a version is among them.
    pub fn shows(self, deleted: bool) -> bool {
        match self {
            Self::Without => !deleted,
            Self::With => true,
            Self::Only => deleted,
        }
    }
}

impl State {
    /// The write that a new one comes after, for its [`Origin`](crate::record::Origin).
    pub fn last_write(&self) -> u64 {
        self.chain.last()
    }

    pub fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    /// Versions of all subjects, those too that are deleted but not for good. Looks at every subject.
    pub fn version_count(&self) -> usize {
        self.subjects.values().map(Vec::len).sum()
    }

    /// Schemas with an id, in all contexts.
    pub fn schema_count(&self) -> usize {
        self.ids.values().map(Ids::len).sum()
    }

    /// The versions of a subject, the oldest first.
    pub fn versions(&self, subject: &QualifiedSubject) -> &[Version] {
        self.subjects.get(subject).map_or(&[], Vec::as_slice)
    }

    /// One version, if it is not deleted or deleted ones are wanted too.
    pub fn version(&self, subject: &QualifiedSubject, number: i32, deleted: bool) -> Option<&Version> {
        let versions = self.versions(subject);
        let at = versions.binary_search_by_key(&number, |v| v.number).ok()?;
        Some(&versions[at]).filter(|version| deleted || !version.deleted)
    }

    /// The newest version that is not deleted.
    pub fn latest(&self, subject: &QualifiedSubject) -> Option<&Version> {
        self.versions(subject).iter().rev().find(|v| !v.deleted)
    }

    /// Subjects that begin with that prefix and have such versions; a subject counts as deleted when all its versions are.
    pub fn subjects<'a>(
        &'a self,
        prefix: &'a str,
        deleted: Deleted,
    ) -> impl Iterator<Item = &'a QualifiedSubject> {
        let shown = move |versions: &[Version]| deleted.shows(versions.iter().all(|v| v.deleted));
        self.with_prefix(prefix)
            .filter(move |(_, versions)| shown(versions))
            .map(|(subject, _)| subject)
    }

    /// Versions of subjects that begin with that prefix, by subject and version.
    pub fn all_versions<'a>(
        &'a self,
        prefix: &'a str,
        deleted: Deleted,
    ) -> impl Iterator<Item = (&'a QualifiedSubject, &'a Version)> {
        self.with_prefix(prefix)
            .flat_map(|(subject, versions)| versions.iter().map(move |version| (subject, version)))
            .filter(move |(_, version)| deleted.shows(version.deleted))
    }

    fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a QualifiedSubject, &'a [Version])> {
        let anywhere = prefix.strip_prefix(crate::CONTEXT_WILDCARD);
        let from = if anywhere.is_some() { "" } else { prefix };
        self.subjects
            .range::<str, _>((Included(from), Unbounded))
            .take_while(move |(subject, _)| subject.as_str().starts_with(from))
            .filter(move |(subject, _)| anywhere.is_none_or(|name| subject.name().starts_with(name)))
            .map(|(subject, versions)| (subject, versions.as_slice()))
    }

    /// Whether the subject has versions, or a subject of the context that it names.
    pub fn has_subjects(&self, subject: &QualifiedSubject, deleted: bool) -> bool {
        self.matching(Some(subject))
            .any(|(_, versions)| versions.iter().any(|v| deleted || !v.deleted))
    }

    /// The subject, all of the context that it names, or all there are.
    pub(crate) fn matching<'a>(
        &'a self,
        subject: Option<&'a QualifiedSubject>,
    ) -> Box<dyn Iterator<Item = (&'a QualifiedSubject, &'a Vec<Version>)> + 'a> {
        match subject {
            None => Box::new(self.subjects.iter()),
            Some(context) if context.is_context() => Box::new(
                self.subjects
                    .range::<str, _>((Included(context.as_str()), Unbounded))
                    .take_while(|(subject, _)| subject.as_str().starts_with(context.as_str())),
            ),
            Some(subject) => Box::new(self.subjects.get_key_value(subject).into_iter()),
        }
    }

    /// The schema of an id.
    pub fn schema(&self, context: &str, id: i32) -> Option<&Entry> {
        self.ids.get(context)?.get(id)
    }

    /// The id of a schema.
    pub fn id_of(&self, context: &str, guid: &Guid) -> Option<i32> {
        self.ids.get(context)?.of_guid(guid)
    }

    pub fn max_id(&self, context: &str) -> i32 {
        self.ids.get(context).map_or(0, Ids::max)
    }

    /// `None`: all are given.
    pub fn next_id(&self, context: &str) -> Option<i32> {
        self.ids.get(context).map_or(Some(1), Ids::next)
    }

    pub(crate) fn must_write_max_id(&self, context: &str) -> bool {
        self.ids.get(context).is_some_and(Ids::must_write_max)
    }

    /// The default context, then those that were written down, by name.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(DEFAULT_CONTEXT).chain(self.contexts.iter().map(String::as_str))
    }

    pub(crate) fn has_context(&self, context: &str) -> bool {
        context == DEFAULT_CONTEXT || self.contexts.contains(context)
    }

    /// The ids of living schemas that refer to a version, in order.
    pub fn referrers(&self, subject: &QualifiedSubject, version: i32) -> BTreeSet<i32> {
        let ids = self.referrers.get(&(subject.clone(), version));
        ids.into_iter().flatten().map(|(_, id)| *id).collect()
    }

    pub(crate) fn is_referred_to(&self, subject: &QualifiedSubject, version: i32) -> bool {
        self.referrers.contains_key(&(subject.clone(), version))
    }
}
