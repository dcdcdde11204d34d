//! Record values to Arrow columns and back.
//!
//! - [`Decoder`]: the wanted columns of a micro-batch of records; a record that cannot be read is named, the rest goes on.
//! - [`Encoder`]: one value per row of a batch; decoding it again gives the same row.
//! - [`KeyReader`], [`key_text`]: the text of one column, which becomes a record key.
//!
//! Every text format works in the same two steps: it *splits* a value into the texts of the wanted columns, without copying
//! (`cell`), then `column` parses each column in one loop. The way back is the mirror image:
//! `text` writes a cell, the format frames it.
//!
//! Avro ([`avro`]) goes from bytes to columns in one step; [`Decoder`] and [`Encoder`] hand over to it.
//!
//! Deliberately absent: files and framing between records (a record is one value), Protobuf, nested columns.

pub mod avro;
mod cell;
mod column;
mod csv;
mod decode;
mod encode;
mod error;
mod headers;
mod json;
mod key;
mod text;

pub use csv::{csv_field_end, is_csv_null};
pub use decode::{Decoded, Decoder};
pub use encode::{Encoded, Encoder};
pub use error::FormatError;
pub use headers::carried;
pub use key::{KeyReader, key_text, key_texts};
