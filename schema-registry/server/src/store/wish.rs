use millstream_schema_registry_core::{Decision, Refusal, State, record::Put};
use tokio::sync::oneshot;

use super::Failure;

/// A request that may write, whatever its answer is.
pub(crate) trait Wish: Send {
    /// Decides on a state and keeps the answer; may be called again when another registry was quicker. The records to
    /// write; none: it is as was asked.
    fn decide(&mut self, state: &State) -> Result<Vec<Put>, Refusal>;

    /// Gives the answer that was kept, or the failure.
    fn done(self: Box<Self>, outcome: Result<(), Failure>);
}

/// A decision with somebody who waits for it.
pub(crate) struct Pending<F, T> {
    decide: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Pending<F, T> {
    pub(crate) fn new(decide: F) -> (Self, oneshot::Receiver<Result<T, Failure>>) {
        let (reply, answer) = oneshot::channel();
        let pending = Self {
            decide,
            answer: None,
            reply,
        };
        (pending, answer)
    }
}

impl<F, T> Wish for Pending<F, T>
where
    F: FnMut(&State) -> Result<Decision<T>, Refusal> + Send,
    T: Send,
{
    fn decide(&mut self, state: &State) -> Result<Vec<Put>, Refusal> {
        let Decision { puts, answer } = (self.decide)(state)?;
        self.answer = Some(answer);
        Ok(puts)
    }

    fn done(self: Box<Self>, outcome: Result<(), Failure>) {
        let answer = self.answer;
        let outcome = outcome.map(|()| answer.expect("a wish is done after it was decided"));
        // Whoever asked may have gone.
        let _ = self.reply.send(outcome);
    }
}
