//! The log of this process, by the parts that write it, as administrators see and turn it (KIP-412).

use std::fmt;

use tracing::level_filters::LevelFilter;

/// What the rest of the loggers have that have no level of their own.
pub const ROOT_LOGGER: &str = "root";

/// Whoever set up the log of this process. A logger is a target of `tracing`, such as `millstream_broker_server`.
pub trait Loggers: fmt::Debug + Send + Sync {
    /// All loggers with the levels in force, [`ROOT_LOGGER`] among them.
    fn levels(&self) -> Vec<(String, LevelFilter)>;

    /// Gives a logger a level of its own, or takes it away.
    fn set(&self, changes: &[(String, Option<LevelFilter>)]) -> Result<(), LoggerError>;
}

/// Why levels were not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggerError {
    #[error("there is no logger '{name}'")]
    Unknown { name: String },
    #[error("the log of this process cannot be changed any more: {reason}")]
    Gone { reason: String },
}

/// Kafka's names; nothing is fatal here, so that level is silence.
pub(crate) const LEVELS: [(&str, LevelFilter); 6] = [
    ("TRACE", LevelFilter::TRACE),
    ("DEBUG", LevelFilter::DEBUG),
    ("INFO", LevelFilter::INFO),
    ("WARN", LevelFilter::WARN),
    ("ERROR", LevelFilter::ERROR),
    ("FATAL", LevelFilter::OFF),
];

pub(crate) fn level_name(level: LevelFilter) -> &'static str {
    LEVELS
        .into_iter()
        .find(|(_, known)| *known == level)
        .map_or("INFO", |(name, _)| name)
}

pub(crate) fn parse_level(name: &str) -> Option<LevelFilter> {
    LEVELS
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))
        .map(|(_, level)| level)
}
