use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use millstream_client::{Fetched, LogError};
use millstream_schema_registry_core::{
    Applied, LogRecord, Refusal, State,
    record::{ORIGIN_HEADER, Origin, Put},
};
use millstream_types::{Header, Offset, Record};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Creation, Failure, OpenError, SchemasTopic, Wish,
    follow::{Seen, follow},
};
use crate::metrics::Metrics;

/// What waits behind the owner when another registry writes.
const FOLLOWED: usize = 2;
/// Who lost a write decides again at once, and puts right what it has left. Others do so when that does not come: if they did it
/// at once, too, they would make each other lose again and again.
const REPAIR_AFTER: Duration = Duration::from_millis(500);
/// Until a log that was not available is asked again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The one task that writes to the topic and changes the state.
pub(crate) struct Owner {
    topic: Arc<SchemasTopic>,
    state: Arc<RwLock<State>>,
    /// The offset after the last record that the state has; `None` without a topic.
    position: Option<Offset>,
    /// The topic that the position is one of, if the log tells it.
    id: Option<u128>,
    /// The position, for others to see.
    shown: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
    /// Writes of ours whose fate is not known, because the log did not answer.
    in_doubt: Vec<u64>,
}

/// What became of an own write that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    True,
    Lost,
}

impl Owner {
    /// Reads all there is.
    pub(crate) async fn open(
        topic: SchemasTopic,
        state: Arc<RwLock<State>>,
        shown: Arc<AtomicI64>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let mut owner = Self {
            topic: Arc::new(topic),
            state,
            position: None,
            id: None,
            shown,
            metrics,
            in_doubt: Vec::new(),
        };
        let exists = owner.topic.exists().await?;
        if !exists && owner.topic.store().settings.creation == Creation::AtOnce {
            owner.topic.create().await?;
        }
        if exists || owner.topic.store().settings.creation == Creation::AtOnce {
            let replayed = owner.replay().await;
            replayed.map_err(|source| OpenError::Log {
                topic: owner.topic.store().settings.topic.clone(),
                source,
            })?;
        }
        Ok(owner)
    }

    async fn replay(&mut self) -> Result<(), LogError> {
        let began = Instant::now();
        let mut state = State::default();
        let id = self.topic.id().await?;
        let mut position = self.topic.start().await?;
        let start = position;
        let end = self.topic.end().await?;
        while position < end {
            let fetched = self.topic.read(position, Duration::ZERO).await?;
            for record in &fetched.records {
                apply(&mut state, record);
            }
            if fetched.next_offset == position {
                return Err(LogError::Unavailable {
                    message: format!("nothing can be read at offset {position}, before the end at {end}"),
                });
            }
            position = fetched.next_offset;
        }
        if self.topic.id().await? != id {
            return Err(LogError::Unavailable {
                message: "the topic of schemas was made anew while it was read".to_owned(),
            });
        }
        let (subjects, schemas) = (state.subject_count(), state.schema_count());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.id = id;
        self.is_at(Some(position));
        // After the state is the new one: whoever sees the new generation sees no old schema.
        self.metrics.replayed(began.elapsed());
        tracing::info!(
            topic = %self.topic.store().settings.topic,
            offsets = position - start,
            subjects,
            schemas,
            took_ms = began.elapsed().as_millis(),
            "read the schemas"
        );
        Ok(())
    }

