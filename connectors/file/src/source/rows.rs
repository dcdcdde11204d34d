//! A stream of bytes to rows: lines, or CSV rows whose quoted fields may hold line ends.
//!
//! - A row is a view into the buffer it was read into; nothing is copied but the piece that a read boundary cut.
//! - The place is always that of the first byte not yet handed out, so a reader can be dropped and opened again there.
//! - Memory is bounded whatever the input: a row longer than [`MAX_ROW_BYTES`] is reported, its end is searched without
//!   keeping what lies between.
//! - After an unclosed quote reading goes on with the next line: one bad row does not swallow the rest of the file.

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memchr2};
use millstream_sdk::CsvDialect;

use super::position::Place;

/// Longer rows are rejected. Fits into a record of the log with its default limit of 1 MiB.
pub(crate) const MAX_ROW_BYTES: usize = 1_000_000;
/// How much of a row that is too long is kept for the dead letter.
pub(crate) const KEPT_OF_LONG_ROWS: usize = 16 << 10;
const READ_BYTES: usize = 256 << 10;
const TOO_LONG: &str = "the row is longer than 1,000,000 bytes";
const UNCLOSED: &str = "a quote is not closed";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// How rows end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// At each line end; blank lines are rows or are skipped.
    Lines { keep_blank: bool },
    /// At line ends outside of quotes; blank lines are skipped.
    Csv { delimiter: u8, quote: u8 },
}

impl Framing {
    pub(crate) fn csv(dialect: &CsvDialect) -> Self {
        Self::Csv {
            delimiter: dialect.delimiter,
            quote: dialect.quote,
        }
    }
}

pub(crate) struct Rows<R> {
    input: R,
    framing: Framing,
    /// What was read and not handed out yet; begins at `at`.
    buffer: BytesMut,
    at: Place,
    is_at_end: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Without line end.
    pub(crate) bytes: Bytes,
    /// The line that it begins on, from 1.
    pub(crate) line: u64,
    /// Why it cannot be a row; `bytes` may then be its beginning only.
    pub(crate) fault: Option<&'static str>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file grew after its last line, which had no line end, was read")]
    GrewInsideALine,
}

enum RowEnd {
    /// The index of the line feed, and how many there are up to it.
    At {
        feed: usize,
        feeds: u64,
    },
    NotYet {
        in_quotes: bool,
    },
}

impl<R: Read> Rows<R> {
    /// `input` begins at `at`.
    pub(crate) fn new(input: R, framing: Framing, at: Place) -> Self {
        Self {
            input,
            framing,
            buffer: BytesMut::new(),
            at,
            is_at_end: false,
        }
    }

    /// Where the next row begins.
    pub(crate) fn place(&self) -> Place {
        self.at
    }

    /// The next row; `None` at the end. `is_final`: a last line without line end is a row, more will not come.
    pub(crate) fn next(&mut self, is_final: bool) -> Result<Option<Row>, RowsError> {
        self.skip_bom()?;
        self.finish_line()?;
        loop {
            let row = match self.row_end() {
                RowEnd::At { feed, feeds } => Some(self.take(feed, feed + 1, feeds, None)),
                RowEnd::NotYet { in_quotes } if self.buffer.len() > MAX_ROW_BYTES => {
                    match memchr(b'\n', &self.buffer) {
                        Some(feed) if in_quotes => Some(self.take(feed, feed + 1, 1, Some(UNCLOSED))),
                        _ => return self.take_long_line(is_final),
                    }
                }
                RowEnd::NotYet { .. } if !self.is_at_end => {
                    self.fill()?;
                    continue;
                }
                RowEnd::NotYet { in_quotes } if is_final && !self.buffer.is_empty() => {
                    Some(self.take_last(in_quotes))
                }
                RowEnd::NotYet { .. } => return Ok(None),
            };
            if row.as_ref().is_some_and(|row| !self.is_skipped(row)) {
                return Ok(row);
            }
        }
    }

    fn is_skipped(&self, row: &Row) -> bool {
        row.bytes.is_empty() && !matches!(self.framing, Framing::Lines { keep_blank: true })
    }

    fn row_end(&self) -> RowEnd {
        let feed = memchr(b'\n', &self.buffer);
        let line = &self.buffer[..feed.unwrap_or(self.buffer.len())];
        if let Framing::Csv { delimiter, quote } = self.framing
            && memchr(quote, line).is_some()
        {
            return quoted_row_end(&self.buffer, delimiter, quote);
        }
        feed.map_or(RowEnd::NotYet { in_quotes: false }, |feed| RowEnd::At {
            feed,
            feeds: 1,
        })
    }

