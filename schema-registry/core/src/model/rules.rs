use std::collections::{BTreeMap, BTreeSet, HashSet};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::metadata::or_default;

/// Rules of a schema. They are kept and answered; nothing here runs them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RuleSet {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub migration_rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub domain_rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub encoding_rules: Vec<Rule>,
    /// Where the rules are run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_at: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub kind: RuleKind,
    #[serde(deserialize_with = "or_default")]
    pub mode: RuleMode,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind_of_rule: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "or_default")]
    pub tags: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub disabled: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleKind {
    #[default]
    Transform,
    Condition,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleMode {
    Upgrade,
    Downgrade,
    UpDown,
    Write,
    Read,
    #[default]
    WriteRead,
}

impl RuleKind {
    fn name(self) -> &'static str {
        match self {
            Self::Transform => "TRANSFORM",
            Self::Condition => "CONDITION",
        }
    }
}

impl RuleMode {
    fn name(self) -> &'static str {
        match self {
            Self::Upgrade => "UPGRADE",
            Self::Downgrade => "DOWNGRADE",
            Self::UpDown => "UPDOWN",
            Self::Write => "WRITE",
            Self::Read => "READ",
            Self::WriteRead => "WRITEREAD",
        }
    }

    fn migrates(self) -> bool {
        match self {
            Self::Upgrade | Self::Downgrade | Self::UpDown => true,
            Self::Write | Self::Read | Self::WriteRead => false,
        }
    }
}

impl RuleSet {
    /// Both together; a rule of the second takes the place of one with its name.
    pub fn merge(first: Option<Self>, second: Option<&Self>) -> Option<Self> {
        let (Some(first), Some(second)) = (&first, second) else {
            return first.or_else(|| second.cloned());
        };
        Some(Self {
            migration_rules: merge(&first.migration_rules, &second.migration_rules),
            domain_rules: merge(&first.domain_rules, &second.domain_rules),
            encoding_rules: merge(&first.encoding_rules, &second.encoding_rules),
            enable_at: second.enable_at.clone().or_else(|| first.enable_at.clone()),
        })
    }

    /// Whether a rule is of that type.
    pub fn has_type(&self, wanted: &str) -> bool {
        let rules = [&self.migration_rules, &self.domain_rules, &self.encoding_rules];
        let mut rules = rules.into_iter().flatten();
        rules.any(|rule| rule.kind_of_rule.as_deref() == Some(wanted))
    }

    pub fn without(mut self, names: &[String]) -> Self {
        let stays = |rule: &Rule| !rule.name.as_ref().is_some_and(|name| names.contains(name));
        self.migration_rules.retain(stays);
        self.domain_rules.retain(stays);
        self.encoding_rules.retain(stays);
        self
    }

    /// What is wrong with the rules, in Confluent's words.
    pub fn validate(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        let phases = [
            (
                &self.migration_rules,
                true,
                "Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN",
            ),
            (
                &self.domain_rules,
                false,
                "Domain rules can only be WRITE, READ, WRITEREAD",
            ),
            (
                &self.encoding_rules,
                false,
                "Encoding rules can only be WRITE, READ, WRITEREAD",
            ),
        ];
        for (rules, migrates, otherwise) in phases {
            for rule in rules {
                let name = rule.valid_name()?;
                if !names.insert(name) {
                    return Err(format!("Found rule with duplicate name '{name}'"));
                }
                if rule.kind_of_rule.is_none() {
                    return Err("Missing rule type".to_owned());
                }
                if rule.mode.migrates() != migrates {
                    return Err(otherwise.to_owned());
                }
            }
        }
        Ok(())
    }

    pub(super) fn update_hash(&self, hash: &mut Md5) {
        let phases = [&self.migration_rules, &self.domain_rules, &self.encoding_rules];
        phases
            .into_iter()
            .flatten()
            .for_each(|rule| rule.update_hash(hash));
    }
}

impl Rule {
    fn valid_name(&self) -> Result<&str, String> {
        let name = self.name.as_deref().ok_or("Missing rule name")?;
        let mut characters = name.chars();
        match characters.next() {
            None => return Err("Empty rule name".to_owned()),
            Some(first) if !(first.is_alphabetic() || first == '_') => {
                return Err(format!("Illegal initial character in rule name: {name}"));
            }
            Some(_) => {}
        }
        if characters.any(|c| !(c.is_alphanumeric() || c == '_' || c == '-')) {
            return Err(format!("Illegal character in rule name: {name}"));
        }
        Ok(name)
    }

    fn update_hash(&self, hash: &mut Md5) {
        let mut text = |text: Option<&str>| hash.update(text.unwrap_or_default().as_bytes());
        text(self.name.as_deref());
        text(self.doc.as_deref());
        text(Some(self.kind.name()));
        text(Some(self.mode.name()));
        text(self.kind_of_rule.as_deref());
        self.tags.iter().for_each(|tag| text(Some(tag)));
        for (name, value) in &self.params {
            text(Some(name));
            text(Some(value));
        }
        text(self.expr.as_deref());
        text(self.on_success.as_deref());
        text(self.on_failure.as_deref());
        if self.disabled {
            hash.update([1]);
        }
    }
}

fn merge(first: &[Rule], second: &[Rule]) -> Vec<Rule> {
    let replaced = |rule: &Rule| second.iter().any(|other| other.name == rule.name);
    let kept = first.iter().filter(|rule| !replaced(rule));
    kept.chain(second).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(rules: &[(&str, RuleMode)]) -> RuleSet {
        let rule = |(name, mode): &(&str, RuleMode)| Rule {
            name: Some((*name).to_owned()),
            mode: *mode,
            kind_of_rule: Some("CEL".to_owned()),
            ..Rule::default()
        };
        RuleSet {
            domain_rules: rules.iter().map(rule).collect(),
            ..RuleSet::default()
        }
    }

    #[test]
    fn says_what_is_wrong_with_rules() {
        let wrong = |rules: &RuleSet| rules.validate().unwrap_err();
        assert_eq!(domain(&[("checkAge", RuleMode::Write)]).validate(), Ok(()));
        assert_eq!(
            wrong(&domain(&[("a", RuleMode::Write), ("a", RuleMode::Read)])),
            "Found rule with duplicate name 'a'"
        );
        assert_eq!(
            wrong(&domain(&[("a", RuleMode::Upgrade)])),
            "Domain rules can only be WRITE, READ, WRITEREAD"
        );
        assert_eq!(
            wrong(&domain(&[("1a", RuleMode::Write)])),
            "Illegal initial character in rule name: 1a"
        );
    }

    #[test]
    fn a_rule_takes_the_place_of_one_with_its_name() {
        let merged = RuleSet::merge(
            Some(domain(&[("a", RuleMode::Write), ("b", RuleMode::Write)])),
            Some(&domain(&[("a", RuleMode::Read)])),
        );
        assert_eq!(
            merged,
            Some(domain(&[("b", RuleMode::Write), ("a", RuleMode::Read)]))
        );
    }

    #[test]
    fn a_rule_is_written_in_confluents_order() {
        let text = r#"{"domainRules":[{"name":"a","kind":"CONDITION","mode":"WRITE","type":"CEL","tags":["PII"],"params":{"x":"1"},"expr":"true","onSuccess":"NONE","onFailure":"ERROR","disabled":false}]}"#;
        let rules: RuleSet = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rules).unwrap(), text);
    }
}
