//! Values are JSON, so that later versions can add fields; keys have their own order-preserving form, see [`crate::key`].

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A stored record that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator's record '{key}' is corrupt: {reason}")]
pub struct CorruptRecord {
    pub key: String,
    pub reason: String,
}

pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("the coordinator's records hold only strings, numbers and lists of them")
        .into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, CorruptRecord> {
    serde_json::from_slice(value).map_err(|error| corrupt(key, error.to_string()))
}

pub(crate) fn corrupt(key: &[u8], reason: impl Into<String>) -> CorruptRecord {
    CorruptRecord {
        key: key.escape_ascii().to_string(),
        reason: reason.into(),
    }
}
