use std::collections::HashSet;

use anyhow::{Context as _, anyhow};
use millstream_schema_registry_core::model::{AVRO, Guid};
use millstream_sdk::{SchemaText, Schemas, SchemasError};
use millstream_types::{SchemaId, Subject};
use serde_json::{Value, json};

use super::client::{Client, Refused, part};

/// Schemas that refer to more others are refused, and so are chains of them that are longer.
const MAX_REFERENCES: usize = 1_000;
const MAX_DEPTH: usize = 64;

/// A registry over HTTP, for formats.
pub(crate) struct Remote(Client);

/// What a schema refers to.
#[derive(Default)]
struct References {
    /// Dependencies first.
    texts: Vec<String>,
    /// Subjects and versions that were asked for.
    seen: HashSet<(String, i64)>,
}

impl Remote {
    pub(crate) fn new(url: &str) -> Self {
        Self(Client::new(url))
    }

    /// The newest version of a subject, with its id.
    pub(crate) fn latest(&self, subject: &Subject) -> anyhow::Result<Option<(SchemaId, SchemaText)>> {
        let path = format!("/subjects/{}/versions/latest", part(subject.as_str()));
        let Some(version) = self.0.find(&path)? else {
            return Ok(None);
        };
        let id = id_in(&version).context("the registry answers a version without an id")?;
        Ok(Some((id, self.text(&version)?)))
    }

    /// A schema with the texts that it refers to.
    fn text(&self, schema: &Value) -> Result<SchemaText, SchemasError> {
        let mut references = References::default();
        self.collect(schema, &mut references, 0)?;
        Ok(SchemaText {
            text: text_in(schema)?,
            referenced: references.texts,
        })
    }

    fn collect(&self, schema: &Value, references: &mut References, depth: usize) -> Result<(), SchemasError> {
        if depth > MAX_DEPTH || references.seen.len() > MAX_REFERENCES {
            return unusable("it refers to too many others".into());
        }
        for reference in schema["references"].as_array().into_iter().flatten() {
            let (Some(subject), Some(version)) =
                (reference["subject"].as_str(), reference["version"].as_i64())
            else {
                return unusable("the registry answers a reference without subject and version".into());
            };
            if !references.seen.insert((subject.to_owned(), version)) {
                continue;
            }
            // One that was deleted is still referred to.
            let path = format!("/subjects/{}/versions/{version}?deleted=true", part(subject));
            let Some(found) = self.0.find(&path).map_err(unavailable)? else {
                return unusable(format!(
                    "version {version} of subject '{subject}' is not there, and it refers to that"
                ));
            };
            self.collect(&found, references, depth + 1)?;
            references.texts.push(text_in(&found)?);
        }
        Ok(())
    }
}

fn id_in(answer: &Value) -> Option<SchemaId> {
    let id = i32::try_from(answer["id"].as_i64()?).ok()?;
    Some(SchemaId(id))
}

fn text_in(answer: &Value) -> Result<String, SchemasError> {
    match (answer["schemaType"].as_str(), answer["schema"].as_str()) {
        (None | Some(AVRO), Some(text)) => Ok(text.to_owned()),
        (Some(other), Some(_)) => unusable(format!("it is of type {other}, not {AVRO}")),
        (_, None) => unusable("the registry answers it without text".into()),
    }
}

fn unusable<T>(reason: String) -> Result<T, SchemasError> {
    Err(SchemasError::Unusable { reason })
}

fn unavailable(error: anyhow::Error) -> SchemasError {
    SchemasError::Unavailable {
        reason: format!("{error:#}"),
    }
}

impl Schemas for Remote {
    fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError> {
        let found = self.0.find(&format!("/schemas/ids/{id}")).map_err(unavailable)?;
        self.text(&found.ok_or(SchemasError::UnknownId { id })?)
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, SchemasError> {
        let path = format!("/schemas/guids/{}", Guid::from_bytes(guid));
        let found = self.0.find(&path).map_err(unavailable)?;
        self.text(&found.ok_or(SchemasError::UnknownGuid)?)
    }

    fn id_of(&self, subject: &Subject, schema: &SchemaText) -> Result<SchemaId, SchemasError> {
        let path = format!("/subjects/{}", part(subject.as_str()));
        let body = json!({ "schema": schema.text });
        match self.0.call("POST", &path, Some(&body)) {
            Ok(found) => id_in(&found)
                .ok_or_else(|| unavailable(anyhow!("the registry answers a version without an id"))),
            Err(error) if error.downcast_ref().is_some_and(Refused::is_missing) => {
                let subject = subject.clone();
                Err(SchemasError::NotRegistered { subject })
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}
