//! Whether a CSV row is what the schema says, without decoding it.
//!
//! Most rows are plainly good: the right number of fields, each a simple number, timestamp or text. That is seen in one
//! walk over the row. Whatever is not plain is put before the formats' own decoder, which alone decides that a row is
//! bad and says why; so this check and whoever decodes the topic never disagree.

use arrow_schema::{DataType, SchemaRef};
use memchr::memchr;
use millstream_formats::{Decoder, FormatError, csv_field_end, is_csv_null};
use millstream_sdk::{CsvDialect, StreamSchema, ValueFormat};

pub(crate) struct RowCheck {
    delimiter: u8,
    quote: u8,
    null: Option<Vec<u8>>,
    plain: Vec<Plain>,
    decoder: Decoder,
}

/// What is plainly a value of a column.
#[derive(Clone, Copy, Debug)]
enum Plain {
    Text,
    /// This many digits always fit.
    Integer {
        digits: usize,
        signed: bool,
    },
    /// Digits, with a point among them or not.
    Decimal {
        before: usize,
        after: usize,
    },
    Date,
    Timestamp,
    /// Not to be seen so simply.
    Nothing,
}

impl RowCheck {
    pub(crate) fn new(dialect: &CsvDialect, columns: &SchemaRef) -> Result<Self, FormatError> {
        let schema = StreamSchema {
            format: ValueFormat::Csv(dialect.clone()),
            columns: columns.clone(),
        };
        let all: Vec<_> = (0..columns.fields().len()).collect();
        let fields = columns.fields().iter();
        Ok(Self {
            delimiter: dialect.delimiter,
            quote: dialect.quote,
            null: dialect.null.as_ref().map(|null| null.as_bytes().to_vec()),
            plain: fields.map(|field| Plain::of(field.data_type())).collect(),
            decoder: Decoder::new(&schema, &all)?,
        })
    }

    /// `false`: it may still be good, [`RowCheck::verdicts`] knows.
    pub(crate) fn is_plainly_good(&self, row: &[u8]) -> bool {
        if !row.is_ascii() && str::from_utf8(row).is_err() {
            return false;
        }
        let mut rest = Some(row);
        for plain in &self.plain {
            let Some(row) = rest else { return false };
            if row.first() == Some(&self.quote) {
                let inside = &row[1..];
                let Some(end) = memchr(self.quote, inside) else {
                    return false;
                };
                if !plain.admits(&inside[..end]) {
                    return false;
                }
                rest = match inside.get(end + 1) {
                    None => None,
                    Some(byte) if *byte == self.delimiter => Some(&inside[end + 2..]),
                    Some(_) => return false,
                };
                continue;
            }
            let end = csv_field_end(self.delimiter, row, 0);
            let field = &row[..end];
            if !is_csv_null(self.null.as_deref(), field) && !plain.admits(field) {
                return false;
            }
            rest = row.get(end + 1..);
        }
        rest.is_none()
    }

    /// Index and reason of each row that is not what the schema says.
    pub(crate) fn verdicts<'a>(
        &self,
        rows: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> Vec<(usize, String)> {
        if rows.len() == 0 {
            return Vec::new();
        }
        let decoded = self.decoder.decode_values(rows.map(Some));
        decoded.expect("CSV asks no registry").failed
    }
}

impl Plain {
    fn of(data_type: &DataType) -> Self {
        let signed = |digits| Self::Integer { digits, signed: true };
        let unsigned = |digits| Self::Integer {
            digits,
            signed: false,
        };
        match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Int8 => signed(2),
            DataType::Int16 => signed(4),
            DataType::Int32 => signed(9),
            DataType::Int64 => signed(18),
            DataType::UInt8 => unsigned(2),
            DataType::UInt16 => unsigned(4),
            DataType::UInt32 => unsigned(9),
            DataType::UInt64 => unsigned(19),
            DataType::Float32 | DataType::Float64 => Self::Decimal {
                before: 18,
                after: 18,
            },
            DataType::Decimal128(precision, scale) => Self::Decimal {
                before: usize::from(*precision).saturating_sub(usize::from(scale.unsigned_abs())),
                after: usize::from(scale.unsigned_abs()),
            },
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, _) => Self::Timestamp,
            _ => Self::Nothing,
        }
    }

    fn admits(self, field: &[u8]) -> bool {
        match self {
            Self::Text => true,
            Self::Integer { digits, signed } => {
                let field = if signed { unsigned(field) } else { field };
                !field.is_empty() && field.len() <= digits && field.iter().all(u8::is_ascii_digit)
            }
            Self::Decimal { before, after } => is_plain_decimal(unsigned(field), before, after),
            Self::Date => field.len() == 10 && is_plain_date(field),
            Self::Timestamp => is_plain_timestamp(field),
            Self::Nothing => false,
        }
    }
}

