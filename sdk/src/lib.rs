//! The contract of connectors and processors: what the runtime promises them and what they promise the runtime.
//!
//! The principles:
//! - the runtime owns the log, transactions, retries and dead letters; a connector moves batches and declares positions;
//! - progress is an opaque [`Position`], committed in the same log transaction as the records it covers;
//! - a sink may own its offsets; else the consumer group holds them;
//! - errors are classified ([`TaskError`]), each class names what the runtime does next;
//! - nothing is acknowledged upstream before [`Source::on_durable`].
//!
//! Deliberately absent: the log, topics' partitions, threads. A connector never names any of them.

mod avro;
mod catalog;
mod column_type;
mod config;
mod error;
mod processor;
mod schema;
mod sink;
mod source;
pub mod testing;

pub use avro::{AvroFormat, NoSchemas, SchemaText, Schemas, SchemasError};
pub use catalog::{Catalog, Guarantee, Spec};
pub use column_type::{UnknownType, is_supported, parse_type, type_name, type_names};
pub use config::{Config, ConfigPath, PathSegment, Problem};
pub use error::{ErrorKind, Rejected, TaskError};
pub use processor::{Processed, Processor, ProcessorFactory, ProcessorPlan};
pub use schema::{CsvDialect, Output, StreamSchema, ValueFormat};
pub use sink::{Range, RollReason, Sink, SinkFactory, SinkPlan};
pub use source::{
    Finding, Position, Source, SourceEvent, SourceFactory, SourceTask, StreamDesc, TaskContext,
};
