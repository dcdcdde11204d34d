//! A point in time on the command line.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use millstream_types::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// `2013-01-15`, `2013-01-15T06:00:00` (both UTC), `2013-01-15T06:00:00+01:00` or milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Result<Moment, String> {
    let ms = text
        .parse::<i64>()
        .ok()
        .or_else(|| {
            DateTime::parse_from_rfc3339(text)
                .ok()
                .map(|time| time.timestamp_millis())
        })
        .or_else(|| text.parse::<NaiveDateTime>().ok().map(utc_ms))
        .or_else(|| {
            text.parse::<NaiveDate>()
                .ok()
                .map(|date| utc_ms(date.and_time(NaiveTime::MIN)))
        });
    ms.map(|ms| Moment(Timestamp(ms))).ok_or_else(|| {
        "expected a time such as 2013-01-15, 2013-01-15T06:00:00Z or milliseconds since 1970".to_owned()
    })
}

fn utc_ms(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms() {
        for (text, ms) in [
            ("1358229600000", 1_358_229_600_000),
            ("2013-01-15", 1_358_208_000_000),
            ("2013-01-15T06:00:00", 1_358_229_600_000),
            ("2013-01-15T06:00:00Z", 1_358_229_600_000),
            ("2013-01-15T07:00:00+01:00", 1_358_229_600_000),
        ] {
            assert_eq!(parse(text), Ok(Moment(Timestamp(ms))), "{text}");
        }
        assert!(parse("yesterday").is_err());
    }
}
