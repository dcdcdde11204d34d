use std::sync::Arc;

use anyhow::Context as _;
use millstream_schema_registry_server::{AvroSchemas, Creation, Registry};
use millstream_sdk::{SchemaText, Schemas};
use millstream_types::{SchemaId, Subject, TopicName};

use super::{
    in_process::InProcess,
    port::{self, DEFAULT_ADDRESS},
    remote::Remote,
};
use crate::{Context, store::Store};

/// Whether values are Avro, and where their schemas are.
#[derive(clap::Args, Debug)]
pub(crate) struct AvroValues {
    /// Values are Avro data of registered schemas, and shown and given as JSON
    #[arg(long)]
    avro: bool,
    /// The schema registry, with --avro [default: that of the data directory, or http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", env = "SCHEMA_REGISTRY_URL", help_heading = "Where")]
    registry: Option<String>,
}

/// The registry of a command.
pub(crate) enum AvroRegistry {
    Own(Registry),
    Remote(Arc<Remote>),
}

impl AvroValues {
    /// The registry, if values are Avro. A data directory that this process holds has its own.
    pub(crate) async fn open(
        &self,
        store: &Store,
        context: &Context,
    ) -> anyhow::Result<Option<AvroRegistry>> {
        if !self.avro {
            return Ok(None);
        }
        let remote = |url: &str| Ok(Some(AvroRegistry::Remote(Arc::new(Remote::new(url)))));
        match &self.registry {
            Some(url) => remote(url),
            None if store.is_remote() => remote(store.registry().unwrap_or(DEFAULT_ADDRESS)),
            None => {
                let settings = port::settings(context.clock.clone(), Creation::WhenNeeded);
                let registry = Registry::open(store.shared(), settings).await;
                Ok(Some(AvroRegistry::Own(
                    registry.context("cannot open the schema registry")?,
                )))
            }
        }
    }
}

impl AvroRegistry {
    pub(crate) fn schemas(&self) -> Arc<dyn Schemas> {
        match self {
            Self::Own(registry) => Arc::new(InProcess::of(AvroSchemas::of(registry.clone()))),
            Self::Remote(remote) => remote.clone(),
        }
    }

    /// The newest schema of a topic's values.
    pub(crate) async fn latest(&self, topic: &TopicName) -> anyhow::Result<(SchemaId, SchemaText)> {
        let subject = Subject::new(format!("{topic}-value"))?;
        let found = match self {
            Self::Own(registry) => AvroSchemas::of(registry.clone()).latest(&subject)?.map(|latest| {
                let text = SchemaText {
                    text: latest.schema.text.clone(),
                    referenced: latest.schema.referenced.clone(),
                };
                (latest.id, text)
            }),
            Self::Remote(remote) => remote.latest(&subject)?,
        };
        found.with_context(|| {
            format!("no schema is registered under '{subject}': `millstream registry register` does it")
        })
    }

    pub(crate) async fn close(self) {
        if let Self::Own(registry) = self {
            registry.close().await;
        }
    }
}
