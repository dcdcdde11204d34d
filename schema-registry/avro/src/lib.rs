//! Avro schemas as Java reads and writes them: text, fingerprints, compatibility, binary data.
//!
//! Apache Avro's Java library 1.12.1 is the oracle of everything here, for it is what the producers and consumers of a
//! schema registry run, and the registry of Confluent (docs/adr/0010).

pub mod binary;
pub mod compat;
mod fingerprint;
mod json;
mod logical;
mod model;
mod names;
mod normalize;
mod parse;
mod shape;
mod tags;
pub mod testing;
mod text;
pub mod wire;

pub use fingerprint::crc64;
pub use model::{
    Enum, Field, Fixed, Kind, Logical, Name, Node, NodeId, Order, Properties, Record, Schema, SchemaError,
    Strictness,
};
pub use parse::MAX_TEXT_BYTES;
pub use tags::{Entity, EntityKind, Tagged};
