use std::{borrow::Cow, sync::Arc};

use super::{Entry, State, Use, Version, ids::Ids};
use crate::{
    model::{Body, Config, Mode},
    record::{InvalidRecord, Key, Origin, Put, SchemaValue, Value},
    subject::QualifiedSubject,
};

/// A record as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    pub offset: i64,
    /// In milliseconds.
    pub timestamp: i64,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub origin: Option<Origin>,
}

/// What a record did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Changed,
    /// It says nothing, or nothing to us.
    Nothing,
    /// Its author did not know of an earlier record: it is not true.
    Lost,
    /// It gives another text the id of a schema: it is not true, as Confluent's registry has it.
    IdTaken {
        id: i32,
    },
    Invalid(InvalidRecord),
}

impl State {
    /// Takes the next record of the log.
    pub fn apply(&mut self, record: LogRecord<'_>) -> Applied {
        let key = match Key::decode(record.key) {
            Ok(key) => key,
            Err(error) => return Applied::Invalid(error),
        };
        if matches!(key, Key::Noop | Key::Other { .. }) {
            return Applied::Nothing;
        }
        if let Some(origin) = record.origin
            && !self.chain.admits(origin)
        {
            self.untrue.insert(key.encode());
            return Applied::Lost;
        }
        let value = match record.value.map(|value| Value::decode(&key, value)).transpose() {
            Ok(value) => value,
            Err(error) => return Applied::Invalid(error),
        };
        match record.origin {
            Some(origin) => self.chain.push(origin),
            None => self.chain.push_foreign(record.offset),
        }
        self.note_key(&key, &record);
        match value {
            Some(value) => self.put(value, record.timestamp),
            None => {
                self.take(key);
                Applied::Changed
            }
        }
    }

    fn note_key(&mut self, key: &Key, record: &LogRecord<'_>) {
        let written_now = key.encode();
        self.untrue.remove(&written_now);
        if written_now != record.key {
            if record.value.is_some() {
                self.legacy_keys.insert(record.key.to_vec());
            } else {
                self.legacy_keys.remove(record.key);
            }
        }
    }

    fn put(&mut self, value: Value<'static>, timestamp: i64) -> Applied {
        match value {
            Value::Schema(schema) => return self.put_schema(schema, timestamp),
            Value::Config { subject, config } => self.put_config(subject, config.into_owned()),
            Value::Mode { subject, mode } => self.put_mode(subject, mode),
            Value::DeleteSubject { subject, version } => {
                self.delete_up_to(&QualifiedSubject::new(&subject), version);
            }
            Value::ClearSubject { subject } => self.clear(subject.as_deref()),
            Value::Context { context, .. } => {
                self.contexts.insert(context);
            }
            Value::Ids { context, max_id } => {
                self.ids
                    .entry(context.into())
                    .or_default()
                    .max_was_written(max_id);
            }
            Value::Other => return Applied::Nothing,
        }
        Applied::Changed
    }

    fn put_config(&mut self, subject: Option<String>, config: Config) {
        let subject = subject.map(|s| QualifiedSubject::new(&s));
        self.configs.insert(subject, config);
    }

    fn put_mode(&mut self, subject: Option<String>, mode: Mode) {
        let subject = subject.map(|s| QualifiedSubject::new(&s));
        self.modes.insert(subject, mode);
    }

    fn put_schema(&mut self, schema: SchemaValue<'static>, timestamp: i64) -> Applied {
        let SchemaValue {
            subject,
            version: number,
            id,
            body,
            deleted,
            created,
        } = schema;
        let mut subject = QualifiedSubject::new(&subject);
        let ids = self.ids.entry(subject.context().into()).or_default();
        if ids.is_taken(id, &body) {
            return Applied::IdTaken { id };
        }
        if let Some((known, _)) = self.subjects.get_key_value(&subject) {
            subject = known.clone();
        }
        let before = self.version(&subject, number, true).map(|v| v.id);
        if let Some(other) = before.filter(|before| *before != id) {
            self.forget_use(&subject, number, other);
        }
        let used = Use {
            subject: subject.clone(),
            version: number,
            deleted,
        };
        let body = self.change_uses(subject.context(), id, |ids| {
            ids.insert(id, Arc::new(body.into_owned()), used)
        });
        let version = Version {
            number,
            id,
            deleted,
            timestamp,
            created,
            body,
        };
        let versions = self.subjects.entry(subject).or_default();
        match versions.binary_search_by_key(&number, |v| v.number) {
            Ok(at) => versions[at] = version,
            Err(at) => {
                if versions.is_empty() {
                    versions.reserve_exact(1);
                }
                versions.insert(at, version);
            }
        }
        Applied::Changed
    }

    /// What was written under the key is no more.
    fn take(&mut self, key: Key) {
        match key {
            Key::Schema { subject, version } => {
                self.remove_version(&QualifiedSubject::new(&subject), version);
            }
            Key::Config { subject } => {
                self.configs.remove(&subject.map(|s| QualifiedSubject::new(&s)));
            }
            Key::Mode { subject } => {
                self.modes.remove(&subject.map(|s| QualifiedSubject::new(&s)));
            }
            Key::Context { context, .. } => {
                self.contexts.remove(&context);
            }
            Key::DeleteSubject { .. }
            | Key::ClearSubject { .. }
            | Key::Noop
            | Key::Ids { .. }
            | Key::Other { .. } => {}
        }
    }

    fn remove_version(&mut self, subject: &QualifiedSubject, number: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let Ok(at) = versions.binary_search_by_key(&number, |v| v.number) else {
            return;
        };
        let gone = versions.remove(at);
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        self.forget_use(subject, number, gone.id);
    }

