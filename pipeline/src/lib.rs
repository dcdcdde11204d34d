//! Pipeline YAML: text to spec to validated plan.
mod plan;

pub use plan::{BadRecords, ErrorPolicy, LogChoice, Plan, PlannedTopic, ProcessorNode, SinkNode, SourceNode};
