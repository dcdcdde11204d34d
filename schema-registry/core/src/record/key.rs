use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::InvalidRecord;
use crate::json;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Schema {
        subject: String,
        version: i32,
    },
    /// Without a subject: of the whole registry.
    Config {
        subject: Option<String>,
    },
    Mode {
        subject: Option<String>,
    },
    DeleteSubject {
        subject: String,
    },
    ClearSubject {
        subject: Option<String>,
    },
    Context {
        tenant: String,
        context: String,
    },
    Noop,
    /// The largest id that a context has given, written before its schema is deleted for good: without it the id would be
    /// given again after a restart. Confluent reads it as a `NOOP`.
    Ids {
        context: String,
    },
    /// Of a registry that knows more than this one: left alone.
    Other {
        keytype: String,
    },
}

/// Of an empty subject Confluent writes none.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    keytype: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    tenant: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    context: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "is_empty")]
    subject: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    magic: i32,
}

fn is_empty(text: &Option<Cow<'_, str>>) -> bool {
    text.as_ref().is_none_or(|text| text.is_empty())
}

/// What every record of a schema has since versions can be deleted.
const SCHEMA_MAGIC: i32 = 1;

impl Key {
    /// The tenant of a registry that has only one.
    pub const TENANT: &str = "default";

    pub fn schema(subject: &str, version: i32) -> Self {
        Self::Schema {
            subject: subject.to_owned(),
            version,
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let wire: Wire<'_> =
            serde_json::from_slice(bytes).map_err(|error| InvalidRecord::Key(error.to_string()))?;
        let subject = wire.subject.as_deref().map(str::to_owned);
        let named = || subject.clone().unwrap_or_default();
        Ok(match &*wire.keytype {
            "SCHEMA" => {
                if !(0..=SCHEMA_MAGIC).contains(&wire.magic) {
                    return Err(InvalidRecord::Magic(wire.magic));
                }
                let version = wire.version.filter(|version| *version > 0);
                let version = version.ok_or_else(|| InvalidRecord::Key("no version".to_owned()))?;
                Self::Schema {
                    subject: named(),
                    version,
                }
            }
            "CONFIG" => Self::Config { subject },
            "MODE" => Self::Mode { subject },
            "DELETE_SUBJECT" => Self::DeleteSubject { subject: named() },
            "CLEAR_SUBJECT" => Self::ClearSubject { subject },
            "CONTEXT" => Self::Context {
                tenant: wire
                    .tenant
                    .map_or_else(|| Self::TENANT.to_owned(), Cow::into_owned),
                context: wire.context.unwrap_or_default().into_owned(),
            },
            "NOOP" => match wire.context {
                Some(context) => Self::Ids {
                    context: context.into_owned(),
                },
                None => Self::Noop,
            },
            "" => return Err(InvalidRecord::Key("no keytype".to_owned())),
            other => Self::Other {
                keytype: other.to_owned(),
            },
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut wire = Wire {
            keytype: self.keytype().into(),
            ..Wire::default()
        };
        match self {
            Self::Schema { subject, version } => {
                wire.subject = Some(subject.as_str().into());
                wire.version = Some(*version);
                wire.magic = SCHEMA_MAGIC;
            }
            Self::Config { subject } | Self::Mode { subject } | Self::ClearSubject { subject } => {
                wire.subject = subject.as_deref().map(Into::into);
            }
            Self::DeleteSubject { subject } => wire.subject = Some(subject.as_str().into()),
            Self::Context { tenant, context } => {
                wire.tenant = Some(tenant.as_str().into());
                wire.context = Some(context.as_str().into());
            }
            Self::Ids { context } => wire.context = Some(context.as_str().into()),
            Self::Noop | Self::Other { .. } => {}
        }
        json::to_vec(&wire)
    }

    fn keytype(&self) -> &str {
        match self {
            Self::Schema { .. } => "SCHEMA",
            Self::Config { .. } => "CONFIG",
            Self::Mode { .. } => "MODE",
            Self::DeleteSubject { .. } => "DELETE_SUBJECT",
            Self::ClearSubject { .. } => "CLEAR_SUBJECT",
            Self::Context { .. } => "CONTEXT",
            Self::Noop | Self::Ids { .. } => "NOOP",
            Self::Other { keytype } => keytype,
        }
    }
}
