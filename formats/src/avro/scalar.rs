//! Single values that take more than a copy: decimals, times in other units, and all that has a text of its own.

use std::io::Write;

use arrow_buffer::{IntervalMonthDayNano, i256};
use arrow_cast::base64::{BASE64_STANDARD, Engine};
use millstream_schema_registry_avro::binary::{Cursor, Fault};

use super::columns::Full;
use crate::text::{self, Kind};

/// What stops the decoding of a datum.
pub(super) enum Stop {
    Fault(Fault),
    /// Right as data, but not to be read as the reader's type.
    Unreadable(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Full> for Stop {
    fn from(Full: Full) -> Self {
        Self::Unreadable("more than a column of one batch can hold".into())
    }
}

/// A decimal's digits, as they are written and as they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Of a fixed; bytes say theirs.
    pub(super) size: Option<usize>,
    pub(super) precision: u32,
    pub(super) scale: u32,
    /// The scale that is read less the one that is written.
    pub(super) shift: i32,
}

impl Decimal {
    /// What 256 bits can hold.
    pub(super) const MAX_PRECISION: u32 = 76;

    fn bytes<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
        match self.size {
            Some(size) => cursor.take(size),
            None => cursor.bytes(),
        }
    }

    fn wrong(&self) -> Stop {
        let Self { precision, scale, .. } = self;
        Stop::Unreadable(format!("not a number of decimal({precision}, {scale})"))
    }

    /// For precisions up to 38.
    pub(super) fn read128(&self, cursor: &mut Cursor<'_>) -> Result<i128, Stop> {
        let bytes = self.bytes(cursor)?;
        self.of_128(bytes).ok_or_else(|| self.wrong())
    }

    fn of_128(&self, bytes: &[u8]) -> Option<i128> {
        let value = i128::from_be_bytes(widened(bytes)?);
        let power = 10_i128.checked_pow(self.shift.unsigned_abs());
        let value = match self.shift {
            0 => value,
            1.. => value.checked_mul(power?)?,
            _ => value
                .checked_div(power?)
                .filter(|short| short * power.unwrap_or(1) == value)?,
        };
        (value.unsigned_abs() < 10_u128.checked_pow(self.precision)?).then_some(value)
    }

    pub(super) fn read256(&self, cursor: &mut Cursor<'_>) -> Result<i256, Stop> {
        let bytes = self.bytes(cursor)?;
        self.of_256(bytes).ok_or_else(|| self.wrong())
    }

    fn of_256(&self, bytes: &[u8]) -> Option<i256> {
        let ten = i256::from_i128(10);
        let value = i256::from_be_bytes(widened(bytes)?);
        let power = ten.checked_pow(self.shift.unsigned_abs());
        let value = match self.shift {
            0 => value,
            1.. => value.checked_mul(power?)?,
            _ => {
                let power = power?;
                let short = value.checked_div(power)?;
                (short.checked_mul(power)? == value).then_some(short)?
            }
        };
        let limit = ten.checked_pow(self.precision)?;
        (value < limit && value > limit.wrapping_neg()).then_some(value)
    }

    /// Appends the number, with as many digits behind the point as the scale says.
    fn write(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Stop> {
        let value = self.read256(cursor)?;
        write_decimal(value, self.scale as usize, out);
        Ok(())
    }
}

/// A big-endian number in two's complement, as one of so many bytes.
fn widened<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; N];
    let kept = bytes.len().min(N);
    let (surplus, kept) = bytes.split_at(bytes.len() - kept);
    wide[N - kept.len()..].copy_from_slice(kept);
    let is_same_sign = (wide[0] ^ sign) & 0x80 == 0;
    (surplus.iter().all(|byte| *byte == sign) && is_same_sign).then_some(wide)
}

fn write_decimal(value: i256, scale: usize, out: &mut Vec<u8>) {
    if let Some((value, scale)) = value
        .to_i128()
        .zip(u8::try_from(scale).ok().filter(|scale| *scale <= 38))
    {
        text::write_decimal(value, scale, out);
        return;
    }
    let digits = value.to_string();
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.as_str()),
    };
    out.extend_from_slice(sign.as_bytes());
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// A count in a unit of time that is read as a count in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// Written as an int.
    pub(super) is_int: bool,
    pub(super) multiply: i64,
    pub(super) divide: i64,
}

impl Scale {
    /// Rounded towards the past, like all that is cut off of times.
    pub(super) fn read(self, cursor: &mut Cursor<'_>) -> Result<i64, Stop> {
        let value = whole(self.is_int, cursor)?;
        let wide = value.checked_mul(self.multiply).ok_or_else(|| {
            Stop::Unreadable(format!("{value} is out of range in the reader's unit of time"))
        })?;
        Ok(wide.div_euclid(self.divide))
    }
}

