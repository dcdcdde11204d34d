//! Avro schemas as Java reads and writes them: text, fingerprints, compatibility, binary data.
//!
//! Apache Avro's Java library 1.12 is the oracle of everything here, for it is what the producers and consumers of a
//! schema registry run (docs/adr/0010).

mod model;

pub use model::{
    Enum, Field, Fixed, Kind, Logical, Name, Node, NodeId, Order, Properties, Record, Schema, SchemaError,
    Strictness,
};
