//! Values as text, in the one spelling that every format uses, and back.
//!
//! `read(write(value)) == value` for every value of every type. Times are RFC 3339; a timestamp outside of the years
//! 0000 to 9999 is written as a count of its unit since the epoch, which is read everywhere.

use std::io::Write;

use arrow_array::{ArrayRef, cast::AsArray, downcast_integer_array, types::*};
use arrow_cast::{
    base64::{BASE64_STANDARD, Engine},
    parse::string_to_datetime,
};
use arrow_schema::{DataType, TimeUnit};
use chrono::Utc;
use lexical_core::{BUFFER_SIZE, ToLexical};

/// How a text must be framed in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number or truth value.
    Bare,
    /// Text; unless it comes from a text column, without characters that need an escape.
    Quoted,
}

/// Writes the value of one row (which is not NULL).
pub(crate) type Writer<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Kind + 'a>;

const DAY_SECONDS: i64 = 86_400;

/// The writer of a column. Its type is supported: encoders check when they are built.
pub(crate) fn writer(array: &ArrayRef) -> Writer<'_> {
    downcast_integer_array!(
        array => Box::new(move |row, out| write_number(array.value(row), out)),
        DataType::Boolean => {
            let array = array.as_boolean();
            Box::new(move |row, out| {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
                Kind::Bare
            })
        }
        DataType::Float32 => {
            let array = array.as_primitive::<Float32Type>();
            Box::new(move |row, out| write_float(array.value(row), array.value(row).into(), out))
        }
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            Box::new(move |row, out| write_float(array.value(row), array.value(row), out))
        }
        DataType::Decimal128(_, scale) => {
            let (array, scale) = (array.as_primitive::<Decimal128Type>(), scale.unsigned_abs());
            Box::new(move |row, out| write_decimal(array.value(row), scale, out))
        }
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            Box::new(move |row, out| {
                write_date(array.value(row).into(), out);
                Kind::Quoted
            })
        }
        DataType::Timestamp(unit, zone) => timestamp_writer(array, *unit, zone.is_some()),
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            Box::new(move |row, out| {
                out.extend_from_slice(array.value(row).as_bytes());
                Kind::Quoted
            })
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            Box::new(move |row, out| {
                out.extend_from_slice(BASE64_STANDARD.encode(array.value(row)).as_bytes());
                Kind::Quoted
            })
        }
        other => unreachable!("the encoder was built for supported types, not {other}"),
    )
}

pub(crate) fn write_number<T: ToLexical>(value: T, out: &mut Vec<u8>) -> Kind {
    let mut digits = [0; BUFFER_SIZE];
    out.extend_from_slice(lexical_core::write(value, &mut digits));
    Kind::Bare
}

/// The shortest text that reads back as the same number; infinities and NaN by name. `wide` is the same number.
pub(crate) fn write_float<T: ToLexical>(value: T, wide: f64, out: &mut Vec<u8>) -> Kind {
    if wide.is_finite() {
        return write_number(value, out);
    }
    let name: &[u8] = match wide {
        wide if wide.is_nan() => b"NaN",
        wide if wide > 0.0 => b"Infinity",
        _ => b"-Infinity",
    };
    out.extend_from_slice(name);
    Kind::Quoted
}

pub(crate) fn write_decimal(value: i128, scale: u8, out: &mut Vec<u8>) -> Kind {
    let one = 10_u128.pow(scale.into());
    let (whole, fraction) = (value.unsigned_abs() / one, value.unsigned_abs() % one);
    if value < 0 {
        out.push(b'-');
    }
    write_number(whole, out);
    write_fraction(fraction, scale.into(), out);
    Kind::Bare
}

/// `.` and exactly so many digits; nothing for none.
pub(crate) fn write_fraction(mut fraction: u128, digits: usize, out: &mut Vec<u8>) {
    if digits == 0 {
        return;
    }
    out.push(b'.');
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit += (fraction % 10) as u8;
        fraction /= 10;
    }
}

fn timestamp_writer(array: &ArrayRef, unit: TimeUnit, has_zone: bool) -> Writer<'_> {
    macro_rules! writer {
        ($type:ty, $digits:expr) => {{
            let array = array.as_primitive::<$type>();
            Box::new(move |row, out| write_timestamp(array.value(row), $digits, has_zone, out))
        }};
    }
    match unit {
        TimeUnit::Second => writer!(TimestampSecondType, 0),
        TimeUnit::Millisecond => writer!(TimestampMillisecondType, 3),
        TimeUnit::Microsecond => writer!(TimestampMicrosecondType, 6),
        TimeUnit::Nanosecond => writer!(TimestampNanosecondType, 9),
    }
}

