use std::sync::Arc;

use super::{
    Decision,
    compare::strictness,
    draft::{Canonical, Draft, Reading},
    lookup::Found,
    not_permitted,
};
use crate::{
    model::{Body, Config, Mode, SchemaRequest},
    record::{Key, Put, SchemaValue, Value},
    refusal::Refusal,
    schemas::Schemas,
    state::{State, Version},
    subject::QualifiedSubject,
};

/// What a registration answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub subject: QualifiedSubject,
    pub id: i32,
    pub version: i32,
    pub body: Arc<Body>,
}

impl From<Found> for Registered {
    fn from(found: Found) -> Self {
        Self {
            subject: found.subject,
            id: found.version.id,
            version: found.version.number,
            body: found.version.body,
        }
    }
}

/// A request with what holds where it goes.
struct Registration<'a> {
    state: &'a State,
    subject: &'a QualifiedSubject,
    request: &'a SchemaRequest,
    mode: Mode,
    config: Config,
    normalize: bool,
}

impl State {
    /// Registers a schema under a subject. One that is there already is answered as it is.
    pub fn register(
        &self,
        schemas: &Schemas,
        subject: &QualifiedSubject,
        request: &SchemaRequest,
        normalize: bool,
    ) -> Result<Decision<Registered>, Refusal> {
        if let Some(rules) = &request.rule_set {
            rules
                .validate()
                .map_err(|message| Refusal::InvalidRuleSet { message })?;
        }
        if !subject.is_valid() {
            return Err(Refusal::InvalidSubject {
                subject: subject.to_string(),
            });
        }
        if let Some(known) = self.registered(subject, request, normalize)? {
            return Ok(Decision::known(known));
        }
        let registration = self.registration(subject, request, normalize);
        registration.check_mode()?;
        registration.decide(schemas)
    }

    /// What is registered as the request wants it already, whatever the mode of the subject is.
    pub fn registered(
        &self,
        subject: &QualifiedSubject,
        request: &SchemaRequest,
        normalize: bool,
    ) -> Result<Option<Registered>, Refusal> {
        if self.config_in_scope(Some(subject)).adds_to_schemas() {
            return Ok(None);
        }
        self.registration(subject, request, normalize).known()
    }

    fn registration<'a>(
        &'a self,
        subject: &'a QualifiedSubject,
        request: &'a SchemaRequest,
        normalize: bool,
    ) -> Registration<'a> {
        let config = self.config_in_scope(Some(subject));
        Registration {
            state: self,
            subject,
            request,
            mode: self.mode_in_scope(Some(subject)),
            normalize: normalize || config.normalize == Some(true),
            config,
        }
    }
}

