//! One CSV row per value (RFC 4180, without header and line end): to cells and back.
//!
//! An unquoted empty field is NULL and so is an unquoted null text; a quoted one is text. A quote inside of an unquoted
//! field is an ordinary character. Only the wanted fields are looked into, but every row must have all fields.

use memchr::{memchr, memchr_iter};
use millstream_sdk::CsvDialect;

use crate::{
    FormatError,
    cell::{Cell, Cells},
};

pub(crate) struct Splitter {
    delimiter: u8,
    quote: u8,
    null: Option<Vec<u8>>,
    /// For each field of a row the column it becomes.
    columns: Vec<Option<usize>>,
    /// The number of fields up to the last one that is wanted: the rest is only counted.
    looked_into: usize,
}

pub(crate) fn check(dialect: &CsvDialect) -> Result<(), FormatError> {
    let is_fit = |byte: u8| byte.is_ascii() && byte != b'\n' && byte != b'\r' && byte != 0;
    let fits = is_fit(dialect.delimiter) && is_fit(dialect.quote) && dialect.delimiter != dialect.quote;
    fits.then_some(()).ok_or(FormatError::CsvDialect)
}

impl Splitter {
    pub(crate) fn new(dialect: &CsvDialect, columns: Vec<Option<usize>>) -> Result<Self, FormatError> {
        check(dialect)?;
        Ok(Self {
            delimiter: dialect.delimiter,
            quote: dialect.quote,
            null: dialect.null.as_ref().map(|null| null.as_bytes().to_vec()),
            looked_into: columns
                .iter()
                .rposition(Option::is_some)
                .map_or(0, |last| last + 1),
            columns,
        })
    }

    /// Sets the cells of the row begun last.
    pub(crate) fn split<'a>(&self, row: &'a [u8], cells: &mut Cells<'a>) -> Result<(), String> {
        let fields = if memchr(self.quote, row).is_none() {
            self.split_plain(row, cells)?
        } else {
            self.split_quoted(row, cells)?
        };
        if fields == self.columns.len() {
            return Ok(());
        }
        Err(format!("{fields} fields, expected {}", self.columns.len()))
    }

    /// A row without any quote: its text is checked as a whole.
    fn split_plain<'a>(&self, row: &'a [u8], cells: &mut Cells<'a>) -> Result<usize, String> {
        let text = str::from_utf8(row).ok();
        let mut start = 0;
        for field in 0..self.looked_into {
            let end = csv_field_end(self.delimiter, row, start);
            if let Some(column) = self.columns[field]
                && !is_csv_null(self.null.as_deref(), &row[start..end])
            {
                let text = text.and_then(|text| text.get(start..end));
                let text = text.map_or_else(|| utf8(field, &row[start..end]), Ok)?;
                cells.set(column, Cell::Text(text));
            }
            if end == row.len() {
                return Ok(field + 1);
            }
            start = end + 1;
        }
        Ok(self.looked_into + memchr_iter(self.delimiter, &row[start..]).count() + 1)
    }

    fn split_quoted<'a>(&self, row: &'a [u8], cells: &mut Cells<'a>) -> Result<usize, String> {
        let mut fields = 0;
        let mut rest = row;
        loop {
            let end = if rest.first() == Some(&self.quote) {
                self.take_quoted(fields, &rest[1..], cells)? + 1
            } else {
                let end = memchr(self.delimiter, rest).unwrap_or(rest.len());
                self.take(fields, &rest[..end], cells)?;
                end
            };
            fields += 1;
            match rest.get(end) {
                None => return Ok(fields),
                Some(byte) if *byte == self.delimiter => rest = &rest[end + 1..],
                Some(_) => return Err(format!("text after the closing quote of field {fields}")),
            }
        }
    }

    fn take<'a>(&self, field: usize, text: &'a [u8], cells: &mut Cells<'a>) -> Result<(), String> {
        let Some(Some(column)) = self.columns.get(field) else {
            return Ok(());
        };
        if !is_csv_null(self.null.as_deref(), text) {
            cells.set(*column, Cell::Text(utf8(field, text)?));
        }
        Ok(())
    }

    /// `rest` begins after the opening quote. Answers where the field ends, after its closing quote.
    fn take_quoted<'a>(&self, field: usize, rest: &'a [u8], cells: &mut Cells<'a>) -> Result<usize, String> {
        let mut end = 0;
        let mut has_quotes = false;
        loop {
            end += memchr(self.quote, &rest[end..])
                .ok_or_else(|| format!("field {} has no closing quote", field + 1))?;
            if rest.get(end + 1) != Some(&self.quote) {
                break;
            }
            has_quotes = true;
            end += 2;
        }
        if let Some(Some(column)) = self.columns.get(field) {
            let text = utf8(field, &rest[..end])?;
            cells.set(
                *column,
                if has_quotes {
                    self.unescape(text)
                } else {
                    Cell::Text(text)
                },
            );
        }
        Ok(end + 1)
    }

    fn unescape(&self, text: &str) -> Cell<'static> {
        let quote = char::from(self.quote);
        let doubled: String = [quote, quote].iter().collect();
        Cell::Unescaped(text.replace(&doubled, quote.encode_utf8(&mut [0; 1])).into())
    }
}

/// Where the field that begins at `start` ends. Fields are short: a plain loop finds their end before a search by vectors has
/// begun.
#[inline]
pub fn csv_field_end(delimiter: u8, row: &[u8], start: usize) -> usize {
    let length = row[start..].iter().position(|byte| *byte == delimiter);
    length.map_or(row.len(), |length| start + length)
}

/// Whether an unquoted field stands for NULL: it is empty or the null text.
#[inline]
pub fn is_csv_null(null: Option<&[u8]>, field: &[u8]) -> bool {
    let Some(first) = field.first() else { return true };
    // the first byte tells most of them apart without a call
    null.is_some_and(|null| null.first() == Some(first) && null == field)
}

fn utf8(field: usize, text: &[u8]) -> Result<&str, String> {
    str::from_utf8(text).map_err(|_| format!("field {} is not UTF-8 text", field + 1))
}

/// Appends a field, which is not NULL, quoted if it would be read as something else otherwise.
pub(crate) fn write_field(dialect: &CsvDialect, text: &[u8], out: &mut Vec<u8>) {
    let must_quote =
        |byte: &u8| *byte == dialect.delimiter || *byte == dialect.quote || *byte == b'\n' || *byte == b'\r';
    let looks_null = text.is_empty() || dialect.null.as_deref().map(str::as_bytes) == Some(text);
    if !looks_null && !text.iter().any(must_quote) {
        out.extend_from_slice(text);
        return;
    }
    out.push(dialect.quote);
    for byte in text {
        if *byte == dialect.quote {
            out.push(dialect.quote);
        }
        out.push(*byte);
    }
    out.push(dialect.quote);
}
