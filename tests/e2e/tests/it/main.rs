//! The binary as its users run it: real data, real clients, real kills.
#![allow(
    clippy::print_stdout,
    reason = "tests tell what they skip and what they found"
)]

mod avro;
mod clients;
mod flights;
mod kafka_port;
mod kills;
mod millstream;
mod readme;
mod registry;
mod serving;
