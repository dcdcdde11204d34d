//! Bytes of a datum, read from front to back. Every length is checked against what is left before anything is touched.

/// What is wrong with a datum, without the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the data ends too early")]
    End,
    #[error("a variable-length number has more than 64 bits")]
    Varint,
    #[error("{0} does not fit into an int of 32 bits")]
    Int(i64),
    #[error("a length of {0}")]
    Length(i64),
    #[error("a length of {length}, but only {left} bytes are left")]
    LengthBeyondEnd { length: i64, left: usize },
    #[error("{0:#04x} is neither true (1) nor false (0)")]
    Boolean(u8),
    #[error("a string that is not UTF-8")]
    Utf8,
    #[error("branch {index} of a union that has {branches}")]
    Branch { index: i64, branches: u32 },
    #[error("symbol {index} of an enum that has {symbols}")]
    Symbol { index: i64, symbols: u32 },
    #[error("a block of {0} items, more than there can be")]
    BlockCount(i64),
    #[error("a block of {size} bytes, but only {left} are left")]
    BlockBeyondEnd { size: i64, left: usize },
    #[error("a block that says it has {said} bytes has {found}")]
    BlockSize { said: u64, found: u64 },
    #[error("more than {} items that take no bytes", super::MAX_EMPTY_ITEMS)]
    EmptyItems,
    #[error("too many records for so few bytes")]
    Calls,
    #[error("nested deeper than {} levels", super::MAX_DEPTH)]
    Depth,
    #[error("{0} bytes after the end of the value")]
    Trailing(usize),
}

/// Reads the primitive types of Avro's binary encoding.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The high bit of each byte: set where a varint goes on.
const CONTINUES: u64 = 0x8080_8080_8080_8080;

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes to a place where it has been.
    pub fn go_back(&mut self, at: usize) {
        self.at = at.min(self.at);
    }

    /// How many bytes are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Refuses bytes that nothing has read.
    #[inline]
    pub fn end(&self) -> Result<(), Fault> {
        match self.left() {
            0 => Ok(()),
            left => Err(Fault::Trailing(left)),
        }
    }

    /// So many bytes as they are.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let taken = self.bytes[self.at..].get(..count).ok_or(Fault::End)?;
        self.at += count;
        Ok(taken)
    }

    /// So many bytes as an array: floats and doubles are little-endian.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.bytes[self.at..].first_chunk().ok_or(Fault::End)?;
        self.at += N;
        Ok(*taken)
    }

    #[inline]
    pub fn boolean(&mut self) -> Result<bool, Fault> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Fault::Boolean(other)),
        }
    }

    #[inline]
    pub fn int(&mut self) -> Result<i32, Fault> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| Fault::Int(long))
    }

    #[inline]
    pub fn long(&mut self) -> Result<i64, Fault> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Fault> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok((*byte).into())
            }
            _ => self.wide_varint(),
        }
    }

    /// Two to eight bytes at once where eight can be read, else byte by byte.
    #[inline]
    fn wide_varint(&mut self) -> Result<u64, Fault> {
        let ahead = &self.bytes[self.at..];
        let word = ahead.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
        let ends = !word & CONTINUES;
        if ends == 0 || ahead.len() < 8 {
            let (value, bytes) = long_varint(ahead)?;
            self.at += bytes;
            return Ok(value);
        }
        // The lowest byte without the high bit is the last one.
        let bits = ends.trailing_zeros() + 1;
        self.at += bits as usize / 8;
        Ok(squeeze(word & (u64::MAX >> (64 - bits))))
    }

    /// The length of bytes, a string or a key: never more than is left.
    #[inline]
    pub fn length(&mut self) -> Result<usize, Fault> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.left() => Ok(bytes),
            Ok(_) => Err(Fault::LengthBeyondEnd {
                length,
                left: self.left(),
            }),
            Err(_) => Err(Fault::Length(length)),
        }
    }

    /// Bytes, or a string that nobody looks into.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline]
    pub fn string(&mut self) -> Result<&'a str, Fault> {
        str::from_utf8(self.bytes()?).map_err(|_| Fault::Utf8)
    }

    /// The index of a union's branch.
    #[inline]
    pub fn branch(&mut self, branches: u32) -> Result<u32, Fault> {
        let index = self.long()?;
        match u32::try_from(index) {
            Ok(branch) if branch < branches => Ok(branch),
            _ => Err(Fault::Branch { index, branches }),
        }
    }

    /// The index of an enum's symbol.
    #[inline]
    pub fn symbol(&mut self, symbols: u32) -> Result<u32, Fault> {
        let index = self.int()?.into();
        match u32::try_from(index) {
            Ok(symbol) if symbol < symbols => Ok(symbol),
            _ => Err(Fault::Symbol { index, symbols }),
        }
    }

    /// The head of a block of an array or map; `None` ends it.
    #[inline]
    pub fn block(&mut self) -> Result<Option<Block>, Fault> {
        let count = self.long()?;
        let end = match count {
            0 => return Ok(None),
            1.. => None,
            _ => Some(self.block_end()?),
        };
        let items = count.unsigned_abs();
        if items > self.left() as u64 + super::MAX_EMPTY_ITEMS {
            return Err(Fault::BlockCount(count));
        }
        Ok(Some(Block { items, end }))
    }

    /// A block with a negative count has its size behind it, so that it can be skipped.
    #[inline]
    fn block_end(&mut self) -> Result<usize, Fault> {
        let size = self.long()?;
        let left = self.left();
        match usize::try_from(size) {
            Ok(bytes) if bytes <= left => Ok(self.at + bytes),
            _ => Err(Fault::BlockBeyondEnd { size, left }),
        }
    }

    /// Whether a block ended where its head said: a reader that skips it and one that reads it must agree.
    #[inline]
    pub fn close_block(&self, block: &Block, start: usize) -> Result<(), Fault> {
        match block.end {
            Some(end) if end != self.at => Err(Fault::BlockSize {
                said: end.saturating_sub(start) as u64,
                found: self.at.saturating_sub(start) as u64,
            }),
            _ => Ok(()),
        }
    }
}

