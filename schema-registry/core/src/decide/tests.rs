use std::borrow::Cow;

use super::*;
use crate::{
    Schemas,
    model::{Body, Config, ConfigUpdate, Level, Reference, SchemaRequest},
    record::SchemaValue,
    state::LogRecord,
};

/// A registry that writes what it decides, one record after the other.
#[derive(Default)]
struct Registry {
    state: State,
    offset: i64,
}

impl Registry {
    fn write(&mut self, puts: &[Put]) {
        for put in puts {
            self.state.apply(LogRecord {
                offset: self.offset,
                timestamp: self.offset,
                key: &put.key,
                value: put.value.as_deref(),
                origin: None,
            });
            self.offset += 1;
        }
    }

    fn doing<T>(
        &mut self,
        decide: impl FnOnce(&State) -> Result<Decision<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let Decision { puts, answer } = decide(&self.state)?;
        self.write(&puts);
        Ok(answer)
    }

    /// A version as an import brings it.
    fn version(&mut self, of: &str, version: i32, id: i32, text: &str, references: &[(&str, i32)]) {
        let references = references.iter().map(|(subject, version)| Reference {
            name: (*subject).to_owned(),
            subject: (*subject).to_owned(),
            version: *version,
        });
        let value = Value::Schema(SchemaValue {
            subject: of.into(),
            version,
            id,
            body: Cow::Owned(Body::new(None, references.collect(), None, None, text)),
            deleted: false,
            created: None,
        });
        let put = Put::new(&Key::schema(of, version), &value);
        self.write(&[put]);
    }
}