/// `digits`: of the fraction of a second that one unit is.
pub(crate) fn write_timestamp(value: i64, digits: u32, has_zone: bool, out: &mut Vec<u8>) -> Kind {
    let per_second = 10_i64.pow(digits);
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    if !(0..=9999).contains(&civil(days).0) {
        return write_number(value, out);
    }
    write_date(days, out);
    for (separator, number) in [
        (b'T', second / 3600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(separator);
        write_two_digits(number, out);
    }
    write_fraction(fraction.unsigned_abs().into(), digits as usize, out);
    if has_zone {
        out.push(b'Z');
    }
    Kind::Quoted
}

pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if let 0..=9999 = year {
        write_two_digits(year / 100, out);
        write_two_digits(year % 100, out);
    } else {
        write!(out, "{year:+05}").expect("writing to memory never fails");
    }
    for number in [month, day] {
        out.push(b'-');
        write_two_digits(number, out);
    }
}

pub(crate) fn write_two_digits(number: i64, out: &mut Vec<u8>) {
    let digit = |number: i64| b'0' + u8::try_from(number).expect("a part of a date has two digits");
    out.extend_from_slice(&[digit(number / 10), digit(number % 10)]);
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html>: years begin in March there, so leap days come last).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339, with or without zone (without: UTC), a date alone, or a count of `unit` since the epoch. Finer fractions
/// than the unit are cut off.
pub(crate) fn parse_timestamp(text: &str, unit: TimeUnit) -> Option<i64> {
    let text = text.trim();
    let Ok(time) = string_to_datetime(&Utc, text) else {
        return text.parse().ok();
    };
    match unit {
        TimeUnit::Second => Some(time.timestamp()),
        TimeUnit::Millisecond => Some(time.timestamp_millis()),
        TimeUnit::Microsecond => Some(time.timestamp_micros()),
        TimeUnit::Nanosecond => time.timestamp_nanos_opt(),
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is_one_of(["true", "t", "1"]) => Some(true),
        _ if is_one_of(["false", "f", "0"]) => Some(false),
        _ => None,
    }
}

/// `12.0` and `1e3` are whole numbers too: JavaScript and pandas write them so.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    /// Beyond it a double skips whole numbers, so the text may have meant another one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number: f64 = text.trim().parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Exact: a number with more digits than the type has is none.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let fraction_digits = point.map_or(0, |point| digits.len() - point - 1);
    let mut value = 0_i128;
    let mut has_digits = false;
    for (n, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?,
            b'.' if Some(n) == point => continue,
            _ => return None,
        }
        has_digits = true;
    }
    let shift = i32::from(scale)
        .checked_add(exponent)?
        .checked_sub(i32::try_from(fraction_digits).ok()?)?;
    let value = shift_decimal(value, shift)?;
    let limit = 10_u128.checked_pow(precision.into())?;
    (has_digits && value.unsigned_abs() < limit).then_some(if negative { -value } else { value })
}

/// `value * 10^shift` if that is a whole number of 127 bits.
fn shift_decimal(value: i128, shift: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        value.checked_mul(factor?)
    } else {
        let factor = factor?;
        (value % factor == 0).then_some(value / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_decimals_exactly() {
        let check =
            |text: &str, expected: Option<i128>| assert_eq!(parse_decimal(text, 6, 2), expected, "{text}");
        check("12.5", Some(1250));
        check("-0.01", Some(-1));
        check("+7", Some(700));
        check(".5", Some(50));
        check("5.", Some(500));
        check("1.2300", Some(123));
        check("1.234", None);
        check("12e1", Some(12_000));
        check("1e-2", Some(1));
        check("0e999999999", Some(0));
        check("1e2147483647", None);
        check("9999.99", Some(999_999));
        check("10000", None);
        for text in ["", ".", "-", "e5", "1e", "1.2.3", "--1", "0x1", "ä"] {
            check(text, None);
        }
    }

    #[test]
    fn writes_times_in_rfc_3339() {
        let check = |value, digits, zone, expected: &str| {
            let mut out = Vec::new();
            write_timestamp(value, digits, zone, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0, 3, true, "1970-01-01T00:00:00.000Z");
        check(-1, 6, false, "1969-12-31T23:59:59.999999");
        check(1_357_034_400, 0, true, "2013-01-01T10:00:00Z");
        check(i64::MAX, 0, true, "9223372036854775807");
        check(951_782_400, 0, false, "2000-02-29T00:00:00");
    }

    #[test]
    fn reads_the_spellings_of_time_that_occur() {
        let check = |text, expected| {
            assert_eq!(parse_timestamp(text, TimeUnit::Millisecond), expected, "{text}");
        };
        check("2013-01-01T10:00:00Z", Some(1_357_034_400_000));
        check("2013-01-01 10:00:00", Some(1_357_034_400_000));
        check("2013-01-01T05:00:00.5-05:00", Some(1_357_034_400_500));
        check("2013-01-01", Some(1_356_998_400_000));
        check("1357034400000", Some(1_357_034_400_000));
        check("yesterday", None);
        check("2013-13-01T00:00:00Z", None);
    }

    #[test]
    fn whole_numbers_may_be_spelled_as_floats() {
        assert_eq!(whole_number("12.0"), Some(12));
        assert_eq!(whole_number("1e3"), Some(1000));
        assert_eq!(whole_number("12.5"), None);
        assert_eq!(whole_number("1e300"), None);
        assert_eq!(whole_number("NaN"), None);
    }
}
