//! What the schema registry decides, without a log, a clock or a socket.
//!
//! [`State`] is what the records of `_schemas` add up to; its methods answer questions, and decide what is written for a
//! request (`decide/`). [`record`] is the format of the topic, [`model`] what schemas carry, [`Refusal`] why not.

mod decide;
mod json;
mod messages;
pub mod model;
pub mod record;
mod refusal;
mod schemas;
mod state;
mod subject;

pub use decide::{Against, Comparison, Decision, Found, POLICIES, Registered, VersionId};
pub use refusal::Refusal;
pub use schemas::{Resolved, Schemas};
pub use state::{Applied, Deleted, Entry, LogRecord, State, Use, Version};
pub use subject::{CONTEXT_WILDCARD, DEFAULT_CONTEXT, QualifiedSubject, names_a_context, normal_context};
