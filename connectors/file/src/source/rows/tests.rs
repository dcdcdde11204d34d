use proptest::prelude::*;

use super::*;

const CSV: Framing = Framing::Csv {
    delimiter: b',',
    quote: b'"',
};
const LINES: Framing = Framing::Lines { keep_blank: true };

/// Hands out a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(into.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

type Seen = (Vec<u8>, u64, Option<&'static str>);

fn all(text: &[u8], framing: Framing, piece: usize) -> Vec<Seen> {
    let mut rows = Rows::new(Trickle(text, piece), framing, Place::default());
    let mut seen = Vec::new();
    while let Some(row) = rows.next(true).unwrap() {
        seen.push((row.bytes.to_vec(), row.line, row.fault));
    }
    seen
}

fn check(text: &str, framing: Framing, expected: &[(&str, u64, Option<&'static str>)]) {
    let expected: Vec<Seen> = expected
        .iter()
        .map(|(row, line, fault)| (row.as_bytes().to_vec(), *line, *fault))
        .collect();
    for piece in [1, 2, 3, 1_000] {
        assert_eq!(
            all(text.as_bytes(), framing, piece),
            expected,
            "{text:?} by {piece}"
        );
    }
}

#[test]
fn cuts_rows_at_line_ends_outside_of_quotes() {
    check("a,b\nc,d", CSV, &[("a,b", 1, None), ("c,d", 2, None)]);
    check("a,b\r\nc,d\r\n", CSV, &[("a,b", 1, None), ("c,d", 2, None)]);
    check("\u{feff}a\nb\n", CSV, &[("a", 1, None), ("b", 2, None)]);
    check(
        "x,\"1\n2\",y\nz\n",
        CSV,
        &[("x,\"1\n2\",y", 1, None), ("z", 3, None)],
    );
    check(
        "\"a\"\"\n\"\nb\n",
        CSV,
        &[("\"a\"\"\n\"", 1, None), ("b", 3, None)],
    );
    check("a\"b\nc\"d\n", CSV, &[("a\"b", 1, None), ("c\"d", 2, None)]);
    check("a\n\n\r\nb\n", CSV, &[("a", 1, None), ("b", 4, None)]);
    check("a\n\nb", LINES, &[("a", 1, None), ("", 2, None), ("b", 3, None)]);
    check(
        "a\n\"b\nc\n",
        CSV,
        &[("a", 1, None), ("\"b", 2, Some(UNCLOSED)), ("c", 3, None)],
    );
    check("\"b", CSV, &[("\"b", 1, Some(UNCLOSED))]);
    check("", CSV, &[]);
}

#[test]
fn a_huge_row_is_reported_with_bounded_memory_and_the_next_one_is_read() {
    for framing in [CSV, LINES] {
        let mut text = b"first\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 5 * MAX_ROW_BYTES));
        text.extend(b"\nlast\n");
        let mut rows = Rows::new(text.as_slice(), framing, Place::default());
        assert_eq!(rows.next(true).unwrap().unwrap().bytes, "first");
        let huge = rows.next(true).unwrap().unwrap();
        assert_eq!(
            (huge.line, huge.fault, huge.bytes.len()),
            (2, Some(TOO_LONG), KEPT_OF_LONG_ROWS)
        );
        assert!(rows.buffer.capacity() < 4 * MAX_ROW_BYTES);
        let last = rows.next(true).unwrap().unwrap();
        assert_eq!((last.bytes.as_ref(), last.line), (b"last".as_slice(), 3));
        assert_eq!(rows.place().offset, text.len() as u64);
    }
    let mut open = b"\"begin\n".to_vec();
    open.extend(b"next\n".repeat(MAX_ROW_BYTES / 2));
    let mut rows = Rows::new(open.as_slice(), CSV, Place::default());
    assert_eq!(rows.next(true).unwrap().unwrap().fault, Some(UNCLOSED));
    assert_eq!(rows.next(true).unwrap().unwrap().bytes, "next");
}

#[test]
fn a_last_line_without_end_waits_unless_it_is_final() {
    let mut rows = Rows::new(b"a\nb".as_slice(), LINES, Place::default());
    assert!(rows.next(false).unwrap().is_some());
    assert_eq!(rows.next(false).unwrap(), None);
    assert_eq!(rows.place().offset, 2);
    assert_eq!(rows.next(true).unwrap().unwrap().bytes, "b");
    let unfinished = rows.place();
    assert!(unfinished.unfinished);
    let mut grown = Rows::new(b"\r\nc\n".as_slice(), LINES, unfinished);
    let row = grown.next(true).unwrap().unwrap();
    assert_eq!((row.bytes.as_ref(), row.line), (b"c".as_slice(), 3));
    let mut wrong = Rows::new(b"bb\n".as_slice(), LINES, unfinished);
    assert!(matches!(wrong.next(true), Err(RowsError::GrewInsideALine)));
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_rows_however_they_arrive_and_from_every_place(
        text in proptest::collection::vec(proptest::sample::select(b"ab,\"\n\r\xff".as_slice()), 0..60),
        piece in 1_usize..9,
        lines in any::<bool>(),
    ) {
        let framing = if lines { LINES } else { CSV };
        let whole = all(&text, framing, 1_000);
        prop_assert_eq!(&all(&text, framing, piece), &whole);
        let mut rows = Rows::new(text.as_slice(), framing, Place::default());
        let mut seen = 0;
        while rows.next(true).unwrap().is_some() {
            seen += 1;
            let place = rows.place();
            if place.unfinished {
                break;
            }
            let mut rest = Rows::new(&text[place.offset as usize..], framing, place);
            let mut from_here = Vec::new();
            while let Some(row) = rest.next(true).unwrap() {
                from_here.push((row.bytes.to_vec(), row.line, row.fault));
            }
            prop_assert_eq!(&from_here[..], &whole[seen..]);
        }
    }
}
