use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Polls a future once and drops it: what a `select!` does to the branch that loses.
pub(super) fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
