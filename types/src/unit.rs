use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A number of bytes, written as `64MB`, `512 KiB` or `1000`. `KB` and `KiB` both mean 1,024, as in Kafka's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct ByteSize(pub u64);

/// A length of time, written as `500ms`, `30s`, `5m`, `2h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct HumanDuration(pub Duration);

/// A quantity whose text is not a number with a known unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {wanted}")]
pub struct InvalidUnit {
    pub text: String,
    pub wanted: &'static str,
}

const SIZES: &[(&str, u64)] = &[
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("B", 1),
];
const DURATIONS_MS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// YAML hands over `64MB` as text and `64` as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit {
            text: text.into(),
            wanted: "a size such as 64MB",
        };
        let (number, unit) = split(text).ok_or_else(invalid)?;
        let unit = unit.to_ascii_uppercase().replace('I', "");
        let factor = match unit.as_str() {
            "" => 1,
            unit => {
                SIZES
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(invalid)?
                    .1
            }
        };
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit {
            text: text.into(),
            wanted: "a duration such as 500ms, 30s or 5m",
        };
        let (number, unit) = split(text).ok_or_else(invalid)?;
        let (_, ms) = DURATIONS_MS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(invalid)?;
        number
            .checked_mul(*ms)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(invalid)
    }
}

impl TryFrom<Scalar> for ByteSize {
    type Error = InvalidUnit;

    fn try_from(scalar: Scalar) -> Result<Self, InvalidUnit> {
        match scalar {
            Scalar::Number(bytes) => Ok(Self(bytes)),
            Scalar::Text(text) => text.parse(),
        }
    }
}

impl TryFrom<Scalar> for HumanDuration {
    type Error = InvalidUnit;

    fn try_from(scalar: Scalar) -> Result<Self, InvalidUnit> {
        match scalar {
            Scalar::Number(number) => number.to_string().parse(),
            Scalar::Text(text) => text.parse(),
        }
    }
}

fn show(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = units
        .iter()
        .find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match whole {
        Some((name, factor)) => write!(f, "{}{name}", number / factor),
        None => write!(f, "{number}{}", units.last().map_or("", |(name, _)| name)),
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, SIZES)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(
            f,
            u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX),
            DURATIONS_MS,
        )
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_sizes_and_durations_with_units() {
        assert_eq!("64MB".parse(), Ok(ByteSize(64 << 20)));
        assert_eq!("512 KiB".parse(), Ok(ByteSize(512 << 10)));
        assert_eq!("1000".parse(), Ok(ByteSize(1000)));
        assert!("64 apples".parse::<ByteSize>().is_err());
        assert!("99999999999TB".parse::<ByteSize>().is_err());
        assert_eq!("500ms".parse(), Ok(HumanDuration(Duration::from_millis(500))));
        assert_eq!("5m".parse(), Ok(HumanDuration(Duration::from_secs(300))));
        assert!("5".parse::<HumanDuration>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_the_same(bytes in any::<u64>(), ms in 0..u64::MAX / 2) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
            let duration = HumanDuration(Duration::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
