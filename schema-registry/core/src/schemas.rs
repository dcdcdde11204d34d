//! Parsed schemas: made when somebody compares them, kept as long as there is room.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use millstream_schema_registry_avro::{Schema, SchemaError, Strictness};

use crate::{
    decide::VersionId,
    model::{Body, Guid},
    refusal::Refusal,
    state::State,
    subject::QualifiedSubject,
};

/// How many bytes of text are kept parsed, in each of two generations. A parsed schema takes some ten times its text.
const KEPT_TEXT_BYTES: usize = 4 << 20;
/// Fewer schemas than that are not worth a thread.
const PARSED_PER_THREAD: usize = 8;
/// How many schemas one may refer to, directly or not.
const MAX_REFERENCES: usize = 1000;

/// A schema with all that it refers to, ready to be parsed without the state.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub body: Arc<Body>,
    /// Those that others refer to come before them.
    references: Vec<Arc<Body>>,
}

impl Resolved {
    pub fn parse(&self, strictness: Strictness) -> Result<Schema, SchemaError> {
        let references: Vec<_> = self.references.iter().map(|body| &*body.text).collect();
        Schema::parse(&self.body.text, &references, strictness)
    }

    /// The texts of the schemas that it refers to; those that others refer to come before them.
    pub fn references(&self) -> impl ExactSizeIterator<Item = &str> {
        self.references.iter().map(|body| &*body.text)
    }

    /// The text with everything that it refers to in it.
    pub fn spelled_out(&self) -> Result<String, SchemaError> {
        self.parse(Strictness::Stored)?.resolved_text()
    }

    pub(crate) fn text_bytes(&self) -> usize {
        let references = self.references.iter().map(|body| body.text.len());
        self.body.text.len() + references.sum::<usize>()
    }

    fn key(&self) -> Vec<Guid> {
        let references = self.references.iter().map(|body| body.guid);
        std::iter::once(self.body.guid).chain(references).collect()
    }
}

impl State {
    /// Finds all that a schema of that subject refers to.
    pub fn resolve(&self, subject: &QualifiedSubject, body: Arc<Body>) -> Result<Resolved, Refusal> {
        let mut references = Vec::new();
        self.collect(subject, &body, &mut references, &mut Vec::new())?;
        Ok(Resolved { body, references })
    }

    fn collect(
        &self,
        subject: &QualifiedSubject,
        body: &Body,
        found: &mut Vec<Arc<Body>>,
        open: &mut Vec<Guid>,
    ) -> Result<(), Refusal> {
        for reference in &body.references {
            let of = subject.sibling(&reference.subject);
            let id = match reference.version {
                -1 => VersionId::Latest,
                number => VersionId::Number(number),
            };
            let version = self.find(&of, id, true).ok_or_else(|| {
                invalid(
                    body.type_name(),
                    &format!(
                        "No schema reference found for subject \"{}\" and version {}",
                        reference.subject, reference.version
                    ),
                )
            })?;
            let guid = version.body.guid;
            // An import can write circles.
            if open.contains(&guid) || found.iter().any(|known| known.guid == guid) {
                continue;
            }
            if found.len() + open.len() >= MAX_REFERENCES {
                return Err(invalid(
                    body.type_name(),
                    &format!("more than {MAX_REFERENCES} references"),
                ));
            }
            open.push(guid);
            self.collect(&of, &version.body, found, open)?;
            open.pop();
            found.push(version.body.clone());
        }
        Ok(())
    }
}

/// A text that is no schema, and where it is not.
pub(crate) fn unreadable(schema_type: &str, error: &SchemaError) -> Refusal {
    if error.pointer.is_empty() {
        invalid(schema_type, &error.message)
    } else {
        invalid(schema_type, &format!("{} (at {})", error.message, error.pointer))
    }
}

/// In Confluent's words.
fn invalid(schema_type: &str, details: &str) -> Refusal {
    Refusal::InvalidSchema {
        message: format!("Invalid schema of type {schema_type}, details: {details}"),
    }
}

/// What was parsed lately. Two generations: what is not asked for again while the younger fills is forgotten.
#[derive(Debug, Default)]
pub struct Schemas {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Vec<Guid>, Schema>,
    young_bytes: usize,
    old: HashMap<Vec<Guid>, Schema>,
}

impl Schemas {
    /// A schema that is registered: taken as it is, whatever rules there are by now.
    pub fn stored(&self, resolved: &Resolved) -> Result<Schema, SchemaError> {
        match self.kept(resolved) {
            Some(schema) => Ok(schema),
            None => self.parse(resolved),
        }
    }

    /// [`stored`](Self::stored) of many: those that are not kept are parsed on all cores.
    pub(crate) fn all_stored(&self, wanted: &[&Resolved]) -> Vec<Result<Schema, SchemaError>> {
        let kept: Vec<_> = wanted.iter().map(|resolved| self.kept(resolved)).collect();
        let missing = wanted.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
        let missing: Vec<_> = missing.map(|(resolved, _)| *resolved).collect();
        let mut parsed = self.all_parsed(&missing).into_iter();
        let made = |kept: Option<Schema>| match kept {
            Some(schema) => Ok(schema),
            None => parsed.next().expect("each that is missing is parsed"),
        };
        kept.into_iter().map(made).collect()
    }

    fn all_parsed(&self, missing: &[&Resolved]) -> Vec<Result<Schema, SchemaError>> {
        let parse = |some: &[&Resolved]| some.iter().map(|one| self.parse(one)).collect::<Vec<_>>();
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(missing.len() / PARSED_PER_THREAD);
        if threads < 2 {
            return parse(missing);
        }
        thread::scope(|scope| {
            let shares = missing.chunks(missing.len().div_ceil(threads));
            let threads: Vec<_> = shares.map(|share| scope.spawn(move || parse(share))).collect();
            let parsed = threads.into_iter().map(|thread| thread.join());
            parsed
                .flat_map(|parsed| parsed.expect("no text makes the parser panic"))
                .collect()
        })
    }

    fn kept(&self, resolved: &Resolved) -> Option<Schema> {
        self.generations().get(&resolved.key(), resolved.text_bytes())
    }

    fn parse(&self, resolved: &Resolved) -> Result<Schema, SchemaError> {
        let schema = resolved.parse(Strictness::Stored)?;
        let bytes = resolved.text_bytes();
        self.generations().insert(resolved.key(), bytes, schema.clone());
        Ok(schema)
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, key: &[Guid], bytes: usize) -> Option<Schema> {
        if let Some(schema) = self.young.get(key) {
            return Some(schema.clone());
        }
        let (key, schema) = self.old.remove_entry(key)?;
        self.insert(key, bytes, schema.clone());
        Some(schema)
    }

    fn insert(&mut self, key: Vec<Guid>, bytes: usize, schema: Schema) {
        if self.young_bytes + bytes > KEPT_TEXT_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, schema);
    }
}
