//! One connection without a socket: whole frames in, whole frames out, through the same table of APIs and in the same
//! two steps as on the port. For simulations, which bring a network of their own, and for fuzzing.
//!
//! Deliberately absent: everything that `net/` adds for real sockets, such as limits and timeouts.

use std::{net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::{
    Broker,
    api::{Advertised, Frame, Node, Outgoing, RequestError, Session},
    budget::Held,
};

/// Connections to one broker.
pub struct Loopback {
    node: Arc<Node>,
}

/// One of them. Requests are started in the order of their arrival.
pub struct LoopbackConnection {
    session: Session,
}

/// What the port would close the connection for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Closed(#[from] RequestError);

impl Closed {
    /// Whether nobody but the broker is to blame: the request was understood, and its answer cannot be written.
    pub fn is_ours(&self) -> bool {
        matches!(self.0, RequestError::Encode { .. })
    }
}

/// The frame of the answer, its length in front; `None` where none is wanted.
pub type LoopbackAnswer = BoxFuture<'static, Result<Option<Bytes>, Closed>>;

impl Loopback {
    /// Long polls end with `shutdown`.
    pub fn new(broker: Arc<Broker>, shutdown: CancellationToken) -> Self {
        Self {
            node: Arc::new(Node::new(broker, None, shutdown)),
        }
    }

    pub fn connect(&self) -> LoopbackConnection {
        let listener = Advertised {
            host: "loopback".into(),
            port: 9092,
        };
        LoopbackConnection {
            session: Session::new(self.node.clone(), Arc::new(listener), Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// What the port of scrapers and probes answers to these bytes, after which nothing comes; `None`: they are no whole
    /// request.
    pub async fn probe(broker: Arc<Broker>, asked: &[u8]) -> Option<Vec<u8>> {
        crate::http::probe(broker, asked).await
    }

    /// Key, lowest and highest version of every API.
    pub fn apis() -> impl Iterator<Item = (i16, i16, i16)> {
        crate::api::versions()
    }
}

impl LoopbackConnection {
    /// The first step of a request, its frame without the length in front: appends have happened when this returns. What
    /// it answers resolves when it is done.
    pub async fn start(&mut self, frame: Bytes) -> Result<LoopbackAnswer, Closed> {
        let answer = self.session.start(frame, Held::default()).await?;
        let whole = |answer: Result<Outgoing, RequestError>| {
            let frame = answer?.frame.take();
            Ok(frame
                .map(Frame::into_bytes)
                .transpose()
                .map_err(RequestError::from)?)
        };
        Ok(answer.map(whole).boxed())
    }
}
