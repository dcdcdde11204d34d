use std::time::Duration;

use millstream_types::Record;

use crate::Problem;

/// What the runtime does next after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Wrong configuration: the node stops and shows where in the YAML.
    Config,
    /// May pass by itself: back off, restart the task from its last committed position, for ever, visibly.
    Retriable,
    /// One record is at fault: it goes to the dead letter topic and the rest goes on.
    BadRecord,
    /// Cannot pass by itself: the task stops until an operator acts. Also when data would be lost silently otherwise.
    Fatal,
}

/// The error of a running task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("{problem}")]
    Config { problem: Problem },
    /// `after`: the foreign system said when to come back.
    #[error("{message}")]
    Retry {
        message: String,
        after: Option<Duration>,
    },
    /// Another incarnation of this task has taken over; this one ends without a trace.
    #[error("fenced by a newer incarnation of the task")]
    Fenced,
    /// Something that should be there is gone (a file shrank, a slot was dropped): going on would lose data.
    #[error("{what} is lost: {message}")]
    Lost { what: String, message: String },
    #[error("{message}")]
    Fatal { message: String },
}

impl TaskError {
    pub fn retry(error: impl ToString) -> Self {
        Self::Retry {
            message: error.to_string(),
            after: None,
        }
    }

    pub fn fatal(error: impl ToString) -> Self {
        Self::Fatal {
            message: error.to_string(),
        }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } => ErrorKind::Config,
            Self::Retry { .. } => ErrorKind::Retriable,
            Self::Fenced | Self::Lost { .. } | Self::Fatal { .. } => ErrorKind::Fatal,
        }
    }
}

/// A record that could not be read, evaluated or written ([`ErrorKind::BadRecord`]). The runtime writes it to the
/// dead letter topic with the reason and origin as headers, in the same transaction as the batch it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// As it came: the original bytes.
    pub record: Record,
    pub reason: String,
    /// Facts of the origin, for example `("file", "a.csv"), ("line", "17")`.
    pub origin: Vec<(&'static str, String)>,
}
