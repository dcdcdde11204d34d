//! Column types as users write them, in `streams:` and in connectors: one table for all.

use arrow_schema::{DataType, TimeUnit};

/// A name that is no column type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a column type")]
pub struct UnknownType {
    pub name: String,
}

impl UnknownType {
    /// What may be written instead.
    pub const HELP: &'static str = "known types: boolean, tinyint, smallint, integer, bigint (each also unsigned), real, double, \
         decimal(p,s), varchar, binary, date, timestamp(0|3|6|9), timestamptz(0|3|6|9)";
}

/// Standard names first: [`type_name`] answers the first name of a type.
const NAMES: &[(&str, DataType)] = &[
    ("boolean", DataType::Boolean),
    ("bool", DataType::Boolean),
    ("tinyint", DataType::Int8),
    ("int8", DataType::Int8),
    ("smallint", DataType::Int16),
    ("int16", DataType::Int16),
    ("integer", DataType::Int32),
    ("int", DataType::Int32),
    ("int32", DataType::Int32),
    ("bigint", DataType::Int64),
    ("int64", DataType::Int64),
    ("tinyint unsigned", DataType::UInt8),
    ("uint8", DataType::UInt8),
    ("smallint unsigned", DataType::UInt16),
    ("uint16", DataType::UInt16),
    ("integer unsigned", DataType::UInt32),
    ("int unsigned", DataType::UInt32),
    ("uint32", DataType::UInt32),
    ("bigint unsigned", DataType::UInt64),
    ("uint64", DataType::UInt64),
    ("real", DataType::Float32),
    ("float", DataType::Float32),
    ("float32", DataType::Float32),
    ("double", DataType::Float64),
    ("double precision", DataType::Float64),
    ("float64", DataType::Float64),
    ("varchar", DataType::Utf8),
    ("text", DataType::Utf8),
    ("string", DataType::Utf8),
    ("utf8", DataType::Utf8),
    ("char", DataType::Utf8),
    ("binary", DataType::Binary),
    ("varbinary", DataType::Binary),
    ("bytea", DataType::Binary),
    ("blob", DataType::Binary),
    ("date", DataType::Date32),
];

/// Digits of a second's fraction, as SQL counts them.
const PRECISIONS: &[(u8, TimeUnit)] = &[
    (0, TimeUnit::Second),
    (3, TimeUnit::Millisecond),
    (6, TimeUnit::Microsecond),
    (9, TimeUnit::Nanosecond),
];

/// The Arrow type of a column type as users write it: `bigint`, `varchar`, `decimal(10, 2)`, `timestamp(3)`.
/// Case and blanks do not matter. `timestamp` has microseconds and no zone, `timestamptz` is in UTC, `decimal` alone is
/// `decimal(38, 10)`.
pub fn parse_type(name: &str) -> Result<DataType, UnknownType> {
    let lower = name.to_ascii_lowercase();
    let (word, arguments) = split_arguments(&lower).ok_or_else(|| unknown(name))?;
    let parsed = match (word.as_str(), arguments.as_slice()) {
        ("timestamp" | "timestamp without time zone", digits) => timestamp(digits, None),
        ("timestamptz" | "timestamp with time zone", digits) => timestamp(digits, Some("UTC")),
        ("decimal" | "numeric", []) => Some(DataType::Decimal128(38, 10)),
        ("decimal" | "numeric", [precision]) => Some(DataType::Decimal128(*precision, 0)),
        ("decimal" | "numeric", [precision, scale]) => i8::try_from(*scale)
            .ok()
            .map(|scale| DataType::Decimal128(*precision, scale)),
        ("varchar" | "char", [_]) => Some(DataType::Utf8),
        (word, []) => NAMES
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, data_type)| data_type.clone()),
        _ => None,
    };
    parsed.filter(is_supported).ok_or_else(|| unknown(name))
}

/// The name that [`parse_type`] reads back as the same type; `None` for types that no format carries.
pub fn type_name(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Decimal128(precision, scale) => Some(format!("decimal({precision}, {scale})")),
        DataType::Timestamp(unit, zone) => {
            let (digits, _) = PRECISIONS.iter().find(|(_, known)| known == unit)?;
            match zone.as_deref() {
                None => Some(format!("timestamp({digits})")),
                Some("UTC") => Some(format!("timestamptz({digits})")),
                Some(_) => None,
            }
        }
        plain => NAMES
            .iter()
            .find(|(_, known)| known == plain)
            .map(|(name, _)| (*name).into()),
    }
}

/// All plain names, for suggestions.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Whether formats can carry a column of this type.
pub fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal128(precision, scale) => {
            (1..=38).contains(precision) && (0..=38).contains(scale) && *scale <= *precision as i8
        }
        DataType::Timestamp(_, zone) => zone.as_deref().is_none_or(|zone| zone == "UTC"),
        plain => NAMES.iter().any(|(_, known)| known == plain),
    }
}

fn unknown(name: &str) -> UnknownType {
    UnknownType {
        name: name.trim().into(),
    }
}

fn timestamp(digits: &[u8], zone: Option<&str>) -> Option<DataType> {
    let digits = match digits {
        [] => 6,
        [digits] => *digits,
        _ => return None,
    };
    let (_, unit) = PRECISIONS.iter().find(|(known, _)| *known == digits)?;
    Some(DataType::Timestamp(*unit, zone.map(Into::into)))
}

/// `timestamp(3) with time zone` -> (`timestamp with time zone`, [3]).
fn split_arguments(name: &str) -> Option<(String, Vec<u8>)> {
    let one_blank = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((before, rest)) = name.split_once('(') else {
        return Some((one_blank(name), Vec::new()));
    };
    let (inside, after) = rest.split_once(')')?;
    let arguments = inside
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect::<Option<_>>()?;
    Some((one_blank(&format!("{before} {after}")), arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_that_people_write() {
        let check = |name: &str, expected: DataType| assert_eq!(parse_type(name), Ok(expected), "{name}");
        check("bigint", DataType::Int64);
        check(" VARCHAR ", DataType::Utf8);
        check("varchar(20)", DataType::Utf8);
        check("double  precision", DataType::Float64);
        check("numeric(10,2)", DataType::Decimal128(10, 2));
        check("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None));
        check(
            "timestamp(3) with time zone",
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        );
        check("int unsigned", DataType::UInt32);
    }

    #[test]
    fn refuses_what_is_no_type() {
        for name in [
            "",
            "bigin",
            "decimal(39,0)",
            "decimal(2,3)",
            "decimal(-1)",
            "timestamp(4)",
            "varchar(",
            "(",
            "int(3)",
        ] {
            assert!(parse_type(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_type_reads_back_from_its_name() {
        let mut all: Vec<DataType> = NAMES.iter().map(|(_, data_type)| data_type.clone()).collect();
        all.extend([DataType::Decimal128(38, 38), DataType::Decimal128(1, 0)]);
        for (_, unit) in PRECISIONS {
            all.push(DataType::Timestamp(*unit, None));
            all.push(DataType::Timestamp(*unit, Some("UTC".into())));
        }
        for data_type in all {
            let name = type_name(&data_type).expect("every supported type has a name");
            assert_eq!(parse_type(&name), Ok(data_type));
        }
        assert_eq!(
            type_name(&DataType::Timestamp(TimeUnit::Second, Some("CET".into()))),
            None
        );
    }
}
