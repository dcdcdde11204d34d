//! The port: connections, bounded in number and in patience.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::router;
use crate::{Registry, metrics::OpenConnection};

/// Further clients wait until one leaves.
const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take to send the head of its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take nothing of an answer, so that one nobody reads does not keep its place for ever.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failure to accept, which is one of the whole process: no file is left, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open port.
pub struct RegistryPort {
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// Serves a registry at that address; port 0 takes a free one.
pub async fn serve(registry: Registry, address: &str) -> io::Result<RegistryPort> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let accepting = accept(listener, registry, shutdown.clone(), tasks.clone());
    tasks.spawn(accepting);
    tracing::info!(%address, "serving schemas");
    Ok(RegistryPort {
        address,
        shutdown,
        tasks,
    })
}

impl RegistryPort {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers what was asked, then closes all connections.
    pub async fn close(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, registry: Registry, shutdown: CancellationToken, tasks: TaskTracker) {
    let router = router(registry.clone());
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let slot = slots
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = (slot, registry.metrics().connection_opened());
                tasks.spawn(converse(stream, place, router.clone(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    _place: (OwnedSemaphorePermit, OpenConnection),
    router: Router,
    shutdown: CancellationToken,
) {
    // A delay of answers is all that a failure would mean.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
