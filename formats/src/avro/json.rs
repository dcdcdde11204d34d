use std::sync::Arc;

use arrow_array::cast::AsArray;
use millstream_schema_registry_avro::Schema;
use millstream_sdk::{Schemas, SchemasError};
use millstream_types::Record;

use super::{
    Decoder, Layout,
    writers::{Framed, Writers},
};

/// Shows data of registered schemas as JSON, each as its own schema has it.
pub struct JsonDecoder(Writers<Decoder>);

impl JsonDecoder {
    pub fn new(schemas: Arc<dyn Schemas>) -> Self {
        Self(Writers::new(schemas))
    }

    /// The JSON of a record's value, if it has one, or why it cannot be read. The error is that its schema cannot be had at
    /// the moment.
    pub fn decode(&self, record: &Record) -> Result<Option<Result<String, String>>, SchemasError> {
        let Some(value) = Framed::of_record(record) else {
            return Ok(None);
        };
        let (name, datum) = match value.split() {
            Ok(parts) => parts,
            Err(error) => return Ok(Some(Err(error.to_string()))),
        };
        let of_schema = |schema: &Schema| {
            Decoder::of_writer(schema, &Layout::json(schema)).map_err(|error| error.to_string())
        };
        let decoder = match self.0.get(name, of_schema)? {
            Ok(decoder) => decoder,
            Err(reason) => return Ok(Some(Err(reason))),
        };
        let mut decoded = decoder.decode_values([Some(datum)].into_iter())?;
        Ok(Some(match decoded.failed.pop() {
            Some((_, reason)) => Err(reason),
            None => Ok(decoded.batch.column(0).as_string::<i32>().value(0).to_owned()),
        }))
    }
}
