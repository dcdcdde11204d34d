use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What may be done to a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    #[default]
    #[serde(rename = "READWRITE")]
    ReadWrite,
    #[serde(rename = "READONLY")]
    ReadOnly,
    /// Read-only for all, whatever a subject says for itself.
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    /// Schemas come with their ids and versions, and are not compared with others.
    #[serde(rename = "IMPORT")]
    Import,
    /// As `IMPORT`, for what is copied from elsewhere all the time.
    #[serde(rename = "FORWARD")]
    Forward,
}

impl Mode {
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadOnlyOverride)
    }

    pub fn imports(self) -> bool {
        matches!(self, Self::Import | Self::Forward)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
            Self::Forward => "FORWARD",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mode")]
pub struct NotAMode;

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let all = [
            Self::ReadWrite,
            Self::ReadOnly,
            Self::ReadOnlyOverride,
            Self::Import,
            Self::Forward,
        ];
        let found = all
            .into_iter()
            .find(|mode| text.eq_ignore_ascii_case(mode.name()));
        found.ok_or(NotAMode)
    }
}