    /// Hands out `..content` and goes on at `next`, `feeds` lines further.
    fn take(&mut self, content: usize, next: usize, feeds: u64, fault: Option<&'static str>) -> Row {
        let line = self.at.lines + 1;
        let mut bytes = self.buffer.split_to(content).freeze();
        self.buffer.advance(next - content);
        if bytes.last() == Some(&b'\r') {
            bytes.truncate(bytes.len() - 1);
        }
        let mut fault = fault;
        if bytes.len() > MAX_ROW_BYTES {
            // A copy, so that the dead letter does not keep the whole row in memory.
            bytes = Bytes::copy_from_slice(&bytes[..KEPT_OF_LONG_ROWS]);
            fault = Some(TOO_LONG);
        }
        self.at.offset += next as u64;
        self.at.lines += feeds;
        Row { bytes, line, fault }
    }

    /// What stands after the last line end.
    fn take_last(&mut self, in_quotes: bool) -> Row {
        if in_quotes {
            let feed = memchr(b'\n', &self.buffer);
            let (content, next) =
                feed.map_or((self.buffer.len(), self.buffer.len()), |feed| (feed, feed + 1));
            self.at.unfinished = feed.is_none();
            return self.take(content, next, 1, Some(UNCLOSED));
        }
        self.at.unfinished = true;
        let feeds = memchr_iter(b'\n', &self.buffer).count() as u64 + 1;
        self.take(self.buffer.len(), self.buffer.len(), feeds, None)
    }

    /// A line that does not fit: its beginning is kept, its end is searched. The place moves only when it was found,
    /// so that a half-read line is read again.
    fn take_long_line(&mut self, is_final: bool) -> Result<Option<Row>, RowsError> {
        let bytes = Bytes::copy_from_slice(&self.buffer[..KEPT_OF_LONG_ROWS]);
        let mut length = 0;
        loop {
            let feed = memchr(b'\n', &self.buffer);
            let here = feed.map_or(self.buffer.len(), |feed| feed + 1);
            self.buffer.advance(here);
            length += here as u64;
            if feed.is_some() || self.is_at_end {
                if feed.is_none() && !is_final {
                    return Ok(None);
                }
                let line = self.at.lines + 1;
                self.at.offset += length;
                self.at.lines += 1;
                self.at.unfinished = feed.is_none();
                let fault = Some(TOO_LONG);
                return Ok(Some(Row { bytes, line, fault }));
            }
            self.fill()?;
        }
    }

    fn skip_bom(&mut self) -> Result<(), RowsError> {
        while self.at.offset == 0 && self.buffer.len() < BOM.len() && !self.is_at_end {
            self.fill()?;
        }
        if self.at.offset == 0 && self.buffer.starts_with(BOM) {
            self.buffer.advance(BOM.len());
            self.at.offset = BOM.len() as u64;
        }
        Ok(())
    }

    /// A file that ended without a line end was appended to: the first thing must be the line end.
    fn finish_line(&mut self) -> Result<(), RowsError> {
        while self.at.unfinished && !self.is_at_end && self.buffer.len() < 2 {
            self.fill()?;
        }
        if !self.at.unfinished || self.buffer.is_empty() {
            return Ok(());
        }
        let line_end = match self.buffer.as_ref() {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return Err(RowsError::GrewInsideALine),
        };
        self.buffer.advance(line_end);
        self.at.offset += line_end as u64;
        self.at.unfinished = false;
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer
            .truncate(filled + read.as_ref().map_or(0, |read| *read));
        self.is_at_end = read? == 0;
        Ok(())
    }
}

/// The end of a row that holds quotes. As everywhere here, a quote counts only at the beginning of a field.
fn quoted_row_end(buffer: &[u8], delimiter: u8, quote: u8) -> RowEnd {
    let mut at = 0;
    loop {
        if buffer.get(at) == Some(&quote) {
            at += 1;
            loop {
                let Some(closing) = memchr(quote, &buffer[at..]) else {
                    return RowEnd::NotYet { in_quotes: true };
                };
                at += closing + 1;
                if buffer.get(at) != Some(&quote) {
                    break;
                }
                at += 1;
            }
        }
        match memchr2(delimiter, b'\n', &buffer[at..]) {
            None => return RowEnd::NotYet { in_quotes: false },
            Some(end) if buffer[at + end] == b'\n' => {
                let feed = at + end;
                let feeds = memchr_iter(b'\n', &buffer[..=feed]).count() as u64;
                return RowEnd::At { feed, feeds };
            }
            Some(end) => at += end + 1,
        }
    }
}

#[cfg(test)]
mod tests;
