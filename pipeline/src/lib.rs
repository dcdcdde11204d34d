//! Pipeline YAML: text to spec to validated plan.
//!
//! [`parse`] checks all that can be known from the file alone; the caller then asks each source for its streams, and
//! [`Pipeline::plan`] types every edge and fits every node. Both say everything that is wrong at once, each with line,
//! column, reason and cure ([`Diagnostics`]).
//!
//! Invariant: no I/O, no clock; any text gives a plan or diagnostics, never a panic. Deliberately absent: connectors
//! and processors themselves, which come as a `millstream_sdk::Catalog`.

mod columns;
mod diagnostics;
mod later;
mod pipeline;
mod plan;
mod policy;
mod read;
mod reference;
mod resolve;
mod schema;
mod shorthand;
mod spec;
mod suggest;
mod tree;
mod validate;
mod yaml;

pub use diagnostics::{Diagnostics, Located};
pub use pipeline::{Pipeline, SinkRef, SourceRef, UnknownColumns};
pub use plan::{
    AvroTopic, BadRecords, Conversion, ErrorPolicy, LogChoice, Plan, PlannedTopic, ProcessorNode, SinkNode,
    SourceNode,
};
pub use read::parse;
pub use schema::json_schema;
