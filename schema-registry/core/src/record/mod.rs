//! The records of the `_schemas` topic, byte for byte as Confluent's registry writes them (release 7.4 and later), so
//! that either can take over from the other.
//!
//! | key | value |
//! | --- | --- |
//! | `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}` | `{"subject":"s","version":1,"id":1,"schema":"…","deleted":false}` |
//! | `{"keytype":"CONFIG","subject":"s","magic":0}` | `{"subject":"s","compatibilityLevel":"FULL"}` |
//! | `{"keytype":"MODE","subject":"s","magic":0}` | `{"subject":"s","mode":"IMPORT"}` |
//! | `{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}` | `{"subject":"s","version":3}`: versions up to 3 are deleted |
//! | `{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}` | `{"subject":"s"}`: what was deleted is gone |
//! | `{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}` | `{"tenant":"default","context":".c"}` |
//! | `{"keytype":"NOOP","magic":0}` | none |
//! | `{"keytype":"NOOP","context":".c","magic":0}` | `{"maxId":7}`: ours, see [`Key::Ids`] |
//!
//! The subject is absent where the setting is that of the whole registry (earlier releases wrote `null`). A record without a
//! value takes away what was written under its key. The header `millstream-write` says what a write was decided on, see
//! [`Origin`]; Confluent's registry does not look at headers.
//!
//! Invariant: what was read is written again as the same bytes, if Confluent or this registry wrote it.

mod key;
mod origin;
mod value;

pub use key::Key;
pub use origin::{ORIGIN_HEADER, Origin};
pub use value::{SchemaValue, Value};

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    #[error("the key is not JSON of a registry: {0}")]
    Key(String),
    #[error("the key has magic byte {0}, which is not known")]
    Magic(i32),
    #[error("the value is not what its key says: {0}")]
    Value(String),
}

/// A record that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Put {
    pub fn new(key: &Key, value: &Value<'_>) -> Self {
        Self {
            key: key.encode(),
            value: Some(value.encode()),
        }
    }

    pub fn tombstone(key: &Key) -> Self {
        Self {
            key: key.encode(),
            value: None,
        }
    }
}

#[cfg(test)]
mod tests;
