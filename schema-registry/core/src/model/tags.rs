use millstream_schema_registry_avro::{Entity, EntityKind, Tagged};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{Metadata, RuleSet, metadata::or_default};

/// A version that is to become another one with more tags, or fewer. Members that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TagRequest {
    /// The version that it becomes: the next one, if it is said.
    pub new_version: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    pub tags_to_add: Vec<SchemaTags>,
    #[serde(deserialize_with = "or_default")]
    pub tags_to_remove: Vec<SchemaTags>,
    /// Absent: that of the version.
    pub metadata: Option<Metadata>,
    /// Absent: that of the latest version.
    pub rule_set: Option<RuleSet>,
    /// Or else what is put over those of the version before.
    pub rules_to_merge: Option<RuleSet>,
    /// And the names of rules that are taken away from them.
    pub rules_to_remove: Option<Vec<String>>,
}

/// The tags of a record or of a field within a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaTags {
    pub schema_entity: SchemaEntity,
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaEntity {
    /// The full name of the record, with a dot and the name of the field behind it.
    pub entity_path: String,
    #[serde(deserialize_with = "in_any_case")]
    pub entity_type: EntityType,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityType {
    #[default]
    SrRecord,
    SrField,
}

fn in_any_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EntityType, D::Error> {
    match String::deserialize(deserializer)?.to_ascii_lowercase().as_str() {
        "sr_record" => Ok(EntityType::SrRecord),
        "sr_field" => Ok(EntityType::SrField),
        other => Err(D::Error::unknown_variant(other, &["sr_record", "sr_field"])),
    }
}

impl From<Tagged> for SchemaTags {
    fn from((Entity { kind, path }, tags): Tagged) -> Self {
        let entity_type = match kind {
            EntityKind::Record => EntityType::SrRecord,
            EntityKind::Field => EntityType::SrField,
        };
        Self {
            schema_entity: SchemaEntity {
                entity_path: path,
                entity_type,
            },
            tags,
        }
    }
}

impl SchemaTags {
    pub(crate) fn tagged(&self) -> Tagged {
        let kind = match self.schema_entity.entity_type {
            EntityType::SrRecord => EntityKind::Record,
            EntityType::SrField => EntityKind::Field,
        };
        let path = self.schema_entity.entity_path.clone();
        (Entity { kind, path }, self.tags.clone())
    }
}
