//! The only writer to stdout. Every command hands over data; the format decides how it looks.
//!
//! Invariant: a closed pipe comes back as an `io::Error`, never as a panic (`print!` would).

use std::{
    fmt::Display,
    io::{self, BufWriter, Stdout, Write},
};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::args::Format;

pub(crate) struct Output {
    format: Format,
    out: BufWriter<Stdout>,
}

/// A row of a table.
pub(crate) trait Row {
    /// Column titles; those that begin with `#` hold numbers and are aligned to the right.
    const TITLES: &'static [&'static str];

    /// One text for each title.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::new(io::stdout()),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A listing: a table, or a JSON array.
    pub(crate) fn list<R: Row + Serialize>(&mut self, rows: &[R]) -> io::Result<()> {
        match self.format {
            Format::Table => self.table(rows),
            Format::Json => self.json(&rows),
        }
    }

    /// A table whatever the format is, for commands whose JSON has another shape.
    pub(crate) fn table<R: Row>(&mut self, rows: &[R]) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(R::TITLES.iter().map(|title| title.trim_start_matches('#')));
        for (column, title) in table.column_iter_mut().zip(R::TITLES) {
            column.set_padding((0, 2));
            if title.starts_with('#') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in rows {
            table.add_row(row.cells());
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// One JSON value, indented.
    pub(crate) fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, value)?;
        writeln!(self.out)
    }

    /// One JSON value on one line, for streams of them.
    pub(crate) fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        writeln!(self.out)
    }

    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Bytes as they are, for record values.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Call it where a reader may wait for what was written so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A number with thousands separators: `1,234,567`.
pub(crate) fn grouped(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (-1_234_567, "-1,234,567"),
            (100_000, "100,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
