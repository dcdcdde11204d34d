//! Records held against the schemas of a registry when they are appended, for topics whose configuration asks for it
//! (`confluent.value.schema.validation`, `millstream.value.schema.validation` and their like).
//!
//! The registry is behind [`SchemaSource`], which whoever starts the broker gives it. What it says of an id never changes
//! and is compiled once; under which subjects an id is registered may change, and is asked for each batch.

mod letters;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use millstream_broker_storage::{
    AppendError, CheckDepth, RecordCheck, RecordChecks, RecordError, SchemaCheck, SubjectStrategy,
};
use millstream_protocol::batch::{MAX_DECOMPRESSED_BYTES, RecordBatch};
use millstream_schema_registry_avro::{
    Name, Schema,
    binary::Validator,
    wire::{self, SchemaRef},
};
use millstream_types::{Record, SchemaId, TopicName, TopicPartition};

/// The schemas of a registry, as it knows them at this moment.
pub trait SchemaSource: fmt::Debug + Send + Sync {
    /// Whether it knows all that was registered by now; if not, why.
    fn is_current(&self) -> Result<(), String>;

    /// Grows when ids may be those of other schemas, because the registry was made anew.
    fn generation(&self) -> u64;

    /// The schema of an id, or why it cannot be read; `None` if there is none. Kept: in a generation an id is of one schema
    /// for ever.
    fn schema(&self, id: SchemaId) -> Result<Option<Schema>, String>;

    /// The id of the schema that has a GUID.
    fn id_of(&self, guid: [u8; 16]) -> Option<SchemaId>;

    /// Whether a version of the subject has that id, and is not deleted.
    fn is_registered(&self, subject: &str, id: SchemaId) -> bool;
}

/// Schemas that are kept compiled; more than a broker's topics have.
const MAX_COMPILED: usize = 10_000;

/// The check of a broker.
#[derive(Debug)]
pub(crate) struct SchemaRecords {
    source: Arc<dyn SchemaSource>,
    compiled: RwLock<CompiledSchemas>,
}

/// What was compiled in a generation of the registry.
#[derive(Debug, Default)]
struct CompiledSchemas {
    generation: u64,
    by_id: HashMap<SchemaId, Arc<Compiled>>,
}

/// What is needed of a schema.
#[derive(Debug)]
struct Compiled {
    /// The full name of its type, if it has one.
    name: Option<String>,
    /// Or why there is none.
    validator: Result<Validator, String>,
}

impl Compiled {
    fn new(schema: &Schema) -> Self {
        Self {
            name: schema.kind(schema.root()).name().map(Name::full),
            validator: Ok(Validator::compile(schema)),
        }
    }

    fn unreadable(reason: String) -> Self {
        Self {
            name: None,
            validator: Err(reason),
        }
    }
}

impl SchemaRecords {
    pub(crate) fn new(source: Arc<dyn SchemaSource>) -> Self {
        Self {
            source,
            compiled: RwLock::default(),
        }
    }

    fn compiled(&self, id: SchemaId) -> Result<Arc<Compiled>, String> {
        let generation = self.source.generation();
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = known.by_id.get(&id).filter(|_| known.generation == generation) {
            return Ok(compiled.clone());
        }
        drop(known);
        let compiled = Arc::new(match self.source.schema(id) {
            Ok(Some(schema)) => Compiled::new(&schema),
            Ok(None) => return Err(format!("there is no schema {id}")),
            Err(reason) => Compiled::unreadable(reason),
        });
        let mut known = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if known.generation != generation || known.by_id.len() >= MAX_COMPILED {
            known.by_id.clear();
            known.generation = generation;
        }
        known.by_id.insert(id, compiled.clone());
        Ok(compiled)
    }
}

