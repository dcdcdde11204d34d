use serde::Deserialize;

use super::{Metadata, Reference, RuleSet, metadata::or_default};

/// A schema as a client sends it, to be registered, looked up or compared. Members that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaRequest {
    /// Absent or blank: that of the latest version, with the new metadata and rules.
    pub schema: Option<String>,
    pub schema_type: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub references: Vec<Reference>,
    pub metadata: Option<Metadata>,
    pub rule_set: Option<RuleSet>,
    /// Where ids are brought along.
    pub id: Option<i32>,
    /// The version that it becomes: the next, -1 for that too, or any where versions are brought along.
    pub version: Option<i32>,
}
