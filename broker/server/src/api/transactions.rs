//! What the requests of transactional producers have in common.

use millstream_protocol::{
    ErrorCode,
    messages::{self, StrBytes},
};
use millstream_types::{Producer, ProducerEpoch, ProducerId, TopicName, TopicPartition};

use super::Node;

pub(super) fn producer(id: messages::ProducerId, epoch: i16) -> Producer {
    Producer {
        id: ProducerId(id.0),
        epoch: ProducerEpoch(epoch),
    }
}

/// Clients know PRODUCER_FENCED from that version on.
pub(super) fn fenced_before(version: i16, since: i16, code: ErrorCode) -> ErrorCode {
    if code == ErrorCode::ProducerFenced && version < since {
        ErrorCode::InvalidProducerEpoch
    } else {
        code
    }
}

/// A partition of a request, if there is such a one.
pub(super) fn partition(node: &Node, topic: &messages::TopicName, index: i32) -> Option<TopicPartition> {
    let topic = TopicName::new(topic.as_str()).ok()?;
    let partition = TopicPartition::new(topic, index);
    node.storage().offsets(&partition).ok().map(|_| partition)
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
