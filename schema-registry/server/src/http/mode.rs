use millstream_schema_registry_core::{QualifiedSubject, Refusal, model::Mode};
use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Error},
    call::Call,
};
use crate::Registry;

#[derive(Serialize)]
struct Shown {
    mode: Mode,
}

#[derive(Deserialize)]
struct Wanted {
    /// `null` takes the mode away.
    mode: Option<String>,
}

pub(super) fn get(
    registry: &Registry,
    call: &Call<'_>,
    subject: Option<QualifiedSubject>,
) -> Result<Answer, Error> {
    let subject = subject.as_ref();
    let mode = registry.read(|state| match (state.mode(subject), subject) {
        (_, None) => Ok(state.mode_in_scope(None)),
        (_, subject) if call.flag("defaultToGlobal") => Ok(state.mode_in_scope(subject)),
        (Some(mode), Some(_)) => Ok(mode),
        (None, Some(subject)) => Err(Refusal::NoSubjectMode {
            subject: subject.clone(),
        }),
    })?;
    Ok(Answer::json(&Shown { mode }))
}

pub(super) async fn set(
    registry: &Registry,
    call: &Call<'_>,
    subject: Option<QualifiedSubject>,
) -> Result<Answer, Error> {
    let wanted: Wanted = call.body()?;
    let Some(name) = wanted.mode else {
        return delete(registry, call, subject).await;
    };
    let mode: Mode = name.parse().map_err(|_| Refusal::InvalidMode)?;
    let force = call.flag("force");
    let mode = registry
        .write(move |state| state.set_mode(subject.as_ref(), mode, force))
        .await?;
    Ok(Answer::json(&Shown { mode }))
}

pub(super) async fn delete(
    registry: &Registry,
    call: &Call<'_>,
    subject: Option<QualifiedSubject>,
) -> Result<Answer, Error> {
    let recursive = call.flag("recursive");
    let mode = registry
        .write(move |state| state.delete_mode(subject.as_ref(), recursive))
        .await?;
    Ok(Answer::json(&Shown { mode }))
}
