use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{InvalidRecord, Key};
use crate::{
    json,
    model::{AVRO, Body, Config, Guid, Metadata, Mode, Reference, RuleSet},
};

/// What a record says about its key.
#[expect(clippy::large_enum_variant, reason = "one at a time, and settings are rare")]
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Schema(SchemaValue<'a>),
    Config {
        subject: Option<String>,
        config: Cow<'a, Config>,
    },
    Mode {
        subject: Option<String>,
        mode: Mode,
    },
    DeleteSubject {
        subject: String,
        version: i32,
    },
    ClearSubject {
        subject: Option<String>,
    },
    Context {
        tenant: String,
        context: String,
    },
    Ids {
        context: String,
        max_id: i32,
    },
    /// Whatever it is, it is not for us.
    Other,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaValue<'a> {
    pub subject: Cow<'a, str>,
    pub version: i32,
    pub id: i32,
    pub body: Cow<'a, Body>,
    pub deleted: bool,
    /// When the version was first registered, where the record was written again since.
    pub created: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaWire<'a> {
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    subject: Cow<'a, str>,
    version: i32,
    id: i32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    md5: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    schema_type: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<Cow<'a, [Reference]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, Metadata>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<Cow<'a, RuleSet>>,
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(default)]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_ts: Option<i64>,
}

#[derive(Serialize)]
struct ConfigWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(flatten)]
    config: Cow<'a, Config>,
}

#[derive(Serialize, Deserialize)]
struct ModeWire<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    mode: Mode,
}

#[derive(Serialize, Deserialize)]
struct SubjectWire<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    subject: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
}

#[derive(Serialize, Deserialize)]
struct ContextWire<'a> {
    #[serde(borrow)]
    tenant: Option<Cow<'a, str>>,
    #[serde(borrow)]
    context: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdsWire {
    max_id: i32,
}

impl Value<'static> {
    pub fn decode(key: &Key, bytes: &[u8]) -> Result<Self, InvalidRecord> {
        Ok(match key {
            Key::Schema { .. } => Self::Schema(SchemaValue::decode(bytes)?),
            Key::Config { subject } => Self::Config {
                subject: subject.clone(),
                config: Cow::Owned(parse::<Config>(bytes)?),
            },
            Key::Mode { subject } => Self::Mode {
                subject: subject.clone(),
                mode: borrow::<ModeWire<'_>>(bytes)?.mode,
            },
            Key::DeleteSubject { subject } => Self::DeleteSubject {
                subject: subject.clone(),
                version: borrow::<SubjectWire<'_>>(bytes)?.version.unwrap_or(0),
            },
            Key::ClearSubject { subject } => Self::ClearSubject {
                subject: subject.clone(),
            },
            Key::Context { tenant, context } => Self::Context {
                tenant: tenant.clone(),
                context: context.clone(),
            },
            Key::Ids { context } => Self::Ids {
                context: context.clone(),
                max_id: parse::<IdsWire>(bytes)?.max_id,
            },
            Key::Noop | Key::Other { .. } => Self::Other,
        })
    }
}

impl Value<'_> {
    pub fn encode(&self) -> Vec<u8> {
        fn subject(subject: &Option<String>) -> Option<Cow<'_, str>> {
            subject.as_deref().map(Into::into)
        }
        match self {
            Self::Schema(schema) => schema.encode(),
            Self::Config { subject: of, config } => json::to_vec(&ConfigWire {
                subject: subject(of),
                config: Cow::Borrowed(config),
            }),
            Self::Mode { subject: of, mode } => json::to_vec(&ModeWire {
                subject: subject(of),
                mode: *mode,
            }),
            Self::DeleteSubject { subject, version } => json::to_vec(&SubjectWire {
                subject: Some(subject.as_str().into()),
                version: Some(*version),
            }),
            Self::ClearSubject { subject: of } => json::to_vec(&SubjectWire {
                subject: subject(of),
                version: None,
            }),
            Self::Context { tenant, context } => json::to_vec(&ContextWire {
                tenant: Some(tenant.as_str().into()),
                context: context.as_str().into(),
            }),
            Self::Ids { max_id, .. } => json::to_vec(&IdsWire { max_id: *max_id }),
            Self::Other => Vec::new(),
        }
    }
}

impl SchemaValue<'_> {
    fn encode(&self) -> Vec<u8> {
        let body = &self.body;
        let references = Some(&*body.references).filter(|r| !r.is_empty());
        json::to_vec(&SchemaWire {
            subject: Cow::Borrowed(&self.subject),
            version: self.version,
            id: self.id,
            md5: body
                .guid_is_given
                .then(|| BASE64_STANDARD.encode(body.guid.bytes()).into()),
            schema_type: body.schema_type.as_deref().map(Into::into),
            references: references.map(Cow::Borrowed),
            metadata: body.metadata.as_deref().map(Cow::Borrowed),
            rule_set: body.rule_set.as_deref().map(Cow::Borrowed),
            schema: Cow::Borrowed(&body.text),
            deleted: self.deleted,
            create_ts: self.created,
        })
    }
}

impl SchemaValue<'static> {
    fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let wire: SchemaWire<'_> = borrow(bytes)?;
        if wire.id < 0 {
            return Err(InvalidRecord::Value(format!("id {} is negative", wire.id)));
        }
        let schema_type = wire.schema_type.as_deref().filter(|t| *t != AVRO);
        let body = Body::new(
            schema_type,
            wire.references.unwrap_or_default().into_owned(),
            wire.metadata.map(Cow::into_owned),
            wire.rule_set.map(Cow::into_owned),
            &wire.schema,
        );
        let given = wire.md5.map(|text| {
            let bytes = BASE64_STANDARD
                .decode(&*text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| InvalidRecord::Value(format!("'{text}' is not an MD5")))
        });
        let body = match given.transpose()? {
            Some(bytes) => body.known_as(Guid::from_bytes(bytes)),
            None => body,
        };
        Ok(Self {
            subject: Cow::Owned(wire.subject.into_owned()),
            version: wire.version,
            id: wire.id,
            body: Cow::Owned(body),
            deleted: wire.deleted,
            created: wire.create_ts,
        })
    }
}

fn borrow<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, InvalidRecord> {
    serde_json::from_slice(bytes).map_err(|error| InvalidRecord::Value(error.to_string()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidRecord> {
    borrow(bytes)
}
