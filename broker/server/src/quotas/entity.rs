use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

/// What a limit is on. Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QuotaKind {
    ProducerByteRate,
    ConsumerByteRate,
    RequestPercentage,
    /// Partitions that are made or deleted per second (KIP-599).
    ControllerMutationRate,
    /// New connections of an address per second (KIP-612).
    ConnectionCreationRate,
}

impl QuotaKind {
    pub(crate) fn of(key: &str) -> Option<Self> {
        KEYS.into_iter().find(|kind| kind.key() == key)
    }

    /// Whether it is for addresses, and not for users and clients.
    pub(crate) fn is_of_addresses(self) -> bool {
        self == Self::ConnectionCreationRate
    }

    /// Whether a limit is a whole number.
    pub(crate) fn is_whole(self) -> bool {
        match self {
            Self::ProducerByteRate | Self::ConsumerByteRate | Self::ConnectionCreationRate => true,
            Self::RequestPercentage | Self::ControllerMutationRate => false,
        }
    }

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::ProducerByteRate => "producer_byte_rate",
            Self::ConsumerByteRate => "consumer_byte_rate",
            Self::RequestPercentage => "request_percentage",
            Self::ControllerMutationRate => "controller_mutation_rate",
            Self::ConnectionCreationRate => "connection_creation_rate",
        }
    }
}

/// All keys that a limit may have: those of [`QuotaKind`].
pub(crate) const KEYS: [QuotaKind; 5] = [
    QuotaKind::ProducerByteRate,
    QuotaKind::ConsumerByteRate,
    QuotaKind::RequestPercentage,
    QuotaKind::ControllerMutationRate,
    QuotaKind::ConnectionCreationRate,
];

/// A user or client: a certain one, or whoever has no limit of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    Default,
    Of(String),
}

/// Whom limits are for. At least one part is there; an address is alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entity {
    pub(crate) user: Option<Name>,
    pub(crate) client_id: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<Name>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
}

/// A limit, and who shares it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) per_second: f64,
    pub(crate) shared_by: (Option<String>, Option<String>),
}

/// All limits, by whom they are for and by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(HashMap<Entity, BTreeMap<String, f64>>);

impl Limits {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entity, &BTreeMap<String, f64>)> {
        self.0.iter()
    }

    pub(crate) fn of(&self, entity: &Entity) -> BTreeMap<String, f64> {
        self.0.get(entity).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, entity: Entity, values: BTreeMap<String, f64>) {
        if values.is_empty() {
            self.0.remove(&entity);
        } else {
            self.0.insert(entity, values);
        }
    }

    /// The limit that counts: the one for the most exactly named, users before clients. Whoever is meant by the same
    /// default has a limit of their own each.
    pub(crate) fn find(&self, kind: QuotaKind, asker: Asker<'_>) -> Option<Limit> {
        let user = || Some(Name::Of(asker.user.to_owned()));
        let client = || Some(Name::Of(asker.client_id.to_owned()));
        let default = || Some(Name::Default);
        [
            (user(), client()),
            (user(), default()),
            (user(), None),
            (default(), client()),
            (default(), default()),
            (default(), None),
            (None, client()),
            (None, default()),
        ]
        .into_iter()
        .find_map(|(user, client_id)| {
            let shared_by = (
                user.is_some().then(|| asker.user.to_owned()),
                client_id.is_some().then(|| asker.client_id.to_owned()),
            );
            let ip = None;
            let values = self.0.get(&Entity { user, client_id, ip })?;
            Some(Limit {
                per_second: *values.get(kind.key())?,
                shared_by,
            })
        })
    }
}

impl Limits {
    /// How many connections an address may make: its own limit, or that of all addresses.
    pub(crate) fn of_address(&self, ip: IpAddr) -> Option<f64> {
        let named = |name| Entity {
            ip: Some(name),
            ..Entity::default()
        };
        let names = [Name::Of(ip.to_string()), Name::Default];
        let key = QuotaKind::ConnectionCreationRate.key();
        names
            .into_iter()
            .find_map(|name| self.0.get(&named(name))?.get(key).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Name> {
        Some(Name::Of(name.into()))
    }

    #[test]
    fn the_most_exact_limit_counts() {
        const DEFAULT: Option<Name> = Some(Name::Default);
        let ladder = [
            (None, DEFAULT),
            (None, of("app")),
            (DEFAULT, None),
            (DEFAULT, DEFAULT),
            (DEFAULT, of("app")),
            (of("ann"), None),
            (of("ann"), DEFAULT),
            (of("ann"), of("app")),
        ];
        let asker = Asker {
            user: "ann",
            client_id: "app",
        };
        let mut limits = Limits::default();
        for (rate, (user, client_id)) in (1_u8..).zip(ladder) {
            let shared_by = (
                user.as_ref().map(|_| "ann".into()),
                client_id.as_ref().map(|_| "app".into()),
            );
            let ip = None;
            let entity = Entity { user, client_id, ip };
            limits.set(entity, [("producer_byte_rate".into(), f64::from(rate))].into());
            let found = limits.find(QuotaKind::ProducerByteRate, asker);
            let per_second = f64::from(rate);
            assert_eq!(
                found,
                Some(Limit {
                    per_second,
                    shared_by
                })
            );
        }
        assert_eq!(limits.find(QuotaKind::ConsumerByteRate, asker), None);
        let address = |name| Entity {
            ip: Some(name),
            ..Entity::default()
        };
        let rate = |rate: f64| BTreeMap::from([("connection_creation_rate".to_owned(), rate)]);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(limits.of_address(one), None);
        limits.set(address(Name::Of("10.0.0.1".into())), rate(5.0));
        limits.set(address(Name::Default), rate(9.0));
        assert_eq!(
            (limits.of_address(one), limits.of_address(other)),
            (Some(5.0), Some(9.0))
        );
        let stranger = Asker {
            user: "bob",
            client_id: "other",
        };
        let found = limits.find(QuotaKind::ProducerByteRate, stranger).unwrap();
        assert_eq!(found.per_second, 4.0);
        assert_eq!(found.shared_by, (Some("bob".into()), Some("other".into())));
    }
}
