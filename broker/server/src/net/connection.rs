use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Buf;
use futures::{StreamExt, stream::FuturesOrdered};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use millstream_broker_storage::FileRange;

use super::frames::{FrameReader, ReadFrameError};
use crate::{
    BrokerSettings,
    api::{Answer, Node, Outgoing, RequestError, Section, Session},
};

/// Requests of one connection that are worked on at the same time. Clients keep 5 in flight, few more than 100.
const MAX_IN_FLIGHT: usize = 128;
/// How long a client may not read anything while answers wait for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take for the answers it owes when the server stops.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended, other than by the client's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Read(#[from] ReadFrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("cannot write an answer")]
    Write(#[source] io::Error),
    #[error("no request for too long")]
    Idle,
    #[error("the client does not read its answers")]
    Stuck,
}

/// One client. Requests are started in the order of their arrival; that is where the order of appends comes from.
/// Then all wait at the same time, and the answers leave in the same order again.
pub(super) struct Connection {
    peer: SocketAddr,
    frames: FrameReader<OwnedReadHalf>,
    answers: OwnedWriteHalf,
    in_flight: FuturesOrdered<Answer>,
    session: Session,
    idle_timeout: Duration,
    /// Until when nothing is read: the client was too much, and was told so.
    muted_until: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        session: Session,
        settings: &BrokerSettings,
    ) -> Self {
        let (read, answers) = stream.into_split();
        let budget = session.node().requests.clone();
        Self {
            peer,
            frames: FrameReader::new(read, settings.max_request_bytes, budget),
            answers,
            in_flight: FuturesOrdered::new(),
            session,
            idle_timeout: settings.connection_idle_timeout,
            muted_until: None,
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn node(&self) -> Arc<Node> {
        self.session.node().clone()
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), ConnectionError> {
        let mut idle_at = Instant::now() + self.idle_timeout;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self.drain().await,
                Some(answer) = self.in_flight.next() => self.write(answer).await?,
                () = until(self.muted_until), if self.muted_until.is_some() => self.muted_until = None,
                frame = self.frames.next(),
                    if self.in_flight.len() < MAX_IN_FLIGHT && self.muted_until.is_none() => match frame? {
                    Some((frame, held)) => {
                        let answer = self.session.start(frame, held).await?;
                        self.in_flight.push_back(answer);
                    }
                    // The client may have closed only its half, and still want what it asked for.
                    None => return self.drain().await,
                },
                () = sleep_until(idle_at), if self.in_flight.is_empty() && self.muted_until.is_none() => return Err(ConnectionError::Idle),
            }
            idle_at = Instant::now() + self.idle_timeout;
        }
    }

    /// Answers what was asked, and no more.
    async fn drain(mut self) -> Result<(), ConnectionError> {
        let drain = async {
            while let Some(answer) = self.in_flight.next().await {
                self.write(answer).await?;
            }
            self.answers.shutdown().await.map_err(ConnectionError::Write)?;
            // To close on bytes that nobody read would take back answers that are on their way.
            self.frames.discard().await;
            Ok(())
        };
        timeout(DRAIN_TIMEOUT, drain)
            .await
            .map_err(|_| ConnectionError::Stuck)?
    }

    async fn write(&mut self, answer: Result<Outgoing, RequestError>) -> Result<(), ConnectionError> {
        let mut answer = answer?;
        if answer.throttle > Duration::ZERO {
            self.muted_until = self.muted_until.max(Some(Instant::now() + answer.throttle));
        }
        let Some(mut frame) = answer.frame.take() else {
            return Ok(());
        };
        self.session.node().metrics().response(frame.len());
        while let Some(section) = frame.take_section() {
            match section {
                Section::Memory(mut pieces) => {
                    while pieces.has_remaining() {
                        in_time(self.answers.write_buf(&mut pieces)).await?;
                    }
                }
                Section::File(mut range) => {
                    while !range.is_empty() {
                        in_time(send(self.answers.as_ref(), &mut range)).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

async fn in_time(write: impl Future<Output = io::Result<usize>>) -> Result<(), ConnectionError> {
    let written = timeout(WRITE_TIMEOUT, write).await;
    let written = written.map_err(|_| ConnectionError::Stuck)?;
    written.map_err(ConnectionError::Write)?;
    Ok(())
}

/// Sends some of a file, as much as the socket takes.
async fn send(socket: &TcpStream, range: &mut FileRange) -> io::Result<usize> {
    loop {
        socket.writable().await?;
        match socket.try_io(Interest::WRITABLE, || range.send_to(socket)) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            sent => return sent,
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
