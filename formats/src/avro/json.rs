use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::cast::AsArray;
use millstream_schema_registry_avro::{Schema, wire};
use millstream_sdk::{Schemas, SchemasError};
use millstream_types::SchemaId;

use super::{Decoder, Layout, stream::parse};

/// Schemas that are remembered: more than any topic has.
const MAX_SCHEMAS: usize = 1_000;

/// Shows data of registered schemas as JSON, each as its own schema has it.
pub struct JsonDecoder {
    schemas: Arc<dyn Schemas>,
    decoders: Mutex<HashMap<SchemaId, Known>>,
}

/// The decoder of a schema, or why there is none.
type Known = Result<Arc<Decoder>, String>;

impl JsonDecoder {
    pub fn new(schemas: Arc<dyn Schemas>) -> Self {
        Self {
            schemas,
            decoders: Mutex::default(),
        }
    }

    /// The JSON of a value, or why it cannot be read. The error is that its schema cannot be had at the moment.
    pub fn decode(&self, value: &[u8]) -> Result<Result<String, String>, SchemasError> {
        let (id, datum) = match wire::split(value) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let decoder = match self.decoder(id)? {
            Ok(decoder) => decoder,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut decoded = decoder.decode_values([Some(datum)].into_iter())?;
        Ok(match decoded.failed.pop() {
            Some((_, reason)) => Err(reason),
            None => Ok(decoded.batch.column(0).as_string::<i32>().value(0).to_owned()),
        })
    }

    fn decoder(&self, id: SchemaId) -> Result<Known, SchemasError> {
        let mut decoders = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = decoders.get(&id) {
            return Ok(known.clone());
        }
        let schema = match self.schemas.by_id(id) {
            Ok(schema) => schema,
            Err(unavailable @ SchemasError::Unavailable { .. }) => return Err(unavailable),
            Err(
                missing @ (SchemasError::UnknownId { .. }
                | SchemasError::NotRegistered { .. }
                | SchemasError::Unusable { .. }),
            ) => return Ok(Err(missing.to_string())),
        };
        let known = parse(&schema)
            .map_err(|error| format!("schema {id} is wrong: {error}"))
            .and_then(|schema| Self::of_schema(&schema).map(Arc::new));
        if decoders.len() >= MAX_SCHEMAS {
            decoders.clear();
        }
        decoders.insert(id, known.clone());
        Ok(known)
    }

    fn of_schema(schema: &Schema) -> Result<Decoder, String> {
        Decoder::of_writer(schema, &Layout::json(schema)).map_err(|error| error.to_string())
    }
}
