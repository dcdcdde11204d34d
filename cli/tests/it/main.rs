//! The built binary, as people and scripts use it: arguments in; stdout, stderr and exit code out.

mod dlq;
mod failures;
mod offsets;
mod pipelines;
mod support;
mod topics;
mod usage;
