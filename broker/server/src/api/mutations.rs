//! What requests about topics cost whoever sends them (`controller_mutation_rate`, KIP-599): a unit for each partition
//! that is made or deleted.

use std::{sync::Arc, time::Duration};

use millstream_protocol::ErrorCode;

use super::{Call, Node, Reply, refusal::Refusal};

/// The account of one request.
pub(super) struct Mutations<'a> {
    call: &'a Call,
    /// Its client knows THROTTLING_QUOTA_EXCEEDED: what is too much is refused. Else it is done, and the client pauses.
    is_strict: bool,
    throttle: Duration,
}

impl<'a> Mutations<'a> {
    pub(super) fn new(call: &'a Call, strict_since: i16) -> Self {
        Self {
            call,
            is_strict: call.version >= strict_since,
            throttle: Duration::ZERO,
        }
    }

    pub(super) fn node(&self) -> Arc<Node> {
        self.call.node.clone()
    }

    /// Counts partitions that are about to be made or deleted, or says that they are too many for now.
    pub(super) fn count(&mut self, partitions: i32) -> Result<(), Refusal> {
        let quotas = &self.call.node.quotas;
        let now_ms = self.call.node.now_ms();
        let counted = quotas.mutate(self.call.asker(), partitions.into(), self.is_strict, now_ms);
        match counted {
            Ok(pause) => {
                self.throttle = self.throttle.max(pause);
                Ok(())
            }
            Err(pause) => {
                self.throttle = self.throttle.max(pause);
                Err(Refusal::of(ErrorCode::ThrottlingQuotaExceeded))
            }
        }
    }

    /// The answer, with the pause that its client has to make.
    pub(super) fn reply<R>(self, response: R) -> Reply<R> {
        Reply::Throttled(response, self.throttle)
    }
}
