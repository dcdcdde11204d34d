use super::{Decision, scope, set_mode, subject_not_found};
use crate::{
    model::Mode,
    record::{Key, Put, Value},
    refusal::Refusal,
    state::State,
    subject::QualifiedSubject,
};

impl State {
    /// Sets the mode of a subject, a context or the whole registry.
    ///
    /// To import is to bring ids and versions along, so nothing may be there that they could contradict: without `force`
    /// no subject may have schemas, and deleted ones are forgotten.
    pub fn set_mode(
        &self,
        subject: Option<&QualifiedSubject>,
        mode: Mode,
        force: bool,
    ) -> Result<Decision<Mode>, Refusal> {
        if let Some(subject) = subject.filter(|subject| !subject.is_valid()) {
            return Err(Refusal::InvalidSubject {
                subject: subject.to_string(),
            });
        }
        let mut puts = Vec::new();
        if mode == Mode::Import && self.mode_in_scope(subject) != Mode::Import && !force {
            self.make_room(subject, &mut puts)?;
        }
        if self.mode(subject) == Some(mode) && puts.is_empty() {
            return Ok(Decision::known(mode));
        }
        let key = Key::Mode {
            subject: scope(subject),
        };
        puts.extend(self.legacy_keys(&key));
        puts.push(set_mode(subject, mode));
        Ok(Decision::write(puts, mode))
    }

    fn make_room(&self, subject: Option<&QualifiedSubject>, puts: &mut Vec<Put>) -> Result<(), Refusal> {
        let mut deleted = Vec::new();
        for (name, versions) in self.matching(subject) {
            if versions.iter().any(|version| !version.deleted) {
                return Err(Refusal::NotPermitted {
                    message: "Cannot import since found existing subjects".to_owned(),
                });
            }
            for version in versions {
                if self.is_referred_to(name, version.number) {
                    return Err(Refusal::ReferenceExists {
                        subject: name.clone(),
                        version: version.number,
                    });
                }
                deleted.push((name, version.number));
            }
        }
        if deleted.is_empty() {
            return Ok(());
        }
        let mut contexts: Vec<_> = deleted.iter().map(|(name, _)| name.context()).collect();
        contexts.sort_unstable();
        contexts.dedup();
        for context in contexts {
            self.keep_max_id(context, puts);
        }
        let gone = deleted
            .iter()
            .map(|(name, version)| Put::tombstone(&Key::schema(name.as_str(), *version)));
        puts.extend(gone);
        let key = Key::ClearSubject {
            subject: scope(subject),
        };
        let value = Value::ClearSubject {
            subject: scope(subject),
        };
        puts.push(Put::new(&key, &value));
        Ok(())
    }

    /// Back to the mode that holds for all; answers what it was. `recursive`: also the modes of all subjects within.
    pub fn delete_mode(
        &self,
        subject: Option<&QualifiedSubject>,
        recursive: bool,
    ) -> Result<Decision<Mode>, Refusal> {
        let mut puts = Vec::new();
        if recursive {
            for within in self.modes_within(subject) {
                puts.extend(self.forget_mode(Some(within)));
            }
        }
        match (self.mode(subject), subject) {
            (Some(mode), _) => {
                puts.extend(self.forget_mode(subject));
                Ok(Decision::write(puts, mode))
            }
            (None, _) if !puts.is_empty() => Ok(Decision::write(puts, self.mode_in_scope(subject))),
            (None, Some(subject)) => Err(subject_not_found(subject)),
            (None, None) => Ok(Decision::known(Mode::default())),
        }
    }

    pub(super) fn forget_mode(&self, subject: Option<&QualifiedSubject>) -> Vec<Put> {
        let key = Key::Mode {
            subject: scope(subject),
        };
        let mut puts = self.legacy_keys(&key);
        puts.push(Put::tombstone(&key));
        puts
    }
}
