use bytes::Bytes;

use crate::{Offset, Timestamp};

/// One record of a partition. All byte fields are views into the buffer they came in: cloning copies no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Position in the partition. Meaningless (0) before the record was appended.
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In the order they were written; names may repeat.
    pub headers: Vec<Header>,
}

/// A named value beside a record's key and value (KIP-82).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// UTF-8 by the protocol; readers of foreign bytes check it.
    pub name: Bytes,
    pub value: Option<Bytes>,
}

impl Header {
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
        }
    }
}

impl Record {
    /// The value of the last header of that name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers
            .iter()
            .rev()
            .find(|h| h.name == name.as_bytes())?
            .value
            .as_ref()
    }

    /// Bytes of key, value and headers, without framing.
    pub fn payload_bytes(&self) -> usize {
        let part = |b: &Option<Bytes>| b.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|h| h.name.len() + part(&h.value)).sum();
        part(&self.key) + part(&self.value) + headers
    }
}
