//! Requests that wait for the members of their group, and what makes a reply true: its records on the disk.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, ready},
};
use millstream_broker_coordinator::{GroupError, Reply, Token};
use millstream_broker_storage::Ticket;
use tokio::sync::oneshot;
use tracing::warn;

/// Resolves when all that groups decided so far is durable.
pub(crate) type Durable = Shared<BoxFuture<'static, Result<(), GroupError>>>;

/// Taken only while the coordinator is locked, so that it has its order.
#[derive(Debug)]
pub(in crate::broker) struct Waiters(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    next: u64,
    /// A client that has gone leaves its entry until its group answers, which a deadline sees to.
    senders: HashMap<Token, oneshot::Sender<(Reply, Durable)>>,
    durable: Durable,
}

impl Default for Waiters {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            next: 0,
            senders: HashMap::new(),
            durable: ready(Ok(())).boxed().shared(),
        }))
    }
}

impl Waiters {
    pub(super) fn register(&self) -> (Token, oneshot::Receiver<(Reply, Durable)>) {
        let mut waiting = self.lock();
        waiting.next += 1;
        let token = Token(waiting.next);
        let (sender, receiver) = oneshot::channel();
        waiting.senders.insert(token, sender);
        (token, receiver)
    }

    /// Hands replies out, each to be believed when the records are durable: `written`, or those before if there are none.
    pub(super) fn answer(&self, replies: Vec<(Token, Reply)>, written: Option<Durable>) -> Durable {
        let mut waiting = self.lock();
        let durable = written.unwrap_or_else(|| waiting.durable.clone());
        for (token, reply) in replies {
            if let Some(sender) = waiting.senders.remove(&token) {
                // The client may be gone.
                let _ = sender.send((reply, durable.clone()));
            }
        }
        durable
    }

    /// All replies from now on wait for this too: the log is written in order.
    pub(super) fn written(&self, ticket: Ticket<()>) -> Durable {
        let stored = async {
            ticket.await.map_err(|error| {
                warn!(%error, "what a group decided was not stored");
                GroupError::NotStored
            })
        };
        let durable = stored.boxed().shared();
        self.lock().durable = durable.clone();
        durable
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn not_stored() -> Durable {
    ready(Err(GroupError::NotStored)).boxed().shared()
}
