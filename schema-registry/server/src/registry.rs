use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicI64, Ordering},
};

use millstream_client::Log;
use millstream_schema_registry_core::{
    Against, Decision, QualifiedSubject, Refusal, Registered, Schemas, State, VersionId,
    model::{SchemaRequest, TagRequest},
};
use millstream_types::Offset;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::store::{Failure, OpenError, Owner, Pending, RegistrySettings, SchemasTopic, Store, Wish};

/// Requests that may wait for their turn to write. Further ones wait before they are even queued.
const INBOX: usize = 256;

/// A schema registry on a log, in this process. Cheap to clone; all clones are one registry.
///
/// Reads look at the state in memory and never wait for a write that is decided or on its way to the disk. Writes take
/// their turn, and return when they are durable and true.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    state: Arc<RwLock<State>>,
    position: Arc<AtomicI64>,
    schemas: Arc<Schemas>,
    metrics: Arc<Metrics>,
    inbox: mpsc::Sender<Box<dyn Wish>>,
    stop: CancellationToken,
    owner: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Registry {
    /// Reads what the topic has; refuses one that would lose schemas.
    pub async fn open(log: Arc<dyn Log>, settings: RegistrySettings) -> Result<Self, OpenError> {
        let state = Arc::new(RwLock::new(State::default()));
        let topic = SchemasTopic::new(Store { log, settings });
        let position = Arc::new(AtomicI64::new(0));
        let metrics = Arc::new(Metrics::default());
        let owner = Owner::open(topic, state.clone(), position.clone(), metrics.clone()).await?;
        let (inbox, wishes) = mpsc::channel(INBOX);
        let stop = CancellationToken::new();
        let owner = tokio::spawn(owner.run(wishes, stop.clone()));
        let shared = Shared {
            state,
            position,
            schemas: Arc::default(),
            metrics,
            inbox,
            stop,
            owner: tokio::sync::Mutex::new(Some(owner)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Grows when the topic is read from its beginning again, because it was made anew: ids may be those of other schemas.
    pub fn generation(&self) -> u64 {
        self.shared.metrics.replays()
    }

    /// Everything in the topic before this offset is in the state, or in a newer one.
    pub fn position(&self) -> Offset {
        Offset(self.shared.position.load(Ordering::Acquire))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Looks at the state. Whoever looks long makes writers wait.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decides on the newest state, writes, and answers when that is durable and true. The decision is made again when
    /// another registry was quicker.
    pub async fn write<T: Send + 'static>(
        &self,
        decide: impl FnMut(&State) -> Result<Decision<T>, Refusal> + Send + 'static,
    ) -> Result<T, Failure> {
        let (pending, answer) = Pending::new(decide);
        let sent = self.shared.inbox.send(Box::new(pending)).await;
        sent.map_err(|_| Failure::Stopped)?;
        answer.await.unwrap_or(Err(Failure::Stopped))
    }

    /// Reads to the end of the log: what another registry has answered is known afterwards.
    pub async fn refresh(&self) -> Result<(), Failure> {
        self.write(|_| Ok(Decision::known(()))).await
    }

    /// Registers a schema under a subject. One that is there already is answered without waiting for writers.
    pub async fn register(
        &self,
        subject: &QualifiedSubject,
        request: SchemaRequest,
        normalize: bool,
    ) -> Result<Registered, Failure> {
        if let Some(known) = self.read(|state| state.registered(subject, &request, normalize))? {
            return Ok(known);
        }
        let (subject, schemas) = (subject.clone(), self.shared.schemas.clone());
        self.write(move |state| state.register(&schemas, &subject, &request, normalize))
            .await
    }

    /// Registers a version of a subject anew, with other tags.
    pub async fn tag(
        &self,
        subject: &QualifiedSubject,
        version: VersionId,
        request: TagRequest,
    ) -> Result<Registered, Failure> {
        let (subject, schemas) = (subject.clone(), self.shared.schemas.clone());
        self.write(move |state| state.tag(&schemas, &subject, version, &request))
            .await
    }

    /// What speaks against a schema after those of a subject, in Confluent's words; nothing: it may follow.
    pub fn compare(
        &self,
        subject: &QualifiedSubject,
        against: Against,
        request: &SchemaRequest,
        normalize: bool,
    ) -> Result<Vec<String>, Refusal> {
        let comparison = self.read(|state| state.comparison(subject, against, request, normalize))?;
        Ok(comparison.run(&self.shared.schemas))
    }

    /// Finishes the write at hand and refuses those that wait. Reads go on.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        if let Some(owner) = self.shared.owner.lock().await.take()
            && let Err(error) = owner.await
        {
            tracing::error!(%error, "the writer of the schema registry failed");
        }
    }
}
