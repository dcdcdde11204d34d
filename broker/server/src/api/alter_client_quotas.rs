use std::collections::BTreeMap;

use futures::{FutureExt, future::join_all};
use millstream_broker_storage::{CommitError, Ticket};
use millstream_protocol::{
    ErrorCode,
    messages::{
        AlterClientQuotasRequest, AlterClientQuotasResponse, StrBytes,
        alter_client_quotas_request::{EntityData as AskedEntity, OpData},
        alter_client_quotas_response::{EntityData, EntryData},
    },
};

use super::{Call, Handle, Reply, errors::ToKafka};
use crate::quotas::{Entity, KEYS, Name};

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";

/// Why limits are not changed.
#[derive(Debug, thiserror::Error)]
enum AlterQuotaError {
    #[error("an entity is needed: a user, a client-id, or both")]
    NoEntity,
    #[error("entity type '{0}' is not known, there are user and client-id")]
    UnknownType(String),
    #[error("entity type '{0}' is named twice")]
    Twice(String),
    #[error("entity name must not be empty")]
    EmptyName,
    #[error("quota '{0}' is not known")]
    UnknownKey(String),
    #[error("quota '{key}' must be a number above 0, not {value}")]
    InvalidValue { key: String, value: f64 },
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl ToKafka for AlterQuotaError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoEntity
            | Self::UnknownType(_)
            | Self::Twice(_)
            | Self::EmptyName
            | Self::UnknownKey(_)
            | Self::InvalidValue { .. } => ErrorCode::InvalidRequest,
            // The disk: a restart, or space, can cure it.
            Self::Commit(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl Handle for AlterClientQuotasRequest {
    async fn handle(self, call: Call) -> Reply<AlterClientQuotasResponse> {
        let node = call.node;
        node.storage().room().await;
        let validate_only = self.validate_only;
        let altered: Vec<_> = self
            .entries
            .into_iter()
            .map(|entry| {
                let altered = read_entity(&entry.entity).and_then(|entity| {
                    let values = change(node.quotas.limits().of(&entity), &entry.ops)?;
                    if validate_only {
                        return Ok(None);
                    }
                    Ok(Some(node.quotas.set(node.storage(), &entity, values)?))
                });
                (entry.entity, altered)
            })
            .collect();
        let answer = async move {
            let entries = altered
                .into_iter()
                .map(|(entity, altered)| answer(entity, altered));
            AlterClientQuotasResponse::default().with_entries(join_all(entries).await)
        };
        Reply::Later(answer.boxed())
    }
}

async fn answer(asked: Vec<AskedEntity>, altered: Result<Option<Ticket<()>>, AlterQuotaError>) -> EntryData {
    let entity = asked.into_iter().map(|part| {
        EntityData::default()
            .with_entity_type(part.entity_type)
            .with_entity_name(part.entity_name)
    });
    let answer = EntryData::default()
        .with_entity(entity.collect())
        .with_error_message(None);
    let error = match altered {
        Ok(None) => return answer,
        Ok(Some(ticket)) => match ticket.await {
            Ok(()) => return answer,
            Err(error) => AlterQuotaError::from(CommitError::from(error)),
        },
        Err(error) => error,
    };
    answer
        .with_error_code(error.code().code())
        .with_error_message(error.text())
}

fn read_entity(parts: &[AskedEntity]) -> Result<Entity, AlterQuotaError> {
    let mut entity = Entity::default();
    for part in parts {
        let place = match part.entity_type.as_str() {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            other => return Err(AlterQuotaError::UnknownType(other.into())),
        };
        let name = match &part.entity_name {
            None => Name::Default,
            Some(name) if name.is_empty() => return Err(AlterQuotaError::EmptyName),
            Some(name) => Name::Of(name.to_string()),
        };
        if place.replace(name).is_some() {
            return Err(AlterQuotaError::Twice(part.entity_type.to_string()));
        }
    }
    if entity == Entity::default() {
        return Err(AlterQuotaError::NoEntity);
    }
    Ok(entity)
}

fn change(
    mut values: BTreeMap<String, f64>,
    changes: &[OpData],
) -> Result<BTreeMap<String, f64>, AlterQuotaError> {
    for change in changes {
        let key = change.key.to_string();
        if !KEYS.iter().any(|kind| kind.key() == key) {
            return Err(AlterQuotaError::UnknownKey(key));
        }
        if change.remove {
            values.remove(&key);
            continue;
        }
        let value = change.value;
        if !value.is_finite() || value <= 0.0 {
            return Err(AlterQuotaError::InvalidValue { key, value });
        }
        values.insert(key, value);
    }
    Ok(values)
}

/// The name of a part of an entity, as the protocol writes it.
pub(super) fn described(name: &Name) -> Option<StrBytes> {
    match name {
        Name::Default => None,
        Name::Of(name) => Some(StrBytes::from_string(name.clone())),
    }
}
