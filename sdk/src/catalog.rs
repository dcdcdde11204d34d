use std::{collections::BTreeMap, sync::Arc};

use schemars::Schema;

use crate::{ProcessorFactory, Schemas, SinkFactory, SourceFactory};

/// What a connector or processor says of itself.
pub struct Spec {
    /// The word in the YAML: `type: <kind>` of a source or sink, the key of a processor.
    pub kind: &'static str,
    /// One sentence for listings and the reference.
    pub about: &'static str,
    /// JSON Schema of the node's own keys.
    pub config: Schema,
    pub guarantee: Guarantee,
}

/// What a record may expect of a connector when processes and machines fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    ExactlyOnce,
    /// Repeats happen but cannot be seen, because of `by`.
    EffectivelyOnce {
        by: &'static str,
    },
    AtLeastOnce,
}

/// All connectors and processors of a binary, by kind.
#[derive(Default, Clone)]
pub struct Catalog {
    pub sources: BTreeMap<&'static str, Arc<dyn SourceFactory>>,
    pub processors: BTreeMap<&'static str, Arc<dyn ProcessorFactory>>,
    pub sinks: BTreeMap<&'static str, Arc<dyn SinkFactory>>,
    /// The registry of the schemas of Avro topics; `None`: there is none.
    pub schemas: Option<Arc<dyn Schemas>>,
}

impl Catalog {
    #[must_use]
    pub fn with_source(mut self, factory: impl SourceFactory + 'static) -> Self {
        self.sources.insert(factory.spec().kind, Arc::new(factory));
        self
    }

    #[must_use]
    pub fn with_processor(mut self, factory: impl ProcessorFactory + 'static) -> Self {
        self.processors.insert(factory.spec().kind, Arc::new(factory));
        self
    }

    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<dyn Schemas>) -> Self {
        self.schemas = Some(schemas);
        self
    }

    #[must_use]
    pub fn with_sink(mut self, factory: impl SinkFactory + 'static) -> Self {
        self.sinks.insert(factory.spec().kind, Arc::new(factory));
        self
    }
}
