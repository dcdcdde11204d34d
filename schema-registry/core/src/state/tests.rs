use super::*;
use crate::{
    model::{Level, Reference},
    record::{Key, Origin, Put, SchemaValue, Value},
};

/// A state with the log that made it.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) state: State,
    pub(crate) records: Vec<(Put, Option<Origin>)>,
}

impl Log {
    pub(crate) fn append(&mut self, put: Put, origin: Option<Origin>) -> Applied {
        self.records.push((put, origin));
        let offset = self.records.len() - 1;
        apply(&mut self.state, offset, &self.records[offset])
    }

    pub(crate) fn foreign(&mut self, key: Key, value: Value<'_>) -> Applied {
        self.append(Put::new(&key, &value), None)
    }

    /// What is left after a compaction of all but the last `tail` records.
    pub(crate) fn compacted(&self, tail: usize) -> State {
        let cleaned = self.records.len() - tail;
        let mut state = State::default();
        for (offset, record) in self.records.iter().enumerate() {
            let superseded = self.records[offset + 1..]
                .iter()
                .any(|(later, _)| later.key == record.0.key);
            if offset >= cleaned || !superseded {
                apply(&mut state, offset, record);
            }
        }
        state
    }
}

fn apply(state: &mut State, offset: usize, (put, origin): &(Put, Option<Origin>)) -> Applied {
    state.apply(LogRecord {
        offset: offset as i64,
        timestamp: 1000 + offset as i64,
        key: &put.key,
        value: put.value.as_deref(),
        origin: *origin,
    })
}

fn subject(text: &str) -> QualifiedSubject {
    QualifiedSubject::new(text)
}

fn version<'a>(
    subject: &'a str,
    version: i32,
    id: i32,
    text: &str,
    references: &[(&str, i32)],
) -> (Key, Value<'a>) {
    let references = references.iter().map(|(subject, version)| Reference {
        name: (*subject).to_owned(),
        subject: (*subject).to_owned(),
        version: *version,
    });
    let value = Value::Schema(SchemaValue {
        subject: subject.into(),
        version,
        id,
        body: std::borrow::Cow::Owned(Body::new(None, references.collect(), None, None, text)),
        deleted: false,
        created: None,
    });
    (Key::schema(subject, version), value)
}

