//! The Kafka wire: frames, messages, record batches, error codes. Bytes in, values out.
//!
//! - [`batch`]: record batches (magic 2) as views into the buffer they came in, and their writer.
//! - [`frame`]: size-prefixed frames and the part of a request header that is the same in every version.
//! - [`messages`]: all requests and responses (crate `kafka-protocol`, re-exported so that the workspace has one version)
//!   and a decoder for those that strangers sent.
//! - [`ErrorCode`]: Kafka's error codes.
//!
//! Invariants: no input makes this crate panic or allocate more than a stated bound. Deliberately absent: sockets, tokio,
//! record batches of magic 0 and 1 (Kafka 4 has dropped them too, KIP-896).

pub mod batch;
mod error_code;
pub mod frame;
pub mod messages;

pub use error_code::ErrorCode;