impl Registration<'_> {
    fn wanted_id(&self) -> Option<i32> {
        self.request.id.filter(|id| *id >= 0)
    }

    /// 0: whatever comes.
    fn wanted_version(&self) -> i32 {
        self.request.version.unwrap_or(0)
    }

    /// What is registered like that already, whatever the mode is.
    fn known(&self) -> Result<Option<Registered>, Refusal> {
        let draft = Draft::of(self.request);
        if draft.is_blank() {
            return Ok(None);
        }
        let version = self.wanted_version();
        let reading = Reading {
            strictness: strictness(&self.config, false),
            normalize: self.normalize,
        };
        let canonical = draft.canonical(self.state, self.subject, reading)?;
        let found = if version == -1 {
            let latest = self.state.equivalent(self.subject, &canonical, false);
            let newest = self.state.latest(self.subject).map(|v| v.number);
            latest.filter(|found| Some(found.version.number) == newest)
        } else {
            self.state.same(self.subject, &canonical, false)
        };
        Ok(found.and_then(|found| self.as_wanted(found, version)))
    }

    /// The version that was asked for, if the request names one.
    fn as_wanted(&self, found: Found, version: i32) -> Option<Registered> {
        if self.wanted_id().is_some_and(|id| id != found.version.id) {
            return None;
        }
        if version <= 0 {
            return Some(found.into());
        }
        let versions = self.state.version(self.subject, version, false);
        let named = versions.filter(|v| v.id == found.version.id && self.wanted_id() == Some(v.id))?;
        let version = named.clone();
        Some(Registered::from(Found { version, ..found }))
    }

    fn check_mode(&self) -> Result<(), Refusal> {
        let refuse = |what| Err(not_permitted(Some(self.subject), what));
        match (self.mode, self.wanted_id()) {
            (mode, _) if mode.is_read_only() => refuse("is in read-only mode"),
            (mode, Some(_)) if !mode.imports() => refuse("is not in import mode"),
            (mode, None) if mode != Mode::ReadWrite => refuse("is not in read-write mode"),
            _ => Ok(()),
        }
    }

    fn decide(&self, schemas: &Schemas) -> Result<Decision<Registered>, Refusal> {
        let versions = self.state.versions(self.subject);
        let next = match versions.last() {
            Some(newest) => newest.number.checked_add(1).ok_or_else(all_given)?,
            None => 1,
        };
        let canonical = self.canonical(next)?;
        let known = self.state.id_of(self.subject.context(), &canonical.body.guid);
        let id = self.wanted_id();
        let same = known.filter(|known| id.is_none_or(|id| id == *known));
        if self.wanted_version() == 0 {
            let found = match same {
                Some(_) => self.state.with_id_of(self.subject, &canonical.body, false),
                None => None,
            };
            let found = found.or_else(|| self.state.equivalent(self.subject, &canonical, false));
            if let Some(found) = found.filter(|found| id.is_none_or(|id| id == found.version.id)) {
                return Ok(Decision::known(found.into()));
            }
        }
        if !self.mode.imports() {
            self.check_compatible(&canonical, schemas)?;
        }
        let version = match self.wanted_version() {
            wanted if wanted <= 0 => next,
            wanted if wanted == next || self.mode.imports() => wanted,
            _ => {
                return Err(Refusal::InvalidSchema {
                    message: "Version is not one more than previous version".to_owned(),
                });
            }
        };
        let id = match id.or(same) {
            Some(id) => self.check_id(id, &canonical.body).map(|()| id)?,
            None => self.state.next_id(self.subject.context()).ok_or_else(all_given)?,
        };
        Ok(self.write(version, id, canonical.body))
    }

    /// In the form that is registered, with what the version before and the configuration add.
    fn canonical(&self, next: i32) -> Result<Canonical, Refusal> {
        let mut draft = Draft::of(self.request);
        if !self.mode.imports() {
            let before = self.state.latest(self.subject).map(|version| &*version.body);
            if draft.is_blank()
                && let Some(before) = before
            {
                draft.text = before.text.to_string();
                draft.schema_type = before.schema_type.as_deref().map(str::to_owned);
                draft.references = before.references.to_vec();
            }
            let carries_version = draft
                .metadata
                .as_ref()
                .or(before.and_then(|b| b.metadata.as_deref()));
            let carries_version = carries_version.is_some_and(|metadata| metadata.version().is_some());
            let version = (self.wanted_version() != 0 || carries_version).then_some(next);
            draft.complete(&self.config, before, version);
        }
        let reading = Reading {
            strictness: strictness(&self.config, self.wanted_id().is_none()),
            normalize: self.normalize,
        };
        draft.canonical(self.state, self.subject, reading)
    }

    fn check_compatible(&self, canonical: &Canonical, schemas: &Schemas) -> Result<(), Refusal> {
        let config = self.config.clone();
        let alive = self.state.versions(self.subject).iter().filter(|v| !v.deleted);
        let comparison = self.state.compare(self.subject, canonical.clone(), alive, config);
        let messages = comparison.run(schemas);
        if messages.is_empty() {
            return Ok(());
        }
        Err(Refusal::Incompatible {
            subject: self.subject.clone(),
            messages,
        })
    }

    /// An id stands for one schema.
    fn check_id(&self, id: i32, body: &Body) -> Result<(), Refusal> {
        let context = self.subject.context();
        let taken = self.state.schema(context, id);
        if taken.is_none_or(|entry| *entry.body == *body) {
            return Ok(());
        }
        let context = match context {
            crate::DEFAULT_CONTEXT => String::new(),
            context => QualifiedSubject::of_context(context).to_string(),
        };
        Err(Refusal::NotPermitted {
            message: format!("Overwrite new schema with id {id} in context {context} is not permitted."),
        })
    }

    fn write(&self, number: i32, id: i32, body: Arc<Body>) -> Decision<Registered> {
        let mut puts = Vec::new();
        let context = self.subject.context();
        if !self.state.has_context(context) {
            let (tenant, context) = (Key::TENANT.to_owned(), context.to_owned());
            let key = Key::Context {
                tenant: tenant.clone(),
                context: context.clone(),
            };
            puts.push(Put::new(&key, &Value::Context { tenant, context }));
        }
        // A version that was deleted and comes again is kept once.
        let replaced = |v: &&Version| v.deleted && v.id == id && v.number < number;
        let replaced = self.state.versions(self.subject).iter().filter(replaced);
        puts.extend(replaced.map(|v| Put::tombstone(&Key::schema(self.subject.as_str(), v.number))));
        let value = Value::Schema(SchemaValue {
            subject: self.subject.as_str().to_owned().into(),
            version: number,
            id,
            body: std::borrow::Cow::Borrowed(&body),
            deleted: false,
            created: None,
        });
        puts.push(Put::new(&Key::schema(self.subject.as_str(), number), &value));
        let answer = Registered {
            subject: self.subject.clone(),
            id,
            version: number,
            body,
        };
        Decision::write(puts, answer)
    }
}

fn all_given() -> Refusal {
    Refusal::NotPermitted {
        message: "all numbers are given".to_owned(),
    }
}