fn whole(is_int: bool, cursor: &mut Cursor<'_>) -> Result<i64, Fault> {
    if is_int {
        Ok(cursor.int()?.into())
    } else {
        cursor.long()
    }
}

/// A value with a text of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) kind: ScalarKind,
    /// Whether text is put in quotes.
    pub(super) is_json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Date,
    /// With so many digits of a second.
    Time {
        scale: Scale,
        digits: u32,
    },
    Timestamp {
        scale: Scale,
        digits: u32,
        has_zone: bool,
    },
    Decimal(Decimal),
    /// Of 16 bytes.
    Uuid,
    Duration,
    /// Numbers that are read as others.
    WholeAsFloat {
        is_int: bool,
    },
    WholeAsDouble {
        is_int: bool,
    },
    FloatAsDouble,
}

impl Scalar {
    pub(super) fn write(self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Stop> {
        let start = out.len();
        let kind = match self.kind {
            ScalarKind::Date => {
                text::write_date(cursor.int()?.into(), out);
                Kind::Quoted
            }
            ScalarKind::Time { scale, digits } => write_time(scale.read(cursor)?, digits, out),
            ScalarKind::Timestamp {
                scale,
                digits,
                has_zone,
            } => text::write_timestamp(scale.read(cursor)?, digits, has_zone, out),
            ScalarKind::Decimal(decimal) => {
                decimal.write(cursor, out)?;
                Kind::Bare
            }
            ScalarKind::Uuid => {
                write_uuid(cursor.array()?, out);
                Kind::Quoted
            }
            ScalarKind::Duration => {
                write_duration(cursor.array()?, out);
                Kind::Quoted
            }
            ScalarKind::WholeAsFloat { is_int } => {
                let float = whole(is_int, cursor)? as f32;
                text::write_float(float, float.into(), out)
            }
            ScalarKind::WholeAsDouble { is_int } => {
                let double = whole(is_int, cursor)? as f64;
                text::write_float(double, double, out)
            }
            ScalarKind::FloatAsDouble => {
                let double = f32::from_le_bytes(cursor.array()?).into();
                text::write_float(double, double, out)
            }
        };
        if self.is_json {
            quote(kind, start, out);
        }
        Ok(())
    }
}

/// A time of day as RFC 3339 has it; what is none stays a number.
fn write_time(value: i64, digits: u32, out: &mut Vec<u8>) -> Kind {
    const DAY_SECONDS: i64 = 86_400;
    let per_second = 10_i64.pow(digits);
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    if !(0..DAY_SECONDS).contains(&seconds) {
        return text::write_number(value, out);
    }
    for (n, number) in [seconds / 3_600, seconds / 60 % 60, seconds % 60]
        .into_iter()
        .enumerate()
    {
        if n > 0 {
            out.push(b':');
        }
        text::write_two_digits(number, out);
    }
    text::write_fraction(fraction.unsigned_abs().into(), digits as usize, out);
    Kind::Quoted
}

fn write_uuid(bytes: [u8; 16], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (n, byte) in bytes.into_iter().enumerate() {
        if let 4 | 6 | 8 | 10 = n {
            out.push(b'-');
        }
        out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Months, days and milliseconds.
fn parts(bytes: [u8; 12]) -> [u32; 3] {
    let part = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [part(0), part(4), part(8)]
}

/// A duration as ISO 8601 has it: `P1M2DT3.004S`.
fn write_duration(bytes: [u8; 12], out: &mut Vec<u8>) {
    let [months, days, millis] = parts(bytes);
    write!(out, "P{months}M{days}DT{}.{:03}S", millis / 1_000, millis % 1_000)
        .expect("writing to memory never fails");
}

/// Arrow counts months and days with a sign.
pub(super) fn duration(cursor: &mut Cursor<'_>) -> Result<IntervalMonthDayNano, Stop> {
    let [months, days, millis] = parts(cursor.array()?);
    let signed = |count: u32| {
        i32::try_from(count)
            .map_err(|_| Stop::Unreadable(format!("{count} months or days, more than an interval has")))
    };
    Ok(IntervalMonthDayNano {
        months: signed(months)?,
        days: signed(days)?,
        nanoseconds: i64::from(millis) * 1_000_000,
    })
}

pub(super) fn write_number(value: i64, out: &mut Vec<u8>) {
    text::write_number(value, out);
}

/// Infinities and NaN are no numbers in JSON: they are texts.
pub(super) fn write_float(value: f32, out: &mut Vec<u8>) {
    let start = out.len();
    let kind = text::write_float(value, value.into(), out);
    quote(kind, start, out);
}

pub(super) fn write_double(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    let kind = text::write_float(value, value, out);
    quote(kind, start, out);
}

fn quote(kind: Kind, start: usize, out: &mut Vec<u8>) {
    if kind == Kind::Quoted {
        out.insert(start, b'"');
        out.push(b'"');
    }
}

pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}
