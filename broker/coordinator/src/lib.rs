//! Groups, committed offsets and transactions as pure state machines: (state, request, now) -> (records, response).
//!
//! A caller asks for a [`Decision`], writes its `puts` and `markers` to the log as ONE atomic group, and only then hands
//! the same puts to [`Coordinator::replay`]. At start it replays all that the log holds: live and recovered state come
//! from the same code, so they cannot differ. A decision that could not be written changes nothing. (Groups are the
//! exception: who waits and until when lives in memory, see [`Groups`].)
//!
//! The caller serialises: from a decision to its replay nobody else decides. Deliberately absent: tokio, the clock, files;
//! Kafka's error codes (they are the port's).

mod admin;
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
pub use groups::{
    Assignment, Caller, ClientInfo, ConsumerAnswer, ConsumerDescription, ConsumerGroupConfig,
    ConsumerHeartbeat, ConsumerMemberDescription, Effects, GroupConfig, GroupDescription, GroupError,
    GroupListing, GroupOverrides, Groups, JoinRefused, JoinRequest, Joined, JoinedMember, LocalJoin,
    MemberDescription, MemberId, MemberShare, MigrationPolicy, Partitions, Protocol, Reply, SyncRequest,
    Synced, Token, Topics, UnknownMember,
};
pub use offsets::{CommittedOffset, MAX_METADATA_BYTES, MetadataTooLarge, Offsets};
pub use transactions::{
    Claim, InitProducerError, InvalidTimeout, MAX_TRANSACTION_TIMEOUT_MS, Transaction, TransactionError,
    TransactionState, TransactionVersion, Transactions,
};
