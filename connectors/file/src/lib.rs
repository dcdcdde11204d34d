//! Files as a source and as a sink: `type: file`.
//!
//! The reference for users is docs/connectors/file.md.

mod config;
mod hash;
mod sink;
mod source;

pub use sink::FileSinkFactory;
pub use source::FileSourceFactory;
