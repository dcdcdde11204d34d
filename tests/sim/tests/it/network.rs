//! The network between clients and broker: late, in order within a connection, and forgetful.
//!
//! A client that waits no longer takes a new connection; what it had sent is still under way and may arrive after what it
//! sends then, as a retry overtakes a request that hangs somewhere.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use bytes::{Bytes, BytesMut};
use millstream_broker_server::{LoopbackAnswer, LoopbackConnection};
use millstream_protocol::messages::{
    ApiKey, Encodable, Request, RequestHeader, ResponseHeader, StrBytes, decode,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    server::Server,
    world::{LANES, Lane, World},
};

/// Requests on their way through one connection.
const IN_FLIGHT: usize = 64;
const SLOWEST_MS: u64 = 40;
/// Now and then something hangs that long.
const HANGING_MS: u64 = 4_000;
const GIVES_UP_AFTER_MS: u64 = 1_500;

/// No answer: the broker is gone, or too slow. The request may have been heard, may yet be, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

pub(crate) struct Network {
    pub(crate) world: Rc<World>,
    pub(crate) server: Rc<Server>,
    /// How many there are; each has the lane of its number.
    pub(crate) wires: Cell<Lane>,
}

/// What one client has.
pub(crate) struct Wire {
    network: Rc<Network>,
    lane: Lane,
    pub(crate) name: String,
    pub(crate) random: RefCell<SmallRng>,
    connection: RefCell<Option<Rc<Connection>>>,
    correlation_id: Cell<i32>,
}

struct Connection {
    requests: mpsc::Sender<(Bytes, oneshot::Sender<Bytes>)>,
    /// When the last request arrives.
    last_arrival_ms: Cell<u64>,
}

impl Network {
    pub(crate) fn wire(self: &Rc<Self>, name: &str) -> Wire {
        let number: u64 = name.bytes().fold(7, |hash, byte| hash * 31 + u64::from(byte));
        let lane = self.wires.get() + 1;
        assert!(lane < LANES, "more clients than lanes");
        self.wires.set(lane);
        Wire {
            network: self.clone(),
            lane,
            name: name.to_owned(),
            random: RefCell::new(SmallRng::seed_from_u64(
                self.world.seed.wrapping_mul(1_000_003) ^ number,
            )),
            connection: RefCell::default(),
            correlation_id: Cell::new(0),
        }
    }
}

impl Wire {
    pub(crate) fn world(&self) -> &Rc<World> {
        &self.network.world
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().random_range(0..end)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) async fn pause(&self, at_most_ms: u64) {
        let pause = self.below(at_most_ms) + 1;
        self.world().sleep(self.lane, pause).await;
    }

    /// Whether the client shall begin nothing new.
    pub(crate) fn finishing(&self) -> bool {
        self.world().finishing.get()
    }

    /// One request and its answer. After [`Lost`] the next request takes a new connection.
    pub(crate) async fn ask<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, Lost> {
        self.ask_within(request, version, GIVES_UP_AFTER_MS).await
    }

    /// The same for a request that the broker answers when others have done something.
    pub(crate) async fn ask_within<R: Request>(
        &self,
        request: &R,
        version: i16,
        patience_ms: u64,
    ) -> Result<R::Response, Lost> {
        self.correlation_id.set(self.correlation_id.get() + 1);
        let key = ApiKey::try_from(R::KEY).unwrap();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id.get())
            .with_client_id(Some(StrBytes::from_string(self.name.clone())));
        let mut frame = BytesMut::new();
        header
            .encode(&mut frame, key.request_header_version(version))
            .unwrap();
        request.encode(&mut frame, version).unwrap();
        let answer = self
            .exchange(format!("{key:?}"), frame.freeze(), patience_ms)
            .await;
        let Ok(mut answer) = answer else {
            self.connection.take();
            return Err(Lost);
        };
        let header: ResponseHeader =
            decode(&mut answer, key.response_header_version(version)).expect("answers are well-formed");
        assert_eq!(header.correlation_id, self.correlation_id.get());
        Ok(decode(&mut answer, version).expect("answers are well-formed"))
    }

    async fn exchange(&self, name: String, frame: Bytes, patience_ms: u64) -> Result<Bytes, Lost> {
        let connection = self.connection()?;
        let late = if self.chance(1) { HANGING_MS } else { SLOWEST_MS };
        let arrival_ms = self.world().now_ms() + 1 + self.below(late);
        let arrival_ms = arrival_ms.max(connection.last_arrival_ms.get() + 1);
        let (answer, mut answered) = oneshot::channel();
        let requests = connection.requests.clone();
        let what = format!("{} {name} {:08x}", self.name, crc(&frame));
        let arrival_ms = self.world().at(self.lane, arrival_ms, what, move || {
            // the broker's end may be gone
            let _ = requests.try_send((frame, answer));
        });
        connection.last_arrival_ms.set(arrival_ms);
        tokio::select! {
            biased;
            answer = &mut answered => {
                let answer = answer.map_err(|_| Lost)?;
                self.world().note(format!("{} {name} answered {:08x}", self.name, crc(&answer)));
                Ok(answer)
            }
            () = self.world().sleep(self.lane, patience_ms) => Err(Lost),
        }
    }

    fn connection(&self) -> Result<Rc<Connection>, Lost> {
        let mut connection = self.connection.borrow_mut();
        if let Some(open) = connection.as_ref().filter(|open| !open.requests.is_closed()) {
            return Ok(open.clone());
        }
        let session = self.network.server.connect().ok_or(Lost)?;
        let (requests, incoming) = mpsc::channel(IN_FLIGHT);
        let seed = self.random.borrow_mut().random();
        let serving = serve(self.network.world.clone(), self.lane, session, incoming, seed);
        self.network.server.spawn(serving);
        let open = Rc::new(Connection {
            requests,
            last_arrival_ms: Cell::new(0),
        });
        *connection = Some(open.clone());
        Ok(open)
    }
}

/// An answer that the broker owes, and who waits for it.
type Owed = (LoopbackAnswer, oneshot::Sender<Bytes>);

/// The broker's end of a connection: requests start in order, and their answers leave in that order.
async fn serve(
    world: Rc<World>,
    lane: Lane,
    mut session: LoopbackConnection,
    mut incoming: mpsc::Receiver<(Bytes, oneshot::Sender<Bytes>)>,
    seed: u64,
) {
    let queue: Rc<RefCell<VecDeque<Owed>>> = Rc::default();
    let more = Rc::new(Notify::new());
    let (queued, rung) = (queue.clone(), more.clone());
    let start = async move {
        while let Some((frame, answer)) = incoming.recv().await {
            let pending = session
                .start(frame)
                .await
                .expect("clients ask what is understood");
            queued.borrow_mut().push_back((pending, answer));
            rung.notify_one();
        }
    };
    let finish = async move {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut last_ms = 0;
        loop {
            let next = queue.borrow_mut().pop_front();
            let Some((pending, answer)) = next else {
                more.notified().await;
                continue;
            };
            let frame = pending.await.expect("clients ask what is understood");
            let frame = frame.expect("nobody asks for no answer");
            let at_ms = (world.now_ms() + 1 + random.random_range(0..SLOWEST_MS)).max(last_ms + 1);
            last_ms = world.at(lane, at_ms, String::new(), move || {
                // the client may have given up
                let _ = answer.send(frame.slice(4..));
            });
        }
    };
    // the queue of answers never ends by itself; the client's end of the connection does
    tokio::select! {
        biased;
        () = finish => {}
        () = async { start.await; std::future::pending::<()>().await } => {}
    }
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
