//! File source and sink.
