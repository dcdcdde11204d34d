//! Compatibility levels: which versions a new one is compared with, and which way.

use std::{borrow::Borrow, fmt, str::FromStr};

use super::{Finding, Policy, check_with};
use crate::model::Schema;

/// What a subject promises its readers and writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    None,
    /// The new schema reads what the last one wrote.
    Backward,
    /// The new schema reads what any version wrote.
    BackwardTransitive,
    /// The last schema reads what the new one writes.
    Forward,
    /// Every version reads what the new one writes.
    ForwardTransitive,
    /// Both ways, with the last version.
    Full,
    /// Both ways, with every version.
    FullTransitive,
}

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of {levels}", levels = Level::ALL.map(Level::as_str).join(", "))]
pub struct UnknownLevel(String);

impl Level {
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether all versions count, and not the last alone.
    pub fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    /// Which way the versions are compared, in the order of the findings.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Any case, as Confluent's registry takes it.
    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        let is_word = |level: &&Self| level.as_str().eq_ignore_ascii_case(word);
        Self::ALL
            .iter()
            .find(is_word)
            .copied()
            .ok_or_else(|| UnknownLevel(word.into()))
    }
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The new schema reads what the earlier one wrote.
    Backward,
    /// The earlier schema reads what the new one writes.
    Forward,
}

/// Why the new schema and one earlier version do not get along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFindings {
    /// Which of the earlier versions, as an index into them.
    pub version: usize,
    pub direction: Direction,
    /// At least one.
    pub findings: Vec<Finding>,
}

/// Compares a new schema with earlier versions, oldest first, and says everything that is wrong: the newest version
/// first.
pub fn check_level(new: &Schema, previous: &[impl Borrow<Schema>], level: Level) -> Vec<VersionFindings> {
    violations(new, previous, level, Policy::Java).collect()
}

/// Like [`check_level`], by a policy and version by version: whoever needs the first one only pays for no more.
pub fn violations<'s, S: Borrow<Schema>>(
    new: &'s Schema,
    previous: &'s [S],
    level: Level,
    policy: Policy,
) -> impl Iterator<Item = VersionFindings> + use<'s, S> {
    let first = match level.is_transitive() {
        true => 0,
        false => previous.len().saturating_sub(1),
    };
    let versions = (first..previous.len()).rev();
    versions
        .flat_map(move |version| {
            level
                .directions()
                .iter()
                .map(move |&direction| (version, direction))
        })
        .filter_map(move |(version, direction)| {
            let earlier = previous[version].borrow();
            let findings = match direction {
                Direction::Backward => check_with(new, earlier, policy),
                Direction::Forward => check_with(earlier, new, policy),
            };
            (!findings.is_empty()).then_some(VersionFindings {
                version,
                direction,
                findings,
            })
        })
}
