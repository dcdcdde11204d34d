use std::collections::BTreeMap;

use millstream_protocol::{
    ErrorCode,
    messages::{
        DescribeClientQuotasRequest, DescribeClientQuotasResponse, StrBytes,
        describe_client_quotas_request::ComponentData,
        describe_client_quotas_response::{EntityData, EntryData, ValueData},
    },
};

use super::{
    Call, Handle, Reply,
    alter_client_quotas::{CLIENT_ID, IP, USER, described},
};
use crate::quotas::{Entity, Name};

/// How a part of an entity is asked for.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

impl Handle for DescribeClientQuotasRequest {
    async fn handle(self, call: Call) -> Reply<DescribeClientQuotasResponse> {
        let limits = call.node.quotas.limits();
        let answer = DescribeClientQuotasResponse::default();
        Reply::Now(match Filter::read(&self.components, self.strict) {
            Ok(filter) => {
                let found = limits.iter().filter(|(entity, _)| filter.takes(entity));
                let mut found: Vec<_> = found.collect();
                found.sort_unstable_by_key(|(entity, _)| *entity);
                let entries = found.into_iter().map(|(entity, values)| describe(entity, values));
                answer
                    .with_error_message(None)
                    .with_entries(Some(entries.collect()))
            }
            Err(reason) => answer
                .with_error_code(ErrorCode::InvalidRequest.code())
                .with_error_message(Some(StrBytes::from_string(reason)))
                .with_entries(None),
        })
    }
}

/// What each part of an entity must be; the strict one leaves out entities with a part that was not asked for.
#[derive(Default)]
struct Filter {
    user: Option<Wanted>,
    client_id: Option<Wanted>,
    ip: Option<Wanted>,
    strict: bool,
}

enum Wanted {
    Name(Name),
    Any,
}

impl Filter {
    fn read(components: &[ComponentData], strict: bool) -> Result<Self, String> {
        let mut filter = Self {
            strict,
            ..Self::default()
        };
        for component in components {
            let place = match component.entity_type.as_str() {
                USER => &mut filter.user,
                CLIENT_ID => &mut filter.client_id,
                IP => &mut filter.ip,
                other => return Err(format!("entity type '{other}' is not known")),
            };
            let wanted = match (component.match_type, &component._match) {
                (EXACT, Some(name)) => Wanted::Name(Name::Of(name.to_string())),
                (DEFAULT, None) => Wanted::Name(Name::Default),
                (ANY, None) => Wanted::Any,
                (EXACT | DEFAULT | ANY, _) => {
                    return Err("only an exact match names what it matches".into());
                }
                (other, _) => return Err(format!("match type {other} is not known")),
            };
            if place.replace(wanted).is_some() {
                return Err(format!(
                    "entity type '{}' is named twice",
                    component.entity_type.as_str()
                ));
            }
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return Err("an ip is asked for alone".into());
        }
        Ok(filter)
    }

    fn takes(&self, entity: &Entity) -> bool {
        let part = |wanted: &Option<Wanted>, name: &Option<Name>| match (wanted, name) {
            (None, None) | (Some(Wanted::Any), Some(_)) => true,
            (None, Some(_)) => !self.strict,
            (Some(_), None) => false,
            (Some(Wanted::Name(wanted)), Some(name)) => wanted == name,
        };
        part(&self.user, &entity.user)
            && part(&self.client_id, &entity.client_id)
            && part(&self.ip, &entity.ip)
    }
}

fn describe(entity: &Entity, values: &BTreeMap<String, f64>) -> EntryData {
    let parts = [
        (USER, &entity.user),
        (CLIENT_ID, &entity.client_id),
        (IP, &entity.ip),
    ];
    let parts = parts.into_iter().filter_map(|(kind, name)| {
        let part = EntityData::default().with_entity_type(StrBytes::from_static_str(kind));
        Some(part.with_entity_name(described(name.as_ref()?)))
    });
    let values = values.iter().map(|(key, value)| {
        ValueData::default()
            .with_key(StrBytes::from_string(key.clone()))
            .with_value(*value)
    });
    EntryData::default()
        .with_entity(parts.collect())
        .with_values(values.collect())
}
