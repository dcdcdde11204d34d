use bytes::Bytes;
use millstream_protocol::batch::Outcome;
use millstream_types::{Producer, TopicPartition};

/// A change of the keyed state; without a value the key is gone.
pub type Put = (Bytes, Option<Bytes>);

/// What a request comes to. Puts and markers belong into one atomic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    pub response: T,
    pub puts: Vec<Put>,
    pub markers: Vec<Marker>,
}

/// The end of a transaction in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub partition: TopicPartition,
    pub producer: Producer,
    pub outcome: Outcome,
}

impl<T> Decision<T> {
    /// An answer that changes nothing.
    pub fn answer(response: T) -> Self {
        Self::put(response, Vec::new())
    }

    pub fn put(response: T, puts: Vec<Put>) -> Self {
        Self {
            response,
            puts,
            markers: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.markers.is_empty()
    }
}
