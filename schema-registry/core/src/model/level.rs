//! Compatibility levels in JSON: by their names.

use millstream_schema_registry_avro::compat::Level;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
pub(super) fn serialize<S: Serializer>(level: &Option<Level>, serializer: S) -> Result<S::Ok, S::Error> {
    match level {
        Some(level) => serializer.serialize_str(level.as_str()),
        None => serializer.serialize_none(),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Level>, D::Error> {
    let name: Option<String> = Option::deserialize(deserializer)?;
    name.map(|name| name.parse().map_err(D::Error::custom))
        .transpose()
}
