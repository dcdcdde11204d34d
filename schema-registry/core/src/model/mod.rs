//! What a schema carries beside its text, and how a subject is configured: Confluent's entities, field by field.
//!
//! The order of fields is the order in the JSON of `_schemas`, and of the bytes that a GUID is made of.

mod config;
mod level;
mod metadata;
mod mode;
mod references;
mod request;
mod rules;
mod schema;
mod tags;

pub use config::{Config, ConfigUpdate};
pub use metadata::Metadata;
pub use millstream_schema_registry_avro::compat::Level;
pub use mode::Mode;
pub use references::Reference;
pub use request::SchemaRequest;
pub use rules::{Rule, RuleKind, RuleMode, RuleSet};
pub use schema::{AVRO, Body, Guid};
pub use tags::{EntityType, SchemaEntity, SchemaTags, TagRequest};
