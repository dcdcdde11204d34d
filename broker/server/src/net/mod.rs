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

mod arrivals;
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
    Broker, BrokerSettings, Endpoint, Loggers,
    api::{Advertised, Node, Session},
};
use arrivals::Arrivals;
use connection::{Connection, ConnectionError};
use slots::{Slot, Slots};

/// Settings of the port: its listeners, and what the process gives it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// At least one. A client is told of the others' places by the name of the one it came through.
    pub listeners: Vec<ListenerConfig>,
    /// `None`: administrators cannot see or turn the log of the process.
    pub loggers: Option<Arc<dyn Loggers>>,
}

/// One place to listen.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// As in `listeners`.
    pub name: String,
    /// `host:port`; port 0 takes a free one. The loopback address by default: there is no authentication yet.
    pub listen: String,
    /// `host:port` that clients are told to connect to, where it differs from `listen` (`advertised.listeners`).
    pub advertised: Option<String>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        let settings = BrokerSettings::default();
        Self::of(
            settings.listeners.first().expect("settings have a listener"),
            &settings,
        )
    }
}

impl ListenerConfig {
    fn of(listener: &Endpoint, settings: &BrokerSettings) -> Self {
        let mut advertised = settings.advertised_listeners.iter();
        Self {
            name: listener.name.clone(),
            listen: listener.address(),
            advertised: advertised
                .find(|a| a.name == listener.name)
                .map(Endpoint::address),
        }
    }
}

/// All of `listeners`, and what is advertised for them.
impl From<&BrokerSettings> for ServerConfig {
    fn from(settings: &BrokerSettings) -> Self {
        let listeners = settings.listeners.iter();
        Self {
            listeners: listeners.map(|l| ListenerConfig::of(l, settings)).collect(),
            loggers: None,
        }
    }
}

impl From<ListenerConfig> for ServerConfig {
    fn from(listener: ListenerConfig) -> Self {
        Self {
            listeners: vec![listener],
            loggers: None,
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
    #[error("there is no listener: `listeners` names at least one")]
    NoListener,
}

/// An open port. Dropping it changes nothing; cancel the token that [`serve`] was given.
#[derive(Debug)]
pub struct ServerHandle {
    /// By the names of the listeners, in their order.
    addresses: Vec<(String, SocketAddr)>,
    connections: TaskTracker,
}

impl ServerHandle {
    /// Where the first listener listens, with the actual port if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0].1
    }

    /// The same of all listeners, with their names.
    pub fn local_addrs(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Resolves after the shutdown, when the last connection is closed. Each gets [`connection::DRAIN_TIMEOUT`] for the
    /// answers it owes.
    pub async fn closed(&self) {
        self.connections.wait().await;
    }
}

/// Opens the port and serves it until `shutdown`. All listeners are bound when this returns, so that errors are the
/// caller's.
pub async fn serve(
    broker: Arc<Broker>,
    config: impl Into<ServerConfig>,
    shutdown: CancellationToken,
) -> Result<ServerHandle, ListenError> {
    let config = config.into();
    let mut bound = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        bound.push(bind(listener).await?);
    }
    if bound.is_empty() {
        return Err(ListenError::NoListener);
    }
    let connections = TaskTracker::new();
    let node = Arc::new(Node::new(broker, config.loggers, shutdown.clone()));
    let (slots, arrivals) = (Slots::default(), Arrivals::new(&node.settings()));
    let names = config.listeners.into_iter().map(|listener| listener.name);
    let mut addresses = Vec::with_capacity(bound.len());
    for (
        name,
        Bound {
            socket,
            address,
            advertised,
        },
    ) in names.zip(bound)
    {
        info!(listener = name, local_addr = %address, %advertised, "listening for Kafka clients");
        let acceptor = Acceptor {
            socket,
            advertised: Arc::new(advertised),
            slots: slots.clone(),
            arrivals: arrivals.clone(),
            connections: connections.clone(),
            node: node.clone(),
            shutdown: shutdown.clone(),
        };
        connections.spawn(acceptor.run());
        addresses.push((name, address));
    }
    Ok(ServerHandle {
        addresses,
        connections,
    })
}

/// A listener that has its port.
struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    advertised: Advertised,
}

async fn bind(listener: &ListenerConfig) -> Result<Bound, ListenError> {
    let failed = |source| ListenError::from_io(&listener.listen, source);
    let socket = TcpListener::bind(&listener.listen).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let advertised = match &listener.advertised {
        Some(address) => Advertised::parse(address).ok_or_else(|| ListenError::InvalidAdvertised {
            address: address.clone(),
        })?,
        None => Advertised {
            host: reachable(address.ip()),
            port: address.port(),
        },
    };
    Ok(Bound {
        socket,
        address,
        advertised,
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
    socket: TcpListener,
    advertised: Arc<Advertised>,
    /// Of all listeners together, as `max.connections` is.
    slots: Slots,
    arrivals: Arrivals,
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
                accepted = self.next() => accepted,
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

    /// The next connection, not before `max.connection.creation.rate` allows it.
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = self.socket.accept().await?;
        let rate = self.node.settings().max_connection_creation_rate;
        let pause = self.arrivals.count(rate, self.node.now_ms());
        if pause > Duration::ZERO {
            tokio::time::sleep(pause).await;
        }
        Ok(accepted)
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
        let too_soon = self.node.quotas.connected(peer.ip(), self.node.now_ms());
        if too_soon > Duration::ZERO {
            self.node.metrics().connection_refused();
            debug!(%peer, ?too_soon, "closing a connection of an address that makes too many");
            let shutdown = self.shutdown.clone();
            self.connections
                .spawn(turn_away(stream, slot, too_soon, shutdown));
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot switch off Nagle's algorithm");
        }
        let session = Session::new(self.node.clone(), self.advertised.clone(), peer.ip());
        let connection = Connection::new(stream, peer, session, &settings);
        let shutdown = self.shutdown.clone();
        self.connections.spawn(serve_one(connection, slot, shutdown));
    }
}

/// Closes a connection that came too soon, when the address may make the next one: a client that tries again at once would
/// only make it worse (KIP-612).
async fn turn_away(stream: TcpStream, slot: Slot, pause: Duration, shutdown: CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shutdown.cancelled() => {}
    }
    drop(stream);
    drop(slot);
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
