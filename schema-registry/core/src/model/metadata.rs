use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// The property that says which version a schema was registered as.
const VERSION: &str = "confluent:version";
/// The property that names fields which no later schema may have.
const RESERVED: &str = "confluent:reserved";

/// Tags by path, free properties, and the names of the properties that are sensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub tags: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "or_default")]
    pub sensitive: BTreeSet<String>,
}

/// `null` is as good as nothing.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Metadata {
    /// Both together; what the second says wins.
    pub fn merge(first: Option<Self>, second: Option<&Self>) -> Option<Self> {
        let (Some(mut merged), Some(second)) = (first.clone(), second) else {
            return first.or_else(|| second.cloned());
        };
        merged.tags.extend(second.tags.clone());
        merged.properties.extend(second.properties.clone());
        merged.sensitive.extend(second.sensitive.clone());
        Some(merged)
    }

    pub fn version(&self) -> Option<&str> {
        self.properties.get(VERSION).map(String::as_str)
    }

    pub fn set_version(metadata: Option<Self>, version: i32) -> Self {
        let mut metadata = metadata.unwrap_or_default();
        metadata
            .properties
            .insert(VERSION.to_owned(), version.to_string());
        metadata
    }

    /// Without the version, which is no part of what two schemas are compared by.
    pub fn without_version(metadata: Option<&Self>) -> Option<Self> {
        let mut metadata = metadata?.clone();
        metadata.properties.remove(VERSION);
        Some(metadata).filter(|m| *m != Self::default())
    }

    pub fn reserved_fields(&self) -> BTreeSet<&str> {
        let names = self.properties.get(RESERVED).map_or("", String::as_str);
        names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect()
    }

    pub(super) fn update_hash(&self, hash: &mut Md5) {
        for (path, tags) in &self.tags {
            hash.update(path.as_bytes());
            tags.iter().for_each(|tag| hash.update(tag.as_bytes()));
        }
        for (name, value) in &self.properties {
            hash.update(name.as_bytes());
            hash.update(value.as_bytes());
        }
        self.sensitive
            .iter()
            .for_each(|name| hash.update(name.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Metadata {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Metadata {
            properties: pairs.collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn the_second_wins_when_metadata_is_merged() {
        let merged = Metadata::merge(
            Some(properties(&[("owner", "a"), ("team", "x")])),
            Some(&properties(&[("owner", "b")])),
        );
        assert_eq!(merged, Some(properties(&[("owner", "b"), ("team", "x")])));
        assert_eq!(Metadata::merge(None, None), None);
    }

    #[test]
    fn the_version_is_left_out_of_a_comparison() {
        let with = Metadata::set_version(Some(properties(&[("owner", "a")])), 3);
        assert_eq!(with.version(), Some("3"));
        assert_eq!(
            Metadata::without_version(Some(&with)),
            Some(properties(&[("owner", "a")]))
        );
        assert_eq!(
            Metadata::without_version(Some(&Metadata::set_version(None, 1))),
            None
        );
    }

    #[test]
    fn null_members_are_as_good_as_absent() {
        let metadata: Metadata = serde_json::from_str(r#"{"tags":null,"properties":null,"x":1}"#).unwrap();
        assert_eq!(metadata, Metadata::default());
        assert_eq!(serde_json::to_string(&metadata).unwrap(), "{}");
    }
}