/// A varint of more than eight bytes, or one so near the end that eight cannot be read, with the number of its bytes.
#[inline(never)]
fn long_varint(bytes: &[u8]) -> Result<(u64, usize), Fault> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().take(10).enumerate() {
        if n == 9 && *byte > 1 {
            return Err(Fault::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * n);
        if *byte < 0x80 {
            return Ok((value, n + 1));
        }
    }
    Err(Fault::End)
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub items: u64,
    /// Where it must end, if its head says so.
    pub end: Option<usize>,
}

/// Whether bytes are text. Most of it is ASCII, and short, for which the general check is slow.
#[inline]
pub fn is_text(bytes: &[u8]) -> bool {
    bytes.is_ascii() || str::from_utf8(bytes).is_ok()
}

/// The payload of a varint's bytes: the seven low bits of each, side by side.
#[inline]
fn squeeze(word: u64) -> u64 {
    let sevens = word & !CONTINUES;
    let pairs = (sevens & 0x007f_007f_007f_007f) | ((sevens & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Result<(i64, usize), Fault> {
        let mut cursor = Cursor::new(bytes);
        cursor.long().map(|value| (value, cursor.at()))
    }

    fn varint(mut raw: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while raw >= 0x80 {
            out.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        out.push(raw as u8);
        out
    }

    #[test]
    fn numbers_of_every_width_are_read_with_and_without_bytes_behind_them() {
        let edges = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + 1]
        });
        for raw in edges.chain([u64::MAX]) {
            let mut bytes = varint(raw);
            let expected = ((raw >> 1) as i64 ^ -((raw & 1) as i64), bytes.len());
            assert_eq!(long(&bytes), Ok(expected), "{raw}");
            bytes.extend([0xff; 9]);
            assert_eq!(long(&bytes), Ok(expected), "{raw} with bytes behind it");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_and_cut_ones_are_refused() {
        assert_eq!(long(&[0xff; 10]), Err(Fault::Varint));
        assert_eq!(
            long(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
            Err(Fault::Varint)
        );
        assert_eq!(long(&[]), Err(Fault::End));
        assert_eq!(long(&[0x80; 9]), Err(Fault::End));
        assert_eq!(
            Cursor::new(&varint(u64::from(u32::MAX) + 1)).int(),
            Err(Fault::Int(1 << 31))
        );
    }

    #[test]
    fn a_number_may_be_written_with_more_bytes_than_it_needs() {
        assert_eq!(long(&[0x82, 0x80, 0x00]), Ok((1, 3)));
    }

    #[test]
    fn lengths_stay_within_the_data() {
        let bytes = |data: &[u8]| Cursor::new(data).bytes().map(<[u8]>::to_vec);
        assert_eq!(bytes(&[4, b'a', b'b']), Ok(b"ab".to_vec()));
        assert_eq!(
            bytes(&[6, b'a', b'b']),
            Err(Fault::LengthBeyondEnd { length: 3, left: 2 })
        );
        assert_eq!(bytes(&[1]), Err(Fault::Length(-1)));
        assert_eq!(Cursor::new(&[2, 0xff]).string(), Err(Fault::Utf8));
    }
}
