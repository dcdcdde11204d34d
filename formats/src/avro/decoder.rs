use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_schema::SchemaRef;
use millstream_schema_registry_avro::{Schema, binary::DataError, wire};
use millstream_types::SchemaId;

use super::{
    layout::Layout,
    plan::{Plan, PlanError},
    rows::Rows,
};
use crate::Decoded;

/// Finds the schema with which data was written.
pub trait SchemaSource: Send + Sync {
    fn schema(&self, id: SchemaId) -> Result<Schema, SourceError>;
}

/// Why a schema is not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A record that names such an id cannot be read, now or later.
    #[error("schema {id} is not registered")]
    Unknown { id: SchemaId },
    /// Nothing is wrong with the record: try again.
    #[error("schema {id} cannot be had at the moment: {reason}")]
    Unavailable { id: SchemaId, reason: String },
}

/// Data of Avro schemas to the columns of a layout.
pub struct Decoder {
    layout: Layout,
    writers: Writers,
    rows: Mutex<Rows>,
}

/// With which schema data was written.
enum Writers {
    /// All of it with one.
    One(Box<Plan>),
    /// Each value begins with the id of its own.
    Registered {
        source: Arc<dyn SchemaSource>,
        plans: Mutex<HashMap<SchemaId, Compiled>>,
    },
}

/// A plan, or why there is none.
type Compiled = Result<Arc<Plan>, String>;

/// Schemas of one topic that are remembered: more than any topic has.
const MAX_PLANS: usize = 1_000;

impl Decoder {
    /// For data without a schema id, all written with one schema.
    pub fn of_writer(writer: &Schema, layout: &Layout) -> Result<Self, PlanError> {
        let plan = Plan::compile(writer, layout)?;
        Ok(Self::with(Writers::One(Box::new(plan)), layout))
    }

    /// For data as the schema registry's clients write it: a zero, the schema's id in four bytes, the datum.
    pub fn of_registered(source: Arc<dyn SchemaSource>, layout: &Layout) -> Self {
        let plans = Mutex::default();
        Self::with(Writers::Registered { source, plans }, layout)
    }

    fn with(writers: Writers, layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            writers,
            rows: Mutex::new(Rows::new(layout.clone())),
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        self.layout.schema()
    }

    /// Decodes a micro-batch. A record that cannot be read is named, the rest goes on. The error is that a schema cannot be
    /// had: nothing is decoded then, and the same values may be tried again.
    pub fn decode_values<'a>(
        &self,
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    ) -> Result<Decoded, SourceError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut indices = Vec::with_capacity(values.len());
        let mut failed = Vec::new();
        rows.reserve(values.len());
        let mut last = None;
        for (index, value) in values.enumerate() {
            let added = match value {
                None => Err("the record has no value".to_owned()),
                Some(value) => match self.push(value, &mut rows, &mut last) {
                    Ok(added) => added,
                    Err(unavailable) => {
                        rows.finish();
                        return Err(unavailable);
                    }
                },
            };
            match added {
                Ok(()) => {
                    indices.push(u32::try_from(index).expect("a micro-batch has less than 2^32 records"))
                }
                Err(reason) => failed.push((index, reason)),
            }
        }
        Ok(Decoded {
            batch: rows.finish(),
            rows: indices,
            failed,
        })
    }

    /// `last`: the plan of the value before, for most batches have one writer.
    fn push(
        &self,
        value: &[u8],
        rows: &mut Rows,
        last: &mut Option<(SchemaId, Compiled)>,
    ) -> Result<Result<(), String>, SourceError> {
        let text = |error: DataError| error.to_string();
        let (source, plans) = match &self.writers {
            Writers::One(plan) => return Ok(rows.push(plan, value).map_err(text)),
            Writers::Registered { source, plans } => (source, plans),
        };
        let (id, datum) = match wire::split(value) {
            Ok(parts) => parts,
            Err(error) => {
                return Ok(Err(format!(
                    "the value does not begin with a schema's id: {error}"
                )));
            }
        };
        if last.as_ref().is_none_or(|(known, _)| *known != id) {
            let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((id, self.plan(id, source.as_ref(), &mut plans)?));
        }
        let Some((_, compiled)) = last else {
            unreachable!("it was set just now");
        };
        Ok(match compiled {
            Ok(plan) => rows.push(plan, datum).map_err(text),
            Err(reason) => Err(reason.clone()),
        })
    }

    fn plan(
        &self,
        id: SchemaId,
        source: &dyn SchemaSource,
        plans: &mut HashMap<SchemaId, Compiled>,
    ) -> Result<Compiled, SourceError> {
        if let Some(known) = plans.get(&id) {
            return Ok(known.clone());
        }
        let writer = match source.schema(id) {
            Ok(writer) => writer,
            // It may be registered later, so it is not remembered.
            Err(unknown @ SourceError::Unknown { .. }) => return Ok(Err(unknown.to_string())),
            Err(unavailable @ SourceError::Unavailable { .. }) => return Err(unavailable),
        };
        let compiled = Plan::compile(&writer, &self.layout)
            .map(Arc::new)
            .map_err(|error| format!("data of schema {id} cannot be read: {error}"));
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(id, compiled.clone());
        Ok(compiled)
    }
}
