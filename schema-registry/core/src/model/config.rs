use serde::{Deserialize, Deserializer, Serialize};

use super::{Level, Metadata, RuleSet};

/// How a subject, a context or the whole registry is configured. What is absent is taken from the next wider scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Requests for the subject that has this are answered with the subject it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_for_deks: Option<String>,
    /// Whether schemas are normalised before they are registered or looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Whether reserved fields are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_fields: Option<bool>,
    /// Whether names and defaults of new schemas are checked; true where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_new_schemas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_rules: Option<bool>,
    #[serde(default, with = "super::level", skip_serializing_if = "Option::is_none")]
    pub compatibility_level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_policy: Option<String>,
    /// The metadata property by which schemas are grouped: only those of one group are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_rule_set: Option<RuleSet>,
}

/// A change of a [`Config`]: an absent member stays as it is, `null` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigUpdate {
    #[serde(deserialize_with = "said")]
    pub alias: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub alias_for_deks: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub normalize: Option<Option<bool>>,
    #[serde(deserialize_with = "said")]
    pub validate_fields: Option<Option<bool>>,
    #[serde(deserialize_with = "said")]
    pub validate_new_schemas: Option<Option<bool>>,
    #[serde(deserialize_with = "said")]
    pub validate_rules: Option<Option<bool>>,
    /// A name, because a wrong one has an answer of its own.
    #[serde(deserialize_with = "said")]
    pub compatibility: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub compatibility_policy: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub compatibility_group: Option<Option<String>>,
    #[serde(deserialize_with = "said")]
    pub default_metadata: Option<Option<Metadata>>,
    #[serde(deserialize_with = "said")]
    pub override_metadata: Option<Option<Metadata>>,
    #[serde(deserialize_with = "said")]
    pub default_rule_set: Option<Option<RuleSet>>,
    #[serde(deserialize_with = "said")]
    pub override_rule_set: Option<Option<RuleSet>>,
}

fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Config {
    pub fn of_level(level: Level) -> Self {
        Self {
            compatibility_level: Some(level),
            ..Self::default()
        }
    }

    /// With what is absent here taken from the wider scope; an alias is never inherited.
    #[must_use]
    pub fn or(&self, wider: &Self) -> Self {
        let Self {
            alias,
            alias_for_deks,
            normalize,
            validate_fields,
            validate_new_schemas,
            validate_rules,
            compatibility_level,
            compatibility_policy,
            compatibility_group,
            default_metadata,
            override_metadata,
            default_rule_set,
            override_rule_set,
        } = self.clone();
        let wider = wider.clone();
        Self {
            alias,
            alias_for_deks,
            normalize: normalize.or(wider.normalize),
            validate_fields: validate_fields.or(wider.validate_fields),
            validate_new_schemas: validate_new_schemas.or(wider.validate_new_schemas),
            validate_rules: validate_rules.or(wider.validate_rules),
            compatibility_level: compatibility_level.or(wider.compatibility_level),
            compatibility_policy: compatibility_policy.or(wider.compatibility_policy),
            compatibility_group: compatibility_group.or(wider.compatibility_group),
            default_metadata: default_metadata.or(wider.default_metadata),
            override_metadata: override_metadata.or(wider.override_metadata),
            default_rule_set: default_rule_set.or(wider.default_rule_set),
            override_rule_set: override_rule_set.or(wider.override_rule_set),
        }
    }

    /// Whether a registered schema may get metadata or rules that its request did not have.
    pub fn adds_to_schemas(&self) -> bool {
        self.default_metadata.is_some()
            || self.override_metadata.is_some()
            || self.default_rule_set.is_some()
            || self.override_rule_set.is_some()
    }
}

impl ConfigUpdate {
    /// The configuration after the change; `level` is what [`compatibility`](Self::compatibility) names. Empty texts are
    /// not kept, as Confluent does not write them.
    pub fn apply(&self, to: &Config, level: Option<Level>) -> Config {
        fn change<T: Clone>(wish: &Option<Option<T>>, to: &Option<T>) -> Option<T> {
            wish.clone().unwrap_or_else(|| to.clone())
        }
        let text = |wish, to| change(wish, to).filter(|text: &String| !text.is_empty());
        Config {
            alias: text(&self.alias, &to.alias),
            alias_for_deks: text(&self.alias_for_deks, &to.alias_for_deks),
            normalize: change(&self.normalize, &to.normalize),
            validate_fields: change(&self.validate_fields, &to.validate_fields),
            validate_new_schemas: change(&self.validate_new_schemas, &to.validate_new_schemas),
            validate_rules: change(&self.validate_rules, &to.validate_rules),
            compatibility_level: match self.compatibility {
                Some(_) => level,
                None => to.compatibility_level,
            },
            compatibility_policy: text(&self.compatibility_policy, &to.compatibility_policy),
            compatibility_group: text(&self.compatibility_group, &to.compatibility_group),
            default_metadata: change(&self.default_metadata, &to.default_metadata),
            override_metadata: change(&self.override_metadata, &to.override_metadata),
            default_rule_set: change(&self.default_rule_set, &to.default_rule_set),
            override_rule_set: change(&self.override_rule_set, &to.override_rule_set),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_sets_clears_and_keeps() {
        let config = Config {
            normalize: Some(true),
            compatibility_group: Some("major".into()),
            ..Config::of_level(Level::Full)
        };
        let update: ConfigUpdate =
            serde_json::from_str(r#"{"compatibility":"NONE","compatibilityGroup":null,"unknown":1}"#)
                .unwrap();
        assert_eq!(
            update.apply(&config, Some(Level::None)),
            Config {
                normalize: Some(true),
                ..Config::of_level(Level::None)
            }
        );
    }

    #[test]
    fn what_a_subject_does_not_say_comes_from_the_wider_scope_but_not_its_alias() {
        let wider = Config {
            alias: Some("other".into()),
            normalize: Some(true),
            ..Config::of_level(Level::Forward)
        };
        let merged = Config::of_level(Level::Full).or(&wider);
        assert_eq!(merged.compatibility_level, Some(Level::Full));
        assert_eq!(merged.normalize, Some(true));
        assert_eq!(merged.alias, None);
    }
}
