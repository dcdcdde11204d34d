//! The receipt of a write that was accepted and is on its way to the disk.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::error::WriteError;

/// Resolves when the write is durable, or can no longer become so. Dropping it takes nothing back.
#[must_use = "the write is durable only when its ticket says so"]
#[derive(Debug)]
pub struct Ticket<T>(oneshot::Receiver<Result<T, WriteError>>);

/// Called once with the fate of a write.
pub(crate) type Done = Box<dyn FnOnce(Result<(), WriteError>) + Send>;

impl<T: Send + 'static> Ticket<T> {
    /// A ticket for `value`, and what resolves it.
    pub(crate) fn of(value: T) -> (Self, Done) {
        let (sender, receiver) = oneshot::channel();
        // the receiver may be gone: not everybody waits
        let done = move |fate: Result<(), WriteError>| drop(sender.send(fate.map(|()| value)));
        (Self(receiver), Box::new(done))
    }

    /// Waits on a plain thread. Must not be called on an async worker, where it is to be awaited.
    pub fn wait(self) -> Result<T, WriteError> {
        self.0.blocking_recv().unwrap_or(Err(WriteError::Closed))
    }
}

impl<T> Future for Ticket<T> {
    type Output = Result<T, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|fate| fate.unwrap_or(Err(WriteError::Closed)))
    }
}
