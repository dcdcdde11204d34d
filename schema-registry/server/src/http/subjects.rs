use millstream_schema_registry_core::{
    CONTEXT_WILDCARD, Deleted, Found, QualifiedSubject, Refusal, model::SchemaRequest,
};

use super::{
    answer::{Answer, Error},
    call::Call,
    schemas::{found_tags, is_resolved},
    view,
};
use crate::Registry;

const MOST_SUBJECTS: usize = 20_000;

pub(super) fn list(registry: &Registry, call: &Call<'_>) -> Result<Answer, Error> {
    let (skip, most) = call.page(MOST_SUBJECTS)?;
    let prefix = match call.text("subjectPrefix") {
        Some(prefix) => call.within_context(prefix),
        None if call.is_in_a_context() => call.within_context(""),
        None => CONTEXT_WILDCARD.into(),
    };
    let deleted = Deleted::asked(call.flag("deleted"), call.flag("deletedOnly"));
    registry.read(|state| {
        let subjects = state.subjects(&prefix, deleted).skip(skip).take(most);
        Ok(Answer::json(
            &subjects.map(QualifiedSubject::as_str).collect::<Vec<_>>(),
        ))
    })
}

/// Whether a schema is registered under a subject, and as what.
pub(super) fn look_up(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    let request: SchemaRequest = call.body()?;
    let (normalize, deleted) = (call.flag("normalize"), call.flag("deleted"));
    let found = registry.read(|state| state.look_up(subject, &request, normalize, deleted))?;
    show(registry, call, &found)
}

pub(super) async fn delete(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    let (subject, permanent) = (subject.clone(), call.flag("permanent"));
    let versions = registry
        .write(move |state| state.delete_subject(&subject, permanent))
        .await?;
    Ok(Answer::json(&versions))
}

/// The latest version with these properties in its metadata.
pub(super) fn with_metadata(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    let wanted: Vec<_> = call.texts("key").iter().zip(call.texts("value")).collect();
    let deleted = call.flag("deleted");
    let found = registry.read(|state| {
        let versions = state.versions(subject).iter().rev();
        let mut versions = versions.filter(|version| deleted || !version.deleted);
        let found = versions.find(|version| {
            let metadata = version.body.metadata.as_ref();
            metadata.is_some_and(|metadata| {
                let has = |(key, value): &(&String, &String)| metadata.properties.get(*key) == Some(*value);
                wanted.iter().all(has)
            })
        });
        match found {
            Some(version) => Ok(Found {
                subject: subject.clone(),
                version: version.clone(),
            }),
            None if state.has_subjects(subject, deleted) => Err(Refusal::SchemaNotFound { id: None }),
            None => Err(Refusal::SubjectNotFound {
                subject: subject.to_string(),
            }),
        }
    })?;
    show(registry, call, &found)
}

/// A version in the format that is wanted.
pub(super) fn show(registry: &Registry, call: &Call<'_>, found: &Found) -> Result<Answer, Error> {
    let mut schema = view::Schema::of_found(found);
    let text = if is_resolved(call) {
        let body = found.version.body.clone();
        let resolved = registry.read(|state| state.resolve(&found.subject, body))?;
        resolved.spelled_out().ok()
    } else {
        None
    };
    if let Some(text) = &text {
        schema.schema = text;
    }
    schema.schema_tags = found_tags(registry, call, &found.subject, &found.version.body)?;
    Ok(Answer::json(&schema))
}
