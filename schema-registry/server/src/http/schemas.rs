use std::sync::Arc;

use millstream_schema_registry_avro::Strictness;
use millstream_schema_registry_core::{
    DEFAULT_CONTEXT, Deleted, Entry, QualifiedSubject, Refusal, State, Use, Version,
    model::{AVRO, Body, Guid, SchemaTags},
};

use super::{
    answer::{Answer, Error},
    call::Call,
    view,
};
use crate::Registry;

/// Of listings of whole schemas.
const MOST_SCHEMAS: usize = 1000;
const MOST_VERSIONS: usize = 20_000;

fn number(id: &str) -> Result<i32, Error> {
    id.parse().map_err(|_| Error::not_found())
}

fn not_found(id: Option<i32>) -> Refusal {
    Refusal::SchemaNotFound { id }
}

/// A schema of an id: in the context of the path, or of the subject that the call names.
fn find<'a>(state: &'a State, subject: &QualifiedSubject, id: i32) -> Option<&'a Entry> {
    let of = |subject: &QualifiedSubject| {
        let entry = state.schema(subject.context(), id)?;
        entry.version_in(subject).map(|_| entry)
    };
    if subject.name().is_empty() {
        return state.schema(subject.context(), id);
    }
    if !subject.is_in_default_context() {
        return of(subject);
    }
    let contexts = state.contexts();
    let mut places = contexts.map(|context| QualifiedSubject::within(context, subject.name()));
    places
        .find_map(|place| of(&place))
        .or_else(|| state.schema(DEFAULT_CONTEXT, id))
}

/// One that is not known here may be known to another registry, which has just given it to a producer.
pub(super) async fn by_id(registry: &Registry, call: &Call<'_>, id: &str) -> Result<Answer, Error> {
    let id = number(id)?;
    let subject = call.subject_parameter(registry);
    if registry.read(|state| find(state, &subject, id).is_none()) {
        registry.refresh().await?;
    }
    if let Some(text) = spelled_out(registry, call, &subject, id)? {
        return registry.read(|state| {
            let entry = find(state, &subject, id).ok_or(not_found(Some(id)))?;
            let mut schema = view::Schema::of_entry(entry);
            schema.schema = &text;
            Ok(Answer::json(&schema))
        });
    }
    let tags = match call.texts("findTags") {
        [] => None,
        _ => {
            let entry = registry.read(|state| {
                let entry = find(state, &subject, id)?;
                Some((entry.any_use().subject.clone(), entry.body.clone()))
            });
            let (of, body) = entry.ok_or(not_found(Some(id)))?;
            found_tags(registry, call, &of, &body)?
        }
    };
    registry.read(|state| {
        let entry = find(state, &subject, id).ok_or(not_found(Some(id)))?;
        let mut schema = view::Schema::of_entry(entry);
        schema.schema_tags = tags;
        if call.flag("fetchMaxId") {
            schema.max_id = Some(state.max_id(subject.context()));
        }
        let used = entry.version_in(&subject);
        if let Some(Use { subject, version, .. }) = used {
            schema.subject = Some(subject.as_str());
            schema.version = Some(*version);
        }
        Ok(Answer::json(&schema))
    })
}

pub(super) fn text_by_id(registry: &Registry, call: &Call<'_>, id: &str) -> Result<Answer, Error> {
    let id = number(id)?;
    let subject = call.subject_parameter(registry);
    if let Some(text) = spelled_out(registry, call, &subject, id)? {
        return Ok(Answer::text(&text));
    }
    registry.read(|state| {
        let entry = find(state, &subject, id).ok_or(not_found(Some(id)))?;
        Ok(Answer::text(&entry.body.text))
    })
}

/// The text with all that it refers to in it, where that is wanted.
fn spelled_out(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    id: i32,
) -> Result<Option<String>, Error> {
    if !is_resolved(call) {
        return Ok(None);
    }
    let resolved = registry.read(|state| {
        let entry = find(state, subject, id).ok_or(not_found(Some(id)))?;
        state.resolve(&entry.any_use().subject, entry.body.clone())
    })?;
    Ok(resolved.spelled_out().ok())
}

/// What has one of the tags that the call looks for within a schema: `*` is any. `None`: it looks for none.
pub(super) fn found_tags(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    body: &Arc<Body>,
) -> Result<Option<Vec<SchemaTags>>, Error> {
    let wanted = call.texts("findTags");
    if wanted.is_empty() || !body.is_avro() {
        return Ok(None);
    }
    let resolved = registry.read(|state| state.resolve(subject, body.clone()))?;
    // One that was stored long ago may be none any more.
    let Ok(schema) = resolved.parse(Strictness::Stored) else {
        return Ok(None);
    };
    let is_wanted = |tag: &String| wanted.contains(tag) || wanted.iter().any(|tag| tag == "*");
    let found = schema
        .tags()
        .into_iter()
        .filter(|(_, tags)| tags.iter().any(is_wanted));
    Ok(Some(found.map(SchemaTags::from).collect()))
}

/// Formats that are not known are none, as with Confluent.
pub(super) fn is_resolved(call: &Call<'_>) -> bool {
    call.text("format")
        .is_some_and(|format| format.eq_ignore_ascii_case("resolved"))
}

