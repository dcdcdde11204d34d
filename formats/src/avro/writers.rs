//! With which schemas data was written, as the records say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use millstream_schema_registry_avro::{
    Schema,
    wire::{self, SchemaRef, WireError},
};
use millstream_sdk::{Schemas, SchemasError};
use millstream_types::Record;

use super::stream::parse;

/// Schemas that are remembered: more than any topic has.
const MAX_SCHEMAS: usize = 1_000;

/// A value with what names its schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framed<'a> {
    /// The header that does, where there is one.
    header: Option<&'a [u8]>,
    /// The schema's id and the datum, or with a header the datum alone.
    bytes: &'a [u8],
}

impl<'a> Framed<'a> {
    pub(crate) fn of_value(bytes: &'a [u8]) -> Self {
        Self { header: None, bytes }
    }

    pub(crate) fn of_record(record: &'a Record) -> Option<Self> {
        let header = match record.headers.is_empty() {
            true => None,
            false => record.header(wire::VALUE_HEADER).map(AsRef::as_ref),
        };
        let bytes = record.value.as_deref()?;
        Some(Self { header, bytes })
    }

    /// All of the value.
    #[inline]
    pub(super) fn datum(self) -> &'a [u8] {
        self.bytes
    }

    /// The schema and the datum.
    #[inline]
    pub(super) fn split(self) -> Result<(SchemaRef, &'a [u8]), WireError> {
        wire::named(self.header, self.bytes)
    }
}

/// What is made of each schema, once.
pub(super) struct Writers<T> {
    schemas: Arc<dyn Schemas>,
    known: Mutex<HashMap<SchemaRef, Known<T>>>,
}

/// What was made of a schema, or why nothing can be.
pub(super) type Known<T> = Result<Arc<T>, String>;

impl<T> Writers<T> {
    pub(super) fn new(schemas: Arc<dyn Schemas>) -> Self {
        Self {
            schemas,
            known: Mutex::default(),
        }
    }

    /// The error is that the schema cannot be had at the moment.
    pub(super) fn get(
        &self,
        name: SchemaRef,
        make: impl FnOnce(&Schema) -> Result<T, String>,
    ) -> Result<Known<T>, SchemasError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = known.get(&name) {
            return Ok(made.clone());
        }
        let found = match name {
            SchemaRef::Id(id) => self.schemas.by_id(id),
            SchemaRef::Guid(guid) => self.schemas.by_guid(guid),
        };
        let text = match found {
            Ok(text) => text,
            Err(unavailable @ SchemasError::Unavailable { .. }) => return Err(unavailable),
            // It may be registered later, so it is not remembered.
            Err(SchemasError::Unusable { reason }) => return Ok(Err(unreadable(name, &reason))),
            Err(
                missing @ (SchemasError::UnknownId { .. }
                | SchemasError::UnknownGuid
                | SchemasError::NotRegistered { .. }),
            ) => return Ok(Err(missing.to_string())),
        };
        let made = match parse(&text) {
            Ok(schema) => make(&schema).map(Arc::new),
            Err(error) => Err(error.to_string()),
        };
        let made = made.map_err(|reason| unreadable(name, &reason));
        if known.len() >= MAX_SCHEMAS {
            known.clear();
        }
        known.insert(name, made.clone());
        Ok(made)
    }
}

fn unreadable(name: SchemaRef, reason: &str) -> String {
    match name {
        SchemaRef::Id(id) => format!("data of schema {id} cannot be read: {reason}"),
        SchemaRef::Guid(_) => format!("data of the schema in the header cannot be read: {reason}"),
    }
}
