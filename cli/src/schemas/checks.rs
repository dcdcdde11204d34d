//! The registry on the log of this process, for the broker that holds records against its schemas.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use millstream_broker_embedded::EmbeddedLog;
use millstream_broker_server::{Broker, SchemaSource};
use millstream_schema_registry_avro::{Schema, Strictness};
use millstream_schema_registry_core::{
    DEFAULT_CONTEXT, QualifiedSubject,
    model::{AVRO, Guid},
};
use millstream_schema_registry_server::{Creation, DEFAULT_TOPIC, Lookup, Registry};
use millstream_types::{Clock, SchemaId, TopicName, TopicPartition};
use tokio::{runtime::Handle, task::JoinHandle};

use super::port::settings;

/// Opened when a record is held against it for the first time, unless a registry is there already: most logs need none.
#[derive(Clone)]
pub(crate) struct LogSchemas(Arc<Inner>);

struct Inner {
    /// Which has this in it.
    broker: Weak<Broker>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    topic: TopicPartition,
    registry: OnceLock<Registry>,
    opening: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for LogSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSchemas").finish_non_exhaustive()
    }
}

impl LogSchemas {
    /// Of the runtime that this is called in.
    pub(crate) fn of(broker: &Arc<Broker>, clock: Arc<dyn Clock>) -> Self {
        let topic = TopicName::new(DEFAULT_TOPIC).expect("the name is valid");
        Self(Arc::new(Inner {
            broker: Arc::downgrade(broker),
            clock,
            runtime: Handle::current(),
            topic: TopicPartition::new(topic, 0),
            registry: OnceLock::new(),
            opening: Mutex::default(),
        }))
    }

    /// Looks into a registry that is open already, which its owner closes.
    pub(crate) fn look_into(&self, registry: Registry) {
        if self.0.registry.set(registry).is_err() {
            tracing::debug!("another registry is looked into already");
        }
    }

    /// Opens one now, and waits for it.
    pub(crate) async fn opened(&self) {
        self.open();
        let opening = self.opening().take();
        if let Some(opening) = opening {
            // It says itself what goes wrong.
            let _ = opening.await;
        }
    }

    /// Closes the registry.
    pub(crate) async fn close(&self) {
        let opening = self.opening().take();
        if let Some(opening) = opening {
            let _ = opening.await;
        }
        if let Some(registry) = self.0.registry.get() {
            registry.close().await;
        }
    }

    fn opening(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.0.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) {
        let mut opening = self.opening();
        if opening.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (inner, Some(broker)) = (self.0.clone(), self.0.broker.upgrade()) else {
            return;
        };
        *opening = Some(self.0.runtime.spawn(async move {
            let log = Arc::new(EmbeddedLog::new(broker));
            let settings = settings(inner.clock.clone(), Creation::WhenNeeded);
            match Registry::open(log, settings).await {
                Ok(registry) => {
                    let _ = inner.registry.set(registry);
                }
                Err(error) => tracing::warn!(%error, "records cannot be held against schemas"),
            }
        }));
    }
}

impl SchemaSource for LogSchemas {
    fn is_current(&self) -> Result<(), String> {
        let Some(registry) = self.0.registry.get() else {
            self.open();
            return Err("the schema registry is not open yet".into());
        };
        let Some(broker) = self.0.broker.upgrade() else {
            return Err("the broker is closing".into());
        };
        match broker.storage().offsets(&self.0.topic) {
            Ok(ends) if registry.position() < ends.last_stable => {
                Err("the schema registry has not read all that is registered".into())
            }
            // Without the topic nothing is.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn generation(&self) -> u64 {
        self.0.registry.get().map_or(0, Registry::generation)
    }

    fn schema(&self, id: SchemaId) -> Result<Option<Schema>, String> {
        let Some(registry) = self.0.registry.get() else {
            return Ok(None);
        };
        let found = registry.read(|state| {
            let entry = state.schema(DEFAULT_CONTEXT, id.0)?;
            let schema_type = entry.body.schema_type.as_deref().unwrap_or(AVRO);
            if schema_type != AVRO {
                return Some(Err(format!("it is of type {schema_type}, not {AVRO}")));
            }
            let resolved = state.resolve(&entry.any_use().subject, entry.body.clone());
            Some(resolved.map_err(|refusal| refusal.to_string()))
        });
        registry.looked_up(Lookup::Id, found.is_some());
        match found {
            None => Ok(None),
            Some(resolved) => {
                let schema = resolved?.parse(Strictness::Stored);
                schema.map(Some).map_err(|error| error.to_string())
            }
        }
    }

    fn id_of(&self, guid: [u8; 16]) -> Option<SchemaId> {
        let guid = Guid::from_bytes(guid);
        let registry = self.0.registry.get()?;
        let found = registry.read(|state| state.id_of(DEFAULT_CONTEXT, &guid));
        registry.looked_up(Lookup::Guid, found.is_some());
        found.map(SchemaId)
    }

    fn is_registered(&self, subject: &str, id: SchemaId) -> bool {
        let subject = QualifiedSubject::new(subject);
        self.0.registry.get().is_some_and(|registry| {
            registry.read(|state| {
                let entry = state.schema(DEFAULT_CONTEXT, id.0);
                let found = entry.and_then(|entry| entry.version_in(&subject));
                found.is_some_and(|version| !version.deleted)
            })
        })
    }
}