fn put(log: &mut Log, record: (Key, Value<'_>)) -> Applied {
    log.foreign(record.0, record.1)
}

fn numbers(state: &State, of: &str) -> Vec<(i32, bool)> {
    state
        .versions(&subject(of))
        .iter()
        .map(|v| (v.number, v.deleted))
        .collect()
}

#[test]
fn versions_and_ids_follow_the_records() {
    let mut log = Log::default();
    assert_eq!(
        put(&mut log, version("a", 1, 1, "\"int\"", &[])),
        Applied::Changed
    );
    put(&mut log, version("a", 2, 2, "\"long\"", &[]));
    put(&mut log, version("b", 1, 1, "\"int\"", &[]));
    let state = &log.state;
    assert_eq!(numbers(state, "a"), [(1, false), (2, false)]);
    assert_eq!(state.latest(&subject("a")).unwrap().id, 2);
    let int = state.schema(".", 1).unwrap();
    let uses: Vec<_> = int.uses.iter().map(|u| (u.subject.as_str(), u.version)).collect();
    assert_eq!(uses, [("a", 1), ("b", 1)]);
    assert_eq!(state.id_of(".", &int.body.guid), Some(1));
    assert_eq!(state.max_id("."), 2);
    assert_eq!(state.version(&subject("a"), 1, false).unwrap().timestamp, 1000);
    // Bodies of one id are kept once.
    let texts = |of: &str| state.versions(&subject(of))[0].body.clone();
    assert!(Arc::ptr_eq(&texts("a"), &texts("b")));
}

#[test]
fn an_id_that_has_another_text_is_not_given_again() {
    let mut log = Log::default();
    put(&mut log, version("a", 1, 1, "\"int\"", &[]));
    assert_eq!(
        put(&mut log, version("b", 1, 1, "\"long\"", &[])),
        Applied::IdTaken { id: 1 }
    );
    assert!(!log.state.has_subjects(&subject("b"), true));
    // Another context counts for itself.
    assert_eq!(
        put(&mut log, version(":.c:b", 1, 1, "\"long\"", &[])),
        Applied::Changed
    );
}

#[test]
fn deletion_is_soft_then_for_good() {
    let mut log = Log::default();
    put(&mut log, version("a", 1, 1, "\"int\"", &[]));
    put(&mut log, version("a", 2, 2, "\"long\"", &[]));
    let delete = Value::DeleteSubject {
        subject: "a".into(),
        version: 2,
    };
    log.foreign(Key::DeleteSubject { subject: "a".into() }, delete);
    assert_eq!(numbers(&log.state, "a"), [(1, true), (2, true)]);
    assert!(!log.state.has_subjects(&subject("a"), false));
    assert!(log.state.has_subjects(&subject("a"), true));
    assert_eq!(log.state.schema(".", 2).map(Entry::is_alive), Some(false));
    put(&mut log, version("a", 3, 1, "\"int\"", &[]));
    assert_eq!(
        log.state
            .schema(".", 1)
            .unwrap()
            .version_in(&subject("a"))
            .unwrap()
            .version,
        3
    );
    log.append(Put::tombstone(&Key::schema("a", 1)), None);
    log.append(Put::tombstone(&Key::schema("a", 2)), None);
    assert_eq!(numbers(&log.state, "a"), [(3, false)]);
    assert!(log.state.schema(".", 2).is_none());
    assert_eq!(log.state.max_id("."), 2);
}

#[test]
fn the_largest_id_outlives_its_schema_and_a_compaction() {
    let mut log = Log::default();
    put(&mut log, version("a", 1, 1, "\"int\"", &[]));
    put(&mut log, version("a", 2, 2, "\"long\"", &[]));
    assert!(log.state.must_write_max_id("."));
    let ids = Value::Ids {
        context: ".".into(),
        max_id: 2,
    };
    log.foreign(Key::Ids { context: ".".into() }, ids);
    assert!(!log.state.must_write_max_id("."));
    log.append(Put::tombstone(&Key::schema("a", 2)), None);
    assert_eq!(log.compacted(0).next_id("."), Some(3));
}

#[test]
fn clearing_forgets_what_was_deleted() {
    let mut log = Log::default();
    for name in [":.c:a", ":.c:b", "a"] {
        put(&mut log, version(name, 1, 1, "\"int\"", &[]));
    }
    for name in [":.c:a", "a"] {
        let delete = Value::DeleteSubject {
            subject: name.into(),
            version: 1,
        };
        log.foreign(Key::DeleteSubject { subject: name.into() }, delete);
    }
    let clear = || Some(":.c:".to_owned());
    log.foreign(
        Key::ClearSubject { subject: clear() },
        Value::ClearSubject { subject: clear() },
    );
    assert!(numbers(&log.state, ":.c:a").is_empty());
    assert_eq!(numbers(&log.state, ":.c:b"), [(1, false)]);
    assert_eq!(numbers(&log.state, "a"), [(1, true)]);
}

#[test]
fn referrers_are_those_that_live() {
    let mut log = Log::default();
    put(&mut log, version("address", 1, 1, "\"int\"", &[]));
    put(&mut log, version("orders", 1, 2, "\"x\"", &[("address", 1)]));
    put(&mut log, version("bills", 1, 2, "\"x\"", &[("address", 1)]));
    let referrers = |log: &Log| log.state.referrers(&subject("address"), 1);
    assert_eq!(referrers(&log), BTreeSet::from([2]));
    for name in ["orders", "bills"] {
        assert!(log.state.is_referred_to(&subject("address"), 1));
        let delete = Value::DeleteSubject {
            subject: name.into(),
            version: 1,
        };
        log.foreign(Key::DeleteSubject { subject: name.into() }, delete);
    }
    assert_eq!(referrers(&log), BTreeSet::new());
    put(&mut log, version("orders", 2, 2, "\"x\"", &[("address", 1)]));
    assert_eq!(referrers(&log), BTreeSet::from([2]));
    log.append(Put::tombstone(&Key::schema("orders", 2)), None);
    assert!(!log.state.is_referred_to(&subject("address"), 1));
}

#[test]
fn subjects_are_listed_by_prefix_and_by_what_is_left_of_them() {
    let mut log = Log::default();
    for name in ["orders-key", "orders-value", ":.c:orders-value", "bills"] {
        put(&mut log, version(name, 1, 1, "\"int\"", &[]));
    }
    let delete = Value::DeleteSubject {
        subject: "orders-key".into(),
        version: 1,
    };
    log.foreign(
        Key::DeleteSubject {
            subject: "orders-key".into(),
        },
        delete,
    );
    let list = |prefix: &str, deleted| -> Vec<String> {
        log.state
            .subjects(prefix, deleted)
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(list("orders", Deleted::Without), ["orders-value"]);
    assert_eq!(list("orders", Deleted::With), ["orders-key", "orders-value"]);
    assert_eq!(list("orders", Deleted::Only), ["orders-key"]);
    assert_eq!(
        list(":*:orders", Deleted::Without),
        [":.c:orders-value", "orders-value"]
    );
    assert_eq!(list(":.c:", Deleted::Without), [":.c:orders-value"]);
    assert_eq!(list(":*:", Deleted::Without).len(), 3);
}

#[test]
fn settings_are_inherited_from_the_context_and_the_registry() {
    let mut log = Log::default();
    let mut set = |of: Option<&str>, level| {
        let of = of.map(str::to_owned);
        let config = std::borrow::Cow::Owned(Config::of_level(level));
        log.foreign(
            Key::Config { subject: of.clone() },
            Value::Config { subject: of, config },
        );
    };
    set(None, Level::Full);
    set(Some(":.c:"), Level::Forward);
    set(Some("a"), Level::None);
    let level = |of: &str| {
        log.state
            .config_in_scope(Some(&subject(of)))
            .compatibility_level
            .unwrap()
    };
    assert_eq!(level("a"), Level::None);
    assert_eq!(level("b"), Level::Full);
    assert_eq!(level(":.c:a"), Level::Forward);
    assert_eq!(level(":.d:a"), Level::Full);
    assert_eq!(
        State::default().config_in_scope(None).compatibility_level,
        Some(Level::Backward)
    );
    log.append(
        Put::tombstone(&Key::Config {
            subject: Some("a".into()),
        }),
        None,
    );
    assert_eq!(log.state.config(Some(&subject("a"))), None);
}

#[test]
fn read_only_for_all_cannot_be_overridden() {
    let mut log = Log::default();
    let mut set = |of: Option<&str>, mode| {
        let of = of.map(str::to_owned);
        log.foreign(
            Key::Mode { subject: of.clone() },
            Value::Mode { subject: of, mode },
        );
    };
    set(Some("a"), Mode::Import);
    set(None, Mode::ReadOnly);
    assert_eq!(log.state.mode_in_scope(Some(&subject("a"))), Mode::Import);
    assert_eq!(log.state.mode_in_scope(Some(&subject("b"))), Mode::ReadOnly);
    log.foreign(
        Key::Mode { subject: None },
        Value::Mode {
            subject: None,
            mode: Mode::ReadOnlyOverride,
        },
    );
    assert_eq!(
        log.state.mode_in_scope(Some(&subject("a"))),
        Mode::ReadOnlyOverride
    );
}

fn origin(write: u64, after: u64) -> Option<Origin> {
    Some(Origin { write, after })
}

/// Two registries that did not know of each other, and what one does about it; then any compaction.
#[test]
fn of_two_writers_the_first_wins_and_stays_after_a_compaction() {
    let ours = |record: (Key, Value<'_>)| Put::new(&record.0, &record.1);
    let mut log = Log::default();
    log.append(ours(version("a", 1, 1, "\"int\"", &[])), origin(1, 0));
    log.append(ours(version("a", 2, 2, "\"long\"", &[])), origin(2, 1));
    assert_eq!(
        log.append(ours(version("a", 2, 1, "\"int\"", &[])), origin(3, 1)),
        Applied::Lost
    );
    let delete = Value::DeleteSubject {
        subject: "a".into(),
        version: 1,
    };
    assert_eq!(
        log.append(
            Put::new(&Key::DeleteSubject { subject: "a".into() }, &delete),
            origin(4, 1)
        ),
        Applied::Lost
    );
    assert_eq!(numbers(&log.state, "a"), [(1, false), (2, false)]);
    assert_eq!(log.state.latest(&subject("a")).unwrap().id, 2);
    let after = log.state.last_write();
    assert_eq!(after, 2);
    let repairs = log.state.repairs();
    assert!(!repairs.is_empty());
    for put in repairs {
        assert_eq!(log.append(put, origin(5, after)), Applied::Changed);
    }
    assert!(log.state.repairs().is_empty());
    for tail in 0..log.records.len() {
        let state = log.compacted(tail);
        assert_eq!(numbers(&state, "a"), [(1, false), (2, false)], "tail {tail}");
        assert_eq!(state.latest(&subject("a")).unwrap().id, 2, "tail {tail}");
    }
}

#[test]
fn an_old_spelling_of_a_key_goes_when_the_setting_is_written_anew() {
    let mut log = Log::default();
    let old = Put {
        key: br#"{"keytype":"CONFIG","subject":null,"magic":0}"#.to_vec(),
        value: Some(br#"{"compatibilityLevel":"FULL"}"#.to_vec()),
    };
    log.append(old.clone(), None);
    assert_eq!(log.state.config(None), Some(&Config::of_level(Level::Full)));
    let key = Key::Config { subject: None };
    let legacy = log.state.legacy_keys(&key);
    assert_eq!(legacy.len(), 1);
    assert_eq!(legacy[0].key, old.key);
    log.append(legacy[0].clone(), None);
    assert!(log.state.legacy_keys(&key).is_empty());
}

#[test]
fn invalid_records_change_nothing() {
    let mut log = Log::default();
    for (key, value) in [
        ("", None),
        ("{}", None),
        (
            r#"{"keytype":"SCHEMA","subject":"a","version":1,"magic":1}"#,
            Some("{}"),
        ),
    ] {
        let put = Put {
            key: key.into(),
            value: value.map(Into::into),
        };
        assert!(matches!(log.append(put, None), Applied::Invalid(_)), "{key}");
    }
    assert_eq!(log.append(Put::tombstone(&Key::Noop), None), Applied::Nothing);
    assert_eq!(log.state.last_write(), 0);
}
