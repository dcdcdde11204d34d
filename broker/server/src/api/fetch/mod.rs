//! Fetch: a long poll over many partitions, within a fetch session or without one.
//!
//! - [`sessions`]: what a consumer asked for before, and what it was told.
//! - [`poll`]: reading, and waiting until there is enough to read.
//! - [`encode`]: the answer, around the record batches where they lie.

mod encode;
mod poll;
mod sessions;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use millstream_protocol::{
    ErrorCode,
    messages::{FetchRequest, FetchResponse, StrBytes, fetch_request::FetchPartition},
};
use millstream_types::TopicPartition;
use uuid::Uuid;

use super::{Call, Handle, Reply};
use encode::{FetchAnswer, PartitionAnswer};
use poll::Poll;
use sessions::{Asked, FetchSessions};

use crate::quotas::QuotaKind;

/// From this version on, topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;

impl Handle for FetchRequest {
    async fn handle(self, call: Call) -> Reply<FetchResponse> {
        let (node, version, correlation_id) = (call.node.clone(), call.version, call.correlation_id);
        let most = node.quotas.most(QuotaKind::ConsumerByteRate, call.asker());
        let poll = Poll::of(&self, node.settings().max_fetch_bytes.min(most));
        let asked = Asked::of(self, version);
        let answer = async move {
            let fetches = &node.fetches;
            let begun = fetches.sessions().begin(asked, node.now_ms());
            let mut turn = match begun {
                Ok(turn) => turn,
                Err(error) => return FetchAnswer::refused(error).encode(version, correlation_id),
            };
            let polled = poll.run(&node, std::mem::take(&mut turn.wanted)).await;
            turn.wanted = polled.wanted;
            let bytes: usize = polled.told.iter().map(PartitionAnswer::bytes).sum();
            let now_ms = node.now_ms();
            let throttle = node
                .quotas
                .admit(QuotaKind::ConsumerByteRate, call.asker(), bytes as f64, now_ms);
            if throttle > Duration::ZERO {
                // Nothing is sent, and nothing is told: it is read again after the pause.
                let answer = fetches.sessions().nothing(&turn, throttle);
                return answer.encode(version, correlation_id).throttled(throttle);
            }
            let answer = fetches
                .sessions()
                .finish(turn, polled.told, now_ms, draw_session_id);
            answer.encode(version, correlation_id).hold(polled.held)
        };
        Reply::Frame(answer.boxed())
    }
}

fn draw_session_id() -> i32 {
    let random = Uuid::new_v4().as_u128() as u32;
    (random >> 1) as i32
}

/// What fetches of all connections share.
#[derive(Debug)]
pub(super) struct Fetches {
    sessions: Mutex<FetchSessions>,
}

impl Fetches {
    pub(super) fn new(session_slots: usize) -> Self {
        Self {
            sessions: Mutex::new(FetchSessions::new(session_slots)),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, FetchSessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A topic as clients call it: by its name before version 13, by its id since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct TopicRef {
    name: StrBytes,
    id: Uuid,
}

impl TopicRef {
    /// Lets go of the request's memory.
    fn detach(&mut self) {
        self.name = StrBytes::from_string(self.name.as_str().to_owned());
    }
}

/// A partition as clients call it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    topic: TopicRef,
    index: i32,
}

/// A partition, and what is to be read of it.
#[derive(Clone, Debug)]
struct Wanted {
    key: Key,
    /// As it was found last.
    partition: Result<TopicPartition, ErrorCode>,
    offset: i64,
    max_bytes: i32,
    current_leader_epoch: i32,
    last_fetched_epoch: i32,
}

impl Wanted {
    fn of(topic: &TopicRef, asked: &FetchPartition) -> Self {
        Self {
            key: Key {
                topic: topic.clone(),
                index: asked.partition,
            },
            partition: Err(ErrorCode::UnknownTopicOrPartition),
            offset: asked.fetch_offset,
            max_bytes: asked.partition_max_bytes,
            current_leader_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
        }
    }
}

impl PartitionAnswer {
    fn key(&self) -> Key {
        Key {
            topic: self.topic.clone(),
            index: self.index,
        }
    }
}

impl Asked {
    fn of(request: FetchRequest, version: i16) -> Self {
        let uses_topic_ids = version >= TOPIC_IDS_SINCE;
        let wanted = request.topics.iter().flat_map(|topic| {
            let name = TopicRef {
                name: topic.topic.0.clone(),
                id: topic.topic_id,
            };
            topic
                .partitions
                .iter()
                .map(move |partition| Wanted::of(&name, partition))
        });
        let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
            let name = TopicRef {
                name: topic.topic.0.clone(),
                id: topic.topic_id,
            };
            topic.partitions.iter().map(move |index| Key {
                topic: name.clone(),
                index: *index,
            })
        });
        Self {
            session_id: request.session_id,
            epoch: request.session_epoch,
            uses_topic_ids,
            wanted: wanted.collect(),
            forgotten: forgotten.collect(),
        }
    }
}
