//! A schema on its way in: read, checked, written in the one form by which schemas are told apart.

use std::sync::Arc;

use millstream_schema_registry_avro::{Schema, SchemaError, Strictness};

use crate::{
    model::{AVRO, Body, Config, Metadata, Reference, RuleSet, SchemaRequest},
    refusal::Refusal,
    schemas,
    state::State,
    subject::QualifiedSubject,
};

/// What a request says of a schema, completed step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) schema_type: Option<String>,
    pub(super) references: Vec<Reference>,
    pub(super) metadata: Option<Metadata>,
    pub(super) rule_set: Option<RuleSet>,
    pub(super) text: String,
}

/// A schema in the form that is registered.
#[derive(Clone, Debug)]
pub(super) struct Canonical {
    pub(super) body: Arc<Body>,
    pub(super) schema: Schema,
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) strictness: Strictness,
    pub(super) normalize: bool,
}

impl Draft {
    pub(super) fn of(request: &SchemaRequest) -> Self {
        Self {
            schema_type: request.schema_type.clone().filter(|t| t != AVRO),
            references: request.references.clone(),
            metadata: request.metadata.clone(),
            rule_set: request.rule_set.clone(),
            text: request.schema.clone().unwrap_or_default(),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn schema_type(&self) -> &str {
        self.schema_type.as_deref().unwrap_or(AVRO)
    }

    fn body(&self) -> Body {
        Body::new(
            self.schema_type.as_deref(),
            self.references.clone(),
            self.metadata.clone(),
            self.rule_set.clone(),
            &self.text,
        )
    }

    /// With the metadata and the rules that it has none of taken from the version before, and those of the configuration
    /// beneath and above. `version` is what it will be.
    pub(super) fn complete(&mut self, config: &Config, before: Option<&Body>, version: Option<i32>) {
        let metadata = self.metadata.take();
        let metadata = metadata.or_else(|| before.and_then(|b| b.metadata.as_deref().cloned()));
        let metadata = Metadata::merge(config.default_metadata.clone(), metadata.as_ref());
        let metadata = Metadata::merge(metadata, config.override_metadata.as_ref());
        self.metadata = match version {
            Some(version) => Some(Metadata::set_version(metadata, version)),
            None => metadata,
        };
        let rules = self.rule_set.take();
        let rules = rules.or_else(|| before.and_then(|b| b.rule_set.as_deref().cloned()));
        let rules = RuleSet::merge(config.default_rule_set.clone(), rules.as_ref());
        self.rule_set = RuleSet::merge(rules, config.override_rule_set.as_ref());
    }

    /// The form in which it is registered.
    pub(super) fn canonical(
        &self,
        state: &State,
        subject: &QualifiedSubject,
        reading: Reading,
    ) -> Result<Canonical, Refusal> {
        if self.is_blank() {
            return Err(Refusal::InvalidSchema {
                message: "Empty schema".to_owned(),
            });
        }
        if let Some(other) = &self.schema_type {
            return Err(Refusal::InvalidSchema {
                message: format!("Invalid schema type {other}"),
            });
        }
        let resolved = state.resolve(subject, Arc::new(self.body()))?;
        let unreadable = |error: SchemaError| schemas::unreadable(self.schema_type(), &error);
        let mut schema = resolved.parse(reading.strictness).map_err(unreadable)?;
        let mut draft = self.clone();
        if reading.normalize {
            schema = schema.normalized().map_err(unreadable)?;
            draft.references.sort();
            draft.references.dedup();
        }
        schema.text().clone_into(&mut draft.text);
        let body = Arc::new(draft.body());
        Ok(Canonical { body, schema })
    }
}
