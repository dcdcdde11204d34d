use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_schema::SchemaRef;
use millstream_schema_registry_avro::{Schema, binary::DataError, wire};
use millstream_sdk::{Schemas, SchemasError};
use millstream_types::SchemaId;

use super::{
    columns::NotText,
    layout::Layout,
    plan::{Plan, PlanError},
    rows::Rows,
    stream::parse,
};
use crate::Decoded;

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
        schemas: Arc<dyn Schemas>,
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
    pub fn of_registered(schemas: Arc<dyn Schemas>, layout: &Layout) -> Self {
        let plans = Mutex::default();
        Self::with(Writers::Registered { schemas, plans }, layout)
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
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
    ) -> Result<Decoded, SchemasError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        // Texts are looked at by the column, which is quick. If one of them is none, all is decoded again, to find it.
        if let Ok(decoded) = self.pass::<false>(values.clone(), &mut rows)? {
            return Ok(decoded);
        }
        let decoded = self.pass::<true>(values, &mut rows)?;
        Ok(decoded.expect("each text was looked at by itself"))
    }

    fn pass<'a, const CHECK: bool>(
        &self,
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
        rows: &mut Rows,
    ) -> Result<Result<Decoded, NotText>, SchemasError> {
        let mut indices = Vec::with_capacity(values.len());
        let mut failed = Vec::new();
        rows.reserve(values.len());
        let mut last = None;
        for (index, value) in values.enumerate() {
            let added = match value {
                None => Err("the record has no value".to_owned()),
                Some(value) => {
                    let added = self.push::<CHECK>(value, rows, &mut last);
                    added.inspect_err(|_| rows.reset())?
                }
            };
            match added {
                Ok(()) => {
                    indices.push(u32::try_from(index).expect("a micro-batch has less than 2^32 records"))
                }
                Err(reason) => failed.push((index, reason)),
            }
        }
        Ok(rows.finish().map(|batch| Decoded {
            batch,
            rows: indices,
            failed,
        }))
    }

    /// `last`: the plan of the value before, for most batches have one writer.
    #[inline]
    fn push<const CHECK: bool>(
        &self,
        value: &[u8],
        rows: &mut Rows,
        last: &mut Option<(SchemaId, Compiled)>,
    ) -> Result<Result<(), String>, SchemasError> {
        let text = |error: DataError| error.to_string();
        let (schemas, plans) = match &self.writers {
            Writers::One(plan) => return Ok(rows.push::<CHECK>(plan, value).map_err(text)),
            Writers::Registered { schemas, plans } => (schemas, plans),
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
            *last = Some((id, self.plan(id, schemas.as_ref(), &mut plans)?));
        }
        let Some((_, compiled)) = last else {
            unreachable!("it was set just now");
        };
        Ok(match compiled {
            Ok(plan) => rows.push::<CHECK>(plan, datum).map_err(text),
            Err(reason) => Err(reason.clone()),
        })
    }

    fn plan(
        &self,
        id: SchemaId,
        schemas: &dyn Schemas,
        plans: &mut HashMap<SchemaId, Compiled>,
    ) -> Result<Compiled, SchemasError> {
        if let Some(known) = plans.get(&id) {
            return Ok(known.clone());
        }
        let writer = match schemas.by_id(id) {
            Ok(writer) => writer,
            Err(unavailable @ SchemasError::Unavailable { .. }) => return Err(unavailable),
            // It may be registered later, so it is not remembered.
            Err(
                missing @ (SchemasError::UnknownId { .. }
                | SchemasError::NotRegistered { .. }
                | SchemasError::Unusable { .. }),
            ) => return Ok(Err(missing.to_string())),
        };
        let unreadable = |error: &dyn fmt::Display| format!("data of schema {id} cannot be read: {error}");
        let compiled = parse(&writer)
            .map_err(|error| unreadable(&error))
            .and_then(|writer| {
                let plan = Plan::compile(&writer, &self.layout);
                plan.map(Arc::new).map_err(|error| unreadable(&error))
            });
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(id, compiled.clone());
        Ok(compiled)
    }
}
