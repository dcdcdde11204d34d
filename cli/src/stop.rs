//! Ctrl-C and SIGTERM: the first asks for a graceful stop, the second ends the process at once.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, talk::Talk};

/// Signals that come so soon after the first are the same wish: some tools signal a process and its whole group.
const ECHO: Duration = Duration::from_millis(300);

/// A token that the first signal cancels.
pub(crate) fn on_signal(talk: &Talk) -> anyhow::Result<CancellationToken> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let (token, talk) = (stop.clone(), talk.clone());
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        talk.say("stopping; once more to stop at once");
        token.cancel();
        let first = Instant::now();
        while first.elapsed() < ECHO {
            either(&mut interrupt, &mut terminate).await;
        }
        // What was acknowledged is durable: an end at once loses nothing.
        std::process::exit(Exit::Interrupted.code().into());
    });
    Ok(stop)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
