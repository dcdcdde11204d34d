//! The port: sockets in, frames to [`crate::api`], answers out.
//!
//! One task per connection ([`connection`]). Invariants:
//! - answers leave in the order of their requests, although requests are worked on at the same time;
//! - memory follows the bytes that arrived, never a length that was declared, and all connections share one budget of it
//!   ([`crate::budget`]);
//! - a client that does not read, or sends a request by the byte, is closed;
//! - a stranger's nonsense, and a bug it may find, ends that one connection.
//!
//! Deliberately absent so far: TLS and SASL.

mod connection;
mod frames;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    Broker, BrokerSettings, Endpoint,
    api::{Advertised, Node},
};
use connection::{Connection, ConnectionError};
use slots::{Slot, Slots};

/// Settings of the port.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// `host:port`; port 0 takes a free one. The loopback address by default: there is no authentication yet.
    pub listen: String,
    /// `host:port` that clients are told to connect to, where it differs from `listen` (`advertised.listeners`).
    pub advertised: Option<String>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self::from(&BrokerSettings::default())
    }
}

/// The first of `listeners`, and what is advertised for it.
impl From<&BrokerSettings> for ListenerConfig {
    fn from(settings: &BrokerSettings) -> Self {
        let listener = settings.listeners.first().expect("settings have a listener");
        let mut advertised = settings.advertised_listeners.iter();
        Self {
            listen: listener.address(),
            advertised: advertised
                .find(|a| a.name == listener.name)
                .map(Endpoint::address),
        }
    }
}

/// Why the port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("port {address} is in use: stop the process that holds it or choose another port")]
    InUse { address: String },
    #[error("port {address} may not be opened by this user: choose one above 1023")]
    Denied { address: String },
    #[error("cannot listen on '{address}'")]
    Io {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("'{address}' is not an address that clients can connect to: write it as host:port")]
    InvalidAdvertised { address: String },
}

/// An open port. Dropping it changes nothing; cancel the token that [`serve`] was given.
#[derive(Debug)]
pub struct ServerHandle {
    local_addr: SocketAddr,
    connections: TaskTracker,
}

impl ServerHandle {
    /// Where it listens, with the actual port if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Resolves after the shutdown, when the last connection is closed. Each gets [`connection::DRAIN_TIMEOUT`] for the
    /// answers it owes.
    pub async fn closed(&self) {
        self.connections.wait().await;
    }
}

/// Opens the port and serves it until `shutdown`. It is bound when this returns, so that errors are the caller's.
pub async fn serve(
    broker: Arc<Broker>,
    config: ListenerConfig,
    shutdown: CancellationToken,
) -> Result<ServerHandle, ListenError> {
    let listener = TcpListener::bind(&config.listen)
        .await
        .map_err(|source| ListenError::from_io(&config.listen, source))?;
    let local_addr = listener
        .local_addr()
        .map_err(|source| ListenError::from_io(&config.listen, source))?;
    let advertised = match &config.advertised {
        Some(address) => Advertised::parse(address).ok_or_else(|| ListenError::InvalidAdvertised {
            address: address.clone(),
        })?,
        None => Advertised {
            host: reachable(local_addr.ip()),
            port: local_addr.port(),
        },
    };
    info!(%local_addr, advertised = %advertised, "listening for Kafka clients");
    let connections = TaskTracker::new();
    let acceptor = Acceptor {
        listener,
        slots: Slots::default(),
        connections: connections.clone(),
        node: Arc::new(Node::new(broker, advertised, shutdown.clone())),
        shutdown,
    };
    connections.spawn(acceptor.run());
    Ok(ServerHandle {
        local_addr,
        connections,
    })
}

/// `0.0.0.0` is a place to listen, not one to connect to.
fn reachable(ip: IpAddr) -> String {
    if ip.is_unspecified() {
        "localhost".into()
    } else {
        ip.to_string()
    }
}

impl ListenError {
    pub(crate) fn from_io(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::Denied { address },
            _ => Self::Io { address, source },
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    slots: Slots,
    connections: TaskTracker,
    node: Arc<Node>,
    shutdown: CancellationToken,
}

impl Acceptor {
    /// Pause after a failed accept: the reason, such as too many open files, does not go away at once.
    const RETRY_AFTER: Duration = Duration::from_millis(50);

    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Self::RETRY_AFTER).await;
                }
            }
        }
        self.connections.close();
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let settings = self.node.settings();
        let (most, most_per_ip) = (settings.max_connections, settings.max_connections_per_ip);
        let slot = match self.slots.take(peer.ip(), most, most_per_ip) {
            Ok(slot) => slot,
            Err(error) => {
                self.node.metrics().connection_refused();
                warn!(%peer, %error, "closing a new connection");
                return;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot switch off Nagle's algorithm");
        }
        let connection = Connection::new(stream, peer, self.node.clone(), &settings);
        let shutdown = self.shutdown.clone();
        self.connections.spawn(serve_one(connection, slot, shutdown));
    }
}

/// A panic in here ends the task, and with it this connection, and nothing else.
async fn serve_one(connection: Connection, slot: Slot, shutdown: CancellationToken) {
    let (peer, node) = (connection.peer(), connection.node());
    let _open = node.metrics().connection_opened();
    match connection.run(shutdown).await {
        Ok(()) => debug!(%peer, "connection closed"),
        Err(ConnectionError::Request(error)) => {
            node.metrics().invalid_request(error.reason());
            debug!(%peer, %error, "connection ended");
        }
        Err(error) => debug!(%peer, %error, "connection ended"),
    }
    drop(slot);
}
