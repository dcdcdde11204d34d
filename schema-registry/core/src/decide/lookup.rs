use std::sync::Arc;

use millstream_schema_registry_avro::Strictness;
use serde_json::Value;

use super::{
    draft::{Canonical, Draft, Reading},
    subject_not_found,
};
use crate::{
    model::{Body, Metadata, SchemaRequest},
    refusal::Refusal,
    state::{State, Version},
    subject::QualifiedSubject,
};

/// A version that a lookup has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub subject: QualifiedSubject,
    pub version: Version,
}

impl State {
    /// Finds the version of a subject that is this schema, or that of the same name in another context where the name is not
    /// qualified.
    pub fn look_up(
        &self,
        subject: &QualifiedSubject,
        request: &SchemaRequest,
        normalize: bool,
        deleted: bool,
    ) -> Result<Found, Refusal> {
        let draft = Draft::of(request);
        let normalize = normalize || self.config_in_scope(Some(subject)).normalize == Some(true);
        let ways: &[bool] = if normalize { &[true] } else { &[false, true] };
        for normalize in ways {
            for (n, place) in self.places(subject).enumerate() {
                match self.look_up_in(&place, &draft, *normalize, deleted) {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => {}
                    // Elsewhere it may lack what it refers to.
                    Err(error) if n == 0 => return Err(error),
                    Err(_) => {}
                }
            }
        }
        if self.has_subjects(subject, deleted) {
            Err(Refusal::SchemaNotFound { id: None })
        } else {
            Err(subject_not_found(subject))
        }
    }

    /// As it is, then with what a registration would have added.
    fn look_up_in(
        &self,
        subject: &QualifiedSubject,
        draft: &Draft,
        normalize: bool,
        deleted: bool,
    ) -> Result<Option<Found>, Refusal> {
        if draft.is_blank() {
            return Ok(None);
        }
        let reading = Reading {
            strictness: Strictness::Stored,
            normalize,
        };
        let found = self.same(subject, &draft.canonical(self, subject, reading)?, deleted);
        if found.is_some() {
            return Ok(found);
        }
        let Some(latest) = self.latest(subject) else {
            return Ok(None);
        };
        let mut completed = draft.clone();
        completed.complete(&self.config_in_scope(Some(subject)), Some(&latest.body), None);
        if completed == *draft {
            return Ok(None);
        }
        Ok(self.same(subject, &completed.canonical(self, subject, reading)?, deleted))
    }

    /// The version that is this schema.
    pub(super) fn same(
        &self,
        subject: &QualifiedSubject,
        canonical: &Canonical,
        deleted: bool,
    ) -> Option<Found> {
        self.with_id_of(subject, &canonical.body, deleted)
            .or_else(|| self.equivalent(subject, canonical, deleted))
    }

    /// By its identity.
    pub(super) fn with_id_of(&self, subject: &QualifiedSubject, body: &Body, deleted: bool) -> Option<Found> {
        let id = self.id_of(subject.context(), &body.guid)?;
        let used = self.schema(subject.context(), id)?.version_in(subject)?;
        let version = self.version(subject, used.version, deleted)?.clone();
        Some(Found {
            subject: subject.clone(),
            version,
        })
    }

    /// By what it says: a schema may be sent with everything that it refers to spelled out, with its properties in another
    /// order, or without the version in its metadata. The newest such version.
    pub(super) fn equivalent(
        &self,
        subject: &QualifiedSubject,
        canonical: &Canonical,
        deleted: bool,
    ) -> Option<Found> {
        let sent = Sent::new(canonical);
        let versions = self.versions(subject).iter().rev();
        let mut candidates = versions.filter(|version| deleted || !version.deleted);
        let version = candidates.find(|version| sent.is(self, subject, version))?;
        Some(Found {
            subject: subject.clone(),
            version: version.clone(),
        })
    }
}

/// A schema that is looked for.
struct Sent<'a> {
    canonical: &'a Canonical,
    metadata: Option<Metadata>,
    value: Option<Value>,
}

impl<'a> Sent<'a> {
    fn new(canonical: &'a Canonical) -> Self {
        Self {
            canonical,
            metadata: Metadata::without_version(canonical.body.metadata.as_deref()),
            value: serde_json::from_str(&canonical.body.text).ok(),
        }
    }

    fn is(&self, state: &State, subject: &QualifiedSubject, version: &Version) -> bool {
        let (sent, stored) = (&self.canonical.body, &version.body);
        if !stored.is_avro() || sent.rule_set != stored.rule_set {
            return false;
        }
        if self.metadata != Metadata::without_version(stored.metadata.as_deref()) {
            return false;
        }
        if sent.references == stored.references {
            // The same in another order has the same length.
            return sent.text == stored.text
                || sent.text.len() == stored.text.len() && self.says(&stored.text);
        }
        let spelled_out = sent.references.is_empty();
        spelled_out
            && spell_out(state, subject, stored).is_some_and(|text| text == *sent.text || self.says(&text))
    }

    /// Whether the members of its objects are the same, whatever their order.
    fn says(&self, text: &str) -> bool {
        self.value.is_some() && serde_json::from_str(text).ok() == self.value
    }
}

/// The text with everything that it refers to in it; nothing for one that cannot be read.
fn spell_out(state: &State, subject: &QualifiedSubject, body: &Arc<Body>) -> Option<String> {
    let resolved = state.resolve(subject, body.clone()).ok()?;
    resolved.spelled_out().ok()
}
