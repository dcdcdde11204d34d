use millstream_schema_registry_core::{
    QualifiedSubject, Refusal,
    model::{Config, ConfigUpdate, Level},
};
use serde::Serialize;

use super::{
    answer::{Answer, Error},
    call::Call,
};
use crate::Registry;

/// What a change answers: the configuration, with the name that changes have for the level.
#[derive(Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<&'static str>,
    #[serde(flatten)]
    config: Config,
}

pub(super) fn get(
    registry: &Registry,
    call: &Call<'_>,
    subject: Option<QualifiedSubject>,
) -> Result<Answer, Error> {
    let subject = subject.as_ref();
    registry.read(|state| match (state.config(subject), subject) {
        (_, None) => Ok(Answer::json(&state.config_in_scope(None))),
        (_, subject) if call.flag("defaultToGlobal") => Ok(Answer::json(&state.config_in_scope(subject))),
        (Some(config), Some(_)) => Ok(Answer::json(config)),
        (None, Some(subject)) => Err(Refusal::NoSubjectConfig {
            subject: subject.clone(),
        }
        .into()),
    })
}

pub(super) async fn set(
    registry: &Registry,
    call: &Call<'_>,
    subject: Option<QualifiedSubject>,
) -> Result<Answer, Error> {
    let update: ConfigUpdate = call.body()?;
    let mut config = registry
        .write(move |state| state.update_config(subject.as_ref(), &update))
        .await?;
    let compatibility = config.compatibility_level.take().map(Level::as_str);
    Ok(Answer::json(&Changed {
        compatibility,
        config,
    }))
}

pub(super) async fn delete(registry: &Registry, subject: Option<QualifiedSubject>) -> Result<Answer, Error> {
    let config = registry
        .write(move |state| state.delete_config(subject.as_ref()))
        .await?;
    Ok(Answer::json(&config))
}
