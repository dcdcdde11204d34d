//! What a value must look like, and how Kafka calls that.

use std::ops::RangeInclusive;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    /// From, to.
    Int(i64, i64),
    Long(i64, i64),
    Double(f64, f64),
    OneOf(&'static [&'static str]),
    /// A comma-separated list of these, at least one.
    ListOf(&'static [&'static str]),
    /// A comma-separated list of anything.
    List,
    Text,
}

/// `ConfigType` of DescribeConfigs, in Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

impl Kind {
    pub(crate) fn config_type(self) -> ConfigType {
        match self {
            Self::Bool => ConfigType::Boolean,
            Self::Int(..) => ConfigType::Int,
            Self::Long(..) => ConfigType::Long,
            Self::Double(..) => ConfigType::Double,
            Self::OneOf(_) | Self::Text => ConfigType::String,
            Self::ListOf(_) | Self::List => ConfigType::List,
        }
    }

    /// What would be allowed, if a value is not.
    pub(crate) fn refuses(self, value: &str) -> Option<String> {
        let whole = |range: RangeInclusive<i64>| {
            let ok = value.parse().is_ok_and(|n: i64| range.contains(&n));
            (
                ok,
                format!("a whole number from {} to {}", range.start(), range.end()),
            )
        };
        let (ok, wanted) = match self {
            Self::Bool => (["true", "false"].contains(&value), "true or false".into()),
            Self::Int(from, to) | Self::Long(from, to) => whole(from..=to),
            Self::Double(from, to) => (
                value.parse().is_ok_and(|n: f64| (from..=to).contains(&n)),
                format!("a number from {from} to {to}"),
            ),
            Self::OneOf(names) => (names.contains(&value), format!("one of {}", names.join(", "))),
            Self::ListOf(names) => (
                value.split(',').all(|part| names.contains(&part.trim())),
                format!("a list of {}", names.join(", ")),
            ),
            Self::List | Self::Text => (true, String::new()),
        };
        (!ok).then_some(wanted)
    }
}