impl RecordCheck for SchemaRecords {
    fn check(
        &self,
        topic: &TopicName,
        checks: &RecordChecks,
        batch: &RecordBatch,
    ) -> Result<Vec<RecordError>, AppendError> {
        // Asked first: what is registered meanwhile is no reason to refuse anything.
        let is_current = self.source.is_current();
        let mut walk = Walk {
            records: self,
            topic,
            known: HashMap::new(),
        };
        let mut errors = Vec::new();
        for (index, record) in (0..).zip(batch.records_within(MAX_DECOMPRESSED_BYTES)?) {
            if let Err(reason) = walk.record(checks, &record?) {
                errors.push(RecordError { index, reason });
            }
        }
        match is_current {
            Err(reason) if !errors.is_empty() => Err(AppendError::NotJudged {
                topic: topic.clone(),
                reason,
            }),
            _ => Ok(errors),
        }
    }

    fn letters(
        &self,
        partition: &TopicPartition,
        batch: &RecordBatch,
        errors: &[RecordError],
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, AppendError> {
        letters::of(partition, batch, errors, max_bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Key,
    Value,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Key => wire::KEY_HEADER,
            Self::Value => wire::VALUE_HEADER,
        }
    }
}

/// One batch's records, one after the other.
struct Walk<'a> {
    records: &'a SchemaRecords,
    topic: &'a TopicName,
    /// What was found of the ids in it: most often there is one.
    known: HashMap<(Part, SchemaId), Result<Arc<Compiled>, String>>,
}

impl Walk<'_> {
    fn record(&mut self, checks: &RecordChecks, record: &Record) -> Result<(), String> {
        if let (Some(check), Some(key)) = (checks.key, &record.key) {
            self.part(Part::Key, check, key, record)?;
        }
        // A record without a value is the word that its key is gone.
        if let (Some(check), Some(value)) = (checks.value, &record.value) {
            self.part(Part::Value, check, value, record)?;
        }
        Ok(())
    }

    fn part(&mut self, part: Part, check: SchemaCheck, bytes: &[u8], record: &Record) -> Result<(), String> {
        let wrong = |reason: &dyn fmt::Display| format!("its {}: {reason}", part.name());
        let header = record.header(part.header()).map(Bytes::as_ref);
        let (named, data) = wire::named(header, bytes).map_err(|error| wrong(&error))?;
        let id = match named {
            SchemaRef::Id(id) => Some(id),
            SchemaRef::Guid(guid) => self.records.source.id_of(guid),
        };
        let id = id.ok_or_else(|| wrong(&"no schema has the GUID in its header"))?;
        let found = self.look_up(part, check, id);
        let compiled = found.map_err(|reason| wrong(&reason))?;
        if check.depth == CheckDepth::Body {
            let validator = compiled.validator.as_ref();
            let validator =
                validator.map_err(|reason| wrong(&format_args!("schema {id} cannot be read: {reason}")))?;
            return validator
                .validate(data)
                .map_err(|error| wrong(&format_args!("it is not what schema {id} says: {error}")));
        }
        Ok(())
    }

    fn look_up(&mut self, part: Part, check: SchemaCheck, id: SchemaId) -> Result<Arc<Compiled>, String> {
        if let Some(known) = self.known.get(&(part, id)) {
            return known.clone();
        }
        let found = self.registered(part, check, id);
        self.known.insert((part, id), found.clone());
        found
    }

    fn registered(&self, part: Part, check: SchemaCheck, id: SchemaId) -> Result<Arc<Compiled>, String> {
        let compiled = self.records.compiled(id)?;
        let name = || {
            let name = compiled.name.as_deref();
            name.ok_or_else(|| format!("schema {id} is of no named type, so it names no subject"))
        };
        let subject = match check.strategy {
            SubjectStrategy::Topic => format!("{}-{}", self.topic, part.name()),
            SubjectStrategy::Record => name()?.to_owned(),
            SubjectStrategy::TopicRecord => format!("{}-{}", self.topic, name()?),
        };
        if self.records.source.is_registered(&subject, id) {
            Ok(compiled)
        } else {
            Err(format!("schema {id} is not registered under subject '{subject}'"))
        }
    }
}
