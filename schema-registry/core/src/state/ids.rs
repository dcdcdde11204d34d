//! The ids of one context: which schema each one is, and where it is used.

use std::{collections::HashMap, sync::Arc};

use crate::{
    model::{Body, Guid},
    subject::QualifiedSubject,
};

#[derive(Debug, Default)]
pub(super) struct Ids {
    by_id: HashMap<i32, Entry>,
    by_guid: HashMap<Guid, i32>,
    /// The largest that was ever given.
    max: i32,
    /// What the log says of the largest, apart from the schemas themselves.
    written_max: i32,
}

/// A schema with an id.
#[derive(Clone, Debug)]
pub struct Entry {
    pub body: Arc<Body>,
    /// In the order of registration; never empty.
    pub uses: Vec<Use>,
}

/// A version of a subject that is this schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub subject: QualifiedSubject,
    pub version: i32,
    pub deleted: bool,
}

impl Entry {
    pub fn is_alive(&self) -> bool {
        self.uses.iter().any(|u| !u.deleted)
    }

    /// The version of that subject: a live one if there is one, and the newest of those.
    pub fn version_in(&self, subject: &QualifiedSubject) -> Option<&Use> {
        let mine = self.uses.iter().filter(|u| u.subject == *subject);
        mine.max_by_key(|u| (!u.deleted, u.version))
    }
}

impl Ids {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: i32) -> Option<&Entry> {
        self.by_id.get(&id)
    }

    pub(super) fn of_guid(&self, guid: &Guid) -> Option<i32> {
        self.by_guid.get(guid).copied()
    }

    /// The id for a new schema.
    pub(super) fn next(&self) -> Option<i32> {
        self.max.checked_add(1)
    }

    pub(super) fn max(&self) -> i32 {
        self.max
    }

    /// Whether a restart would forget the largest id if its schema were gone.
    pub(super) fn must_write_max(&self) -> bool {
        self.written_max < self.max
    }

    pub(super) fn max_was_written(&mut self, max: i32) {
        self.written_max = self.written_max.max(max);
        self.max = self.max.max(max);
    }

    /// Whether another text has that id.
    pub(super) fn is_taken(&self, id: i32, body: &Body) -> bool {
        self.by_id
            .get(&id)
            .is_some_and(|entry| entry.body.text != body.text)
    }

    /// Notes a version. The body that is kept, which is the one that was there before if there is one.
    pub(super) fn insert(&mut self, id: i32, body: Arc<Body>, used: Use) -> Arc<Body> {
        self.max = self.max.max(id);
        let entry = self.by_id.entry(id).or_insert_with(|| Entry {
            body: body.clone(),
            uses: Vec::new(),
        });
        if *entry.body != *body {
            entry.body = body;
        }
        self.by_guid.insert(entry.body.guid, id);
        let same = |u: &&mut Use| u.subject == used.subject && u.version == used.version;
        match entry.uses.iter_mut().find(same) {
            Some(known) => known.deleted = used.deleted,
            None => {
                entry.uses.reserve_exact(1);
                entry.uses.push(used);
            }
        }
        entry.body.clone()
    }

    /// Takes a version away, and the id with the last of them.
    pub(super) fn remove(&mut self, id: i32, subject: &QualifiedSubject, version: i32) {
        let Some(entry) = self.by_id.get_mut(&id) else {
            return;
        };
        entry
            .uses
            .retain(|u| u.subject != *subject || u.version != version);
        if entry.uses.is_empty() {
            let guid = entry.body.guid;
            self.by_id.remove(&id);
            if self.by_guid.get(&guid) == Some(&id) {
                self.by_guid.remove(&guid);
            }
        }
    }
}
