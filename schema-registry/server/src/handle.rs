use std::sync::Arc;

use millstream_schema_registry_core::{
    Against, DEFAULT_CONTEXT, QualifiedSubject, Refusal, State, VersionId,
    model::{AVRO, Body, Guid, Reference, SchemaRequest},
};
use millstream_types::{SchemaId, Subject};

use crate::{Failure, Lookup, Registry};

/// The Avro schemas of a registry in this process, as pipelines and commands ask for them.
///
/// Answers about ids never change, so whoever asks keeps them. Everything fails with [`RegistryError`], whose
/// [`is_retriable`](RegistryError::is_retriable) says whether the same call may succeed later.
#[derive(Clone)]
pub struct AvroSchemas(Registry);

/// An Avro schema as text, with the texts that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    pub text: String,
    /// Where the schemas it refers to are registered.
    pub references: Vec<Reference>,
    /// Their texts; those that others refer to come before them. Filled in what a registry answers.
    pub referenced: Vec<String>,
}

impl SchemaText {
    /// A schema that refers to no others.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    fn request(&self) -> SchemaRequest {
        SchemaRequest {
            schema: Some(self.text.clone()),
            references: self.references.clone(),
            ..SchemaRequest::default()
        }
    }
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    pub id: SchemaId,
    pub version: i32,
    pub schema: Arc<SchemaText>,
}

/// Why a registry did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("no schema has id {id}")]
    UnknownId { id: SchemaId },
    #[error("the schema cannot follow those of subject '{subject}': {}", .findings.join(", "))]
    Incompatible { subject: String, findings: Vec<String> },
    /// The request is wrong, and will be.
    #[error("{message}")]
    Refused { message: String },
    /// May pass by itself: try again with back-off.
    #[error("the schema registry is not available: {message}")]
    Unavailable { message: String },
}

impl RegistryError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::UnknownId { .. } | Self::Incompatible { .. } | Self::Refused { .. } => false,
        }
    }
}

impl From<Failure> for RegistryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Log(error) => Self::Unavailable {
                message: error.to_string(),
            },
            Failure::Topic { .. } | Failure::TimedOut | Failure::Stopped => Self::Unavailable {
                message: failure.to_string(),
            },
        }
    }
}

impl From<Refusal> for RegistryError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Incompatible { subject, messages } => Self::Incompatible {
                subject: subject.to_string(),
                findings: messages,
            },
            other => Self::Refused {
                message: other.to_string(),
            },
        }
    }
}

impl AvroSchemas {
    pub fn of(registry: Registry) -> Self {
        Self(registry)
    }

    /// The schema of an id, as a record on the wire names it.
    pub async fn by_id(&self, id: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        let found = self.find(|_| Some(id.0)).await?;
        self.0.looked_up(Lookup::Id, found.is_some());
        found.ok_or(RegistryError::UnknownId { id })
    }

    /// The schema of a GUID, as a header of a record names it; `None` if there is none.
    pub async fn by_guid(&self, guid: [u8; 16]) -> Result<Option<Arc<SchemaText>>, RegistryError> {
        let guid = Guid::from_bytes(guid);
        let found = self.find(|state| state.id_of(DEFAULT_CONTEXT, &guid)).await?;
        self.0.looked_up(Lookup::Guid, found.is_some());
        Ok(found)
    }

    /// The newest version of a subject; `None` if it has none.
    pub fn latest(&self, subject: &Subject) -> Result<Option<RegisteredSchema>, RegistryError> {
        let subject = QualifiedSubject::new(subject.as_str());
        let latest = self.0.read(|state| state.latest(&subject).cloned());
        self.0.looked_up(Lookup::Subject, latest.is_some());
        let Some(version) = latest else {
            return Ok(None);
        };
        Ok(Some(RegisteredSchema {
            id: SchemaId(version.id),
            version: version.number,
            schema: self.text(&subject, version.body)?,
        }))
    }

    /// The version of a subject that is this schema; `None` if it is not registered there.
    pub fn lookup(
        &self,
        subject: &Subject,
        schema: &SchemaText,
    ) -> Result<Option<RegisteredSchema>, RegistryError> {
        let subject = QualifiedSubject::new(subject.as_str());
        let found = self
            .0
            .read(|state| state.look_up(&subject, &schema.request(), false, false));
        self.0.looked_up(Lookup::Schema, found.is_ok());
        match found {
            Ok(found) => Ok(Some(RegisteredSchema {
                id: SchemaId(found.version.id),
                version: found.version.number,
                schema: self.text(&found.subject, found.version.body)?,
            })),
            Err(Refusal::SubjectNotFound { .. } | Refusal::SchemaNotFound { .. }) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Registers a schema, durably; one that is there already is answered as it is. An incompatible one is refused with
    /// all that speaks against it.
    pub async fn register(
        &self,
        subject: &Subject,
        schema: &SchemaText,
    ) -> Result<RegisteredSchema, RegistryError> {
        let subject = QualifiedSubject::new(subject.as_str());
        let registered = self.0.register(&subject, schema.request(), false).await?;
        Ok(RegisteredSchema {
            id: SchemaId(registered.id),
            version: registered.version,
            schema: self.text(&registered.subject, registered.body)?,
        })
    }

    /// What speaks against a schema as the next version of a subject; nothing: it would be taken.
    pub fn check(&self, subject: &Subject, schema: &SchemaText) -> Result<Vec<String>, RegistryError> {
        let subject = QualifiedSubject::new(subject.as_str());
        let against = if self.0.read(|state| state.has_subjects(&subject, false)) {
            Against::History
        } else {
            Against::Version(VersionId::Latest)
        };
        Ok(self.0.compare(&subject, against, &schema.request(), false)?)
    }

    async fn find(
        &self,
        id: impl Fn(&State) -> Option<i32>,
    ) -> Result<Option<Arc<SchemaText>>, RegistryError> {
        let find = |state: &State| {
            let entry = state.schema(DEFAULT_CONTEXT, id(state)?)?;
            Some((entry.any_use().subject.clone(), entry.body.clone()))
        };
        let found = match self.0.read(find) {
            Some(found) => Some(found),
            // Another registry may have given it just now.
            None => {
                self.0.refresh().await?;
                self.0.read(find)
            }
        };
        found.map(|(subject, body)| self.text(&subject, body)).transpose()
    }

    fn text(&self, subject: &QualifiedSubject, body: Arc<Body>) -> Result<Arc<SchemaText>, RegistryError> {
        if !body.is_avro() {
            let message = format!("the schema is of type {}, not {AVRO}", body.type_name());
            return Err(RegistryError::Refused { message });
        }
        let references = body.references.to_vec();
        let text = body.text.to_string();
        let resolved = self.0.read(|state| state.resolve(subject, body))?;
        Ok(Arc::new(SchemaText {
            text,
            references,
            referenced: resolved.references().map(str::to_owned).collect(),
        }))
    }
}
