//! Waiting for any of many partitions to change, at the price of one waiter: an idle consumer with a thousand partitions
//! is woken once, whatever changed, and looks again by itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use crate::{engine::lock, partition::PartitionView};

/// A waiter, registered with its partitions until it is dropped. What changed after it was made is never missed.
pub struct Changes {
    changed: Arc<Notify>,
    registered: Vec<(Arc<PartitionView>, u64)>,
}

impl Changes {
    pub(crate) fn of(views: impl Iterator<Item = Arc<PartitionView>>) -> Self {
        let changed = Arc::new(Notify::new());
        let registered = views
            .map(|view| {
                let id = view.waiting.register(&changed);
                (view, id)
            })
            .collect();
        Self { changed, registered }
    }

    /// Resolves when one of them has changed since this was made, or since it last resolved. Cancel-safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        for (view, id) in &self.registered {
            view.waiting.forget(*id);
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("partitions", &self.registered.len())
            .finish_non_exhaustive()
    }
}

/// Those who wait for one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    last_id: u64,
    by_id: HashMap<u64, Arc<Notify>>,
}

impl Waiting {
    fn register(&self, waiter: &Arc<Notify>) -> u64 {
        let mut waiters = lock(&self.0);
        waiters.last_id += 1;
        let id = waiters.last_id;
        waiters.by_id.insert(id, waiter.clone());
        id
    }

    fn forget(&self, id: u64) {
        let mut waiters = lock(&self.0);
        waiters.by_id.remove(&id);
        if waiters.by_id.is_empty() {
            waiters.by_id.shrink_to_fit();
        }
    }

    /// The permit of a waiter that is not waiting at the moment is kept for it.
    pub(crate) fn wake(&self) {
        for waiter in lock(&self.0).by_id.values() {
            waiter.notify_one();
        }
    }
}
