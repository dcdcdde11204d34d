use std::borrow::Cow;

use super::{Decision, scope, subject_not_found};
use crate::{
    model::{Config, ConfigUpdate, Level},
    record::{Key, Put, Value},
    refusal::Refusal,
    state::State,
    subject::QualifiedSubject,
};

/// How schemas are compared beyond what Java's Avro decides.
pub const POLICIES: [&str; 3] = ["STRICT", "LOGICAL", "LOGICAL_STRICT"];
/// The policies under which a logical type must keep its meaning.
pub(super) const STRICT_POLICIES: &[&str] = &["LOGICAL", "LOGICAL_STRICT"];

impl State {
    /// Changes the configuration of a subject, or of the whole registry; answers what it is then.
    pub fn update_config(
        &self,
        subject: Option<&QualifiedSubject>,
        update: &ConfigUpdate,
    ) -> Result<Decision<Config>, Refusal> {
        let level = named_level(update)?;
        if let Some(Some(policy)) = &update.compatibility_policy
            && !POLICIES.iter().any(|known| policy.eq_ignore_ascii_case(known))
        {
            return Err(Refusal::InvalidPolicy {
                known: POLICIES.iter().map(ToString::to_string).collect(),
            });
        }
        for rules in [&update.default_rule_set, &update.override_rule_set] {
            if let Some(Some(rules)) = rules {
                rules
                    .validate()
                    .map_err(|message| Refusal::InvalidRuleSet { message })?;
            }
        }
        if let Some(subject) = subject.filter(|subject| !subject.is_valid()) {
            return Err(Refusal::InvalidSubject {
                subject: subject.to_string(),
            });
        }
        self.check_writable(subject)?;
        let before = self.config(subject).cloned().unwrap_or_default();
        let after = update.apply(&before, level);
        if self.config(subject) == Some(&after) {
            return Ok(Decision::known(after));
        }
        let key = Key::Config {
            subject: scope(subject),
        };
        let mut puts = self.legacy_keys(&key);
        let value = Value::Config {
            subject: scope(subject),
            config: Cow::Borrowed(&after),
        };
        puts.push(Put::new(&key, &value));
        Ok(Decision::write(puts, after))
    }

    /// Back to what holds for all; answers what it was.
    pub fn delete_config(&self, subject: Option<&QualifiedSubject>) -> Result<Decision<Config>, Refusal> {
        let Some(before) = self.config(subject).cloned() else {
            return match subject {
                Some(subject) => Err(subject_not_found(subject)),
                None => Ok(Decision::known(self.config_in_scope(None))),
            };
        };
        self.check_writable(subject)?;
        Ok(Decision::write(self.forget_config(subject), before))
    }

    pub(super) fn forget_config(&self, subject: Option<&QualifiedSubject>) -> Vec<Put> {
        let key = Key::Config {
            subject: scope(subject),
        };
        let mut puts = self.legacy_keys(&key);
        puts.push(Put::tombstone(&key));
        puts
    }
}

fn named_level(update: &ConfigUpdate) -> Result<Option<Level>, Refusal> {
    match &update.compatibility {
        Some(Some(name)) => name.parse().map(Some).map_err(|_| Refusal::InvalidLevel),
        Some(None) | None => Ok(None),
    }
}
