use std::fmt;

/// The header of the records that this registry writes.
pub const ORIGIN_HEADER: &str = "millstream-write";

/// What a write was decided on: `write` is a random number of its own, `after` that of the last write that its author
/// had seen. Two writes after the same one cannot both be true; the first in the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub write: u64,
    pub after: u64,
}

impl Origin {
    /// As the header has it: two numbers of 16 digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (write, after) = std::str::from_utf8(text).ok()?.split_once('-')?;
        let number = |text: &str| {
            let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        Some(Self {
            write: number(write)?,
            after: number(after)?,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.write, self.after)
    }
}
