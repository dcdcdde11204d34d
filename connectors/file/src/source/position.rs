//! How far a task has come in each of its files.
//!
//! Encoding, version 1: JSON. Small enough to read by eye, and the number of files is bounded.

use millstream_sdk::{Position, TaskError};
use serde::{Deserialize, Serialize};

use super::files::Identity;

const VERSION: u16 = 1;

/// The files that a task has begun to read. A list, not a map: a rotated file and its successor share their path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) files: Vec<FileProgress>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileProgress {
    /// As the user wrote it, where there is no wildcard.
    pub(crate) path: String,
    pub(crate) identity: Identity,
    pub(crate) at: Place,
    /// The size of the file when its end was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<u64>,
}

/// Where in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Bytes of uncompressed text, or rows of a Parquet file.
    pub(crate) offset: u64,
    /// Lines before it. For Parquet the same as `offset`.
    pub(crate) lines: u64,
    /// The last row had no line end: what comes next must begin with one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unfinished: bool,
}

impl Progress {
    pub(crate) fn encode(&self) -> Position {
        let bytes = serde_json::to_vec(self).expect("structs of numbers and text are always JSON");
        Position {
            version: VERSION,
            bytes: bytes.into(),
        }
    }

    pub(crate) fn decode(position: &Position) -> Result<Self, TaskError> {
        let lost = |message: String| TaskError::Lost {
            what: "the position in the files".into(),
            message,
        };
        if position.version != VERSION {
            let version = position.version;
            return Err(lost(format!(
                "its version is {version}, this program knows {VERSION}"
            )));
        }
        serde_json::from_slice(&position.bytes).map_err(|error| lost(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_unknown_ones_are_refused() {
        let file = FileProgress {
            path: "a.csv".into(),
            identity: Identity {
                device: 1,
                inode: u64::MAX,
                length: 3,
                hash: u64::MAX - 1,
            },
            at: Place {
                offset: 9,
                lines: 2,
                unfinished: true,
            },
            ended_at: Some(9),
        };
        let progress = Progress { files: vec![file] };
        let mut position = progress.encode();
        assert_eq!(Progress::decode(&position).unwrap(), progress);
        position.version += 1;
        assert!(matches!(Progress::decode(&position), Err(TaskError::Lost { .. })));
        let garbage = Position {
            version: VERSION,
            bytes: b"{".as_slice().into(),
        };
        assert!(matches!(Progress::decode(&garbage), Err(TaskError::Lost { .. })));
    }
}
