//! The broker and its Kafka-compatible port.
//!
//! [`Broker`] is the node: storage and coordinator behind one set of calls. `net/` and `api/` put Kafka's protocol in
//! front of it; `broker/embedded` uses it without a socket.

mod api;
mod broker;
mod budget;
mod config;
mod http;
mod loggers;
mod loopback;
mod metrics;
mod net;
mod quotas;
mod schemas;

pub use broker::{
    AlterSettingsError, Broker, BrokerConfig, CommitOffsetsError, GroupOffsets, InitError, JoinError, Joined,
    OpenError, ProduceError, TransactionDescription, TransactionRequestError,
};
pub use config::{
    BrokerSettings, ConsumerGroupSettings, DynamicSettings, Endpoint, GroupSettings, InvalidProperties,
    InvalidSetting, InvalidSettings, read_properties,
};
pub use http::MonitorPort;
pub use loggers::{LoggerError, Loggers, ROOT_LOGGER};
pub use loopback::{Closed, Loopback, LoopbackAnswer, LoopbackConnection};
pub use metrics::scrape;
pub use millstream_broker_coordinator::{
    Assignment, Caller, Claim, ClientInfo, CommittedOffset, GroupDescription, GroupError, GroupListing,
    InitProducerError, InvalidTimeout, MAX_TRANSACTION_TIMEOUT_MS, MemberDescription, MemberId, MemberShare,
    MetadataTooLarge, TransactionError, TransactionState, TransactionVersion, UnknownMember,
};
pub use net::{ListenError, ListenerConfig, ServerConfig, ServerHandle, serve};
pub use schemas::SchemaSource;
