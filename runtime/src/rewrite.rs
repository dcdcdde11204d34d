//! Values of a source in the format that the topic is to have.

use millstream_formats::{Decoder, Encoded, Encoder, carried};
use millstream_pipeline::Conversion;
use millstream_sdk::{Rejected, TaskError};
use millstream_types::Record;

/// Rewrites the values of one stream. Keys, timestamps and headers stay, but for a header that names the schema of the old
/// value; so does a record without a value.
pub(crate) struct Rewriter {
    decoder: Decoder,
    encoder: Encoder,
}

impl Rewriter {
    pub(crate) fn new(conversion: &Conversion) -> Result<Self, TaskError> {
        let all: Vec<_> = (0..conversion.from.columns.fields().len()).collect();
        Ok(Self {
            decoder: Decoder::new(&conversion.from, &all).map_err(TaskError::fatal)?,
            encoder: Encoder::new(&conversion.to).map_err(TaskError::fatal)?,
        })
    }

    /// The records with their new values, and those that have none.
    pub(crate) fn rewrite(&self, records: Vec<Record>) -> Result<(Vec<Record>, Vec<Rejected>), TaskError> {
        let decoded = self.decoder.decode(&records).map_err(TaskError::retry)?;
        let Encoded { values, failed } = self.encoder.encode(&decoded.batch)?;
        let mut unwritten = failed
            .into_iter()
            .map(|(row, reason)| (decoded.rows[row] as usize, reason))
            .peekable();
        let mut unread = decoded.failed.into_iter().peekable();
        let mut values = values.into_iter();
        let (mut rewritten, mut rejected) = (Vec::with_capacity(records.len()), Vec::new());
        for (index, mut record) in records.into_iter().enumerate() {
            let unread = unread.next_if(|(failed, _)| *failed == index);
            if record.value.is_none() {
                rewritten.push(record);
                continue;
            }
            match unread.or_else(|| unwritten.next_if(|(failed, _)| *failed == index)) {
                Some((_, reason)) => rejected.push(Rejected {
                    record,
                    reason,
                    origin: Vec::new(),
                }),
                None => {
                    record.value = values.next();
                    record.headers = carried(&record.headers, false);
                    rewritten.push(record);
                }
            }
        }
        Ok((rewritten, rejected))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use millstream_sdk::{
        AvroFormat, NoSchemas, SchemaText, Schemas, SchemasError, StreamSchema, ValueFormat,
    };
    use millstream_types::{SchemaId, Subject, Timestamp, TopicName};

    use super::*;

    struct One;

    impl Schemas for One {
        fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError> {
            Err(SchemasError::UnknownId { id })
        }

        fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, SchemasError> {
            Err(SchemasError::UnknownGuid)
        }

        fn id_of(&self, _: &Subject, _: &SchemaText) -> Result<SchemaId, SchemasError> {
            Ok(SchemaId(5))
        }
    }

    fn rewriter(schemas: Arc<dyn Schemas>) -> Rewriter {
        let columns = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]));
        let topic = TopicName::new("t").expect("a name");
        let stream = |format| StreamSchema {
            format,
            columns: columns.clone(),
        };
        Rewriter::new(&Conversion {
            from: stream(ValueFormat::Json),
            to: stream(ValueFormat::Avro(AvroFormat::of_topic(&topic, schemas))),
        })
        .expect("the columns are those of both formats")
    }

    fn record(value: Option<&str>) -> Record {
        Record {
            key: Some("k".into()),
            timestamp: Timestamp(7),
            value: value.map(|value| value.to_owned().into()),
            ..Record::default()
        }
    }

    #[test]
    fn values_change_and_all_else_stays() {
        let records = vec![
            record(Some(r#"{"id": 1, "name": "a"}"#)),
            record(None),
            record(Some(r#"{"name": "no id"}"#)),
            record(Some(r#"{"id": 2}"#)),
        ];
        let (rewritten, rejected) = rewriter(Arc::new(One)).rewrite(records).unwrap();
        let values: Vec<_> = rewritten.iter().map(|record| record.value.as_deref()).collect();
        let expected: [Option<&[u8]>; 3] = [
            Some(&[0, 0, 0, 0, 5, 2, 2, 2, b'a']),
            None,
            Some(&[0, 0, 0, 0, 5, 4, 0]),
        ];
        assert_eq!(values, expected);
        assert!(
            rewritten
                .iter()
                .all(|record| record.key == record_key() && record.timestamp.0 == 7)
        );
        let rejected: Vec<_> = rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
        assert_eq!(rejected, ["column 'id' must not be NULL"]);
    }

    fn record_key() -> Option<bytes::Bytes> {
        Some("k".into())
    }

    #[test]
    fn a_registry_that_is_not_there_is_tried_again() {
        let error = rewriter(Arc::new(NoSchemas))
            .rewrite(vec![record(Some(r#"{"id": 1}"#))])
            .unwrap_err();
        assert!(matches!(error, TaskError::Retry { .. }), "{error:?}");
    }
}
