//! The binary as its users run it: real data, real clients, real kills.

mod clients;
mod flights;
mod kafka_port;
mod kills;
mod millstream;
mod readme;
