//! Decisions: a state and a request give the records to write and the answer once they are written, or a refusal.
//!
//! Nothing here changes a state. Whoever writes the records applies them when it reads them back; if another registry was
//! quicker, it decides again.

mod compare;
mod config;
mod delete;
mod draft;
mod lookup;
mod mode;
mod register;
mod tags;

pub use compare::{Against, Comparison};
pub use config::POLICIES;
pub use lookup::Found;
pub use register::Registered;

use crate::{
    model::Mode,
    record::{Key, Put, Value},
    refusal::Refusal,
    state::{State, Version},
    subject::QualifiedSubject,
};

/// What is written, and answered when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// Empty if the request asks for what is so already.
    pub puts: Vec<Put>,
    pub answer: T,
}

impl<T> Decision<T> {
    fn write(puts: Vec<Put>, answer: T) -> Self {
        Self { puts, answer }
    }

    /// It is so already.
    pub fn known(answer: T) -> Self {
        Self::write(Vec::new(), answer)
    }
}

/// A version as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionId {
    Latest,
    Number(i32),
}

impl VersionId {
    /// A number from 1, `latest` or -1.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let invalid = || Refusal::InvalidVersion {
            version: text.to_owned(),
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        match text.parse() {
            Ok(-1) => Ok(Self::Latest),
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            Ok(_) | Err(_) => Err(invalid()),
        }
    }

    /// As Confluent's messages have it.
    fn number(self) -> i32 {
        match self {
            Self::Latest => -1,
            Self::Number(number) => number,
        }
    }
}

impl State {
    /// The version of a subject.
    pub fn find(&self, subject: &QualifiedSubject, version: VersionId, deleted: bool) -> Option<&Version> {
        match version {
            VersionId::Latest => self.latest(subject),
            VersionId::Number(number) => self.version(subject, number, deleted),
        }
    }

    /// The version of a subject, or of the subject of that name in another context where the name is not qualified;
    /// a refusal that says which of the two is missing.
    pub fn get(
        &self,
        subject: &QualifiedSubject,
        version: VersionId,
        deleted: bool,
    ) -> Result<(QualifiedSubject, &Version), Refusal> {
        let mut places = self.places(subject);
        let found = places.find_map(|place| {
            let version = self.find(&place, version, deleted)?;
            Some((place, version))
        });
        found.ok_or_else(|| self.missing(subject, version, deleted))
    }

    /// The subject, then those of its name in all contexts if it is not qualified.
    pub(crate) fn places(&self, subject: &QualifiedSubject) -> impl Iterator<Item = QualifiedSubject> {
        let elsewhere = subject.is_in_default_context().then(|| self.contexts().skip(1));
        let name = subject.name().to_owned();
        let elsewhere = elsewhere.into_iter().flatten();
        std::iter::once(subject.clone())
            .chain(elsewhere.map(move |context| QualifiedSubject::within(context, &name)))
    }

    fn missing(&self, subject: &QualifiedSubject, version: VersionId, deleted: bool) -> Refusal {
        if self.has_subjects(subject, deleted) {
            Refusal::VersionNotFound {
                version: version.number(),
            }
        } else {
            subject_not_found(subject)
        }
    }

    fn check_writable(&self, subject: Option<&QualifiedSubject>) -> Result<(), Refusal> {
        if self.mode_in_scope(subject).is_read_only() {
            return Err(not_permitted(subject, "is in read-only mode"));
        }
        Ok(())
    }

    /// Written before the schema of the largest id may be gone.
    fn keep_max_id(&self, context: &str, puts: &mut Vec<Put>) {
        if self.must_write_max_id(context) {
            let context = context.to_owned();
            let max_id = self.max_id(&context);
            let key = Key::Ids {
                context: context.clone(),
            };
            puts.push(Put::new(&key, &Value::Ids { context, max_id }));
        }
    }
}

fn subject_not_found(subject: &QualifiedSubject) -> Refusal {
    Refusal::SubjectNotFound {
        subject: subject.to_string(),
    }
}

fn not_permitted(subject: Option<&QualifiedSubject>, what: &str) -> Refusal {
    let name = subject.map_or("null", QualifiedSubject::as_str);
    let context = match subject {
        Some(subject) if !subject.is_in_default_context() => {
            QualifiedSubject::of_context(subject.context()).to_string()
        }
        _ => String::new(),
    };
    Refusal::NotPermitted {
        message: format!("Subject {name} in context {context} {what}"),
    }
}

/// The key under which a setting of that scope lies.
fn scope(subject: Option<&QualifiedSubject>) -> Option<String> {
    subject.map(ToString::to_string)
}

fn set_mode(subject: Option<&QualifiedSubject>, mode: Mode) -> Put {
    let key = Key::Mode {
        subject: scope(subject),
    };
    let value = Value::Mode {
        subject: scope(subject),
        mode,
    };
    Put::new(&key, &value)
}

#[cfg(test)]
mod tests;
