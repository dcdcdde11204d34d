//! JSON as Jackson writes it: what lies in `_schemas` must be the same bytes whoever wrote it, because compaction
//! compares keys as bytes.
//!
//! serde_json differs in one place: control characters without a short form have lower-case digits (`\u001f`), Jackson's
//! are upper-case (`\u001F`).

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

struct Jackson;

impl Formatter for Jackson {
    fn write_char_escape<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::Backspace => writer.write_all(b"\\b"),
            CharEscape::FormFeed => writer.write_all(b"\\f"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04X}"),
        }
    }
}

/// The bytes of a value.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = Serializer::with_formatter(&mut bytes, Jackson);
    value
        .serialize(&mut serializer)
        .expect("what is written to the log has string keys and goes to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_jackson_does() {
        let text = "\"\\/\u{8}\t\n\u{c}\r\u{1f}\u{7f}é€😀";
        assert_eq!(
            String::from_utf8(to_vec(&text)).unwrap(),
            "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u001F\u{7f}é€😀\""
        );
    }
}
