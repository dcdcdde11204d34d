use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use millstream_schema_registry_avro::{Schema, binary::DataError, wire};
use millstream_sdk::{Schemas, SchemasError};

use super::{
    columns::NotText,
    layout::Layout,
    plan::{Plan, PlanError},
    rows::Rows,
    writers::{Framed, Known, Writers},
};
use crate::Decoded;

/// Data of Avro schemas to the columns of a layout.
pub struct Decoder {
    layout: Layout,
    writer: Writer,
    rows: Mutex<Rows>,
}

/// With which schema data was written.
enum Writer {
    /// All of it with one.
    One(Box<Plan>),
    /// Each value says it.
    Named(Writers<Plan>),
}

/// The plan of the value before: most batches have one writer.
type Last = Option<(wire::SchemaRef, Known<Plan>)>;

impl Decoder {
    /// For data without a schema id, all written with one schema.
    pub fn of_writer(writer: &Schema, layout: &Layout) -> Result<Self, PlanError> {
        let plan = Plan::compile(writer, layout)?;
        Ok(Self::with(Writer::One(Box::new(plan)), layout))
    }

    /// For data as the schema registry's clients write it: a zero, the schema's id in four bytes, the datum; or the datum
    /// alone, where a header of the record names the schema.
    pub fn of_registered(schemas: Arc<dyn Schemas>, layout: &Layout) -> Self {
        Self::with(Writer::Named(Writers::new(schemas)), layout)
    }

    fn with(writer: Writer, layout: &Layout) -> Self {
        Self {
            layout: layout.clone(),
            writer,
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
        self.decode_framed(values.map(|value| value.map(Framed::of_value)))
    }

    /// The same for values with what names their schemas.
    pub(crate) fn decode_framed<'a>(
        &self,
        values: impl ExactSizeIterator<Item = Option<Framed<'a>>> + Clone,
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
        values: impl ExactSizeIterator<Item = Option<Framed<'a>>>,
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

    #[inline]
    fn push<const CHECK: bool>(
        &self,
        value: Framed<'_>,
        rows: &mut Rows,
        last: &mut Last,
    ) -> Result<Result<(), String>, SchemasError> {
        let text = |error: DataError| error.to_string();
        let writers = match &self.writer {
            Writer::One(plan) => return Ok(rows.push::<CHECK>(plan, value.datum()).map_err(text)),
            Writer::Named(writers) => writers,
        };
        let (name, datum) = match value.split() {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(format!("the value names no schema: {error}"))),
        };
        if last.as_ref().is_none_or(|(known, _)| *known != name) {
            let compile = |writer: &Schema| {
                let plan = Plan::compile(writer, &self.layout);
                plan.map_err(|error| error.to_string())
            };
            *last = Some((name, writers.get(name, compile)?));
        }
        let Some((_, compiled)) = last else {
            unreachable!("it was set just now");
        };
        Ok(match compiled {
            Ok(plan) => rows.push::<CHECK>(plan, datum).map_err(text),
            Err(reason) => Err(reason.clone()),
        })
    }
}
