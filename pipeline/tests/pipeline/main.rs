//! The pipeline format from the outside: text in, plan or diagnostics out.

mod anything;
mod avro;
mod fakes;
mod json_schema;
mod plans;
mod problems;
mod references;
mod whole;
