//! Fetch sessions (KIP-227): the broker remembers what a consumer asks for, so that the next request names only what is
//! different, and the answer only what has changed.
//!
//! Pure: a request and the time in, what is to be read out; then what was read in, what is to be told out. The rules are
//! Kafka's, those of eviction included: a session that was not used for [`EVICT_AFTER_MS`] goes first, else one that is
//! that old and smaller than the new one. Without a slot a consumer is answered in full, every time.
//!
//! Partitions whose records were told go to the end of their session: where an answer has no room for all, all get their
//! turn.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use millstream_protocol::ErrorCode;

use super::{
    Key, Wanted,
    encode::{FetchAnswer, PartitionAnswer},
};

/// `min.incremental.fetch.session.eviction.ms`, which is a constant in Kafka too.
const EVICT_AFTER_MS: i64 = 120_000;
/// No session.
const NO_SESSION: i32 = 0;
/// A full request that wants a session from now on.
const INITIAL_EPOCH: i32 = 0;
/// A full request that wants none.
const FINAL_EPOCH: i32 = -1;

/// What a request says of its session.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) session_id: i32,
    pub(super) epoch: i32,
    pub(super) uses_topic_ids: bool,
    pub(super) wanted: Vec<Wanted>,
    pub(super) forgotten: Vec<Key>,
}

/// What is to be read, and how it will be told.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) wanted: Vec<Wanted>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sessionless,
    New { uses_topic_ids: bool },
    Incremental { session_id: i32, epoch: i32 },
}

#[derive(Debug)]
pub(super) struct FetchSessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
}

#[derive(Debug)]
struct Session {
    /// Of the next request.
    epoch: i32,
    uses_topic_ids: bool,
    created_ms: i64,
    used_ms: i64,
    partitions: HashMap<Key, Slot>,
    /// The order in which they are read.
    order: BTreeMap<u64, Key>,
    last_place: u64,
}

#[derive(Debug)]
struct Slot {
    wanted: Wanted,
    place: u64,
    /// What was told last.
    high_watermark: i64,
    log_start: i64,
}

impl FetchSessions {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            sessions: HashMap::new(),
        }
    }

    pub(super) fn begin(&mut self, asked: Asked, now_ms: i64) -> Result<Turn, ErrorCode> {
        if let INITIAL_EPOCH | FINAL_EPOCH = asked.epoch {
            self.sessions.remove(&asked.session_id);
            let kind = match asked.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::New {
                    uses_topic_ids: asked.uses_topic_ids,
                },
            };
            return Ok(Turn {
                wanted: asked.wanted,
                kind,
            });
        }
        let session = self
            .sessions
            .get_mut(&asked.session_id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.uses_topic_ids != asked.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.epoch != asked.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.used_ms = now_ms;
        session.update(asked.wanted, &asked.forgotten);
        if session.partitions.is_empty() {
            self.sessions.remove(&asked.session_id);
            return Ok(Turn {
                wanted: Vec::new(),
                kind: Kind::Sessionless,
            });
        }
        session.epoch = next_epoch(session.epoch);
        Ok(Turn {
            wanted: session.in_order(),
            kind: Kind::Incremental {
                session_id: asked.session_id,
                epoch: session.epoch,
            },
        })
    }

    /// What is told of what was read. `draw` gives numbers for a new session's id.
    pub(super) fn finish(
        &mut self,
        turn: Turn,
        read: Vec<PartitionAnswer>,
        now_ms: i64,
        draw: impl FnMut() -> i32,
    ) -> FetchAnswer {
        let all = |session_id| FetchAnswer {
            session_id,
            ..FetchAnswer::default()
        };
        match turn.kind {
            Kind::Sessionless => FetchAnswer {
                partitions: read,
                ..all(NO_SESSION)
            },
            Kind::New { uses_topic_ids } => {
                let session_id = if self.make_room(turn.wanted.len(), now_ms) {
                    let session = Session::new(turn.wanted, &read, uses_topic_ids, now_ms);
                    self.insert(session, draw)
                } else {
                    NO_SESSION
                };
                FetchAnswer {
                    partitions: read,
                    ..all(session_id)
                }
            }
            Kind::Incremental { session_id, epoch } => match self.sessions.get_mut(&session_id) {
                Some(session) if session.epoch == epoch => FetchAnswer {
                    partitions: session.told(read),
                    ..all(session_id)
                },
                Some(_) => FetchAnswer::refused(ErrorCode::InvalidFetchSessionEpoch),
                // Evicted while this request waited.
                None => FetchAnswer::refused(ErrorCode::FetchSessionIdNotFound),
            },
        }
    }

    /// An answer that tells nothing, because its consumer must pause.
    pub(super) fn nothing(&self, turn: &Turn, throttle: Duration) -> FetchAnswer {
        let session_id = match turn.kind {
            Kind::Incremental { session_id, .. } => session_id,
            Kind::Sessionless | Kind::New { .. } => NO_SESSION,
        };
        FetchAnswer {
            session_id,
            throttle_time_ms: i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX),
            ..FetchAnswer::default()
        }
    }

    fn insert(&mut self, session: Session, mut draw: impl FnMut() -> i32) -> i32 {
        loop {
            let id = draw();
            if id > NO_SESSION && !self.sessions.contains_key(&id) {
                self.sessions.insert(id, session);
                return id;
            }
        }
    }

    /// Whether there is a slot for a session of that many partitions.
    fn make_room(&mut self, partitions: usize, now_ms: i64) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let is_old = |since: i64| now_ms - since > EVICT_AFTER_MS;
        let least_used = self.sessions.iter().min_by_key(|(_, session)| session.used_ms);
        let unused = least_used.filter(|(_, session)| is_old(session.used_ms));
        let smallest = || {
            let old = self
                .sessions
                .iter()
                .filter(|(_, session)| is_old(session.created_ms));
            old.min_by_key(|(id, session)| (session.partitions.len(), **id))
                .filter(|(_, session)| session.partitions.len() < partitions)
        };
        let evicted = unused.or_else(smallest).map(|(id, _)| *id);
        evicted.is_some_and(|id| self.sessions.remove(&id).is_some())
    }
}

