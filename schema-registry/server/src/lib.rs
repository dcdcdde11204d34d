//! The schema registry over a log: the `_schemas` topic (`store/`) and Confluent's REST interface (`http/`).
//!
//! [`Registry`] is the registry in this process: what HTTP clients ask for goes through it, and what the broker and
//! pipelines ask for, without a hop; [`AvroSchemas`] is how pipelines and commands see it.

mod handle;
mod http;
mod metrics;
mod registry;
mod store;

pub use handle::{AvroSchemas, RegisteredSchema, RegistryError, SchemaText};
pub use http::{RegistryPort, router, serve};
pub use metrics::Lookup;
pub use registry::Registry;
pub use store::{Creation, DEFAULT_TOPIC, Failure, OpenError, RegistrySettings};