fn subject(text: &str) -> QualifiedSubject {
    QualifiedSubject::new(text)
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> u32 {
    outcome.expect_err("a refusal").code()
}

fn update(json: &str) -> ConfigUpdate {
    serde_json::from_str(json).unwrap()
}

#[test]
fn versions_are_numbers_from_one_or_latest() {
    for (text, expected) in [
        ("1", VersionId::Number(1)),
        ("2147483647", VersionId::Number(i32::MAX)),
        ("latest", VersionId::Latest),
        ("LATEST", VersionId::Latest),
        ("-1", VersionId::Latest),
    ] {
        assert_eq!(VersionId::parse(text), Ok(expected));
    }
    for text in ["0", "-2", "", "x", "2147483648", "1.0"] {
        assert_eq!(code(VersionId::parse(text)), 42202, "{text}");
    }
}

#[test]
fn a_subject_is_deleted_twice_and_each_step_once() {
    let mut registry = Registry::default();
    let a = subject("a");
    assert_eq!(code(registry.doing(|s| s.delete_subject(&a, false))), 40401);
    registry.version("a", 1, 1, "\"int\"", &[]);
    registry.version("a", 2, 2, "\"long\"", &[]);
    assert_eq!(code(registry.doing(|s| s.delete_subject(&a, true))), 40405);
    assert_eq!(registry.doing(|s| s.delete_subject(&a, false)), Ok(vec![1, 2]));
    assert_eq!(code(registry.doing(|s| s.delete_subject(&a, false))), 40404);
    registry.version("a", 3, 3, "\"string\"", &[]);
    assert_eq!(registry.doing(|s| s.delete_subject(&a, false)), Ok(vec![3]));
    let config = update(r#"{"compatibility":"NONE"}"#);
    registry.doing(|s| s.update_config(Some(&a), &config)).unwrap();
    assert_eq!(registry.doing(|s| s.delete_subject(&a, true)), Ok(vec![1, 2, 3]));
    assert_eq!(code(registry.doing(|s| s.delete_subject(&a, true))), 40401);
    assert_eq!(registry.state.config(Some(&a)), None);
    assert_eq!(registry.state.next_id("."), Some(4));
}

#[test]
fn a_version_is_deleted_twice_and_each_step_once() {
    let mut registry = Registry::default();
    let a = subject("a");
    let one = VersionId::Number(1);
    assert_eq!(code(registry.doing(|s| s.delete_version(&a, one, false))), 40401);
    registry.version("a", 1, 1, "\"int\"", &[]);
    assert_eq!(
        code(registry.doing(|s| s.delete_version(&a, VersionId::Number(2), false))),
        40402
    );
    assert_eq!(code(registry.doing(|s| s.delete_version(&a, one, true))), 40407);
    assert_eq!(
        registry.doing(|s| s.delete_version(&a, VersionId::Latest, false)),
        Ok(1)
    );
    assert_eq!(code(registry.doing(|s| s.delete_version(&a, one, false))), 40406);
    assert!(registry.state.version(&a, 1, true).is_some());
    assert_eq!(registry.doing(|s| s.delete_version(&a, one, true)), Ok(1));
    assert!(!registry.state.has_subjects(&a, true));
}

#[test]
fn what_others_refer_to_stays() {
    let mut registry = Registry::default();
    registry.version("address", 1, 1, "\"int\"", &[]);
    registry.version("orders", 1, 2, "\"x\"", &[("address", 1)]);
    let address = subject("address");
    assert_eq!(code(registry.doing(|s| s.delete_subject(&address, false))), 42206);
    let one = VersionId::Number(1);
    assert_eq!(
        code(registry.doing(|s| s.delete_version(&address, one, false))),
        42206
    );
    registry
        .doing(|s| s.delete_subject(&subject("orders"), false))
        .unwrap();
    assert_eq!(registry.doing(|s| s.delete_subject(&address, false)), Ok(vec![1]));
}

#[test]
fn nothing_is_changed_where_only_reading_is_allowed_but_the_mode_itself() {
    let mut registry = Registry::default();
    let a = subject("a");
    registry.version("a", 1, 1, "\"int\"", &[]);
    registry
        .doing(|s| s.set_mode(Some(&a), Mode::ReadOnly, false))
        .unwrap();
    let refused = registry.doing(|s| s.delete_subject(&a, false)).unwrap_err();
    assert_eq!(refused.to_string(), "Subject a in context  is in read-only mode");
    assert_eq!(refused.code(), 42205);
    assert_eq!(
        code(registry.doing(|s| s.update_config(Some(&a), &update("{}")))),
        42205
    );
    assert_eq!(
        registry.doing(|s| s.delete_mode(Some(&a), false)),
        Ok(Mode::ReadOnly)
    );
    assert_eq!(registry.doing(|s| s.delete_subject(&a, false)), Ok(vec![1]));
}

#[test]
fn import_wants_an_empty_place_and_forgets_what_was_deleted() {
    let mut registry = Registry::default();
    let a = subject("a");
    registry.version("a", 1, 1, "\"int\"", &[]);
    let import = |s: &State| s.set_mode(Some(&subject("a")), Mode::Import, false);
    assert_eq!(code(registry.doing(import)), 42205);
    registry.doing(|s| s.delete_subject(&a, false)).unwrap();
    assert_eq!(registry.doing(import), Ok(Mode::Import));
    assert!(!registry.state.has_subjects(&a, true));
    assert_eq!(registry.state.next_id("."), Some(2));
    registry.version("b", 1, 5, "\"int\"", &[]);
    assert_eq!(
        registry.doing(|s| s.set_mode(Some(&subject("b")), Mode::Import, true)),
        Ok(Mode::Import)
    );
    assert_eq!(
        code(registry.doing(|s| s.delete_mode(Some(&subject("c")), false))),
        40401
    );
}

#[test]
fn configuration_is_changed_field_by_field() {
    let mut registry = Registry::default();
    let a = subject("a");
    let mut set = |json: &str| registry.doing(|s| s.update_config(Some(&subject("a")), &update(json)));
    assert_eq!(
        set(r#"{"compatibility":"full"}"#),
        Ok(Config::of_level(Level::Full))
    );
    let both = set(r#"{"normalize":true}"#).unwrap();
    assert_eq!(both.compatibility_level, Some(Level::Full));
    assert_eq!(code(set(r#"{"compatibility":"sideways"}"#)), 42203);
    assert_eq!(code(set(r#"{"compatibilityPolicy":"LOOSE"}"#)), 42203);
    assert_eq!(
        code(set(r#"{"defaultRuleSet":{"domainRules":[{"name":"1"}]}}"#)),
        42210
    );
    assert_eq!(
        code(registry.doing(|s| s.update_config(Some(&subject("a\nb")), &update("{}")))),
        42208
    );
    assert_eq!(registry.doing(|s| s.delete_config(Some(&a))), Ok(both));
    assert_eq!(code(registry.doing(|s| s.delete_config(Some(&a)))), 40401);
    assert_eq!(
        registry.doing(|s| s.delete_config(None)),
        Ok(Config::of_level(Level::Backward))
    );
}

#[test]
fn asking_for_what_is_so_writes_nothing() {
    let mut registry = Registry::default();
    let full = update(r#"{"compatibility":"FULL"}"#);
    registry.doing(|s| s.update_config(None, &full)).unwrap();
    assert!(registry.state.update_config(None, &full).unwrap().puts.is_empty());
    registry.doing(|s| s.set_mode(None, Mode::Import, false)).unwrap();
    assert!(
        registry
            .state
            .set_mode(None, Mode::Import, false)
            .unwrap()
            .puts
            .is_empty()
    );
}

#[test]
fn a_context_is_forgotten_when_it_is_empty() {
    let mut registry = Registry::default();
    assert_eq!(code(registry.doing(|s| s.delete_context("c"))), 40401);
    let key = Key::Context {
        tenant: Key::TENANT.into(),
        context: ".c".into(),
    };
    let value = Value::Context {
        tenant: Key::TENANT.into(),
        context: ".c".into(),
    };
    registry.write(&[Put::new(&key, &value)]);
    registry.version(":.c:a", 1, 1, "\"int\"", &[]);
    assert_eq!(registry.state.contexts().collect::<Vec<_>>(), [".", ".c"]);
    assert_eq!(code(registry.doing(|s| s.delete_context(":.c:"))), 42211);
    let a = subject(":.c:a");
    registry.doing(|s| s.delete_subject(&a, false)).unwrap();
    registry.doing(|s| s.delete_subject(&a, true)).unwrap();
    assert_eq!(registry.doing(|s| s.delete_context(".c")), Ok(()));
    assert_eq!(registry.state.contexts().collect::<Vec<_>>(), ["."]);
}

#[test]
fn an_unqualified_subject_is_found_in_another_context() {
    let mut registry = Registry::default();
    let key = Key::Context {
        tenant: Key::TENANT.into(),
        context: ".c".into(),
    };
    let value = Value::Context {
        tenant: Key::TENANT.into(),
        context: ".c".into(),
    };
    registry.write(&[Put::new(&key, &value)]);
    registry.version(":.c:a", 1, 1, "\"int\"", &[]);
    let (found, version) = registry
        .state
        .get(&subject("a"), VersionId::Latest, false)
        .unwrap();
    assert_eq!((found.as_str(), version.number), (":.c:a", 1));
    let missing = |of: &str| {
        registry
            .state
            .get(&subject(of), VersionId::Number(9), false)
            .unwrap_err()
            .code()
    };
    assert_eq!(missing("a"), 40401);
    assert_eq!(missing(":.c:a"), 40402);
}

#[test]
fn the_newest_of_many_versions_that_speaks_against_a_schema_is_told_whatever_else_there_is() {
    let text = |fields: &[String]| {
        let fields = fields.join(",");
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
    };
    let optional = |n: i32| format!(r#"{{"name":"f{n}","type":"int","default":0}}"#);
    let against = |wrong: &[(i32, &str)]| {
        let mut registry = Registry::default();
        for version in 1..=100 {
            let wrong = wrong.iter().find(|(number, _)| *number == version);
            let text = wrong.map_or_else(|| text(&[optional(version)]), |(_, text)| (*text).to_owned());
            registry.version("s", version, version, &text, &[]);
        }
        let level = update(r#"{"compatibility":"BACKWARD_TRANSITIVE"}"#);
        registry.doing(|s| s.update_config(None, &level)).unwrap();
        let request = SchemaRequest {
            schema: Some(text(&[optional(1), optional(2)])),
            ..SchemaRequest::default()
        };
        let comparison = registry
            .state
            .comparison(&subject("s"), Against::History, &request, false);
        // The second time, all of them are kept.
        let (comparison, schemas) = (comparison.unwrap(), Schemas::default());
        let messages = comparison.run(&schemas);
        assert_eq!(comparison.run(&schemas), messages);
        messages
    };
    assert_eq!(against(&[]), Vec::<String>::new());
    for number in [1, 42, 96, 97, 100] {
        let messages = against(&[(number, "\"int\""), (1, "\"long\"")]);
        assert!(
            messages[1].contains(&format!("oldSchemaVersion: {number}}}")),
            "{messages:?}"
        );
        let messages = against(&[(number, "no schema"), (1, "\"long\"")]);
        assert!(
            messages[0].contains("Unexpected exception"),
            "{number}: {messages:?}"
        );
    }
}