fn shown_uses<'a>(
    state: &'a State,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    id: i32,
) -> Result<impl Iterator<Item = &'a Use>, Error> {
    let entry = find(state, subject, id).ok_or(not_found(None))?;
    let deleted = call.flag("deleted");
    Ok(entry.uses.iter().filter(move |used| deleted || !used.deleted))
}

pub(super) fn subjects_of_id(registry: &Registry, call: &Call<'_>, id: &str) -> Result<Answer, Error> {
    let id = number(id)?;
    let (skip, most) = call.page(MOST_VERSIONS)?;
    let subject = call.subject_parameter(registry);
    registry.read(|state| {
        let mut subjects: Vec<_> = shown_uses(state, call, &subject, id)?
            .map(|u| u.subject.as_str())
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        let page: Vec<_> = subjects.into_iter().skip(skip).take(most).collect();
        Ok(Answer::json(&page))
    })
}

pub(super) fn versions_of_id(registry: &Registry, call: &Call<'_>, id: &str) -> Result<Answer, Error> {
    let id = number(id)?;
    let (skip, most) = call.page(MOST_VERSIONS)?;
    let subject = call.subject_parameter(registry);
    registry.read(|state| {
        let uses = shown_uses(state, call, &subject, id)?.skip(skip).take(most);
        let versions: Vec<_> = uses
            .map(|used| view::SubjectVersion {
                subject: used.subject.as_str(),
                version: used.version,
            })
            .collect();
        Ok(Answer::json(&versions))
    })
}

/// Where a schema is known by its name for all registries: the contexts with its id there.
fn ids_of<'a>(state: &'a State, guid: &Guid) -> Vec<(&'a str, i32)> {
    let of = |context| state.id_of(context, guid).map(|id| (context, id));
    state.contexts().filter_map(of).collect()
}

pub(super) fn by_guid(registry: &Registry, call: &Call<'_>, guid: &str) -> Result<Answer, Error> {
    let guid = Guid::parse(guid).ok_or(not_found(None))?;
    let resolved = registry.read(|state| {
        let (context, id) = *ids_of(state, &guid).first().ok_or(not_found(None))?;
        let entry = state.schema(context, id).ok_or(not_found(None))?;
        state.resolve(&entry.any_use().subject, entry.body.clone())
    })?;
    let mut schema = view::Schema::of_body(&resolved.body);
    let text = is_resolved(call).then(|| resolved.spelled_out().ok()).flatten();
    if let Some(text) = &text {
        schema.schema = text;
    }
    Ok(Answer::json(&schema))
}

pub(super) fn ids_of_guid(registry: &Registry, guid: &str) -> Result<Answer, Error> {
    let guid = Guid::parse(guid).ok_or(not_found(None))?;
    registry.read(|state| {
        let ids = ids_of(state, &guid);
        if ids.is_empty() {
            return Err(not_found(None).into());
        }
        let ids = ids
            .into_iter()
            .map(|(context, id)| view::ContextId { context, id });
        Ok(Answer::json(&ids.collect::<Vec<_>>()))
    })
}

/// Others are kept and answered where another registry has written them, but not registered.
pub(super) fn types() -> Answer {
    Answer::json(&[AVRO])
}

pub(super) fn list(registry: &Registry, call: &Call<'_>) -> Result<Answer, Error> {
    let (skip, most) = call.page(MOST_SCHEMAS)?;
    let prefix = call.text("subjectPrefix").unwrap_or_default();
    let prefix = call.within_context(prefix);
    let deleted = Deleted::asked(call.flag("deleted"), call.flag("deletedOnly"));
    let latest_only = call.flag("latestOnly");
    let aliases = call.flag("aliases");
    let rule_type = call.text("ruleType").filter(|rule_type| !rule_type.is_empty());
    let has_rules = |version: &Version| {
        let rules = version.body.rule_set.as_deref();
        rule_type.is_none_or(|wanted| rules.is_some_and(|rules| rules.has_type(wanted)))
    };
    registry.read(|state| {
        let versions = state.all_versions(&prefix, deleted);
        let is_latest = |subject: &QualifiedSubject, version: &Version| {
            let shown = state.versions(subject).iter().rev();
            let mut shown = shown.filter(|v| deleted.shows(v.deleted));
            shown.next().is_some_and(|latest| latest.number == version.number)
        };
        let wanted = versions.filter(|(subject, version)| !latest_only || is_latest(subject, version));
        let wanted = wanted.filter(|(_, version)| has_rules(version));
        let page: Vec<_> = wanted.skip(skip).take(most).collect();
        let names = page.iter().map(|(subject, _)| match aliases {
            true => state.aliases_of(subject),
            false => Vec::new(),
        });
        let names: Vec<_> = names.collect();
        let schemas: Vec<_> = page
            .iter()
            .zip(&names)
            .map(|((subject, version), names)| {
                let mut schema = view::Schema::of_version(subject, version);
                schema.aliases = Some(names.as_slice()).filter(|names| !names.is_empty());
                schema
            })
            .collect();
        Ok(Answer::json(&schemas))
    })
}
