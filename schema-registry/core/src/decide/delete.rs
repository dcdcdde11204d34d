use super::{Decision, VersionId, subject_not_found};
use crate::{
    record::{Key, Put, Value},
    refusal::Refusal,
    state::{State, Version},
    subject::{QualifiedSubject, normal_context},
};

impl State {
    /// Deletes the versions of a subject; answers their numbers. `permanent` is for what is deleted already.
    pub fn delete_subject(
        &self,
        subject: &QualifiedSubject,
        permanent: bool,
    ) -> Result<Decision<Vec<i32>>, Refusal> {
        let versions = self.versions(subject);
        if versions.is_empty() {
            return Err(subject_not_found(subject));
        }
        let alive = versions.iter().any(|version| !version.deleted);
        if !permanent && !alive {
            return Err(Refusal::SubjectSoftDeleted {
                subject: subject.clone(),
            });
        }
        self.check_writable(Some(subject))?;
        let going: Vec<_> = versions.iter().filter(|v| permanent || !v.deleted).collect();
        for version in &going {
            self.check_unreferenced(subject, version)?;
        }
        if permanent && alive {
            return Err(Refusal::SubjectNotSoftDeleted {
                subject: subject.clone(),
            });
        }
        let numbers: Vec<_> = going.iter().map(|version| version.number).collect();
        let puts = if permanent {
            self.remove_for_good(subject, &going)
        } else {
            let key = Key::DeleteSubject {
                subject: subject.to_string(),
            };
            let last = *numbers.last().expect("a subject that lives has a version");
            let value = Value::DeleteSubject {
                subject: subject.to_string(),
                version: last,
            };
            vec![Put::new(&key, &value)]
        };
        Ok(Decision::write(puts, numbers))
    }

    /// Deletes one version; answers its number.
    pub fn delete_version(
        &self,
        subject: &QualifiedSubject,
        id: VersionId,
        permanent: bool,
    ) -> Result<Decision<i32>, Refusal> {
        let Some(version) = self.find(subject, id, true) else {
            return Err(self.missing(subject, id, true));
        };
        let number = version.number;
        if version.deleted && !permanent {
            return Err(Refusal::VersionSoftDeleted {
                subject: subject.clone(),
                version: number,
            });
        }
        self.check_writable(Some(subject))?;
        self.check_unreferenced(subject, version)?;
        if permanent && !version.deleted {
            return Err(Refusal::VersionNotSoftDeleted {
                subject: subject.clone(),
                version: number,
            });
        }
        let puts = if permanent {
            self.remove_for_good(subject, &[version])
        } else {
            let deleted = Version {
                deleted: true,
                ..version.clone()
            };
            vec![deleted.put(subject)]
        };
        Ok(Decision::write(puts, number))
    }

    fn check_unreferenced(&self, subject: &QualifiedSubject, version: &Version) -> Result<(), Refusal> {
        if self.is_referred_to(subject, version.number) {
            return Err(Refusal::ReferenceExists {
                subject: subject.clone(),
                version: version.number,
            });
        }
        Ok(())
    }

    /// Settings go with the last version.
    fn remove_for_good(&self, subject: &QualifiedSubject, going: &[&Version]) -> Vec<Put> {
        let mut puts = Vec::new();
        self.keep_max_id(subject.context(), &mut puts);
        let keys = going
            .iter()
            .map(|version| Key::schema(subject.as_str(), version.number));
        puts.extend(keys.map(|key| Put::tombstone(&key)));
        if going.len() == self.versions(subject).len() {
            if self.mode(Some(subject)).is_some() {
                puts.extend(self.forget_mode(Some(subject)));
            }
            if self.config(Some(subject)).is_some() {
                puts.extend(self.forget_config(Some(subject)));
            }
        }
        puts
    }

    /// Forgets a context that has no schemas any more.
    pub fn delete_context(&self, context: &str) -> Result<Decision<()>, Refusal> {
        let not_found = || Refusal::SubjectNotFound {
            subject: context.to_owned(),
        };
        let name = normal_context(context).ok_or_else(not_found)?;
        let all = QualifiedSubject::of_context(&name);
        if all.is_in_default_context() || !self.has_context(&name) {
            return Err(not_found());
        }
        if self.has_subjects(&all, true) {
            return Err(Refusal::ContextNotEmpty {
                context: all.to_string(),
            });
        }
        let key = Key::Context {
            tenant: Key::TENANT.to_owned(),
            context: name,
        };
        Ok(Decision::write(vec![Put::tombstone(&key)], ()))
    }
}
