use millstream_schema_registry_core::{
    Deleted, Found, QualifiedSubject, Refusal, Registered, VersionId,
    model::{SchemaRequest, TagRequest},
};

use super::{
    answer::{Answer, Error},
    call::Call,
    schemas::is_resolved,
    subjects::show,
    view,
};
use crate::Registry;

const MOST_VERSIONS: usize = 20_000;

pub(super) fn list(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    let (skip, most) = call.page(MOST_VERSIONS)?;
    let negative = call.flag("deletedAsNegative");
    let deleted = match (
        Deleted::asked(call.flag("deleted"), call.flag("deletedOnly")),
        negative,
    ) {
        (Deleted::Without, true) => Deleted::With,
        (deleted, _) => deleted,
    };
    registry.read(|state| {
        if !state.has_subjects(subject, deleted != Deleted::Without) {
            return Err(Refusal::SubjectNotFound {
                subject: subject.to_string(),
            }
            .into());
        }
        let shown = state
            .versions(subject)
            .iter()
            .filter(|v| deleted.shows(v.deleted));
        let numbers = shown.map(|v| {
            if negative && v.deleted {
                -v.number
            } else {
                v.number
            }
        });
        Ok(Answer::json(&numbers.skip(skip).take(most).collect::<Vec<_>>()))
    })
}

pub(super) async fn register(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    let request: SchemaRequest = call.body()?;
    let registered = registry
        .register(subject, request, call.flag("normalize"))
        .await?;
    answer(registry, call, &registered)
}

/// What was registered, in the format that is wanted.
fn answer(registry: &Registry, call: &Call<'_>, registered: &Registered) -> Result<Answer, Error> {
    let mut schema = view::Schema::of_registered(registered);
    let text = if is_resolved(call) {
        let body = registered.body.clone();
        let resolved = registry.read(|state| state.resolve(&registered.subject, body))?;
        resolved.spelled_out().ok()
    } else {
        None
    };
    if let Some(text) = &text {
        schema.schema = text;
    }
    Ok(Answer::json(&schema))
}

fn find(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Found, Error> {
    let id = VersionId::parse(version)?;
    let found = registry.read(|state| {
        let (subject, version) = state.get(subject, id, call.flag("deleted"))?;
        Ok::<_, Refusal>(Found {
            subject,
            version: version.clone(),
        })
    })?;
    Ok(found)
}

pub(super) fn get(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    show(registry, call, &find(registry, call, subject, version)?)
}

pub(super) fn text(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    let found = find(registry, call, subject, version)?;
    if is_resolved(call) {
        let body = found.version.body.clone();
        let resolved = registry.read(|state| state.resolve(&found.subject, body))?;
        if let Ok(text) = resolved.spelled_out() {
            return Ok(Answer::text(&text));
        }
    }
    Ok(Answer::text(&found.version.body.text))
}

/// The ids of the schemas that refer to a version, be it deleted or not.
pub(super) fn referrers(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    let id = VersionId::parse(version)?;
    let (skip, most) = call.page(MOST_VERSIONS)?;
    registry.read(|state| {
        let (subject, version) = state.get(subject, id, true)?;
        let ids = state.referrers(&subject, version.number);
        Ok(Answer::json(
            &ids.into_iter().skip(skip).take(most).collect::<Vec<_>>(),
        ))
    })
}

/// A version becomes another one, with more tags or fewer.
pub(super) async fn tag(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    let id = VersionId::parse(version)?;
    let request: TagRequest = call.body()?;
    let registered = registry.tag(subject, id, request).await?;
    answer(registry, call, &registered)
}

pub(super) async fn delete(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    let id = VersionId::parse(version)?;
    let (subject, permanent) = (subject.clone(), call.flag("permanent"));
    let number = registry
        .write(move |state| state.delete_version(&subject, id, permanent))
        .await?;
    Ok(Answer::json(&number))
}