    fn forget_use(&mut self, subject: &QualifiedSubject, number: i32, id: i32) {
        self.change_uses(subject.context(), id, |ids| ids.remove(id, subject, number));
    }

    fn delete_up_to(&mut self, subject: &QualifiedSubject, last: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let mut deleted = Vec::new();
        for version in versions.iter_mut().filter(|v| v.number <= last && !v.deleted) {
            version.deleted = true;
            deleted.push((version.id, version.number, version.body.clone()));
        }
        for (id, version, body) in deleted {
            let used = Use {
                subject: subject.clone(),
                version,
                deleted: true,
            };
            self.change_uses(subject.context(), id, |ids| ids.insert(id, body, used));
        }
    }

    fn clear(&mut self, subject: Option<&str>) {
        let subject = subject.map(QualifiedSubject::new);
        let gone: Vec<_> = self
            .matching(subject.as_ref())
            .flat_map(|(subject, versions)| versions.iter().map(move |v| (subject.clone(), v)))
            .filter(|(_, version)| version.deleted)
            .map(|(subject, version)| (subject, version.number))
            .collect();
        for (subject, number) in gone {
            self.remove_version(&subject, number);
        }
    }

    /// Changes where an id is used, and keeps the referrers in step: only living schemas count.
    fn change_uses<T>(&mut self, context: &str, id: i32, change: impl FnOnce(&mut Ids) -> T) -> T {
        let ids = self.ids.entry(context.into()).or_default();
        let before = ids.get(id).filter(|e| e.is_alive()).map(|e| e.body.clone());
        let outcome = change(ids);
        let after = ids.get(id).filter(|e| e.is_alive()).map(|e| e.body.clone());
        if before != after {
            for (body, lives) in [(before, false), (after, true)] {
                self.note_references(context, id, body.as_deref(), lives);
            }
        }
        outcome
    }

    fn note_references(&mut self, context: &str, id: i32, body: Option<&Body>, lives: bool) {
        let parent = QualifiedSubject::of_context(context);
        for reference in body.into_iter().flat_map(|body| &body.references) {
            let target = (parent.sibling(&reference.subject), reference.version);
            let referrer = (context.to_owned(), id);
            if lives {
                self.referrers.entry(target).or_default().insert(referrer);
            } else if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(&referrer);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
    }

    /// Whether a write that lost was not repaired yet.
    pub fn needs_repair(&self) -> bool {
        !self.untrue.is_empty()
    }

    /// What must be written so that the last record under every key is true: compaction keeps only that one, and other
    /// registries believe it. Empty unless a write has lost and was not repaired yet.
    pub fn repairs(&self) -> Vec<Put> {
        let keys = self.untrue.iter().filter_map(|bytes| Key::decode(bytes).ok());
        keys.flat_map(|key| self.truth(key)).collect()
    }

    fn truth(&self, key: Key) -> Vec<Put> {
        let value = match &key {
            Key::Schema { subject, version } => {
                let subject = QualifiedSubject::new(subject);
                let version = self.version(&subject, *version, true);
                version.map(|version| version.to_value(&subject))
            }
            Key::Config { subject } => {
                let config = self.config(subject.as_deref().map(QualifiedSubject::new).as_ref());
                config.map(|config| Value::Config {
                    subject: subject.clone(),
                    config: Cow::Borrowed(config),
                })
            }
            Key::Mode { subject } => {
                let mode = self.mode(subject.as_deref().map(QualifiedSubject::new).as_ref());
                mode.map(|mode| Value::Mode {
                    subject: subject.clone(),
                    mode,
                })
            }
            Key::Context { tenant, context } => self.has_context(context).then(|| Value::Context {
                tenant: tenant.clone(),
                context: context.clone(),
            }),
            // Whoever believed it takes back what it did to the versions.
            Key::DeleteSubject { subject } => {
                let subject = QualifiedSubject::new(subject);
                let versions = self.versions(&subject).iter();
                let versions = versions.map(|v| v.put(&subject));
                return std::iter::once(Put::tombstone(&key)).chain(versions).collect();
            }
            Key::Ids { context } => Some(Value::Ids {
                context: context.clone(),
                max_id: self.max_id(context),
            }),
            Key::ClearSubject { .. } | Key::Noop | Key::Other { .. } => None,
        };
        vec![match value {
            Some(value) => Put::new(&key, &value),
            None => Put::tombstone(&key),
        }]
    }

    /// Keys in an old form under which the same setting lies: they must go when it is written anew.
    pub(crate) fn legacy_keys(&self, key: &Key) -> Vec<Put> {
        let same = |bytes: &&Vec<u8>| Key::decode(bytes).as_ref() == Ok(key);
        let old = self.legacy_keys.iter().filter(same);
        old.map(|key| Put {
            key: key.clone(),
            value: None,
        })
        .collect()
    }
}

impl Version {
    pub(crate) fn to_value(&self, subject: &QualifiedSubject) -> Value<'_> {
        Value::Schema(SchemaValue {
            subject: subject.as_str().to_owned().into(),
            version: self.number,
            id: self.id,
            body: Cow::Borrowed(&self.body),
            deleted: self.deleted,
            created: self.created,
        })
    }

    pub(crate) fn put(&self, subject: &QualifiedSubject) -> Put {
        Put::new(
            &Key::schema(subject.as_str(), self.number),
            &self.to_value(subject),
        )
    }
}

impl Entry {
    /// A version that is this schema, of any subject.
    pub fn any_use(&self) -> &Use {
        let alive = self.uses.iter().find(|u| !u.deleted);
        alive.unwrap_or_else(|| self.uses.first().expect("an id is used or gone"))
    }
}
