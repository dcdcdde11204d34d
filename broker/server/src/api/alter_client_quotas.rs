use std::{collections::BTreeMap, net::IpAddr};

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
use crate::quotas::{Entity, Name, QuotaKind};

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const IP: &str = "ip";

/// Why limits are not changed.
#[derive(Debug, thiserror::Error)]
enum AlterQuotaError {
    #[error("an entity is needed: a user, a client-id, or both; or an ip")]
    NoEntity,
    #[error("entity type '{0}' is not known, there are user, client-id and ip")]
    UnknownType(String),
    #[error("entity type '{0}' is named twice")]
    Twice(String),
    #[error("entity name must not be empty")]
    EmptyName,
    #[error("an ip has limits alone, not with a user or a client-id")]
    Mixed,
    #[error("'{0}' is not an ip address")]
    NotAnAddress(String),
    #[error("quota '{0}' is not known")]
    UnknownKey(String),
    #[error("quota '{0}' is not for that type of entity")]
    OtherEntity(String),
    #[error("quota '{key}' must be a {} above 0, not {value}", if *.whole { "whole number" } else { "number" })]
    InvalidValue { key: String, value: f64, whole: bool },
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
            | Self::Mixed
            | Self::NotAnAddress(_)
            | Self::UnknownKey(_)
            | Self::OtherEntity(_)
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
                    let values = change(&entity, node.quotas.limits().of(&entity), &entry.ops)?;
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
            IP => &mut entity.ip,
            other => return Err(AlterQuotaError::UnknownType(other.into())),
        };
        let name = match &part.entity_name {
            None => Name::Default,
            Some(name) if name.is_empty() => return Err(AlterQuotaError::EmptyName),
            Some(name) if part.entity_type.as_str() == IP => {
                let address: IpAddr = name
                    .parse()
                    .map_err(|_| AlterQuotaError::NotAnAddress(name.to_string()))?;
                Name::Of(address.to_canonical().to_string())
            }
            Some(name) => Name::Of(name.to_string()),
        };
        if place.replace(name).is_some() {
            return Err(AlterQuotaError::Twice(part.entity_type.to_string()));
        }
    }
    if entity == Entity::default() {
        return Err(AlterQuotaError::NoEntity);
    }
    if entity.ip.is_some() && (entity.user.is_some() || entity.client_id.is_some()) {
        return Err(AlterQuotaError::Mixed);
    }
    Ok(entity)
}

fn change(
    entity: &Entity,
    mut values: BTreeMap<String, f64>,
    changes: &[OpData],
) -> Result<BTreeMap<String, f64>, AlterQuotaError> {
    for change in changes {
        let key = change.key.to_string();
        let Some(kind) = QuotaKind::of(&key) else {
            return Err(AlterQuotaError::UnknownKey(key));
        };
        if kind.is_of_addresses() != entity.ip.is_some() {
            return Err(AlterQuotaError::OtherEntity(key));
        }
        if change.remove {
            values.remove(&key);
            continue;
        }
        let value = change.value;
        let whole = kind.is_whole();
        if !value.is_finite() || value <= 0.0 || (whole && value.fract() != 0.0) {
            return Err(AlterQuotaError::InvalidValue { key, value, whole });
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
