//! Groups, committed offsets and transactions as pure state machines: (state, request, now) -> (records, response).
//!
//! A caller asks for a [`Decision`], writes its `puts` and `markers` to the log as ONE atomic group, and only then hands
//! the same puts to [`Coordinator::replay`]. At start it replays all that the log holds: live and recovered state come
//! from the same code, so they cannot differ. A decision that could not be written changes nothing. (The members of a
//! group are the exception: they live in memory only, see [`Groups`].)
//!
//! The caller serialises: from a decision to its replay nobody else decides. Deliberately absent: tokio, the clock, files;
//! Kafka's error codes (they are the port's); for now the classic and the KIP-848 group protocols (see [`Groups`]).

mod codec;
mod coordinator;
mod decision;
mod groups;
mod key;
mod offsets;
mod transactions;

pub use codec::CorruptRecord;
pub use coordinator::Coordinator;
pub use decision::{Decision, Marker, Put};
pub use groups::{Assignment, Groups, Join, MemberId, UnknownMember};
pub use offsets::{CommittedOffset, MAX_METADATA_BYTES, MetadataTooLarge, Offsets};
pub use transactions::{
    Claim, InitProducerError, InvalidTimeout, MAX_TRANSACTION_TIMEOUT_MS, Transaction, TransactionError,
    TransactionState, TransactionVersion, Transactions,
};