    /// Serves wishes until the token is cancelled or nobody can wish any more.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Box<dyn Wish>>, stop: CancellationToken) {
        let (out, mut seen) = mpsc::channel(FOLLOWED);
        let follower = tokio::spawn(follow(
            self.topic.clone(),
            self.position.map(|position| (position, self.id)),
            self.metrics.clone(),
            out,
        ));
        self.repair().await;
        let mut repair_at = None;
        loop {
            repair_at = self
                .needs_repair()
                .then(|| repair_at.unwrap_or_else(|| Instant::now() + REPAIR_AFTER));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                wish = inbox.recv() => match wish {
                    Some(wish) => self.serve(wish).await,
                    None => break,
                },
                Some(seen) = seen.recv() => self.take(seen).await,
                () = sleep_until(repair_at.unwrap_or_else(Instant::now)), if repair_at.is_some() => {
                    repair_at = None;
                    self.repair().await;
                }
            }
        }
        inbox.close();
        while let Some(wish) = inbox.recv().await {
            wish.done(Err(Failure::Stopped));
        }
        drop(seen);
        follower.abort();
        // It only reads; waiting for it says nothing.
        let _ = follower.await;
    }

    async fn serve(&mut self, mut wish: Box<dyn Wish>) {
        let deadline = Instant::now() + self.topic.store().settings.timeout;
        let outcome = timeout_at(deadline, self.fulfil(|state| wish.decide(state))).await;
        wish.done(outcome.unwrap_or(Err(Failure::TimedOut)));
    }

    /// Decides and writes until what was decided is true.
    async fn fulfil(
        &mut self,
        mut decide: impl FnMut(&State) -> Result<Vec<Put>, Refusal>,
    ) -> Result<(), Failure> {
        self.in_doubt.clear();
        let mut pauses = pauses();
        loop {
            if self.catch_up().await? == Some(Fate::True) {
                return Ok(());
            }
            let wants_topic = self.position.is_none();
            if wants_topic && self.exists().await? {
                // Somebody else has made it.
                self.replay().await?;
                continue;
            }
            let puts = {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                let mut puts = state.repairs();
                puts.extend(decide(&state)?);
                if puts.is_empty() {
                    return Ok(());
                }
                puts
            };
            if wants_topic {
                self.create().await?;
                continue;
            }
            match self.write(&puts).await? {
                Some(Fate::True) => return Ok(()),
                Some(Fate::Lost) => {
                    self.metrics.lost();
                    tracing::info!("another registry wrote at the same time: deciding again");
                }
                None => sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await,
            }
        }
    }

    fn needs_repair(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.needs_repair()
    }

    /// Puts right what a write that lost has left in the log.
    async fn repair(&mut self) {
        if !self.needs_repair() {
            return;
        }
        let deadline = Instant::now() + self.topic.store().settings.timeout;
        match timeout_at(deadline, self.fulfil(|_| Ok(Vec::new()))).await {
            Ok(Ok(())) => tracing::info!("repaired what a registry wrote too late"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot repair what a registry wrote too late"),
            Err(_) => tracing::warn!("cannot repair what a registry wrote too late: the log takes too long"),
        }
    }

    /// Appends and reads back; `None`: the log did not say whether it has the records.
    async fn write(&mut self, puts: &[Put]) -> Result<Option<Fate>, Failure> {
        let after = self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .last_write();
        let origin = Origin {
            write: Uuid::new_v4().as_u64_pair().0,
            after,
        };
        let timestamp = self.topic.store().settings.clock.now();
        let header = Header::new(ORIGIN_HEADER, origin.to_string());
        let records: Vec<_> = puts
            .iter()
            .map(|put| Record {
                offset: Offset::ZERO,
                timestamp,
                key: Some(put.key.clone().into()),
                value: put.value.clone().map(Into::into),
                headers: vec![header.clone()],
            })
            .collect();
        let base = match self.topic.append(records.clone()).await {
            Ok(base) => base,
            Err(LogError::TooLarge { .. }) => return Err(Refusal::TooLarge.into()),
            Err(LogError::UnknownTopic { .. }) => {
                self.forget();
                return Ok(None);
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, "cannot write to the topic of schemas");
                self.in_doubt.push(origin.write);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.metrics.wrote();
        self.in_doubt.push(origin.write);
        if self.position == Some(base) {
            return Ok(self.apply_own(base, records));
        }
        self.catch_up().await.map_err(Failure::from)
    }

    /// Nobody wrote in between: what was appended need not be fetched.
    fn apply_own(&mut self, base: Offset, records: Vec<Record>) -> Option<Fate> {
        let next_offset = base + i64::try_from(records.len()).expect("a batch is small");
        let at = |(n, record)| Record {
            offset: base + i64::try_from(n).expect("a batch is small"),
            ..record
        };
        let records = records.into_iter().enumerate().map(at).collect::<Vec<_>>();
        self.apply(&records, next_offset)
    }

    async fn exists(&self) -> Result<bool, Failure> {
        self.topic.exists().await.map_err(unusable)
    }

    async fn create(&self) -> Result<(), Failure> {
        self.topic.create().await.map_err(unusable)
    }

    /// Reads to the end of the log. What became of own writes in doubt, if it was seen.
    async fn catch_up(&mut self) -> Result<Option<Fate>, LogError> {
        let mut fate = None;
        let mut pauses = pauses();
        loop {
            let Some(position) = self.position else {
                return Ok(fate);
            };
            let behind = match self.topic.end().await {
                Ok(end) if end < position => Err(()),
                Ok(end) => Ok(position < end),
                Err(LogError::UnknownTopic { .. }) => Err(()),
                Err(error) => return Err(error),
            };
            match behind {
                Ok(false) => return Ok(fate),
                Ok(true) => {
                    let fetched = self.topic.read(position, Duration::ZERO).await?;
                    fate = self.apply(&fetched.records, fetched.next_offset).or(fate);
                    if self.position == Some(position) {
                        // A transaction that is open, or a replica that is behind.
                        sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                    }
                }
                Err(()) => self.forget(),
            }
        }
    }

    async fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Records(Fetched {
                records, next_offset, ..
            }) if self.position.is_some() => {
                self.apply(&records, next_offset);
            }
            Seen::Records(_) => {
                if let Err(error) = self.replay().await {
                    tracing::warn!(%error, "cannot read the topic of schemas");
                }
            }
            Seen::Changed => self.forget(),
        }
    }

    /// The topic is gone, and with it all that it said.
    fn forget(&mut self) {
        tracing::warn!("the topic of schemas was deleted or cut: starting anew with what it has");
        self.is_at(None);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Said after the state has what lies before it.
    fn is_at(&mut self, position: Option<Offset>) {
        self.position = position;
        self.shown
            .store(position.unwrap_or_default().0, Ordering::Release);
    }

    /// Applies the records that the state does not have yet.
    fn apply(&mut self, records: &[Record], next_offset: Offset) -> Option<Fate> {
        let position = self.position?;
        if next_offset <= position {
            return None;
        }
        let mut fate = None;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for record in records.iter().filter(|record| record.offset >= position) {
            let applied = apply(&mut state, record);
            let own = origin(record).is_some_and(|origin| self.in_doubt.contains(&origin.write));
            if own {
                fate = Some(if applied == Applied::Lost {
                    Fate::Lost
                } else {
                    Fate::True
                });
            }
        }
        drop(state);
        self.is_at(Some(next_offset));
        fate
    }
}

/// Without an end: whoever waits has a deadline.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}

fn unusable(error: OpenError) -> Failure {
    match error {
        OpenError::Log { source, .. } => Failure::Log(source),
        error @ (OpenError::NotCompacted { .. } | OpenError::Partitions { .. }) => Failure::Topic {
            reason: error.to_string(),
        },
    }
}

fn origin(record: &Record) -> Option<Origin> {
    Origin::parse(record.header(ORIGIN_HEADER)?)
}

fn apply(state: &mut State, record: &Record) -> Applied {
    let applied = state.apply(LogRecord {
        offset: record.offset.0,
        timestamp: record.timestamp.0,
        key: record.key.as_deref().unwrap_or_default(),
        value: record.value.as_deref(),
        origin: origin(record),
    });
    match &applied {
        Applied::Changed | Applied::Nothing => {}
        Applied::Lost => tracing::info!(offset = %record.offset, "a registry wrote too late"),
        Applied::IdTaken { id } => {
            tracing::warn!(offset = %record.offset, id, "another schema has this id: the record is not used");
        }
        Applied::Invalid(error) => {
            tracing::warn!(offset = %record.offset, %error, "a record is not one of a registry: it is not used");
        }
    }
    applied
}
