//! What answers look like.

use millstream_schema_registry_core::{
    Entry, Found, QualifiedSubject, Registered, Version,
    model::{Body, Metadata, Reference, RuleSet, SchemaTags},
};
use serde::{Serialize, Serializer};

/// A schema: what is absent is not said, as everywhere.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<i32>,
    guid: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'a [Reference],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<&'a RuleSet>,
    pub(super) schema: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_ts: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aliases: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema_tags: Option<Vec<SchemaTags>>,
}

struct Shown<'a>(&'a millstream_schema_registry_core::model::Guid);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl<'a> Schema<'a> {
    pub(super) fn of_body(body: &'a Body) -> Self {
        Self {
            subject: None,
            version: None,
            id: None,
            guid: Shown(&body.guid),
            schema_type: body.schema_type.as_deref(),
            references: &body.references,
            metadata: body.metadata.as_deref(),
            rule_set: body.rule_set.as_deref(),
            schema: &body.text,
            max_id: None,
            ts: None,
            create_ts: None,
            deleted: false,
            aliases: None,
            schema_tags: None,
        }
    }

    pub(super) fn of_entry(entry: &'a Entry) -> Self {
        Self::of_body(&entry.body)
    }

    pub(super) fn of_version(subject: &'a QualifiedSubject, version: &'a Version) -> Self {
        Self {
            subject: Some(subject.as_str()),
            version: Some(version.number),
            id: Some(version.id),
            ts: Some(version.timestamp),
            create_ts: version.created.filter(|created| *created != version.timestamp),
            deleted: version.deleted,
            ..Self::of_body(&version.body)
        }
    }

    pub(super) fn of_found(found: &'a Found) -> Self {
        Self::of_version(&found.subject, &found.version)
    }

    pub(super) fn of_registered(registered: &'a Registered) -> Self {
        Self {
            version: Some(registered.version),
            id: Some(registered.id),
            ..Self::of_body(&registered.body)
        }
    }
}

#[derive(Serialize)]
pub(super) struct SubjectVersion<'a> {
    pub(super) subject: &'a str,
    pub(super) version: i32,
}

#[derive(Serialize)]
pub(super) struct ContextId<'a> {
    pub(super) context: &'a str,
    pub(super) id: i32,
}

#[derive(Serialize)]
pub(super) struct Compatibility {
    pub(super) is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Vec<String>>,
}