impl FetchAnswer {
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

impl Session {
    fn new(wanted: Vec<Wanted>, read: &[PartitionAnswer], uses_topic_ids: bool, now_ms: i64) -> Self {
        let mut session = Self {
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            created_ms: now_ms,
            used_ms: now_ms,
            partitions: HashMap::with_capacity(wanted.len()),
            order: BTreeMap::new(),
            last_place: 0,
        };
        session.update(wanted, &[]);
        for answer in read {
            if let Some(slot) = session.partitions.get_mut(&answer.key()) {
                slot.tell(answer);
            }
        }
        session
    }

    fn update(&mut self, wanted: Vec<Wanted>, forgotten: &[Key]) {
        for mut wanted in wanted {
            match self.partitions.get_mut(&wanted.key) {
                Some(slot) => {
                    wanted.key = slot.wanted.key.clone();
                    slot.wanted = wanted;
                }
                None => {
                    wanted.key.topic.detach();
                    self.last_place += 1;
                    self.order.insert(self.last_place, wanted.key.clone());
                    let slot = Slot {
                        place: self.last_place,
                        high_watermark: -1,
                        log_start: -1,
                        wanted,
                    };
                    self.partitions.insert(slot.wanted.key.clone(), slot);
                }
            }
        }
        for key in forgotten {
            if let Some(slot) = self.partitions.remove(key) {
                self.order.remove(&slot.place);
            }
        }
    }

    fn in_order(&self) -> Vec<Wanted> {
        self.order
            .values()
            .map(|key| self.partitions[key].wanted.clone())
            .collect()
    }

    /// Leaves out what the consumer knows.
    fn told(&mut self, mut read: Vec<PartitionAnswer>) -> Vec<PartitionAnswer> {
        read.retain(|answer| {
            let Some(slot) = self.partitions.get_mut(&answer.key()) else {
                return false;
            };
            let tells = slot.tell(answer);
            if answer.records_bytes() > 0 {
                self.order.remove(&slot.place);
                self.last_place += 1;
                slot.place = self.last_place;
                self.order.insert(slot.place, slot.wanted.key.clone());
            }
            tells
        });
        read
    }
}

impl Slot {
    /// Remembers an answer. Whether it holds anything new.
    fn tell(&mut self, answer: &PartitionAnswer) -> bool {
        let is_new = (self.high_watermark, self.log_start) != (answer.high_watermark, answer.log_start);
        self.high_watermark = answer.high_watermark;
        self.log_start = answer.log_start;
        if answer.error.is_some() {
            // Told again, and that it is over.
            self.high_watermark = -1;
            return true;
        }
        is_new || answer.records_bytes() > 0 || answer.diverging.is_some()
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests;
