use millstream_schema_registry_core::{Against, QualifiedSubject, Refusal, VersionId, model::SchemaRequest};

use super::{
    answer::{Answer, Error},
    call::Call,
    view,
};
use crate::Registry;

pub(super) fn with_history(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
) -> Result<Answer, Error> {
    check(registry, call, subject, Against::History)
}

pub(super) fn with_version(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    version: &str,
) -> Result<Answer, Error> {
    check(
        registry,
        call,
        subject,
        Against::Version(VersionId::parse(version)?),
    )
}

fn check(
    registry: &Registry,
    call: &Call<'_>,
    subject: &QualifiedSubject,
    against: Against,
) -> Result<Answer, Error> {
    let request: SchemaRequest = call.body()?;
    let (verbose, normalize) = (call.flag("verbose"), call.flag("normalize"));
    let messages = match registry.compare(subject, against, &request, normalize) {
        Ok(messages) => messages,
        // Whoever wants to know it all is told this too.
        Err(Refusal::InvalidSchema { message }) if verbose => vec![message],
        Err(refusal) => return Err(refusal.into()),
    };
    Ok(Answer::json(&view::Compatibility {
        is_compatible: messages.is_empty(),
        messages: verbose.then_some(messages),
    }))
}
