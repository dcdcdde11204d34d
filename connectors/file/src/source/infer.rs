//! Column types from a sample of values, where the user did not say.

use arrow_schema::{DataType, TimeUnit};

use super::check::{is_plain_date, is_plain_timestamp};

/// What all values of a column so far could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Guess {
    /// No value seen.
    #[default]
    Unknown,
    Boolean,
    Integer,
    Double,
    Date,
    Timestamp,
    /// With a zone.
    Instant,
    Text,
}

impl Guess {
    pub(crate) fn of_text(text: &str) -> Self {
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Self::Boolean;
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        // A leading zero is not how numbers are written: zip codes and account numbers are text.
        let is_code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if digits.starts_with(|c: char| c.is_ascii_digit()) && !is_code {
            if text.parse::<i64>().is_ok() {
                return Self::Integer;
            }
            if text.parse::<f64>().is_ok() {
                return Self::Double;
            }
        }
        let bytes = text.as_bytes();
        match () {
            () if bytes.len() == 10 && is_plain_date(bytes) => Self::Date,
            () if is_plain_timestamp(bytes) && text.ends_with('Z') => Self::Instant,
            () if is_plain_timestamp(bytes) => Self::Timestamp,
            () => Self::Text,
        }
    }

    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::Integer, Self::Double) | (Self::Double, Self::Integer) => Self::Double,
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Self::Timestamp,
            _ => Self::Text,
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Unknown | Self::Text => DataType::Utf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_the_narrowest_type_that_fits_all_its_values() {
        let check = |values: &[&str], expected: Guess| {
            let guess = values
                .iter()
                .fold(Guess::Unknown, |guess, v| guess.and(Guess::of_text(v)));
            assert_eq!(guess, expected, "{values:?}");
        };
        check(&[], Guess::Unknown);
        check(&["1", "-2"], Guess::Integer);
        check(&["1", "2.5"], Guess::Double);
        check(&["10", "007"], Guess::Text);
        check(&["0.5", "0"], Guess::Double);
        check(&["99999999999999999999"], Guess::Double);
        check(&["true", "FALSE"], Guess::Boolean);
        check(&["true", "1"], Guess::Text);
        check(&["2013-01-01"], Guess::Date);
        check(&["2013-01-01", "2013-01-01 10:00:00"], Guess::Timestamp);
        check(&["2013-01-01T10:00:00Z"], Guess::Instant);
        check(&["nan", "inf"], Guess::Text);
    }
}
