use std::sync::Arc;

use bytes::Bytes;
use millstream_broker_storage::{StateKey, Storage, TopicError, WriteError};
use tokio::sync::watch;

use super::{Broker, OpenError, only_write};
use crate::{BrokerSettings, DynamicSettings, InvalidSettings};

const KEY: &[u8] = b"broker-settings";

/// Why settings were not altered.
#[derive(Debug, thiserror::Error)]
pub enum AlterSettingsError {
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
    #[error(transparent)]
    Topics(#[from] TopicError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Broker {
    /// The configuration in force.
    pub fn settings(&self) -> Arc<BrokerSettings> {
        self.settings.borrow().clone()
    }

    /// Changes when settings are altered.
    pub fn watch_settings(&self) -> watch::Receiver<Arc<BrokerSettings>> {
        self.settings.subscribe()
    }

    /// Alters settings while the broker runs: durable and in force when this returns. `alter` makes the new alterations
    /// from the old ones; nobody else alters in between.
    pub async fn alter_settings<E: From<AlterSettingsError>>(
        &self,
        alter: impl FnOnce(&BrokerSettings) -> Result<DynamicSettings, E>,
    ) -> Result<(), E> {
        let _altering = self.altering.lock().await;
        let before = self.settings();
        let after = before
            .with_dynamic(alter(&before)?)
            .map_err(AlterSettingsError::from)?;
        self.store(after).await.map_err(E::from)
    }

    /// While it is held, nobody else alters a configuration.
    pub(crate) async fn alter_alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.altering.lock().await
    }

    async fn store(&self, settings: BrokerSettings) -> Result<(), AlterSettingsError> {
        self.storage.room().await;
        let value = serde_json::to_vec(settings.dynamic()).expect("two maps of strings are always JSON");
        let stored = self.storage.put(key(), Some(value.into())).map_err(only_write)?;
        stored.await?;
        self.storage
            .set_topic_defaults(settings.topic_defaults())?
            .await?;
        self.settings.send_replace(Arc::new(settings));
        Ok(())
    }
}

/// The settings of this start under those that were altered before it; topics get their defaults.
pub(super) async fn with_stored(
    storage: &Storage,
    settings: &BrokerSettings,
) -> Result<BrokerSettings, OpenError> {
    let dynamic = match storage.get(&key()) {
        Some(value) => serde_json::from_slice(&value)?,
        None => DynamicSettings::default(),
    };
    let settings = settings.with_dynamic(dynamic)?;
    let defaults = settings.topic_defaults();
    if !defaults.is_empty() {
        storage.set_topic_defaults(defaults)?.await?;
    }
    Ok(settings)
}

fn key() -> StateKey {
    StateKey(Bytes::from_static(KEY))
}