fn unsigned(field: &[u8]) -> &[u8] {
    field.strip_prefix(b"-").unwrap_or(field)
}

fn is_plain_decimal(field: &[u8], before: usize, after: usize) -> bool {
    let point = field.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        None => (field, None),
        Some(point) => (&field[..point], Some(&field[point + 1..])),
    };
    let digits =
        |text: &[u8], most| !text.is_empty() && text.len() <= most && text.iter().all(u8::is_ascii_digit);
    digits(whole, before) && fraction.is_none_or(|fraction| digits(fraction, after))
}

/// `2013-01-31`, in years that every resolution can hold.
pub(crate) fn is_plain_date(field: &[u8]) -> bool {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, ..] = field else {
        return false;
    };
    let (Some(century), Some(year)) = (number(*y1, *y2), number(*y3, *y4)) else {
        return false;
    };
    let (Some(month), Some(day)) = (number(*m1, *m2), number(*d1, *d2)) else {
        return false;
    };
    let last_day = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28,
        _ => return false,
    };
    (17..22).contains(&century) && year < 100 && (1..=last_day).contains(&day)
}

/// `2013-01-31T23:59:59.123Z`, with a blank for the `T`, without fraction or zone.
pub(crate) fn is_plain_timestamp(field: &[u8]) -> bool {
    if field.len() < 19 || !is_plain_date(field) {
        return false;
    }
    let (time, rest) = field[10..].split_at(9);
    let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return false;
    };
    let below = |tens: u8, ones: u8, bound| number(tens, ones).is_some_and(|number| number < bound);
    if !below(*h1, *h2, 24) || !below(*m1, *m2, 60) || !below(*s1, *s2, 60) {
        return false;
    }
    match rest.strip_suffix(b"Z").unwrap_or(rest) {
        [] => true,
        [b'.', digits @ ..] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn number(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn all_types() -> RowCheck {
        let types = [
            "varchar",
            "tinyint",
            "smallint",
            "int",
            "bigint",
            "uint8",
            "uint64",
            "real",
            "double",
            "decimal(5,2)",
            "date",
            "timestamp",
            "timestamptz(3)",
            "timestamp(9)",
            "boolean",
            "binary",
        ];
        let field = |name: &&str| Field::new(*name, millstream_sdk::parse_type(name).unwrap(), true);
        let columns = Arc::new(Schema::new(types.iter().map(field).collect::<Vec<_>>()));
        let dialect = CsvDialect {
            null: Some("NA".into()),
            ..CsvDialect::default()
        };
        RowCheck::new(&dialect, &columns).unwrap()
    }

    const FIELDS: &[&str] = &[
        "",
        "NA",
        "1",
        "-1",
        "127",
        "128",
        "99",
        "-99",
        "1.5",
        "-1.5",
        ".5",
        "5.",
        "1e3",
        "9999",
        "999.99",
        "1000",
        "1.234",
        "999999999",
        "99999999999",
        "9999999999999999999",
        "2013-01-31",
        "2013-02-29",
        "2013-02-30",
        "2013-13-01",
        "2013-01-31T10:00:00Z",
        "2013-01-31 10:00:00.123456789",
        "2013-01-31T24:00:00",
        "1500-01-01",
        "true",
        "abc",
        "\"1\"",
        "\"a,b\"",
        "\"a\"\"b\"",
        "\"x\"y",
        "\"",
        "\"\"",
        "é",
        "+1",
        " 1",
        "NaN",
    ];

    proptest! {
        #[test]
        fn what_is_plainly_good_decodes(
            row in proptest::collection::vec(proptest::sample::select(FIELDS), 14..18)
        ) {
            let check = all_types();
            let row = row.join(",");
            if check.is_plainly_good(row.as_bytes()) {
                prop_assert_eq!(check.verdicts([row.as_bytes()].into_iter()), vec![], "{}", row);
            }
        }

        #[test]
        fn each_field_alone_agrees_with_the_decoder(
            column in 0..14_usize, field in proptest::sample::select(FIELDS)
        ) {
            let check = all_types();
            let mut row = vec![""; 16];
            row[column] = field;
            let row = row.join(",");
            if check.is_plainly_good(row.as_bytes()) {
                prop_assert_eq!(check.verdicts([row.as_bytes()].into_iter()), vec![], "{}", row);
            }
        }
    }

    #[test]
    fn usual_rows_take_the_short_way() {
        let check = all_types();
        let row = "x,1,2,3,4,5,6,1.5,2,3.25,2013-01-31,2013-01-31T10:00:00Z,2013-01-31 10:00:00,,,";
        assert!(check.is_plainly_good(row.as_bytes()));
        assert!(check.is_plainly_good(b"\"x,y\",NA,NA,,,,,,,,,,,,,"));
        assert!(!check.is_plainly_good(b"x,1"));
        assert!(!check.is_plainly_good(b"\xff,,,,,,,,,,,,,,,"));
    }
}
