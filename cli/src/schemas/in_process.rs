use std::sync::{Arc, OnceLock};

use millstream_formats::avro;
use millstream_pipeline::{Pipeline, Plan};
use millstream_schema_registry_server::{AvroSchemas, RegistryError, SchemaText as Registered};
use millstream_sdk::{Problem, SchemaText, Schemas, SchemasError};
use millstream_types::{SchemaId, Subject};
use tokio::{runtime::Handle, task::block_in_place};

/// The registry of this process, for formats. A pipeline's is opened after its file was read.
#[derive(Default)]
pub(crate) struct InProcess(OnceLock<AvroSchemas>);

impl InProcess {
    pub(crate) fn of(registry: AvroSchemas) -> Self {
        Self(registry.into())
    }

    /// From here on it is that one.
    pub(crate) fn bind(&self, registry: AvroSchemas) {
        // Once is enough: a process has one.
        let _ = self.0.set(registry);
    }

    fn registry(&self) -> Result<&AvroSchemas, SchemasError> {
        self.0.get().ok_or_else(|| SchemasError::Unavailable {
            reason: "it is not open".into(),
        })
    }
}

/// Formats ask where nothing can wait. What is in memory is answered at once.
fn wait<T>(answer: impl Future<Output = Result<T, RegistryError>>) -> Result<T, SchemasError> {
    block_in_place(|| Handle::current().block_on(answer)).map_err(translate)
}

fn translate(error: RegistryError) -> SchemasError {
    match error {
        RegistryError::UnknownId { id } => SchemasError::UnknownId { id },
        RegistryError::Refused { message } => SchemasError::Unusable { reason: message },
        RegistryError::Unavailable { message } => SchemasError::Unavailable { reason: message },
        RegistryError::Incompatible { .. } => SchemasError::Unusable {
            reason: error.to_string(),
        },
    }
}

impl Schemas for InProcess {
    fn by_id(&self, id: SchemaId) -> Result<SchemaText, SchemasError> {
        Ok(text(&*wait(self.registry()?.by_id(id))?))
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, SchemasError> {
        let found = wait(self.registry()?.by_guid(guid))?;
        Ok(text(&*found.ok_or(SchemasError::UnknownGuid)?))
    }

    fn id_of(&self, subject: &Subject, schema: &SchemaText) -> Result<SchemaId, SchemasError> {
        let schema = Registered::new(&schema.text);
        let found = self.registry()?.lookup(subject, &schema).map_err(translate)?;
        let subject = subject.clone();
        Ok(found.ok_or(SchemasError::NotRegistered { subject })?.id)
    }
}

fn text(schema: &Registered) -> SchemaText {
    SchemaText {
        text: schema.text.clone(),
        referenced: schema.referenced.clone(),
    }
}

/// Tells a pipeline the columns of the topics that only the registry knows.
pub(crate) fn teach(pipeline: &mut Pipeline, registry: &AvroSchemas) -> anyhow::Result<Vec<Problem>> {
    let unknown: Vec<_> = pipeline
        .unknown_columns()
        .map(|unknown| (unknown.subject.clone(), unknown.path.clone()))
        .collect();
    let mut problems = Vec::new();
    for (subject, path) in unknown {
        let Some(latest) = registry.latest(&subject)? else {
            let message = format!("no schema is registered under subject '{subject}'");
            let help = "say the columns: columns: { id: BIGINT, name: VARCHAR }";
            problems.push(Problem::new(path, message).help(help));
            continue;
        };
        let schema = text(&latest.schema);
        match avro::columns(&subject, &schema) {
            Ok(columns) => pipeline.learn(&subject, &Arc::new(schema), &columns),
            Err(error) => problems.push(Problem::new(path, error)),
        }
    }
    Ok(problems)
}

/// Registers the schemas of all topics that a plan writes as Avro; nothing, if one of them must not be registered.
pub(crate) async fn register(plan: &Plan, registry: &AvroSchemas) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut schemas = Vec::new();
    for topic in &plan.avro {
        let subject = &topic.format.subject;
        let schema = match avro::schema_text(&topic.format, &topic.columns) {
            Ok(schema) => Registered::new(schema.text),
            Err(error) => {
                problems.push(Problem::new(topic.path.clone(), error));
                continue;
            }
        };
        let mut findings = registry.check(subject, &schema)?;
        if findings.is_empty() {
            schemas.push((subject, schema));
            continue;
        }
        // The older schema as a whole helps programs, and how it is configured is asked with a command.
        findings.retain(|finding| {
            !finding.starts_with("{oldSchema:") && !finding.starts_with("{validateFields:")
        });
        let message = format!(
            "the schema of '{}' cannot follow those of subject '{subject}': {}",
            topic.name,
            findings.join(", ")
        );
        let help = format!(
            "write another topic, keep what readers need, or allow it: millstream registry config {subject} --set compatibility=NONE"
        );
        problems.push(Problem::new(topic.path.clone(), message).help(help));
    }
    if problems.is_empty() {
        for (subject, schema) in schemas {
            registry.register(subject, &schema).await?;
        }
    }
    Ok(problems)
}
