//! Tasks that run pipelines.
