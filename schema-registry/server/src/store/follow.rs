//! Reads on behind the owner: what other registries write, whenever they do.

use std::{sync::Arc, time::Duration};

use millstream_client::{Fetched, LogError};
use millstream_types::Offset;
use tokio::{sync::mpsc, time::sleep};

use super::{OpenError, SchemasTopic};
use crate::metrics::Metrics;

/// How long one look takes when nothing comes.
const LOOK: Duration = Duration::from_millis(500);
/// Looks until it is asked whether the topic is the same: two seconds when nothing comes.
const LOOKS_AT_ONE_TOPIC: u32 = 4;
/// Between looks for a topic that is not there.
const PAUSE: Duration = Duration::from_secs(1);

/// What was seen.
pub(crate) enum Seen {
    Records(Fetched),
    /// The topic is not what it was: it was made anew, or cut.
    Changed,
}

/// Goes on until nobody listens. `from`: where, and in which topic.
pub(crate) async fn follow(
    topic: Arc<SchemasTopic>,
    mut from: Option<(Offset, Option<u128>)>,
    metrics: Arc<Metrics>,
    out: mpsc::Sender<Seen>,
) {
    let mut looks = 0;
    while !out.is_closed() {
        let Some((offset, id)) = from else {
            from = find(&topic, &metrics).await;
            if from.is_none() {
                sleep(PAUSE).await;
            }
            continue;
        };
        // A topic that was made anew may have grown beyond the offset before anybody has looked.
        if looks >= LOOKS_AT_ONE_TOPIC {
            looks = 0;
            let now = topic.id().await;
            if now.is_ok_and(|now| now != id) {
                from = None;
                if out.send(Seen::Changed).await.is_err() {
                    return;
                }
                continue;
            }
        }
        match topic.read(offset, LOOK).await {
            Ok(fetched) => {
                metrics.read();
                looks += 1;
                from = Some((fetched.next_offset, id));
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
                looks = LOOKS_AT_ONE_TOPIC;
                tracing::warn!(%error, "cannot read the topic of schemas");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The beginning of the topic, if it is there.
async fn find(topic: &SchemasTopic, metrics: &Metrics) -> Option<(Offset, Option<u128>)> {
    let found = async {
        if !topic.exists().await? {
            return Ok(None);
        }
        // First which topic it is: if it changes in between, that is noticed.
        let unreadable = |source| topic.unreadable(source);
        let id = topic.id().await.map_err(unreadable)?;
        let start = topic.start().await.map_err(unreadable)?;
        Ok::<_, OpenError>(Some((start, id)))
    };
    match found.await {
        Ok(found) => found,
        Err(error) => {
            metrics.read_failed();
            tracing::warn!(%error, "cannot look for the topic of schemas");
            None
        }
    }
}
