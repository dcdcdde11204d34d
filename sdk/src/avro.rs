//! What is known of a topic whose values are Avro data: the subject, the schema, and where schemas are found.
//!
//! Schemas are texts here; `formats` reads them.

use std::{fmt, sync::Arc};

use millstream_types::{SchemaId, Subject, TopicName};

/// Values that are Avro data, each behind the id of the schema that wrote it.
#[derive(Clone)]
pub struct AvroFormat {
    /// Under which the versions of the schema are registered.
    pub subject: Subject,
    /// What values are read as and written with. `None`: the schema of the columns, which is always the same for the same
    /// columns.
    pub schema: Option<Arc<SchemaText>>,
    /// The name of the record in a schema that is made of columns.
    pub record: String,
    /// Where the schemas of other writers are found.
    pub schemas: Arc<dyn Schemas>,
}

/// An Avro schema as text, with the texts that it refers to, dependencies first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    pub text: String,
    pub referenced: Vec<String>,
}

/// Finds schemas: a registry, seen from where data is read and written. Answers never change, so whoever asks keeps them.
pub trait Schemas: Send + Sync {
    /// The schema of an id.
    fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError>;

    /// The schema of a GUID, by which a header of a record names it.
    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, SchemasError>;

    /// The id under which a subject has this schema. Called before the first record is written; by then somebody has
    /// registered it.
    fn id_of(&self, subject: &Subject, schema: &SchemaText) -> Result<SchemaId, SchemasError>;
}

/// Why a schema is not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemasError {
    /// A record with this id cannot be read.
    #[error("schema {id} is not registered")]
    UnknownId { id: SchemaId },
    /// A record with this GUID in its header cannot be read.
    #[error("no schema that is registered has the GUID in the header")]
    UnknownGuid,
    /// Nothing can be written.
    #[error("the schema is not registered under subject '{subject}'")]
    NotRegistered { subject: Subject },
    /// It is there, and is no schema of Avro data, or is not there as a whole. A record with its id cannot be read.
    #[error("{reason}")]
    Unusable { reason: String },
    /// Nothing is wrong with a record: try again later.
    #[error("the schema registry is not available: {reason}")]
    Unavailable { reason: String },
}

/// No registry at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSchemas;

impl Schemas for NoSchemas {
    fn by_id(&self, _: SchemaId) -> Result<SchemaText, SchemasError> {
        Err(Self::unavailable())
    }

    fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, SchemasError> {
        Err(Self::unavailable())
    }

    fn id_of(&self, _: &Subject, _: &SchemaText) -> Result<SchemaId, SchemasError> {
        Err(Self::unavailable())
    }
}

impl NoSchemas {
    fn unavailable() -> SchemasError {
        SchemasError::Unavailable {
            reason: "there is none here".into(),
        }
    }
}

impl AvroFormat {
    /// Values of a topic by Confluent's convention: its subject is `<topic>-value`.
    pub fn of_topic(topic: &TopicName, schemas: Arc<dyn Schemas>) -> Self {
        let subject = Subject::new(format!("{topic}-value"));
        Self {
            subject: subject.expect("a topic's name has no control characters"),
            schema: None,
            record: topic.to_string(),
            schemas,
        }
    }
}

/// Two formats are the same if they write the same.
impl PartialEq for AvroFormat {
    fn eq(&self, other: &Self) -> bool {
        (&self.subject, &self.schema, &self.record) == (&other.subject, &other.schema, &other.record)
    }
}

impl Eq for AvroFormat {}

impl fmt::Debug for AvroFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroFormat")
            .field("subject", &self.subject)
            .field("schema", &self.schema)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
