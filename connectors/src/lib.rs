//! The list of built-in connectors.

use millstream_connectors_file::{FileSinkFactory, FileSourceFactory};
use millstream_sdk::Catalog;

/// All built-in connectors: one line each.
pub fn catalog() -> Catalog {
    Catalog::default()
        .with_source(FileSourceFactory)
        .with_sink(FileSinkFactory)
}
