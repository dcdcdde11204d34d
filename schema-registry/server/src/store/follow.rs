//! Reads on behind the owner: what other registries write, whenever they do.

use std::{sync::Arc, time::Duration};

use millstream_client::{Fetched, LogError};
use millstream_types::Offset;
use tokio::{sync::mpsc, time::sleep};

use super::SchemasTopic;
use crate::metrics::Metrics;

/// How long one look takes when nothing comes.
const LOOK: Duration = Duration::from_millis(500);
/// Between looks for a topic that is not there.
const PAUSE: Duration = Duration::from_secs(1);

/// What was seen.
pub(crate) enum Seen {
    Records(Fetched),
    /// The topic is not what it was: it was made anew, or cut.
    Changed,
}

/// Goes on until nobody listens.
pub(crate) async fn follow(
    topic: Arc<SchemasTopic>,
    mut from: Option<Offset>,
    metrics: Arc<Metrics>,
    out: mpsc::Sender<Seen>,
) {
    while !out.is_closed() {
        let Some(offset) = from else {
            match topic.exists().await {
                Ok(true) => from = topic.start().await.ok(),
                Ok(false) => {}
                Err(error) => {
                    metrics.read_failed();
                    tracing::warn!(%error, "cannot look for the topic of schemas");
                }
            }
            if from.is_none() {
                sleep(PAUSE).await;
            }
            continue;
        };
        match topic.read(offset, LOOK).await {
            Ok(fetched) => {
                metrics.read();
                from = Some(fetched.next_offset);
                if !fetched.records.is_empty() && out.send(Seen::Records(fetched)).await.is_err() {
                    return;
                }
            }
            Err(LogError::OffsetOutOfRange { .. } | LogError::UnknownTopic { .. }) => {
                from = None;
                if out.send(Seen::Changed).await.is_err() {
                    return;
                }
                sleep(PAUSE).await;
            }
            Err(error) => {
                metrics.read_failed();
                tracing::warn!(%error, "cannot read the topic of schemas");
                sleep(PAUSE).await;
            }
        }
    }
}
