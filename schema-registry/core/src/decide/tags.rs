//! Tags within a schema: a change of them is a new version.

use millstream_schema_registry_avro::Strictness;

use super::{Decision, Registered, VersionId};
use crate::{
    model::{Body, Metadata, RuleSet, SchemaRequest, SchemaTags, TagRequest},
    refusal::Refusal,
    schemas::{Schemas, unreadable},
    state::State,
    subject::QualifiedSubject,
};

impl State {
    /// Registers a version of a subject anew, with other tags.
    pub fn tag(
        &self,
        schemas: &Schemas,
        subject: &QualifiedSubject,
        version: VersionId,
        request: &TagRequest,
    ) -> Result<Decision<Registered>, Refusal> {
        let (subject, version) = self.get(subject, version, false)?;
        let body = &version.body;
        if !body.is_avro() {
            let message = format!("Invalid schema type {}", body.type_name());
            return Err(Refusal::InvalidSchema { message });
        }
        let wrong = |error| unreadable(body.type_name(), &error);
        let schema = self.resolve(&subject, body.clone())?.parse(Strictness::Stored);
        let tagged = |tags: &[SchemaTags]| tags.iter().map(SchemaTags::tagged).collect::<Vec<_>>();
        let (add, remove) = (tagged(&request.tags_to_add), tagged(&request.tags_to_remove));
        let schema = schema
            .and_then(|schema| schema.with_tags(&add, &remove))
            .map_err(wrong)?;
        let number = request.new_version.unwrap_or(0);
        let metadata = request.metadata.as_ref().or(body.metadata.as_deref());
        let new = SchemaRequest {
            schema: Some(schema.text().to_owned()),
            references: body.references.to_vec(),
            metadata: Some(Metadata::set_version(metadata.cloned(), number)),
            rule_set: self.rules(&subject, request),
            version: Some(number),
            ..SchemaRequest::default()
        };
        self.register(schemas, &subject, &new, false)
    }

    fn rules(&self, subject: &QualifiedSubject, request: &TagRequest) -> Option<RuleSet> {
        if request.rules_to_merge.is_none() && request.rules_to_remove.is_none() {
            return request.rule_set.clone();
        }
        let before = match request.new_version {
            Some(number) => self.version(subject, number.saturating_sub(1), false),
            None => self.latest(subject),
        };
        let rules_of = |body: &Body| body.rule_set.as_deref().cloned();
        let rules = before.and_then(|version| rules_of(&version.body));
        let rules = RuleSet::merge(rules, request.rules_to_merge.as_ref())?;
        Some(rules.without(request.rules_to_remove.as_deref().unwrap_or_default()))
    }
}
