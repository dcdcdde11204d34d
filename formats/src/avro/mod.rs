//! Avro data to columns and back.
//!
//! [`Layout`]: the columns of a reader's schema, or some of them. [`Decoder`]: data of any writer's schema to those columns,
//! along a plan that is compiled once for each writer (`plan`): it knows the promotions, aliases, defaults and unions of the
//! two schemas, and passes over what nobody wants without decoding it. Data goes straight into vectors that become Arrow's
//! arrays (`columns`). A datum that is wrong is named with byte and field, and the rest goes on.
//!
//! Types with no counterpart among columns are JSON text: unions of several types, and records that contain themselves.
//! With [`Types::Plain`] records, arrays and maps are JSON too.
//!
//! [`JsonDecoder`]: data of any registered schema to JSON. [`Encoder`]: columns to data of a schema, [`JsonEncoder`]: JSON to data of a schema, [`derive`]: the schema of columns.
//!
//! Deliberately absent: how schemas are found ([`millstream_sdk::Schemas`]), container files.

mod columns;
mod decoder;
mod derive;
mod encode;
mod json;
mod layout;
mod literal;
mod plan;
mod resolve;
mod rows;
mod scalar;
mod stream;
mod writers;

pub use decoder::Decoder;
pub use derive::{DeriveError, derive};
pub use encode::{EncodeError, Encoder, JsonEncoder};
pub use json::JsonDecoder;
pub use layout::{Layout, LayoutError, Types};
pub use plan::PlanError;
pub use stream::{AvroStreamError, columns, schema_text};
pub(crate) use stream::{StreamDecoder, schema};
pub(crate) use writers::Framed;
